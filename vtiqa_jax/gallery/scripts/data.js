// The photos, as `gallery/page.py` writes them into the page.

import { byId } from "../../web/dom.js";

export const data = JSON.parse(byId("data").textContent);
export const scale = data.scale;
export const photos = data.photos;
export const pathOf = ({ folder, name }) => (folder === "." ? name : folder.endsWith(data.separator) ? folder + name : folder + data.separator + name);

photos.forEach((photo, index) => {
  photo.index = index;
  photo.haystack = pathOf(photo).toLowerCase();
  photo.ratio = photo.width ? photo.width / photo.height : 4 / 3;
  photo.scored = photo.score !== undefined;
});

export const hasReasons = photos.some((photo) => photo.named);
export const hasDetail = photos.some((photo) => photo.detail !== undefined);

/** A file beside the page: of the folder "thumbnails", "views" or, by its number, "crops". */
export const pictureOf = (folder, photo, crop = "") => `${folder}/${String(photo.index).padStart(5, "0")}${crop}.jpg`;

/** Sorts the better first. */
export const compareRanks = scale.higher_is_better ? (a, b) => b.rank - a.rank : (a, b) => a.rank - b.rank;
