// The named faults of the open photo, and the probability of each fault.

import { byId, element } from "../../web/dom.js";
import { data } from "./data.js";

function makeLine(photo, fault, words) {
  const percent = 100 * photo[`p_${fault}`];
  const bar = element("i");
  bar.style.width = `${percent}%`;
  const track = element("span", "chance");
  track.append(bar);
  const item = element("li");
  item.append(element("span", "", words), track, element("span", "percent", `${percent.toFixed(0)} %`));
  return item;
}

export function showReasons(photo) {
  byId("reasons").hidden = !photo.named;
  if (!photo.named) return;
  const said = photo.reasons ? photo.reasons.split("; ") : [];
  const others = Object.keys(data.faults).filter((name) => !photo.named.includes(name)).sort((a, b) => photo[`p_${b}`] - photo[`p_${a}`]);
  byId("reasons-title").textContent = said.length ? "Faults, with the probability that a judge calls them plain" : "No fault is named";
  byId("named").replaceChildren(...photo.named.map((name, at) => makeLine(photo, name, said[at])));
  byId("not-named").replaceChildren(...others.map((name) => makeLine(photo, name, data.faults[name])));
}
