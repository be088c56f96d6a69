// Draws a map of quality: scores of regions as colours between their middles.

import { channels } from "../../web/ramp.js";

const SIDE = 64; // of the drawing, in pixels; the browser makes it as large as the photo

function between(values, at) {
  const first = Math.min(Math.floor(at), values.length - 2);
  return values[first].map((from, channel) => from + (at - first) * (values[first + 1][channel] - from));
}

/** Where each pixel lies among the middles of regions, in regions; constant beyond the outer ones. */
function places({ offsets, size, side }) {
  const last = offsets.length - 1;
  return Array.from({ length: SIDE }, (_, pixel) => {
    const middle = ((pixel + 0.5) / SIDE) * side - size / 2;
    return Math.min(last, Math.max(0, (middle / offsets[last]) * last));
  });
}

/**
 * Fills a canvas.
 * scores: of the regions, row by row. regions: `offsets` where they begin along a side, their `size`, the photo's `side`.
 * worst, best: what the colours span.
 */
export function drawMap(canvas, scores, regions, [worst, best]) {
  const count = regions.offsets.length;
  const rows = Array.from({ length: count }, (_, row) => scores.slice(row * count, (row + 1) * count));
  const along = places(regions);
  Object.assign(canvas, { width: SIDE, height: SIDE });
  const context = canvas.getContext("2d");
  const image = context.createImageData(SIDE, SIDE);
  along.forEach((down, y) => {
    const row = between(rows, down).map((score) => [score]);
    along.forEach((right, x) => {
      const [score] = between(row, right);
      image.data.set([...channels((score - worst) / (best - worst)).map(Math.round), 255], 4 * (y * SIDE + x));
    });
  });
  context.putImageData(image, 0, 0);
}
