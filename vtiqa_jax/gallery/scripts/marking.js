// A person marks a photo, and sees it everywhere.

import { byId } from "../../web/dom.js";
import { isFilteredByMark } from "./filters.js";
import { focusActive, redraw, setActive, shownPhotos } from "./grid.js";
import { updateListing } from "./listing.js";
import { markedPhotos, markOf, toggleMark } from "./marks.js";
import { isWhole } from "./stacks.js";
import { say } from "./toast.js";
import { isViewing, showMarkButtons } from "./viewer.js";
import { formatNumber } from "./words.js";

/** Marks a photo "keep" or "reject", or takes the same mark away. */
export function markPhoto(photo, mark) {
  const isSaved = toggleMark(photo, mark);
  const done = { keep: "Kept", reject: "Rejected" }[markOf(photo)] ?? "No mark";
  const split = markOf(photo) === "reject" && isWhole(photo) ? `, though its ${photo.stack_kind} is one picture` : "";
  say(done + split + (isSaved ? "" : " (for this visit only: the browser keeps nothing)"));
  showCounts();
  if (isFilteredByMark()) {
    const at = shownPhotos().indexOf(photo);
    updateListing();
    const shown = shownPhotos();
    if (!shown.includes(photo)) setActive(shown[Math.min(at, shown.length - 1)]); // the next one, for the next mark
  } else {
    redraw(photo);
  }
  if (isViewing()) showMarkButtons();
  else focusActive();
}

export function showCounts() {
  const [kept, rejected] = ["keep", "reject"].map((mark) => markedPhotos(mark).length);
  byId("marked").textContent = `${formatNumber(kept)} kept, ${formatNumber(rejected)} rejected`;
  byId("copy-keep").hidden = !kept;
  byId("copy-reject").hidden = !rejected;
}
