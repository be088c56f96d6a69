// "Which of these two?": shows the pair that teaches most about a person's taste, and keeps the answers.

import { byId } from "../../web/dom.js";
import { saveCsv } from "./csv.js";
import { pathOf, photos as all, pictureOf } from "./data.js";
import { recall, store } from "./storage.js";
import { Taste } from "./taste.js";
import { plural } from "./words.js";

const CANDIDATES = 600; // pairs that the next one is chosen from
const OFTEN = 2; // a photo is not shown again after so many pairs, while there are others
const SIDES = ["left", "right"];

const photos = all.filter((photo) => photo.scored && photo.looks);
const byLink = new Map(photos.map((photo) => [photo.link, photo]));
const areApart = (a, b) => a !== b && (a.stack === undefined || a.stack !== b.stack); // never two shots of a scene

// The better and the worse photo's link; a third entry where nobody could tell.
const answers = recall("pairs", (kept) => kept.filter(([a, b]) => byLink.has(a) && byLink.has(b) && a !== b), []);
const photosOf = (links) => links.slice(0, 2).map((link) => byLink.get(link));
const toldAnswers = () => answers.filter(([, , skipped]) => !skipped).map(photosOf);

let taste;
let pair = [];

const relearn = () => (taste = new Taste(photos, toldAnswers()));
const keyOf = (a, b) => [a.link, b.link].sort().join("\n");
const everyPair = (some) => some.flatMap((a, at) => some.slice(at + 1).map((b) => (Math.random() < 0.5 ? [a, b] : [b, a])));
const drawPairs = (some) => Array.from({ length: CANDIDATES }, () => [0, 1].map(() => some[Math.floor(Math.random() * some.length)]));

/** The pair whose answer tells most. */
function choosePair() {
  const asked = new Set(answers.map((links) => keyOf(...photosOf(links))));
  const times = new Map(photos.map((photo) => [photo, 0]));
  for (const photo of answers.flatMap(photosOf)) times.set(photo, times.get(photo) + 1);
  const fresh = photos.filter((photo) => times.get(photo) < OFTEN);
  for (const some of [fresh, photos]) {
    const best = (some.length ** 2 <= CANDIDATES ? everyPair(some) : drawPairs(some))
      .filter(([a, b]) => areApart(a, b) && !asked.has(keyOf(a, b)))
      .map((found) => ({ found, worth: taste.worth(...found) }))
      .reduce((best, next) => (next.worth > best.worth ? next : best), { worth: 0 });
    if (best.found) return best.found;
  }
  return [];
}

function answer(better, worse, ...skipped) {
  answers.push([better.link, worse.link, ...skipped]);
  if (!skipped.length) taste.learn(better, worse);
  keep();
  showPair(choosePair());
}

function undo() {
  const last = answers.pop();
  if (!last) return;
  relearn();
  keep();
  showPair(photosOf(last));
}

function keep() {
  if (!store("pairs", answers)) byId("pairs-note").textContent = "This browser cannot keep answers. Download them before you leave.";
}

const downloadPairs = () => saveCsv("pairs.csv", [["better", "worse"], ...toldAnswers().map((told) => told.map(pathOf))]);

function showPair(next) {
  pair = next;
  const count = toldAnswers().length;
  byId("pairs-count").textContent = plural(count, "answer");
  byId("pairs-download").disabled = !count;
  byId("pairs-undo").disabled = !answers.length;
  byId("pairs-none").hidden = pair.length > 0;
  byId("pairs-skip").disabled = !pair.length;
  SIDES.forEach((side, at) => {
    const photo = pair[at];
    const image = byId(`pair-${side}`);
    byId(`choose-${side}`).hidden = !photo;
    if (!photo) return image.removeAttribute("src");
    image.alt = photo.name;
    image.onerror = () => {
      image.onerror = null;
      image.src = pictureOf("thumbnails", photo); // the browser cannot show the original
    };
    image.src = photo.link;
    byId(`pair-${side}-name`).textContent = photo.name;
  });
}

const prefer = (at) => pair.length && answer(pair[at], pair[1 - at]);
const skip = () => pair.length && answer(...pair, "skipped");
const KEYS = { ArrowLeft: () => prefer(0), ArrowRight: () => prefer(1), ArrowDown: skip, Backspace: undo };

export function listenToPairs() {
  const dialog = byId("pairs");
  dialog.addEventListener("keydown", (event) => {
    event.stopPropagation(); // the page's keys rest
    if (event.ctrlKey || event.metaKey || event.altKey || event.repeat || !KEYS[event.key]) return;
    event.preventDefault();
    KEYS[event.key]();
  });
  SIDES.forEach((side, at) => byId(`choose-${side}`).addEventListener("click", () => prefer(at)));
  byId("pairs-skip").addEventListener("click", skip);
  byId("pairs-undo").addEventListener("click", undo);
  byId("pairs-download").addEventListener("click", downloadPairs);
  byId("pairs-close").addEventListener("click", () => dialog.close());
  byId("pairs-button").addEventListener("click", () => {
    relearn();
    showPair(choosePair());
    dialog.showModal();
    dialog.focus(); // not its button, which Enter would press
  });
  byId("pairs-button").hidden = !photos.some((photo) => areApart(photo, photos[0]));
}
