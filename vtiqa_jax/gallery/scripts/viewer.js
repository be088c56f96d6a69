// One photo, open.

import { byId } from "../../web/dom.js";
import { pictureOf } from "./data.js";
import { showFacts } from "./facts.js";
import { activePhoto, focusPhoto, shownPhotos } from "./grid.js";
import { markOf } from "./marks.js";
import { qualityOf } from "./measures.js";
import { openMaps, showMap } from "./overlay.js";
import { showReasons } from "./reasons.js";
import { formatNumber } from "./words.js";
import { closeZoom, isZoomed, openZooms } from "./zoom.js";

const viewer = byId("viewer");
let current;
let position; // its place among those shown, also once a mark has taken it away from them

export const isViewing = () => viewer.open;
export const currentPhoto = () => current;

export function openViewer(photo) {
  showPhoto(photo);
  if (!viewer.open) viewer.showModal();
  byId("next").focus();
}

function showPhoto(photo) {
  current = photo;
  const shown = shownPhotos();
  position = shown.indexOf(photo);
  byId("viewer-name").textContent = photo.name;
  byId("viewer-folder").textContent = photo.folder;
  byId("place").textContent = `${formatNumber(position + 1)} of ${formatNumber(shown.length)}`;
  byId("previous").disabled = shown[0] === photo;
  byId("next").disabled = shown[shown.length - 1] === photo;
  showVerdict(photo);
  showReasons(photo);
  showFacts(photo);
  showOriginal(photo);
  byId("views").hidden = !photo.width;
  if (photo.width) byId("views-image").src = pictureOf("views", photo);
  openZooms(photo, openMaps(photo));
  showMap();
  showMarkButtons();
}

function showVerdict(photo) {
  byId("score").textContent = photo.scored ? photo.score.toFixed(2) : "not scored";
  byId("spread").textContent = photo.spread === undefined ? "" : `± ${photo.spread.toFixed(2)}`;
  byId("strip").hidden = !photo.scored;
  if (photo.scored) byId("needle").style.left = `${100 * qualityOf(photo.score)}%`;
  byId("detail").textContent = photo.detail === undefined ? "" : `${photo.detail.toFixed(2)} at 100 %`;
  byId("detail-percentile").textContent = photo.detail_percentile_words ?? "";
  byId("holds").textContent = photo.holds_words ?? "";
  byId("percentile").textContent = photo.percentile === undefined ? "" : `better than ${photo.percentile.toFixed(0)} % of the photos that trained the model`;
  for (const [kind, text] of Object.entries({ error: photo.error, warning: photo.remarks })) {
    byId(kind).hidden = !text;
    byId(kind).textContent = text ?? "";
  }
}

/** The photo's own file, or its thumbnail where it is gone or the browser cannot show it. */
function showOriginal(photo) {
  const image = byId("photo");
  const frame = byId("frame");
  const thumbnail = photo.width ? pictureOf("thumbnails", photo) : "";
  frame.style.setProperty("--ratio", photo.ratio);
  frame.style.backgroundImage = thumbnail && `url("${thumbnail}")`;
  byId("fallback").hidden = true;
  image.alt = photo.name;
  image.onerror = () => {
    image.onerror = null;
    byId("fallback").hidden = !thumbnail;
    if (thumbnail) image.src = thumbnail;
    else image.removeAttribute("src");
  };
  image.src = photo.link;
}

export function showMarkButtons() {
  for (const mark of ["keep", "reject"]) byId(mark).setAttribute("aria-pressed", markOf(current) === mark);
}

/** To the next photo, or the one before, of those that are shown. */
export function stepBy(by) {
  const shown = shownPhotos();
  const at = shown.indexOf(current);
  const next = at >= 0 ? shown[at + by] : shown[by > 0 ? position : position - 1];
  if (next) showPhoto(next);
}

export function listenToViewer() {
  byId("previous").addEventListener("click", () => stepBy(-1));
  byId("next").addEventListener("click", () => stepBy(1));
  byId("close").addEventListener("click", () => viewer.close());
  viewer.addEventListener("cancel", (event) => {
    if (!isZoomed()) return;
    event.preventDefault(); // Escape: back to the whole photo
    closeZoom();
  });
  viewer.addEventListener("click", (event) => event.target === viewer && viewer.close());
  viewer.addEventListener("close", () => {
    byId("photo").onerror = null;
    byId("photo").removeAttribute("src");
    focusPhoto(shownPhotos().includes(current) ? current : activePhoto());
  });
}
