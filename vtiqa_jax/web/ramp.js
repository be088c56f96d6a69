// Colours of quality: the ramp that the style sheet has from `scoring/colours.py`, and what a map's colours span.

// `MIN_RANGE` of scoring/quality_map.py.
const MIN_RANGE = 0.15;

let stops;

/** Reads the style sheet's ramp: before the first colour, and again when light and dark change. */
export function readRamp() {
  const style = getComputedStyle(document.documentElement);
  stops = [0, 1, 2, 3, 4].map((stop) => {
    const hex = style.getPropertyValue(`--q${stop}`).trim();
    return [1, 3, 5].map((at) => parseInt(hex.slice(at, at + 2), 16));
  });
}

/** Red, green and blue of a quality from 0, the worst, to 1. */
export function channels(share) {
  const at = Math.min(1, Math.max(0, share)) * 4;
  const stop = Math.min(3, Math.floor(at));
  return stops[stop].map((from, channel) => from + (at - stop) * (stops[stop + 1][channel] - from));
}

export const colour = (share) => `rgb(${channels(share).map(Math.round).join(" ")})`;

/**
 * The worst and the best score that the colours of a map span: its own, and at least a part of the scale, lest what
 * hardly differs look different.
 * scale: its ends, `low` and `high`, and whether `higher_is_better`.
 */
export function spanColours(scores, { low, high, higher_is_better }) {
  const [least, most] = [Math.min(...scores), Math.max(...scores)];
  const missing = Math.max(0, MIN_RANGE * (high - low) - (most - least)) / 2;
  const ends = [least - missing, most + missing];
  return higher_is_better ? ends : ends.reverse();
}
