// Takes photos, hands them to the worker one by one, and shows what comes back.

import { byId, element } from "../../web/dom.js";
import { colour, readRamp, spanColours } from "../../web/ramp.js";
import { drawMap } from "./map.js";
import { NO_PHOTOGRAPH, sayDetail, sayInterval, sayReasons, sayScore } from "./words.js";

const [drop, files, status, results, about] = ["drop", "files", "status", "results", "about"].map(byId);
const rows = [];
const worker = new Worker("worker.js", { type: "module" });
let card;
let scale; // its ends, as numbers
let percentiles; // of the scores of training photos, and of the detail of cameras' photos
let regions;
let reasons; // the faults that the model names: their words, and from which strength on

function say(text) {
  status.textContent = text;
}

/** The share of photos, in percent, that a number is better than; NaN where it is not known how they spread. */
function betterThan(number, spread) {
  if (!spread) return NaN;
  const above = spread.findIndex((value) => value > number);
  let below = above < 0 ? 100 : 0;
  if (above > 0) below = above - (spread[above] - number) / (spread[above] - spread[above - 1]);
  return scale.higher_is_better ? below : 100 - below;
}

function add(chosen) {
  for (const file of chosen) {
    const row = document.createElement("li");
    const picture = Object.assign(document.createElement("img"), { src: URL.createObjectURL(file), alt: "" });
    const answer = element("span", "score", "waiting");
    row.append(picture, element("span", "name", file.name), answer);
    results.prepend(row);
    worker.postMessage({ number: rows.push({ row, answer, file, picture }) - 1, file });
  }
}

function show({ number, error, waiting, map, ...said }) {
  const { answer, button } = rows[number];
  if (error) (button ?? answer).textContent = `failed: ${error}`;
  else if (map) showMap(number, map);
  else if (waiting !== undefined) button.textContent = `Looking at its regions: ${Math.round(100 * waiting)} %`;
  else showScore(number, said);
}

/** How far a score is along its scale, in the colour of its quality. */
function drawBar(score) {
  const share = Math.min(1, Math.max(0, (score - scale.low) / (scale.high - scale.low)));
  const bar = element("div", "bar");
  const filled = document.createElement("i");
  filled.style.width = `${100 * share}%`;
  filled.style.background = colour(scale.higher_is_better ? share : 1 - share);
  bar.append(filled);
  return bar;
}

function showScore(number, { score, low, high, detail, holds, strengths, novelty, pixels }) {
  const { row, answer, file } = rows[number];
  const trained = betterThan(score, percentiles.scores);
  const share = Number.isNaN(trained) ? "" : `, better than ${trained.toFixed(0)} % of the photos it was trained on`;
  const people = low === undefined ? "" : ` (people say ${sayInterval(low, high)})`;
  answer.textContent = `${sayScore(score, card)}${people}${share}`;
  answer.dataset.score = score;
  if (detail !== undefined) {
    const more = novelty > 0 ? NaN : betterThan(detail, percentiles.detail);
    const line = element("span", "detail", sayDetail(detail, more, holds, pixels));
    Object.assign(line.dataset, { detail, holds });
    row.append(line);
  }
  if (novelty > 0) row.append(element("span", "warning", NO_PHOTOGRAPH));
  else if (strengths) row.append(element("span", "reasons", sayReasons(strengths, reasons) || "No fault is named"));
  const button = Object.assign(element("button", "", "Show where it is good and where bad"), { type: "button" });
  button.onclick = () => {
    button.disabled = true;
    worker.postMessage({ number, file, offsets: regions.offsets });
  };
  rows[number].button = button;
  row.append(drawBar(score), button);
}

function showMap(number, scores) {
  const { row, button, picture } = rows[number];
  const span = spanColours(scores, scale);
  const canvas = document.createElement("canvas");
  canvas.dataset.scores = JSON.stringify(scores);
  canvas.setAttribute("role", "img");
  canvas.setAttribute("aria-label", `Map of quality, region by region from ${Math.min(...scores).toFixed(2)} to ${Math.max(...scores).toFixed(2)}`);
  drawMap(canvas, scores, regions, span);
  const frame = element("div", "frame");
  frame.append(Object.assign(document.createElement("img"), { src: picture.src, alt: "" }), canvas);
  const shown = Object.assign(document.createElement("input"), { type: "checkbox", checked: true });
  shown.onchange = () => (canvas.hidden = !shown.checked);
  const toggle = element("label");
  toggle.append(shown, " Map");
  const legend = element("figcaption");
  legend.append(toggle, element("span", "", span[0].toFixed(2)), element("i"), element("span", "", span[1].toFixed(2)));
  const figure = document.createElement("figure");
  figure.append(frame, legend, element("p", "", "Each place shows the score that the photo would get if all its detail came from there."));
  row.append(figure);
  button.remove();
}

worker.onmessage = ({ data }) => {
  if (data.status !== undefined) say(data.status);
  if (data.number !== undefined) show(data);
};
worker.onerror = (event) => say(`The page failed: ${event.message}`);

for (const type of ["dragenter", "dragover", "dragleave", "drop"]) {
  document.addEventListener(type, (event) => {
    event.preventDefault();
    drop.classList.toggle("over", type === "dragenter" || type === "dragover");
  });
}
document.addEventListener("drop", (event) => add(event.dataTransfer.files));
files.addEventListener("change", () => {
  add(files.files);
  files.value = ""; // so that the same photo can be chosen again
});

card = await (await fetch("card.json")).json();
scale = { low: Number(card.low), high: Number(card.high), higher_is_better: card.higher_is_better === "true" };
readRamp();
regions = JSON.parse(card.regions);
reasons = card.reasons && JSON.parse(card.reasons);
const source = JSON.parse(card.metadata).source;
percentiles = { scores: source?.trained?.percentiles?.scores, detail: source?.detail?.percentiles };
const better = scale.higher_is_better ? "higher" : "lower";
about.textContent =
  `Scores are on the ${card.scale} scale, ${card.low} to ${card.high}, ${better} is better. ` +
  `${card.attribution ?? ""} ${card.license ? `License: ${card.license}.` : ""}`;
