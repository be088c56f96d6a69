// Takes photos, hands them to the worker one by one, and shows what comes back.

const [drop, files, status, results, about] = ["drop", "files", "status", "results", "about"].map((id) =>
  document.getElementById(id),
);
const rows = [];
const worker = new Worker("worker.js", { type: "module" });
let card;
let percentiles;

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
    picture.onload = () => URL.revokeObjectURL(picture.src);
    const answer = element("span", "waiting", "score");
    row.append(picture, element("span", file.name, "name"), answer);
    results.prepend(row);
    worker.postMessage({ number: rows.push({ row, answer }) - 1, file });
  }
}

function show({ number, score, error }) {
  const { row, answer } = rows[number];
  if (error) {
    answer.textContent = `failed: ${error}`;
    return;
  }
  const share = percentiles ? `, better than ${betterThan(score).toFixed(0)} % of the photos it was trained on` : "";
  answer.textContent = `${score.toFixed(4)}${share}`;
  answer.dataset.score = score;
  const [min, max] = [Number(card.low), Number(card.high)];
  row.append(Object.assign(document.createElement("meter"), { min, max, value: score }));
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
percentiles = JSON.parse(card.metadata).source?.trained?.percentiles?.scores;
const better = card.higher_is_better === "true" ? "higher" : "lower";
about.textContent =
  `Scores are on the ${card.scale} scale, ${card.low} to ${card.high}, ${better} is better. ` +
  `${card.attribution ?? ""} ${card.license ? `License: ${card.license}.` : ""}`;
