// A person's taste, learned from answers: a logistic regression of score and looks, as long as the page is open.
// `vtiqa tune` learns from the exported answers.

import { scale } from "./data.js";

const SCORE_WEIGHT = 1.5; // of a standard deviation of the score, as a logit, before the first answer
const VARIANCES = { score: 0.5, look: 0.36 }; // of the weights, before the first answer
const MOST = 2; // standard deviations that count: a black frame is no matter of taste

const dot = (a, b) => a.reduce((sum, value, at) => sum + value * b[at], 0);

/** Of each photo its score and looks, standardised. */
function standardise(photos) {
  const vectors = new Map(photos.map((photo) => [photo, []]));
  for (const read of [(photo) => photo.score, ...(photos[0]?.looks ?? []).map((_, at) => (photo) => photo.looks[at])]) {
    const values = photos.map(read);
    const middle = values.reduce((sum, value) => sum + value, 0) / values.length;
    const deviation = Math.sqrt(values.reduce((sum, value) => sum + (value - middle) ** 2, 0) / values.length) || 1;
    for (const photo of photos) vectors.get(photo).push(Math.max(-MOST, Math.min(MOST, (read(photo) - middle) / deviation)));
  }
  return vectors;
}

export class Taste {
  #vectors;
  #mean; // of the weights
  #covariance;

  /** photos: all that will be compared. answers: pairs of them, the better first. */
  constructor(photos, answers) {
    this.#vectors = standardise(photos);
    const size = photos.length ? this.#vectors.get(photos[0]).length : 0;
    this.#mean = Array.from({ length: size }, (_, at) => (at ? 0 : scale.higher_is_better ? SCORE_WEIGHT : -SCORE_WEIGHT));
    this.#covariance = this.#mean.map((_, i) => this.#mean.map((_, j) => (i !== j ? 0 : i ? VARIANCES.look : VARIANCES.score)));
    for (const [better, worse] of answers) this.learn(better, worse);
  }

  #difference(a, b) {
    return this.#vectors.get(a).map((value, at) => value - this.#vectors.get(b)[at]);
  }

  /** How probably the first photo is preferred, and how unsure the weights leave that logit. */
  #predict(difference) {
    const along = this.#covariance.map((row) => dot(row, difference));
    const variance = dot(along, difference);
    const chance = 1 / (1 + Math.exp(-dot(this.#mean, difference) / Math.sqrt(1 + (Math.PI * variance) / 8)));
    return { along, variance, chance };
  }

  learn(better, worse) {
    const difference = this.#difference(better, worse);
    const { along, variance, chance } = this.#predict(difference);
    const curvature = chance * (1 - chance);
    const shrink = curvature / (1 + curvature * variance);
    this.#covariance = this.#covariance.map((row, i) => row.map((value, j) => value - shrink * along[i] * along[j]));
    this.#mean = this.#mean.map((value, at) => value + (1 - chance) * dot(this.#covariance[at], difference));
  }

  /** How much an answer would tell: most of a near tie of photos that are far apart. */
  worth(a, b) {
    const { chance, variance } = this.#predict(this.#difference(a, b));
    return chance * (1 - chance) * variance;
  }
}
