// Marks leave the page: as a table of all photos, or as paths.

import { data, pathOf, photos } from "./data.js";
import { markedPhotos, markOf } from "./marks.js";
import { saveCsv } from "./csv.js";
import { say } from "./toast.js";
import { plural } from "./words.js";

export function downloadMarks() {
  const columns = data.columns.filter((column) => photos.some((photo) => photo[column] !== undefined));
  const lines = photos.map((photo) => [pathOf(photo), ...columns.map((column) => photo[column] ?? ""), markOf(photo) ?? ""]);
  saveCsv("marks.csv", [["image", ...columns, "mark"], ...lines]);
}

export async function copyMarked(mark) {
  const paths = markedPhotos(mark).map(pathOf);
  try {
    await navigator.clipboard.writeText(paths.join("\n") + "\n");
    say(`${plural(paths.length, "path")} copied`);
  } catch {
    say("The browser does not allow copying. Download the CSV instead");
  }
}
