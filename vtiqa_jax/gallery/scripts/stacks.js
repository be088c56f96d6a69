// Stacks: shots of one scene, laid out as one photo or one by one.

import { byId } from "../../web/dom.js";
import { compareRanks, data, photos } from "./data.js";
import { formatNumber } from "./words.js";

/** Stacks among some photos: their number to their members. */
function groupByStack(some) {
  const members = new Map();
  for (const photo of some) {
    if (photo.stack === undefined) continue;
    if (!members.has(photo.stack)) members.set(photo.stack, []);
    members.get(photo.stack).push(photo);
  }
  return members;
}

export const stacks = groupByStack(photos);
let others = new Map(); // of a stack that is laid out as one: its first photo to the number of others
const opened = new Set(); // numbers of stacks whose members are laid out

/** What lies on top: the best, or of those that are left the first by rank. */
const topOf = (members) => members.reduce((top, photo) => ((photo.best === top.best ? compareRanks(photo, top) < 0 : photo.best) ? photo : top));

/** Whether its stack is one picture, such as a panorama, of which no photo is rejected. */
export const isWhole = (photo) => data.kept_whole.includes(photo.stack_kind);

/** "burst of 5", "exposure bracket of 3: kept whole", "3 copies". */
export function sayStack(photo) {
  const count = formatNumber(stacks.get(photo.stack).length);
  if (photo.stack_kind === "copies") return `${count} copies`;
  return `${photo.stack_kind} of ${count}${isWhole(photo) ? ": kept whole" : ""}`;
}

/** The same of one photo: "best of burst of 5". */
export const sayPlaceInStack = (photo) => (isWhole(photo) ? `in ${sayStack(photo)}` : `${photo.best ? "best" : "one"} of ${sayStack(photo)}`);

export const isStacking = () => byId("stack").checked;
export const isOpened = (photo) => isStacking() && opened.has(photo.stack);
export const countOthers = (photo) => others.get(photo);
export const countStacks = () => others.size;
export const closeStacks = () => opened.clear();

/** Opens the stack of a photo, or closes it. */
export function toggleOpened(photo) {
  if (!opened.delete(photo.stack)) opened.add(photo.stack);
}

/** Takes sorted photos, and leaves of each closed stack its top alone; below an open one's top lie the others. */
export function stackPhotos(sorted) {
  others = new Map();
  if (!isStacking()) return sorted;
  const present = groupByStack(sorted);
  const tops = new Map([...present].map(([stack, members]) => [stack, topOf(members)]));
  const laid = [];
  for (const photo of sorted) {
    if (photo.stack === undefined || present.get(photo.stack).length === 1) laid.push(photo);
    else if (tops.get(photo.stack) === photo) {
      const below = present.get(photo.stack).filter((member) => member !== photo);
      if (isWhole(photo)) below.sort((a, b) => a.index - b.index); // by name, which is how cameras count
      others.set(photo, below.length);
      laid.push(photo);
      if (opened.has(photo.stack)) laid.push(...below);
    }
  }
  return laid;
}
