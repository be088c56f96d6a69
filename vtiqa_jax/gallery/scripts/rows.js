// Where photos lie in a grid: rows of one height, as wide as the window.

const GAP = 14;
const NARROW = 500; // pixels, below which photos are smaller

/**
 * Lays out photos.
 * room: the width that they have. captionOf: the height that a photo needs below its picture.
 * Returns of each photo its row, left, top, width and height, and that of its picture; of each row its first photo and its
 * top; the height of all.
 */
export function layOutRows(photos, room, captionOf) {
  const target = room < NARROW ? 128 : 190;
  const places = [];
  const rows = [];
  let top = 6;
  for (let start = 0; start < photos.length; ) {
    const ratios = [];
    let total = 0;
    let end = start;
    while (end < photos.length && total * target + GAP * Math.max(0, ratios.length - 1) < room) {
      ratios.push(Math.min(2.4, Math.max(0.62, photos[end].ratio)));
      total += ratios[ratios.length - 1];
      end += 1;
    }
    const picture = Math.min(target * 1.25, (room - GAP * (ratios.length - 1)) / total);
    const height = picture + Math.max(...photos.slice(start, end).map(captionOf));
    let left = 0;
    for (const ratio of ratios) {
      places.push({ row: rows.length, left, top, width: Math.min(room, ratio * picture), height, picture });
      left += ratio * picture + GAP;
    }
    rows.push({ start, top });
    top += height + GAP;
    start = end;
  }
  return { places, rows, height: top };
}

/** The last row that begins above a height, by bisection. */
export function findRow(rows, y) {
  let low = 0;
  let high = rows.length - 1;
  while (low < high) {
    const middle = (low + high + 1) >> 1;
    if (rows[middle].top <= y) low = middle;
    else high = middle - 1;
  }
  return low;
}
