// Tables as files.

import { element } from "../../web/dom.js";

const quote = (value) => (/[",\r\n]/.test(value) ? `"${value.replaceAll('"', '""')}"` : value);

/** Downloads lines of values as a CSV file. */
export function saveCsv(name, lines) {
  const text = lines.map((line) => line.map((value) => quote(String(value))).join(",") + "\r\n").join("");
  const link = element("a");
  link.href = URL.createObjectURL(new Blob([text], { type: "text/csv" }));
  link.download = name;
  link.click();
  URL.revokeObjectURL(link.href);
}
