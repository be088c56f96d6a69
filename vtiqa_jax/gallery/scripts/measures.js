// What photos are sorted and chosen by.

import { scale } from "./data.js";

/** From 0, the worst, to 1, the best score of the scale. */
export function qualityOf(score) {
  const share = Math.min(1, Math.max(0, (score - scale.low) / (scale.high - scale.low)));
  return scale.higher_is_better ? share : 1 - share;
}

/** Of each measure its ends, how good a number is, from 0 to 1, and the step of its fields. */
export const MEASURES = {
  score: { low: scale.low, high: scale.high, quality: qualityOf, step: 0.1 },
  detail: { low: scale.low, high: scale.high, quality: qualityOf, step: 0.1 },
  holds: { low: 0, high: 100, quality: (percent) => Math.min(1, percent / 100), step: 5 },
};
