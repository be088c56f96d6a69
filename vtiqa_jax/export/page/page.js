// Takes photos, hands them to the worker one by one, and shows what comes back.

import { colour, drawMap } from "./map.js";
import { NO_PHOTOGRAPH, sayDetail, sayInterval, sayReasons, sayScore } from "./words.js";

// Of the label scale that a map's colours span at least, lest what hardly differs look different.
const LEAST_RANGE = 0.15;

const [drop, files, status, results, about] = ["drop", "files", "status", "results", "about"].map((id) =>
  document.getElementById(id),
);
const rows = [];
const worker = new Worker("worker.js", { type: "module" });
let card;
let percentiles;
let regions;
let reasons; // the faults that the model names: their words, and from which strength on

function say(text) {
  status.textContent = text;
}

function element(tag, text, className = "") {
  return Object.assign(document.createElement(tag), { textContent: text, className });
}

/** The share of the photos the model was trained on, in percent, that a score is better than. */
function betterThan(score) {
  const above = percentiles.findIndex((value) => value > score);
  let below = above < 0 ? 100 : 0;
  if (above > 0) below = above - (percentiles[above] - score) / (percentiles[above] - percentiles[above - 1]);
  return card.higher_is_better === "true" ? below : 100 - below;
}

function add(chosen) {
  for (const file of chosen) {
    const row = document.createElement("li");
    const picture = Object.assign(document.createElement("img"), { src: URL.createObjectURL(file), alt: "" });
    const answer = element("span", "waiting", "score");
    row.append(picture, element("span", file.name, "name"), answer);
    results.prepend(row);
    worker.postMessage({ number: rows.push({ row, answer, file, picture }) - 1, file });
  }
}

function show({ number, error, waiting, map, ...said }) {
  const { answer, button } = rows[number];
  if (error) (button ?? answer).textContent = `failed: ${error}`;
  else if (map) showMap(number, map);
  else if (waiting !== undefined) button.textContent = `Looking at its regions: ${Math.round(100 * waiting)} %`;
  else showScore(number, said);
}

/** How far a score is along its scale, in the colour of its quality. */
function drawBar(score) {
  const share = Math.min(1, Math.max(0, (score - card.low) / (card.high - card.low)));
  const bar = element("div", "", "bar");
  const filled = document.createElement("i");
  filled.style.width = `${100 * share}%`;
  filled.style.background = colour(card.higher_is_better === "true" ? share : 1 - share);
  bar.append(filled);
  return bar;
}

function showScore(number, { score, low, high, detail, holds, strengths, novelty, pixels }) {
  const { row, answer, file } = rows[number];
  const share = percentiles ? `, better than ${betterThan(score).toFixed(0)} % of the photos it was trained on` : "";
  const people = low === undefined ? "" : ` (people say ${sayInterval(low, high)})`;
  answer.textContent = `${sayScore(score, card)}${people}${share}`;
  answer.dataset.score = score;
  if (detail !== undefined) {
    const line = element("span", sayDetail(detail, holds, pixels), "detail");
    Object.assign(line.dataset, { detail, holds });
    row.append(line);
  }
  if (novelty > 0) row.append(element("span", NO_PHOTOGRAPH, "warning"));
  else if (strengths) row.append(element("span", sayReasons(strengths, reasons), "reasons"));
  const button = Object.assign(element("button", "Where is it good, where bad?"), { type: "button" });
  button.onclick = () => {
    button.disabled = true;
    worker.postMessage({ number, file, offsets: regions.offsets });
  };
  rows[number].button = button;
  row.append(drawBar(score), button);
}

function showMap(number, scores) {
  const { row, button, picture } = rows[number];
  const [low, high] = [Math.min(...scores), Math.max(...scores)];
  const missing = Math.max(0, LEAST_RANGE * (card.high - card.low) - (high - low)) / 2;
  const span = [low - missing, high + missing];
  if (card.higher_is_better !== "true") span.reverse();
  const canvas = document.createElement("canvas");
  canvas.dataset.scores = JSON.stringify(scores);
  canvas.setAttribute("role", "img");
  canvas.setAttribute("aria-label", `Map of quality, region by region from ${low.toFixed(2)} to ${high.toFixed(2)}`);
  drawMap(canvas, scores, regions, span);
  const frame = element("div", "", "frame");
  frame.append(Object.assign(document.createElement("img"), { src: picture.src, alt: "" }), canvas);
  const shown = Object.assign(document.createElement("input"), { type: "checkbox", checked: true });
  shown.onchange = () => (canvas.hidden = !shown.checked);
  const toggle = element("label", "");
  toggle.append(shown, " Map");
  const legend = element("figcaption", "");
  legend.append(toggle, element("span", span[0].toFixed(2)), element("i", ""), element("span", span[1].toFixed(2)));
  const figure = document.createElement("figure");
  figure.append(frame, legend, element("p", "The score that the photo would get if its details all came from there."));
  row.append(figure);
  button.remove();
}

worker.onmessage = ({ data }) => {
  if (data.status !== undefined) say(data.status);
  if (data.number !== undefined) show(data);
};
worker.onerror = (event) => say(`Something is wrong: ${event.message}`);

for (const type of ["dragenter", "dragover", "dragleave", "drop"]) {
  document.addEventListener(type, (event) => {
    event.preventDefault();
    drop.classList.toggle("over", type === "dragenter" || type === "dragover");
  });
}
document.addEventListener("drop", (event) => add(event.dataTransfer.files));
files.addEventListener("change", () => {
  add(files.files);
  files.value = ""; // so that the same photo can be chosen again
});

card = await (await fetch("card.json")).json();
regions = JSON.parse(card.regions);
reasons = card.reasons && JSON.parse(card.reasons);
percentiles = JSON.parse(card.metadata).source?.trained?.percentiles?.scores;
const better = card.higher_is_better === "true" ? "higher" : "lower";
about.textContent =
  `Scores are on the ${card.scale} scale, ${card.low} to ${card.high}, ${better} is better. ` +
  `${card.attribution ?? ""} ${card.license ? `License: ${card.license}.` : ""}`;
