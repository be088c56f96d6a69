// Which photos are kept and which rejected.

import { photos } from "./data.js";
import { recall, store } from "./storage.js";

const marks = recall(
  "report",
  (kept) => Object.fromEntries(photos.map(({ link }) => [link, kept[link]]).filter(([, mark]) => ["keep", "reject"].includes(mark))),
  {},
);

/** "keep", "reject", or undefined. */
export const markOf = (photo) => marks[photo.link];
export const markedPhotos = (mark) => photos.filter((photo) => markOf(photo) === mark);

/** Marks a photo, or takes the same mark away; tells whether the browser keeps it. */
export function toggleMark(photo, mark) {
  if (markOf(photo) === mark) delete marks[photo.link];
  else marks[photo.link] = mark;
  return store("report", marks);
}
