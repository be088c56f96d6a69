// What is shown: filtered, sorted, stacked.

import { byId } from "../../web/dom.js";
import { photos } from "./data.js";
import { filterPhotos, resetFilters, sortPhotos } from "./filters.js";
import { focusPhoto, shownPhotos, showInGrid } from "./grid.js";
import { chooseMeasure, clearRange, drawHistogram, selectRange } from "./histogram.js";
import { countStacks, isStacking, stackPhotos, toggleOpened } from "./stacks.js";
import { formatNumber, plural } from "./words.js";

/** Shows what is wanted now. */
export function updateListing() {
  const found = filterPhotos();
  const wanted = selectRange(found);
  drawHistogram(found);
  const shown = stackPhotos(sortPhotos(wanted));
  const all = wanted.length === photos.length ? plural(photos.length, "photo") : `${formatNumber(wanted.length)} of ${plural(photos.length, "photo")}`;
  byId("shown").textContent = all + (countStacks() ? `, ${plural(countStacks(), "stack")}` : "");
  byId("empty").hidden = shown.length > 0;
  byId("reset").hidden = wanted.length === photos.length;
  showInGrid(shown);
}

export function showAll() {
  resetFilters();
  clearRange();
  updateListing();
}

export function changeMeasure(name) {
  chooseMeasure(name);
  updateListing();
}

export function toggleStack(photo) {
  if (photo?.stack === undefined || !isStacking()) return;
  toggleOpened(photo);
  updateListing();
  const first = shownPhotos().includes(photo) ? photo : shownPhotos().find((other) => other.stack === photo.stack);
  if (first) focusPhoto(first);
}
