// What a person decides stays in this browser, under the report's number.

import { data } from "./data.js";

const keyOf = (kind) => `vtiqa-${kind}-${data.report}`;

/** Keeps a value; tells whether the browser does. */
export function store(kind, value) {
  try {
    localStorage.setItem(keyOf(kind), JSON.stringify(value));
    return true;
  } catch {
    return false;
  }
}

/** What was kept, as `read` makes it of the value; `otherwise` without storage, or with something else in it. */
export function recall(kind, read, otherwise) {
  try {
    return read(JSON.parse(localStorage.getItem(keyOf(kind))) ?? otherwise);
  } catch {
    return otherwise;
  }
}
