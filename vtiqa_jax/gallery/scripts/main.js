// The page of `vtiqa score --report`.

import { byId } from "../../web/dom.js";
import { readRamp } from "../../web/ramp.js";
import { hasDetail, hasReasons } from "./data.js";
import { copyMarked, downloadMarks } from "./exports.js";
import { fillFilters } from "./filters.js";
import { listenToGrid } from "./grid.js";
import { showHelp } from "./help.js";
import { listenToHistogram } from "./histogram.js";
import { listenToKeys } from "./keys.js";
import { changeMeasure, showAll, toggleStack, updateListing } from "./listing.js";
import { markPhoto, showCounts } from "./marking.js";
import { listenToOverlay, showMap } from "./overlay.js";
import { listenToPairs } from "./pairs.js";
import { closeStacks, stacks } from "./stacks.js";
import { currentPhoto, listenToViewer, openViewer } from "./viewer.js";
import { listenToZoom } from "./zoom.js";

/** Takes from the page what these photos have not. */
function hide(parts) {
  for (const part of document.querySelectorAll(parts)) {
    if (part.tagName === "OPTION") part.remove();
    else part.hidden = true;
  }
}

if (!hasReasons) hide(".of-reasons");
if (!hasDetail) hide(".of-detail");
byId("stacking").hidden = !stacks.size;
fillFilters();

for (const id of ["sort", "status", "reason", "folder", "search", "stack"]) byId(id).addEventListener("input", updateListing);
byId("stack").addEventListener("change", closeStacks);
byId("measure").addEventListener("input", () => changeMeasure(byId("measure").value));
byId("reset").addEventListener("click", showAll);
byId("empty-reset").addEventListener("click", showAll);
byId("copy-keep").addEventListener("click", () => copyMarked("keep"));
byId("copy-reject").addEventListener("click", () => copyMarked("reject"));
byId("download").addEventListener("click", downloadMarks);
byId("help-button").addEventListener("click", showHelp);
for (const mark of ["keep", "reject"]) byId(mark).addEventListener("click", () => markPhoto(currentPhoto(), mark));
listenToHistogram(updateListing);
listenToGrid(openViewer, toggleStack);
listenToViewer();
listenToOverlay();
listenToZoom();
listenToPairs();
listenToKeys();
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => {
  readRamp();
  updateListing();
  showMap();
});

readRamp();
showCounts();
changeMeasure("score");
