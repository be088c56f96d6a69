// Which photos are wanted, and in which order.

import { byId, element } from "../../web/dom.js";
import { data, photos, scale } from "./data.js";
import { markOf } from "./marks.js";
import { MEASURES } from "./measures.js";
import { formatNumber } from "./words.js";

const folders = [...new Set(photos.map((photo) => photo.folder))].sort();

/** Of the choices "Show"; any other is a mark. */
const STATUS = {
  all: () => true,
  failed: (photo) => !photo.scored,
  warning: (photo) => photo.remarks,
  unmarked: (photo) => !markOf(photo),
};

function addOption(select, value, text) {
  const option = element("option", "", text);
  option.value = value;
  select.append(option);
}

/** Offers the folders, and the faults that are named. */
export function fillFilters() {
  folders.forEach((folder, index) => addOption(byId("folder"), index, folder));
  byId("folders").hidden = folders.length < 2;
  for (const [name, words] of Object.entries(data.faults)) {
    const count = photos.filter((photo) => photo.named?.includes(name)).length;
    if (count) addOption(byId("reason"), name, `${words} (${formatNumber(count)})`);
  }
}

export function resetFilters() {
  byId("search").value = "";
  byId("folder").value = "";
  byId("status").value = "all";
  byId("reason").value = "";
}

/** Whether a mark decides which photos are wanted. */
export const isFilteredByMark = () => ["keep", "reject", "unmarked"].includes(byId("status").value);

export function filterPhotos() {
  const words = byId("search").value.toLowerCase().split(/\s+/).filter(Boolean);
  const folder = byId("folder").value;
  const status = byId("status").value;
  const reason = byId("reason").value;
  const hasStatus = STATUS[status] ?? ((photo) => markOf(photo) === status);
  return photos.filter((photo) => {
    if (reason !== "" && !(reason === "none" ? photo.named?.length === 0 : photo.named?.includes(reason))) return false;
    if (folder !== "" && photo.folder !== folders[folder]) return false;
    return hasStatus(photo) && words.every((word) => photo.haystack.includes(word));
  });
}

/** By the chosen order; those without its number are the last. */
export function sortPhotos(found) {
  const order = byId("sort").value;
  if (order === "name") return found;
  const number = order in MEASURES ? order : "rank";
  const sign = (order === "worst") === (scale.higher_is_better || number === "holds") ? 1 : -1;
  const [known, unknown] = [true, false].map((wanted) => found.filter((photo) => (photo[number] !== undefined) === wanted));
  return [...known.sort((a, b) => sign * (a[number] - b[number])), ...unknown];
}
