// One photo in the grid.

import { element } from "../../web/dom.js";
import { colour } from "../../web/ramp.js";
import { hasReasons, pathOf, pictureOf } from "./data.js";
import { markOf } from "./marks.js";
import { qualityOf } from "./measures.js";
import { countOthers, isOpened, isWhole, sayPlaceInStack, sayStack } from "./stacks.js";
import { plural } from "./words.js";

/** A photo in one sentence, for those who hear the page. */
function describe(photo) {
  return [
    photo.name,
    photo.scored ? `score ${photo.score.toFixed(2)}` : `not scored: ${photo.error ?? "no reason known"}`,
    photo.detail !== undefined && `detail ${photo.detail.toFixed(2)}, ${photo.holds_words}`,
    photo.reasons && `reasons: ${photo.reasons}`,
    photo.remarks && `warning: ${photo.remarks}`,
    { keep: "kept", reject: "rejected" }[markOf(photo)],
    photo.stack !== undefined && sayPlaceInStack(photo),
  ].filter(Boolean).join(", ");
}

function makePicture(photo) {
  const frame = element("span", "picture");
  if (photo.width) {
    const image = element("img");
    image.loading = "lazy";
    image.decoding = "async";
    image.alt = "";
    image.src = pictureOf("thumbnails", photo);
    frame.append(image);
  }
  if (!photo.scored) frame.append(element("span", "reason", photo.error ?? ""));
  const mark = markOf(photo);
  if (mark) frame.append(element("span", `badge ${mark}`, mark === "keep" ? "✓" : "✕"));
  if (countOthers(photo)) frame.append(element("span", "kind", sayStack(photo)));
  return frame;
}

/** How far the score is along the scale. */
function makeBar(photo) {
  const bar = element("span", "bar");
  if (!photo.scored) return bar;
  const fill = element("i");
  fill.style.width = `${Math.max(2, 100 * qualityOf(photo.score))}%`;
  fill.style.background = colour(qualityOf(photo.score));
  bar.append(fill);
  return bar;
}

function makeNumbers(photo) {
  const numbers = element("span", "numbers");
  if (photo.scored) numbers.append(element("b", "", photo.score.toFixed(2)));
  if (photo.scored && photo.detail !== undefined) {
    const detail = element("span", "detail", `1:1 ${photo.detail.toFixed(2)}`);
    detail.title = `What the photo shows at 1:1; it ${photo.holds_words}`;
    numbers.append(detail);
  }
  return numbers;
}

function makeTitle(photo) {
  const title = element("span", "title");
  if (photo.stack !== undefined && photo.best && !isWhole(photo)) title.append(element("span", "star", "★"));
  title.append(element("span", "name", photo.name));
  if (photo.remarks) title.append(element("span", "caution", "⚠"));
  return title;
}

/** On a photo that stands for its stack. */
function makeExpander(photo, others) {
  const isOpen = isOpened(photo);
  const expand = element("button", "expand", isOpen ? "close" : `+${others}`);
  expand.type = "button";
  expand.tabIndex = -1; // the key E does the same
  expand.setAttribute("aria-expanded", isOpen);
  expand.setAttribute("aria-label", `${plural(others, "other")} of the ${sayStack(photo)}, ${photo.name}`);
  return expand;
}

/** A list item: a button, and beside it another one for the photo's stack. */
export function makeCard(photo) {
  const card = element("button", "card");
  card.type = "button";
  card.setAttribute("aria-label", describe(photo));
  card.title = pathOf(photo);
  card.append(makePicture(photo), makeBar(photo), makeNumbers(photo), makeTitle(photo));
  if (hasReasons) {
    const reasons = element("span", "reasons", photo.reasons ?? "");
    reasons.title = photo.reasons ?? "";
    card.append(reasons);
  }
  const others = countOthers(photo);
  card.classList.toggle("rejected", markOf(photo) === "reject");
  card.classList.toggle("stacked", Boolean(others) && !isOpened(photo));
  card.classList.toggle("member", isOpened(photo));
  const item = element("li");
  item.append(card, ...(others ? [makeExpander(photo, others)] : []));
  return item;
}
