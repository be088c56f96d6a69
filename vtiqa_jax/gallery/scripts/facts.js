// The facts of the open photo, one a line.

import { byId, element } from "../../web/dom.js";
import { data, scale } from "./data.js";
import { sayPlaceInStack } from "./stacks.js";
import { formatNumber } from "./words.js";

function sayPeople({ low, high, opinion_spread }) {
  const interval = `${low.toFixed(1)} to ${high.toFixed(1)}`;
  return opinion_spread === undefined ? interval : `${interval}, single people ± ${opinion_spread.toFixed(1)}`;
}

const sayValue = (value) => (typeof value === "number" ? formatNumber(value) : String(value));

export function showFacts(photo) {
  const facts = {
    size: photo.width && `${formatNumber(photo.width)} × ${formatNumber(photo.height)} px`,
    scale: `${scale.low} to ${scale.high}, ${scale.higher_is_better ? "higher" : "lower"} is better`,
    "people say": photo.low !== undefined && sayPeople(photo),
    rank: photo.detail !== undefined && photo.rank.toFixed(2),
    stack: photo.stack !== undefined && sayPlaceInStack(photo),
  };
  for (const column of data.facts) if (photo[column] !== undefined) facts[column.replaceAll("_", " ")] = sayValue(photo[column]);
  byId("facts").replaceChildren(...Object.entries(facts).filter(([, fact]) => fact).map(([name, fact]) => {
    const line = element("div");
    line.append(element("dt", "", name), element("dd", "", fact));
    return line;
  }));
}
