// The grid: a list of photos, of which only those near the window are in the document.

import { byId } from "../../web/dom.js";
import { makeCard } from "./card.js";
import { findRow, layOutRows } from "./rows.js";

const CAPTION = 47; // pixels of a card below its picture, as in the style sheet: bar, numbers, name
const REASONS = 18; // more where one of a row has reasons
const NEAR = 500; // pixels above and below the window that are in the document

const grid = byId("grid");
const cards = new Map(); // photos in the document
let shown = [];
let active; // the photo that the keys act on
let room; // width of the grid
let places = [];
let rows = [];

export const shownPhotos = () => shown;
export const activePhoto = () => active;

/** Lays out photos; those that were there are drawn anew. */
export function showInGrid(photos) {
  shown = photos;
  for (const photo of cards.keys()) drop(photo);
  if (!shown.includes(active)) active = shown[0];
  layOut();
}

/** Draws a photo anew that has changed. */
export function redraw(photo) {
  drop(photo);
  render();
}

function drop(photo) {
  cards.get(photo)?.remove();
  cards.delete(photo);
}

function layOut() {
  room = grid.clientWidth;
  let height;
  ({ places, rows, height } = layOutRows(shown, room, (photo) => CAPTION + (photo.reasons ? REASONS : 0)));
  grid.style.height = `${height}px`;
  render();
}

function nearWindow() {
  if (!rows.length) return [0, 0];
  const from = window.scrollY - grid.offsetTop - NEAR;
  const to = from + window.innerHeight + 2 * NEAR;
  return [rows[findRow(rows, from)].start, rows[findRow(rows, to) + 1]?.start ?? shown.length];
}

function render() {
  const [from, to] = nearWindow();
  const wanted = new Set();
  for (let at = from; at < to; at++) wanted.add(at);
  const activeAt = shown.indexOf(active);
  if (activeAt >= 0) wanted.add(activeAt); // so that it keeps the focus
  const wantedPhotos = new Set([...wanted].map((at) => shown[at]));
  for (const photo of [...cards.keys()]) if (!wantedPhotos.has(photo)) drop(photo);
  let before = null;
  for (const at of [...wanted].sort((a, b) => a - b)) {
    const photo = shown[at];
    if (!cards.has(photo)) cards.set(photo, makeCard(photo));
    const item = cards.get(photo);
    const place = places[at];
    Object.assign(item.style, { transform: `translate(${place.left}px, ${place.top}px)`, width: `${place.width}px`, height: `${place.height}px` });
    item.style.setProperty("--picture", `${place.picture}px`);
    item.setAttribute("aria-posinset", at + 1);
    item.setAttribute("aria-setsize", shown.length);
    item.firstChild.tabIndex = photo === active ? 0 : -1;
    // In the photos' order, for those who hear the page; moved only if it is not there yet, which would lose the focus.
    const there = before ? before.nextSibling : grid.firstChild;
    if (item !== there) grid.insertBefore(item, there);
    before = item;
  }
}

/** The photo that an element of the grid belongs to. */
function photoAt(element) {
  const item = element.closest("#grid li");
  return [...cards.keys()].find((photo) => cards.get(photo) === item);
}

export function setActive(photo) {
  if (photo === active) return;
  const [before, now] = [cards.get(active), cards.get(photo)];
  if (before) before.firstChild.tabIndex = -1;
  if (now) now.firstChild.tabIndex = 0;
  active = photo;
}

export const focusActive = () => cards.get(active)?.firstChild.focus({ preventScroll: true });

/** Brings a photo into the window and gives it the focus. */
export function focusPhoto(photo) {
  setActive(photo);
  const place = places[shown.indexOf(photo)];
  if (!place) return;
  const top = grid.offsetTop + place.top;
  const bar = document.querySelector(".status").offsetHeight + 8;
  if (top < window.scrollY + bar) window.scrollTo(0, top - bar);
  else if (top + place.height > window.scrollY + window.innerHeight) window.scrollTo(0, top + place.height + 10 - window.innerHeight);
  render();
  focusActive();
}

/** Where keys begin that are pressed while nothing has the focus: the active photo, or the first in the window. */
export function firstPhoto() {
  const [above, below] = [window.scrollY, window.scrollY + window.innerHeight].map((y) => y - grid.offsetTop);
  const place = places[shown.indexOf(active)];
  if (!place || (place.top + place.height > above && place.top < below)) return active;
  return shown[places.findIndex(({ top }) => top >= above)] ?? active;
}

/** Where an arrow, Home, End or a Page key leads from the active photo. */
export function neighbour(key) {
  const at = shown.indexOf(active);
  const last = shown.length - 1;
  const beside = { ArrowLeft: at - 1, ArrowRight: at + 1, Home: 0, End: last }[key];
  if (beside !== undefined) return shown[Math.min(last, Math.max(0, beside))];
  const here = places[at];
  const rowsOn = { ArrowUp: -1, ArrowDown: 1, PageUp: -3, PageDown: 3 }[key];
  const row = Math.min(rows.length - 1, Math.max(0, here.row + rowsOn));
  if (row === here.row) return active;
  const middle = here.left + here.width / 2;
  const distance = (place) => Math.abs(place.left + place.width / 2 - middle);
  let best = rows[row].start;
  for (let other = best; other < (rows[row + 1]?.start ?? shown.length); other++) {
    if (distance(places[other]) < distance(places[best])) best = other;
  }
  return shown[best];
}

/** Calls back for a photo that is clicked, and for one whose stack is to be opened or closed. */
export function listenToGrid(open, toggle) {
  grid.addEventListener("click", ({ target }) => {
    if (target.closest(".expand")) toggle(photoAt(target));
    else if (target.closest(".card")) open(photoAt(target));
  });
  grid.addEventListener("focusin", ({ target }) => target.matches(".card") && setActive(photoAt(target)));
  let isFrameAsked = false;
  window.addEventListener("scroll", () => {
    if (isFrameAsked) return;
    isFrameAsked = true;
    requestAnimationFrame(() => {
      isFrameAsked = false;
      render();
    });
  }, { passive: true });
  new ResizeObserver(() => grid.clientWidth !== room && layOut()).observe(grid);
}
