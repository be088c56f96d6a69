// Maps as layers over a photo: read from the page, drawn, and read out under the pointer.

import { byId } from "../../web/dom.js";
import { channels, spanColours } from "../../web/ramp.js";
import { scale } from "./data.js";

const EVERYWHERE = { left: 0, top: 0, width: 1, height: 1 };
let maps; // of all photos: read when the first is opened

const decodeBytes = (encoded) => [...atob(encoded)].map((letter) => letter.charCodeAt(0));

/** A photo's layers `quality` and `detail`: columns, rows and values, where they lie, what their colours span. */
export function layersOf(photo) {
  maps ??= JSON.parse(byId("maps").textContent);
  const detail = maps.details[photo.index];
  return { quality: readQuality(maps.maps[photo.index]), detail: detail && { ...readDetail(detail), zooms: detail.zooms } };
}

function readQuality(found) {
  if (!found) return null;
  const [columns, encoded] = found;
  const values = decodeBytes(encoded).map((level) => maps.low + (level / 255) * (maps.high - maps.low));
  const [worst, best] = spanColours(values, scale);
  const legend = [worst.toFixed(2), best.toFixed(2)];
  return { columns, rows: values.length / columns, values, worst, best, legend, ...EVERYWHERE };
}

function readDetail(found) {
  const { low, step, most, none } = maps.octaves;
  const values = decodeBytes(found.levels).map((level) => (level === none ? NaN : low + level * step));
  const legend = [`${most} octaves lost at 1:${found.factor}`, "none"];
  return { ...found, rows: values.length / found.columns, values, worst: most, best: 0, legend };
}

/** The layer of a region at 1:1, over the region alone. */
export const zoomLayer = (zoom) => ({ ...readDetail(zoom), ...EVERYWHERE });

export const placeOver = (item, { left, top, width, height }) =>
  Object.assign(item.style, { left: `${100 * left}%`, top: `${100 * top}%`, width: `${100 * width}%`, height: `${100 * height}%` });

/** Draws a map on a canvas that lies over its photo. Where nothing is known it stays clear. */
export function drawLayer(canvas, layer) {
  placeOver(canvas, layer);
  canvas.style.opacity = byId("opacity").value / 100;
  canvas.classList.toggle("places", layer.factor !== undefined);
  Object.assign(canvas, { width: layer.columns, height: layer.rows });
  const context = canvas.getContext("2d");
  const pixels = context.createImageData(layer.columns, layer.rows);
  layer.values.forEach((value, at) => {
    if (Number.isNaN(value)) return;
    pixels.data.set([...channels((value - layer.worst) / (layer.best - layer.worst)), 255], 4 * at);
  });
  context.putImageData(pixels, 0, 0);
}

/** Where the pointer is, as shares of an element's width and height. */
export function pointed(event, within) {
  const box = within.getBoundingClientRect();
  return [(event.clientX - box.left) / box.width, (event.clientY - box.top) / box.height];
}

/** Shows the value under the pointer beside it, or nothing. */
export function readLayer(event, layer, within, reading) {
  const [x, y] = pointed(event, within);
  const column = layer ? Math.floor(((x - layer.left) / layer.width) * layer.columns) : -1;
  const row = layer ? Math.floor(((y - layer.top) / layer.height) * layer.rows) : -1;
  reading.hidden = !layer || column < 0 || row < 0 || column >= layer.columns || row >= layer.rows;
  if (reading.hidden) return;
  const value = layer.values[row * layer.columns + column];
  reading.textContent = Number.isNaN(value) ? "nothing to judge" : value.toFixed(2);
  Object.assign(reading.style, { left: `${100 * x}%`, top: `${100 * y}%` });
}
