// Says in a line what was done.

import { byId } from "../../web/dom.js";

const SHOWN = 2500; // milliseconds
let timer;

export function say(text) {
  byId("toast").textContent = text;
  clearTimeout(timer);
  timer = setTimeout(() => (byId("toast").textContent = ""), SHOWN);
}
