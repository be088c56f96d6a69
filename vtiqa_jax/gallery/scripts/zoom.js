// Regions of the open photo at 1:1.

import { byId, element } from "../../web/dom.js";
import { pictureOf } from "./data.js";
import { drawLayer, placeOver, pointed, readLayer, zoomLayer } from "./layers.js";
import { shownLayer } from "./overlay.js";

let photo;
let zooms = []; // the photo's regions
let zoomed = -1; // which of them is shown

/** Takes another photo's regions: buttons over it, none of them shown at 1:1. */
export function openZooms(of, found) {
  [photo, zooms] = [of, found];
  byId("regions").replaceChildren(...zooms.map((zoom, at) => {
    const button = element("button");
    button.type = "button";
    button.setAttribute("aria-label", `At 1:1, ${zoom.place}: ${zoom.lost.toFixed(1)} octaves lost`);
    placeOver(button, zoom);
    button.addEventListener("click", (event) => {
      event.stopPropagation();
      showZoom(at);
    });
    return button;
  }));
  closeZoom();
}

export const isZoomed = () => zoomed >= 0;
const currentLayer = () => isZoomed() && zoomLayer(zooms[zoomed]);

/** Shows the region that a click on the map is in, or the nearest. */
function zoomAt(event) {
  if (!shownLayer()?.zooms?.length) return;
  const [x, y] = pointed(event, byId("frame"));
  const distance = ({ left, top, width, height }) => Math.hypot((left + width / 2 - x) * photo.width, (top + height / 2 - y) * photo.height);
  showZoom(zooms.reduce((nearest, zoom, at) => (distance(zoom) < distance(zooms[nearest]) ? at : nearest), 0));
}

function showZoom(at) {
  zoomed = at;
  const { place, lost } = zooms[at];
  byId("zoom-title").textContent = `1:1, ${place}: ${lost.toFixed(1)} octaves lost (${at + 1} of ${zooms.length})`;
  byId("zoom-photo").src = pictureOf("crops", photo, `-${at}`);
  byId("zoom-photo").alt = `${photo.name} at 1:1, ${place}`;
  byId("zoom").hidden = false;
  byId("zoom-next").focus();
  showZoomMap();
}

/** The first region, or after the last the first again; nothing where there is none. */
export function showNextZoom() {
  if (zooms.length) showZoom((zoomed + 1) % zooms.length);
}

export function showZoomMap() {
  byId("zoom-map").hidden = !isZoomed() || !byId("zoom-map-shown").checked;
  byId("zoom-reading").hidden = true;
  if (!byId("zoom-map").hidden) drawLayer(byId("zoom-map"), currentLayer());
}

/** Back to the whole photo. */
export function closeZoom() {
  const hadFocus = byId("zoom").contains(document.activeElement);
  const region = byId("regions").hidden ? byId("next") : byId("regions").children[zoomed];
  zoomed = -1;
  byId("zoom").hidden = true;
  byId("zoom-photo").removeAttribute("src");
  if (hadFocus) (region ?? byId("next")).focus();
}

export function listenToZoom() {
  byId("frame").addEventListener("click", zoomAt);
  byId("zoom-frame").addEventListener("pointermove", (event) => readLayer(event, currentLayer(), byId("zoom-frame"), byId("zoom-reading")));
  byId("zoom-frame").addEventListener("pointerleave", () => (byId("zoom-reading").hidden = true));
  byId("zoom-map-shown").addEventListener("change", showZoomMap);
  byId("opacity").addEventListener("input", showZoomMap);
  byId("zoom-next").addEventListener("click", showNextZoom);
  byId("zoom-close").addEventListener("click", closeZoom);
}
