// What a photo's numbers mean, in the words of the command line.

// Percent: at 1:8 a photo is still looked at. Of what holds less no number is told.
const SMALLEST_SCALE = 12.5;
// A photo of fewer pixels is not compared with those of cameras.
const LARGE = 4e6;
// Of a smaller photo the share alone is told.
const LEAST_MEGAPIXELS = 1;

/** As many digits as mean something: 24, 4.9, 0.31. */
function round(megapixels) {
  return megapixels >= 10 ? megapixels.toFixed(0) : String(Number(megapixels.toPrecision(2)));
}

/** "holds up to 45 %, about 4.9 of 24 megapixels" */
function sayHolds(holds, pixels) {
  if (holds >= 100) return "holds at 100 %";
  if (holds < SMALLEST_SCALE) return `holds at less than ${SMALLEST_SCALE} %`;
  const percent = `holds up to ${Math.min(holds, 99).toFixed(0)} %`;
  const megapixels = pixels / 1e6;
  if (megapixels < LEAST_MEGAPIXELS) return percent;
  return `${percent}, about ${round(megapixels * (holds / 100) ** 2)} of ${round(megapixels)} megapixels`;
}

/** Between what the mean of people's opinions is: "3.1 to 3.8". */
export function sayInterval(low, high) {
  return `${low.toFixed(1)} to ${high.toFixed(1)}`;
}

/** A score and what it is on: "4.1131 of 1 to 5". */
export function sayScore(score, { low, high }) {
  return `${score.toFixed(4)} on a scale from ${low} to ${high}`;
}

/** What is said of a picture whose novelty is above 0. */
export const NO_PHOTOGRAPH = "It does not look like a photograph: its score means little.";

/**
 * What a photo shows at 100 %: "at 100 %: 3.21; more detail than 38 % of cameras' photos; holds up to 45 %, ...".
 * share: of cameras' photos that show less, percent; NaN where that is not known.
 */
export function sayDetail(detail, share, holds, pixels) {
  if (Number.isNaN(detail)) return "Nothing in the photo has structure, so it cannot be judged at 100 %.";
  const compared = pixels < LARGE || Number.isNaN(share) ? "" : `more detail than ${share.toFixed(0)} % of cameras' photos; `;
  return `at 100 %: ${detail.toFixed(2)}; ${compared}${sayHolds(holds, pixels)}`;
}

/**
 * Why a photo is bad, the strongest reason first: "severe motion blur; too dark".
 * strengths: of each fault. reasons: of the card.
 */
export function sayReasons(strengths, { words, levels, thresholds, false_alarms }) {
  const least = thresholds[false_alarms];
  return strengths
    .map((strength, fault) => ({ strength, fault, level: levels.filter((from) => strength >= from).length }))
    .filter(({ strength, fault }) => strength >= least[fault])
    .sort((a, b) => b.strength - a.strength)
    .map(({ fault, level }) => words[fault][level])
    .join("; ");
}
