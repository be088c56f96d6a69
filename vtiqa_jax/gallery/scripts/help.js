// What the numbers mean.

import { byId } from "../../web/dom.js";

/** Opens the help at its title. An `autofocus` there would compete with keys pressed while the page loads. */
export function showHelp() {
  byId("help").showModal();
  byId("help-title").focus();
}
