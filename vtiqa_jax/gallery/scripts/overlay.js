// A map over the open photo: of quality or of detail, one at a time.

import { byId } from "../../web/dom.js";
import { drawLayer, layersOf, readLayer } from "./layers.js";

const SWITCHES = { quality: "map-shown", detail: "detail-shown" };
let layers = {};

/** Reads a photo's maps; returns those of its regions at 1:1. */
export function openMaps(photo) {
  layers = layersOf(photo);
  byId("mapping").hidden = !layers.quality && !layers.detail;
  for (const kind in layers) byId(`mapping-${kind}`).hidden = !layers[kind];
  return layers.detail?.zooms ?? [];
}

export const hasMap = (kind) => Boolean(layers[kind]);
export const shownLayer = () => Object.keys(SWITCHES).filter((kind) => byId(SWITCHES[kind]).checked).map((kind) => layers[kind])[0];

export function showMap() {
  const layer = shownLayer();
  byId("map").hidden = !layer;
  byId("regions").hidden = byId("hint").hidden = !layer?.zooms;
  byId("reading").hidden = true;
  const told = layer ?? layers.quality ?? layers.detail;
  ["low", "high"].forEach((end, at) => (byId(`legend-${end}`).textContent = told?.legend[at] ?? ""));
  if (layer) drawLayer(byId("map"), layer);
}

export function listenToOverlay() {
  for (const [kind, other] of [["quality", "detail"], ["detail", "quality"]]) {
    byId(SWITCHES[kind]).addEventListener("change", () => {
      if (byId(SWITCHES[kind]).checked) byId(SWITCHES[other]).checked = false;
      showMap();
    });
  }
  byId("opacity").addEventListener("input", showMap);
  byId("frame").addEventListener("pointermove", (event) => readLayer(event, shownLayer(), byId("frame"), byId("reading")));
  byId("frame").addEventListener("pointerleave", () => (byId("reading").hidden = true));
}
