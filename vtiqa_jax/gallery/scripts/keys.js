// The keyboard.

import { byId } from "../../web/dom.js";
import { activePhoto, firstPhoto, focusPhoto, neighbour } from "./grid.js";
import { showHelp } from "./help.js";
import { toggleStack } from "./listing.js";
import { markPhoto } from "./marking.js";
import { hasMap } from "./overlay.js";
import { stacks } from "./stacks.js";
import { currentPhoto, isViewing, stepBy } from "./viewer.js";
import { isZoomed, showNextZoom } from "./zoom.js";

const MARKS = { k: "keep", x: "reject" };
const MOVES = /^(Arrow|Home|End|Page)/;

/** Keys on the open photo; whether one of them was pressed. */
function pressOnPhoto(key) {
  if (key === "ArrowLeft") stepBy(-1);
  else if (key === "ArrowRight") stepBy(1);
  else if (key in MARKS) markPhoto(currentPhoto(), MARKS[key]);
  else if (key === "m" && hasMap("quality")) byId("map-shown").click();
  else if (key === "d" && hasMap("detail")) byId(isZoomed() ? "zoom-map-shown" : "detail-shown").click();
  else if (key === "z") showNextZoom();
  else return false;
  return true;
}

/** Keys on the photo that has the focus. */
function pressOnCard(key) {
  if (MOVES.test(key)) focusPhoto(neighbour(key));
  else if (key in MARKS) markPhoto(activePhoto(), MARKS[key]);
  else if (key === "e") toggleStack(activePhoto());
  else return false;
  return true;
}

/** Keys while nothing has the focus. The first one only selects, so that nobody marks a photo that was not chosen. */
function pressOnNothing(key) {
  const photo = firstPhoto();
  if (!photo || !(MOVES.test(key) || key in MARKS || key === "e")) return false;
  focusPhoto(key === "Home" || key === "End" ? neighbour(key) : photo);
  return true;
}

function pressAnywhere(key) {
  if (key === "g" && !isViewing() && stacks.size) byId("stack").click();
  else if (key === "/" && !isViewing()) byId("search").select();
  else if (key === "?") showHelp();
  else return false;
  return true;
}

function press(event) {
  const { target } = event;
  if (event.ctrlKey || event.metaKey || event.altKey || byId("help").open) return;
  if (target.matches("[type='search'], [type='number'], select")) return;
  if (target.type === "range" && event.key.startsWith("Arrow")) return;
  const key = event.key.length === 1 ? event.key.toLowerCase() : event.key;
  const isOnCard = byId("grid").contains(target) && activePhoto();
  const pressHere = isViewing() ? pressOnPhoto : isOnCard ? pressOnCard : target === document.body ? pressOnNothing : () => false;
  if (pressHere(key) || pressAnywhere(key)) event.preventDefault();
}

export const listenToKeys = () => document.addEventListener("keydown", press);
