// How photos are distributed over a measure, and which range of it is wanted.

import { byId, element } from "../../web/dom.js";
import { colour } from "../../web/ramp.js";
import { photos } from "./data.js";
import { MEASURES } from "./measures.js";

const BINS = 48;
const EVERYTHING = { low: -Infinity, high: Infinity };
const histogram = byId("histogram");
let measure; // an entry of MEASURES with its name; low and high span all photos, too
let range = EVERYTHING;

const binOf = (value) => Math.min(BINS - 1, Math.floor(((value - measure.low) / (measure.high - measure.low)) * BINS));
const edge = (bin) => measure.low + (bin / BINS) * (measure.high - measure.low);

export function chooseMeasure(name) {
  const { low, high } = MEASURES[name];
  const ends = photos.filter((photo) => photo[name] !== undefined)
    .reduce((ends, photo) => [Math.min(ends[0], photo[name]), Math.max(ends[1], photo[name])], [low, high]);
  measure = { ...MEASURES[name], name, low: ends[0], high: ends[1] };
  histogram.setAttribute("aria-label", `Histogram of ${name === "score" ? "the scores" : name}`);
  byId("axis").replaceChildren(...[0, 1, 2, 3, 4].map((quarter) => element("span", "", String(Number((ends[0] + (quarter / 4) * (ends[1] - ends[0])).toFixed(2))))));
  for (const id of ["low", "high"]) byId(id).step = measure.step;
  clearRange();
}

function setRange(next) {
  range = next.low <= measure.low && next.high >= measure.high ? EVERYTHING : next;
  byId("low").value = (range === EVERYTHING ? measure.low : range.low).toFixed(2);
  byId("high").value = (range === EVERYTHING ? measure.high : range.high).toFixed(2);
}
export const clearRange = () => setRange(EVERYTHING);

/** Photos in the range; without one also those that have no such number. */
export const selectRange = (found) => (range === EVERYTHING ? found : found.filter((photo) => photo[measure.name] >= range.low && photo[measure.name] <= range.high));

function countBins(some) {
  const counts = new Array(BINS).fill(0);
  for (const photo of some) if (photo[measure.name] !== undefined) counts[binOf(photo[measure.name])] += 1;
  return counts;
}

/** Draws all photos, faint, and before them those that were found and are in the range. */
export function drawHistogram(found) {
  const [all, some] = [photos, found].map(countBins);
  const tallest = Math.max(1, ...all);
  histogram.setAttribute("viewBox", `0 0 ${BINS} 1`);
  const bars = [];
  for (let bin = 0; bin < BINS; bin++) {
    for (const [count, faint] of [[all[bin], true], [some[bin], edge(bin + 1) <= range.low || edge(bin) >= range.high]]) {
      if (!count) continue;
      const bar = document.createElementNS("http://www.w3.org/2000/svg", "rect");
      const height = Math.max(0.03, count / tallest);
      for (const [name, value] of Object.entries({ x: bin + 0.06, y: 1 - height, width: 0.88, height, fill: colour(measure.quality(edge(bin + 0.5))) })) bar.setAttribute(name, value);
      if (faint) bar.setAttribute("class", "faint");
      bars.push(bar);
    }
  }
  histogram.replaceChildren(...bars);
}

/** A drag across the bars, or the fields below, choose a range; `changed` is called then. */
export function listenToHistogram(changed) {
  let from = null;
  const bin = (event) => {
    const box = histogram.getBoundingClientRect();
    return Math.min(BINS - 1, Math.max(0, Math.floor(((event.clientX - box.left) / box.width) * BINS)));
  };
  const select = (event) => {
    const ends = [from, bin(event)].sort((a, b) => a - b);
    setRange({ low: edge(ends[0]), high: edge(ends[1] + 1) });
    changed();
  };
  histogram.addEventListener("pointerdown", (event) => {
    histogram.setPointerCapture(event.pointerId);
    from = bin(event);
    select(event);
  });
  histogram.addEventListener("pointermove", (event) => from !== null && select(event));
  for (const end of ["pointerup", "pointercancel"]) histogram.addEventListener(end, () => (from = null));
  for (const id of ["low", "high"]) {
    byId(id).addEventListener("change", () => {
      const value = (field, otherwise) => (Number.isFinite(byId(field).valueAsNumber) ? byId(field).valueAsNumber : otherwise);
      setRange({ low: value("low", -Infinity), high: value("high", Infinity) });
      changed();
    });
  }
}
