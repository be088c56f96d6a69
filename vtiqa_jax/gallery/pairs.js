"use strict";
{
  // "Which of these two?": shows the pair that teaches most about a person's taste, and keeps the answers in this browser.
  // A small model, score and looks in a logistic regression, learns along; `vtiqa tune` learns from the exported answers.
  const byId = (id) => document.getElementById(id);
  const data = JSON.parse(byId("data").textContent);
  const photos = data.photos.map((photo, index) => ({ ...photo, index })).filter((photo) => photo.score !== undefined && photo.looks);
  const byLink = new Map(photos.map((photo) => [photo.link, photo]));
  const path = ({ folder, name }) => (folder === "." ? name : folder.endsWith(data.separator) ? folder + name : folder + data.separator + name);

  // ---- What is known of a person ----

  const SCORE_WEIGHT = 1.5; // of a standard deviation of the score, as a logit, before the first answer
  const VARIANCES = { score: 0.5, look: 0.36 }; // of the weights, before the first answer
  const CANDIDATES = 600; // pairs that the next one is chosen from
  const OFTEN = 2; // a photo is not shown again after so many pairs, while there are others
  let mean, covariance;

  const vectors = new Map(photos.map((photo) => [photo, []]));
  for (const read of [(photo) => photo.score, ...(photos[0]?.looks ?? []).map((_, at) => (photo) => photo.looks[at])]) {
    const values = photos.map(read);
    const middle = values.reduce((sum, value) => sum + value, 0) / values.length;
    const deviation = Math.sqrt(values.reduce((sum, value) => sum + (value - middle) ** 2, 0) / values.length) || 1;
    for (const photo of photos) vectors.get(photo).push((read(photo) - middle) / deviation);
  }
  const dot = (a, b) => a.reduce((sum, value, at) => sum + value * b[at], 0);
  const apart = (a, b) => vectors.get(a).map((value, at) => value - vectors.get(b)[at]);

  /** How probably the first photo is preferred, and how unsure the weights leave that logit. */
  function predict(difference) {
    const along = covariance.map((row) => dot(row, difference));
    const variance = dot(along, difference);
    const chance = 1 / (1 + Math.exp(-dot(mean, difference) / Math.sqrt(1 + (Math.PI * variance) / 8)));
    return { along, variance, chance };
  }

  function learn(better, worse) {
    const difference = apart(better, worse);
    const { along, variance, chance } = predict(difference);
    const curvature = chance * (1 - chance);
    const shrink = curvature / (1 + curvature * variance);
    covariance = covariance.map((row, i) => row.map((value, j) => value - shrink * along[i] * along[j]));
    mean = mean.map((value, at) => value + (1 - chance) * dot(covariance[at], difference));
  }

  // ---- Answers: kept in this browser, under the report's number ----

  const STORE = `vtiqa-pairs-${data.report}`;
  let answers = []; // the better and the worse photo's link; a third entry where nobody could tell
  let pair = [];
  try {
    const kept = JSON.parse(localStorage.getItem(STORE) ?? "[]");
    answers = kept.filter(([a, b]) => byLink.has(a) && byLink.has(b) && a !== b);
  } catch {
    // No storage here, or something else in it: start without answers.
  }
  const told = () => answers.filter(([, , skipped]) => !skipped);

  function relearn() {
    const size = photos.length ? vectors.get(photos[0]).length : 0;
    mean = Array.from({ length: size }, (_, at) => (at ? 0 : data.scale.higher_is_better ? SCORE_WEIGHT : -SCORE_WEIGHT));
    covariance = mean.map((_, i) => mean.map((_, j) => (i !== j ? 0 : i ? VARIANCES.look : VARIANCES.score)));
    for (const [better, worse] of told()) learn(byLink.get(better), byLink.get(worse));
  }

  const key = (a, b) => [a.link, b.link].sort().join("\n");

  /** The pair whose answer tells most: a near tie of photos that are far apart. Never one of two shots of a scene. */
  function choose() {
    const asked = new Set(answers.map(([a, b]) => key(byLink.get(a), byLink.get(b))));
    const times = new Map(photos.map((photo) => [photo, 0]));
    for (const [a, b] of answers) for (const link of [a, b]) times.set(byLink.get(link), times.get(byLink.get(link)) + 1);
    const isNew = (a, b) => a !== b && (a.stack === undefined || a.stack !== b.stack) && !asked.has(key(a, b));
    const fresh = photos.filter((photo) => times.get(photo) < OFTEN);
    for (const some of [fresh, photos]) {
      const best = (some.length ** 2 <= CANDIDATES ? everyPair(some) : drawPairs(some))
        .filter(([a, b]) => isNew(a, b))
        .map((found) => ({ found, ...predict(apart(...found)) }))
        .reduce((best, next) => (worth(next) > worth(best) ? next : best), { chance: 0, variance: 0 });
      if (best.found) return best.found;
    }
    return [];
  }
  const worth = ({ chance, variance }) => chance * (1 - chance) * variance;
  const everyPair = (some) => some.flatMap((a, at) => some.slice(at + 1).map((b) => (Math.random() < 0.5 ? [a, b] : [b, a])));
  const drawPairs = (some) => Array.from({ length: CANDIDATES }, () => [0, 1].map(() => some[Math.floor(Math.random() * some.length)]));

  function answer(better, worse, ...skipped) {
    answers.push([better.link, worse.link, ...skipped]);
    if (!skipped.length) learn(better, worse);
    keep();
    show(choose());
  }

  function undo() {
    const last = answers.pop();
    if (!last) return;
    relearn();
    keep();
    show(last.slice(0, 2).map((link) => byLink.get(link)));
  }

  function keep() {
    try {
      localStorage.setItem(STORE, JSON.stringify(answers));
    } catch {
      byId("pairs-note").textContent = "The browser keeps nothing: download the answers before you leave.";
    }
  }

  function download() {
    const quoted = (value) => (/[",\r\n]/.test(value) ? `"${value.replaceAll('"', '""')}"` : value);
    const lines = told().map(([better, worse]) => [better, worse].map((link) => quoted(path(byLink.get(link)))));
    const text = [["better", "worse"], ...lines].map((line) => line.join(",") + "\r\n").join("");
    const link = document.createElement("a");
    link.href = URL.createObjectURL(new Blob([text], { type: "text/csv" }));
    link.download = "pairs.csv";
    link.click();
    URL.revokeObjectURL(link.href);
  }

  // ---- The dialog ----

  const dialog = byId("pairs");
  const SIDES = ["left", "right"];

  function show(next) {
    pair = next;
    const count = told().length;
    byId("pairs-count").textContent = `${count} answer${count === 1 ? "" : "s"}`;
    byId("pairs-download").disabled = !count;
    byId("pairs-undo").disabled = !answers.length;
    byId("pairs-none").hidden = pair.length > 0;
    byId("pairs-skip").disabled = !pair.length;
    SIDES.forEach((side, at) => {
      const photo = pair[at];
      const image = byId(`pair-${side}`);
      byId(`choose-${side}`).hidden = !photo;
      if (!photo) return image.removeAttribute("src");
      const thumbnail = `thumbnails/${String(photo.index).padStart(5, "0")}.jpg`;
      image.alt = photo.name;
      image.onerror = () => {
        image.onerror = null;
        image.src = thumbnail; // the browser cannot show the original
      };
      image.src = photo.link;
      byId(`pair-${side}-name`).textContent = photo.name;
    });
  }

  const prefer = (at) => pair.length && answer(pair[at], pair[1 - at]);
  const skip = () => pair.length && answer(...pair, "skipped");
  const KEYS = { ArrowLeft: () => prefer(0), ArrowRight: () => prefer(1), ArrowDown: skip, Backspace: undo };

  dialog.addEventListener("keydown", (event) => {
    event.stopPropagation(); // the page's keys rest
    if (event.ctrlKey || event.metaKey || event.altKey || event.repeat || !KEYS[event.key]) return;
    event.preventDefault();
    KEYS[event.key]();
  });
  SIDES.forEach((side, at) => byId(`choose-${side}`).addEventListener("click", () => prefer(at)));
  byId("pairs-skip").addEventListener("click", skip);
  byId("pairs-undo").addEventListener("click", undo);
  byId("pairs-download").addEventListener("click", download);
  byId("pairs-close").addEventListener("click", () => dialog.close());
  byId("pairs-button").addEventListener("click", () => {
    relearn();
    show(choose());
    dialog.showModal();
    dialog.focus(); // not its button, which Enter would press
  });
  byId("pairs-button").hidden = photos.length < 2;
}
