"use strict";
{
  // Names, folders and reasons come from other people's files: they enter the page as text, never as markup.
  const byId = (id) => document.getElementById(id);
  const data = JSON.parse(byId("data").textContent);
  const { low: LOW, high: HIGH, higher_is_better: HIGHER } = data.scale;
  const photos = data.photos;
  const PLACED = new Set(["score", "percentile", "out_of_range", "low", "high", "opinion_spread", "detail", "holds", "rank", "stack", "stack_kind", "best", "mean", "spread", "reasons", "error", "warning", "width", "height", ...Object.keys(data.faults).map((name) => `p_${name}`)]); // by hand
  const number = (value) => value.toLocaleString("en");
  const plural = (count, word) => `${number(count)} ${word}${count === 1 ? "" : "s"}`;
  const picture = (kind, photo) => `${kind}/${String(photo.index).padStart(5, "0")}.jpg`;
  const path = ({ folder, name }) => (folder === "." ? name : folder.endsWith(data.separator) ? folder + name : folder + data.separator + name);
  function element(tag, className, text) {
    const made = document.createElement(tag);
    if (className) made.className = className;
    if (text !== undefined) made.textContent = text;
    return made;
  }

  photos.forEach((photo, index) => {
    photo.index = index;
    photo.haystack = path(photo).toLowerCase();
    photo.ratio = photo.width ? photo.width / photo.height : 4 / 3;
    photo.scored = photo.score !== undefined;
  });
  const hasReasons = photos.some((photo) => photo.named);
  const better = HIGHER ? (a, b) => b.rank - a.rank : (a, b) => a.rank - b.rank;
  /** Stacks among some photos: their number to their members. */
  function grouped(some) {
    const members = new Map();
    for (const photo of some) {
      if (photo.stack === undefined) continue;
      if (!members.has(photo.stack)) members.set(photo.stack, []);
      members.get(photo.stack).push(photo);
    }
    return members;
  }
  /** What lies on top: the best, or of those that are left the first by rank. */
  const topOf = (members) => members.reduce((top, photo) => ((photo.best === top.best ? better(photo, top) < 0 : photo.best) ? photo : top));
  const stacks = grouped(photos);
  const isWhole = (photo) => data.kept_whole.includes(photo.stack_kind);
  /** "burst of 5", "exposure bracket of 3: kept whole", "3 copies". */
  function stackWords(photo) {
    const count = number(stacks.get(photo.stack).length);
    if (photo.stack_kind === "copies") return `${count} copies`;
    return `${photo.stack_kind} of ${count}${isWhole(photo) ? ": kept whole" : ""}`;
  }
  /** The same of one photo: "best of burst of 5". */
  const placeWords = (photo) => (isWhole(photo) ? `in ${stackWords(photo)}` : `${photo.best ? "best" : "one"} of ${stackWords(photo)}`);

  // ---- Colour of a score: the ramp of the style sheet ----

  let ramp;
  function readRamp() {
    const style = getComputedStyle(document.documentElement);
    ramp = [0, 1, 2, 3, 4].map((stop) => {
      const hex = style.getPropertyValue(`--q${stop}`).trim();
      return [1, 3, 5].map((at) => parseInt(hex.slice(at, at + 2), 16));
    });
  }
  /** From 0, the worst, to 1, the best score of the scale. */
  function quality(score) {
    const share = Math.min(1, Math.max(0, (score - LOW) / (HIGH - LOW)));
    return HIGHER ? share : 1 - share;
  }
  function channels(share) {
    const at = Math.min(3.9999, Math.max(0, share) * 4);
    const stop = Math.floor(at);
    return ramp[stop].map((from, channel) => from + (at - stop) * (ramp[stop + 1][channel] - from));
  }
  const colour = (share) => `rgb(${channels(share).map(Math.round).join(" ")})`;

  // ---- Marks: kept in this browser, under the report's number ----

  const STORE = `vtiqa-report-${data.report}`;
  let marks = {};
  try {
    const kept = JSON.parse(localStorage.getItem(STORE) ?? "{}");
    for (const photo of photos) if (["keep", "reject"].includes(kept[photo.link])) marks[photo.link] = kept[photo.link];
  } catch {
    // No storage here, or something else in it: start without marks.
  }
  const markOf = (photo) => marks[photo.link];

  function setMark(photo, mark) {
    if (markOf(photo) === mark) delete marks[photo.link];
    else marks[photo.link] = mark;
    let saved = "";
    try {
      localStorage.setItem(STORE, JSON.stringify(marks));
    } catch {
      saved = " (for this visit only: the browser keeps nothing)";
    }
    const split = markOf(photo) === "reject" && isWhole(photo) ? `, though its ${photo.stack_kind} is one picture` : "";
    say((markOf(photo) ? { keep: "Kept", reject: "Rejected" }[mark] : "No mark") + split + saved);
    showMarks();
    if (["keep", "reject", "unmarked"].includes(byId("status").value)) {
      const at = shown.indexOf(photo);
      update();
      if (!shown.includes(photo)) setActive(shown[Math.min(at, shown.length - 1)]); // the next one, for the next mark
    } else {
      drop(photo);
      render();
    }
    if (viewer.open) showMarkButtons();
    else focusActive();
  }
  const marked = (mark) => photos.filter((photo) => markOf(photo) === mark);

  function showMarks() {
    const [kept, rejected] = ["keep", "reject"].map((mark) => marked(mark).length);
    byId("marked").textContent = `${number(kept)} kept, ${number(rejected)} rejected`;
    byId("copy-keep").hidden = !kept;
    byId("copy-reject").hidden = !rejected;
  }

  async function copyMarked(mark) {
    const paths = marked(mark).map(path);
    try {
      await navigator.clipboard.writeText(paths.join("\n") + "\n");
      say(`${plural(paths.length, "path")} copied`);
    } catch {
      say("The browser forbids copying; download the CSV instead");
    }
  }

  function download() {
    const quoted = (value) => (/[",\r\n]/.test(value) ? `"${value.replaceAll('"', '""')}"` : value);
    const columns = data.columns.filter((column) => photos.some((photo) => photo[column] !== undefined));
    const lines = photos.map((photo) => [path(photo), ...columns.map((column) => photo[column] ?? ""), markOf(photo) ?? ""]);
    const text = [["image", ...columns, "mark"], ...lines]
      .map((line) => line.map((value) => quoted(String(value))).join(",") + "\r\n").join("");
    const link = element("a");
    link.href = URL.createObjectURL(new Blob([text], { type: "text/csv" }));
    link.download = "marks.csv";
    link.click();
    URL.revokeObjectURL(link.href);
  }

  let toastTimer;
  function say(text) {
    byId("toast").textContent = text;
    clearTimeout(toastTimer);
    toastTimer = setTimeout(() => (byId("toast").textContent = ""), 2500);
  }

  // ---- Which photos, in which order ----

  const EVERYTHING = { low: -Infinity, high: Infinity };
  let range = EVERYTHING;
  let shown = []; // photos, as laid out
  let hidden = new Map(); // of a closed stack: its first photo to the number of others
  let opened = new Set(); // numbers of stacks that are laid out

  function matches() {
    const words = byId("search").value.toLowerCase().split(/\s+/).filter(Boolean);
    const folder = byId("folder").value;
    const status = byId("status").value;
    const reason = byId("reason").value;
    return photos.filter((photo) => {
      if (reason !== "" && !(reason === "none" ? photo.named?.length === 0 : photo.named?.includes(reason))) return false;
      if (folder !== "" && photo.folder !== folders[folder]) return false;
      if (status === "failed" ? photo.scored : status === "warning" ? !photo.remarks : status === "unmarked" ? markOf(photo) : status !== "all" && markOf(photo) !== status) return false;
      return words.every((word) => photo.haystack.includes(word));
    });
  }

  function sorted(found) {
    const order = byId("sort").value;
    if (order === "name") return found;
    const number = order in MEASURES ? order : "rank";
    const sign = (order === "worst") === (HIGHER || number === "holds") ? 1 : -1;
    const [known, unknown] = [true, false].map((wanted) => found.filter((photo) => (photo[number] !== undefined) === wanted));
    return [...known.sort((a, b) => sign * (a[number] - b[number])), ...unknown];
  }

  function stacked(found) {
    hidden = new Map();
    if (!byId("stack").checked) return found;
    const present = grouped(found);
    const tops = new Map([...present].map(([stack, members]) => [stack, topOf(members)]));
    const laid = [];
    for (const photo of found) {
      if (photo.stack === undefined || present.get(photo.stack).length === 1) laid.push(photo);
      else if (tops.get(photo.stack) === photo) {
        const others = present.get(photo.stack).filter((member) => member !== photo);
        if (isWhole(photo)) others.sort((a, b) => a.index - b.index); // by name, which is how cameras count
        hidden.set(photo, others.length);
        laid.push(photo);
        if (opened.has(photo.stack)) laid.push(...others);
      }
    }
    return laid;
  }

  function update() {
    const found = matches();
    const inRange = range === EVERYTHING ? found : found.filter((photo) => photo[measure.name] >= range.low && photo[measure.name] <= range.high);
    drawHistogram(found);
    shown = stacked(sorted(inRange));
    for (const photo of cards.keys()) drop(photo);
    if (!shown.includes(active)) active = shown[0];
    const all = inRange.length === photos.length ? plural(photos.length, "photo") : `${number(inRange.length)} of ${plural(photos.length, "photo")}`;
    byId("shown").textContent = all + (hidden.size ? `, ${plural(hidden.size, "stack")}` : "");
    byId("empty").hidden = shown.length > 0;
    byId("reset").hidden = inRange.length === photos.length;
    layOut();
  }

  function reset() {
    byId("search").value = "";
    byId("folder").value = "";
    byId("status").value = "all";
    byId("reason").value = "";
    setRange(EVERYTHING);
  }

  // ---- Histogram ----

  const BINS = 48;
  /** What photos are sorted and chosen by: the scale's ends, and how good a number is, from 0 to 1. */
  const MEASURES = {
    score: { low: LOW, high: HIGH, quality, step: 0.1 },
    detail: { low: LOW, high: HIGH, quality, step: 0.1 },
    holds: { low: 0, high: 100, quality: (percent) => Math.min(1, percent / 100), step: 5 },
  };
  let measure; // what the histogram is of, with its name; low and high span all photos, too

  function chooseMeasure(name) {
    const { low, high } = MEASURES[name];
    const ends = photos.filter((photo) => photo[name] !== undefined)
      .reduce((ends, photo) => [Math.min(ends[0], photo[name]), Math.max(ends[1], photo[name])], [low, high]);
    measure = { ...MEASURES[name], name, low: ends[0], high: ends[1] };
    byId("histogram").setAttribute("aria-label", `Histogram of ${name === "score" ? "the scores" : name}`);
    byId("axis").replaceChildren(...[0, 1, 2, 3, 4].map((quarter) => element("span", "", String(Number((ends[0] + (quarter / 4) * (ends[1] - ends[0])).toFixed(2))))));
    for (const id of ["low", "high"]) byId(id).step = measure.step;
    setRange(EVERYTHING);
  }
  const binOf = (value) => Math.min(BINS - 1, Math.floor(((value - measure.low) / (measure.high - measure.low)) * BINS));
  const edge = (bin) => measure.low + (bin / BINS) * (measure.high - measure.low);

  function drawHistogram(found) {
    const [all, some] = [photos, found].map((those) => {
      const counts = new Array(BINS).fill(0);
      for (const photo of those) if (photo[measure.name] !== undefined) counts[binOf(photo[measure.name])] += 1;
      return counts;
    });
    const tallest = Math.max(1, ...all);
    const svg = byId("histogram");
    svg.setAttribute("viewBox", `0 0 ${BINS} 1`);
    const bars = [];
    for (let bin = 0; bin < BINS; bin++) {
      for (const [count, faint] of [[all[bin], true], [some[bin], edge(bin + 1) <= range.low || edge(bin) >= range.high]]) {
        if (!count) continue;
        const bar = document.createElementNS("http://www.w3.org/2000/svg", "rect");
        const height = Math.max(0.03, count / tallest);
        for (const [name, value] of Object.entries({ x: bin + 0.06, y: 1 - height, width: 0.88, height, fill: colour(measure.quality(edge(bin + 0.5))) })) bar.setAttribute(name, value);
        if (faint) bar.setAttribute("class", "faint");
        bars.push(bar);
      }
    }
    svg.replaceChildren(...bars);
  }

  function setRange(next) {
    range = next.low <= measure.low && next.high >= measure.high ? EVERYTHING : next;
    byId("low").value = (range === EVERYTHING ? measure.low : range.low).toFixed(2);
    byId("high").value = (range === EVERYTHING ? measure.high : range.high).toFixed(2);
    update();
  }

  function listenToHistogram() {
    const svg = byId("histogram");
    let from = null;
    const bin = (event) => {
      const box = svg.getBoundingClientRect();
      return Math.min(BINS - 1, Math.max(0, Math.floor(((event.clientX - box.left) / box.width) * BINS)));
    };
    const select = (event) => {
      const ends = [from, bin(event)].sort((a, b) => a - b);
      setRange({ low: edge(ends[0]), high: edge(ends[1] + 1) });
    };
    svg.addEventListener("pointerdown", (event) => {
      svg.setPointerCapture(event.pointerId);
      from = bin(event);
      select(event);
    });
    svg.addEventListener("pointermove", (event) => from !== null && select(event));
    for (const end of ["pointerup", "pointercancel"]) svg.addEventListener(end, () => (from = null));
    for (const id of ["low", "high"]) {
      byId(id).addEventListener("change", () => {
        const value = (field, otherwise) => (Number.isFinite(byId(field).valueAsNumber) ? byId(field).valueAsNumber : otherwise);
        setRange({ low: value("low", -Infinity), high: value("high", Infinity) });
      });
    }
  }

  // ---- The grid: rows of one height, of which only those near the window are in the document ----

  const grid = byId("grid");
  const CAPTION = hasReasons ? 52 : 34; // of a card, below its picture; as in the style sheet
  const GAP = 14;
  let room; // width of the grid
  let places = []; // of each shown photo: row, left, top, width, height
  let rows = []; // first photo of each row, and its top
  let active; // the photo that the keys act on
  const cards = new Map(); // photos in the document

  function layOut() {
    room = grid.clientWidth;
    const target = room < 500 ? 128 : 190;
    places = [];
    rows = [];
    let top = 6;
    for (let start = 0; start < shown.length; ) {
      const ratios = [];
      let total = 0;
      let end = start;
      while (end < shown.length && total * target + GAP * Math.max(0, ratios.length - 1) < room) {
        ratios.push(Math.min(2.4, Math.max(0.62, shown[end].ratio)));
        total += ratios[ratios.length - 1];
        end += 1;
      }
      const height = Math.min(target * 1.25, (room - GAP * (ratios.length - 1)) / total);
      let left = 0;
      for (const ratio of ratios) {
        places.push({ row: rows.length, left, top, width: Math.min(room, ratio * height), height: height + CAPTION });
        left += ratio * height + GAP;
      }
      rows.push({ start, top });
      top += height + CAPTION + GAP;
      start = end;
    }
    grid.style.height = `${top}px`;
    render();
  }

  function visibleRange() {
    const from = window.scrollY - grid.offsetTop - 500;
    const to = from + window.innerHeight + 1000;
    const rowAt = (y) => {
      let low = 0;
      let high = rows.length - 1;
      while (low < high) {
        const middle = (low + high + 1) >> 1;
        if (rows[middle].top <= y) low = middle;
        else high = middle - 1;
      }
      return low;
    };
    if (!rows.length) return [0, 0];
    return [rows[rowAt(from)].start, rows[rowAt(to) + 1]?.start ?? shown.length];
  }

  function render() {
    const [from, to] = visibleRange();
    const wanted = new Set();
    for (let at = from; at < to; at++) wanted.add(at);
    const activeAt = shown.indexOf(active);
    if (activeAt >= 0) wanted.add(activeAt); // so that it keeps the focus
    const wantedPhotos = new Set([...wanted].map((at) => shown[at]));
    for (const photo of [...cards.keys()]) if (!wantedPhotos.has(photo)) drop(photo);
    let before = null;
    for (const at of [...wanted].sort((a, b) => a - b)) {
      const photo = shown[at];
      if (!cards.has(photo)) cards.set(photo, makeCard(photo));
      const item = cards.get(photo);
      const place = places[at];
      Object.assign(item.style, { transform: `translate(${place.left}px, ${place.top}px)`, width: `${place.width}px`, height: `${place.height}px` });
      item.setAttribute("aria-posinset", at + 1);
      item.setAttribute("aria-setsize", shown.length);
      item.firstChild.tabIndex = photo === active ? 0 : -1;
      // In the photos' order, for those who hear the page; moved only if it is not there yet, which would lose the focus.
      const there = before ? before.nextSibling : grid.firstChild;
      if (item !== there) grid.insertBefore(item, there);
      before = item;
    }
  }

  function drop(photo) {
    cards.get(photo)?.remove();
    cards.delete(photo);
  }

  function describe(photo) {
    return [
      photo.name,
      photo.scored ? `score ${photo.score.toFixed(2)}` : `not scored: ${photo.error ?? "no reason known"}`,
      photo.detail !== undefined && `detail ${photo.detail.toFixed(2)}, ${photo.holds_words}`,
      photo.reasons && `reasons: ${photo.reasons}`,
      photo.remarks && `warning: ${photo.remarks}`,
      { keep: "kept", reject: "rejected" }[markOf(photo)],
      photo.stack !== undefined && placeWords(photo),
    ].filter(Boolean).join(", ");
  }

  function makeCard(photo) {
    const item = element("li");
    const card = element("button", "card");
    card.type = "button";
    card.setAttribute("aria-label", describe(photo));
    card.title = path(photo);
    const frame = element("span", "picture");
    if (photo.width) {
      const image = element("img");
      image.loading = "lazy";
      image.decoding = "async";
      image.alt = "";
      image.src = picture("thumbnails", photo);
      frame.append(image);
    }
    if (!photo.scored) frame.append(element("span", "reason", photo.error ?? ""));
    const mark = markOf(photo);
    if (mark) frame.append(element("span", `badge ${mark}`, mark === "keep" ? "✓" : "✕"));
    card.classList.toggle("rejected", mark === "reject");
    const bar = element("span", "bar");
    const caption = element("span", "caption");
    if (photo.scored) {
      const fill = element("i");
      fill.style.width = `${Math.max(2, 100 * quality(photo.score))}%`;
      fill.style.background = colour(quality(photo.score));
      bar.append(fill);
      caption.append(element("b", "", photo.score.toFixed(2)));
      if (photo.detail !== undefined) {
        caption.append(element("span", "detail", `1:1 ${photo.detail.toFixed(2)}`));
        caption.title = photo.holds_words;
      }
    }
    if (photo.stack !== undefined && photo.best && !isWhole(photo)) caption.append(element("span", "star", "★"));
    caption.append(element("span", "name", photo.name));
    if (photo.remarks) caption.append(element("span", "caution", "⚠"));
    card.append(frame, bar, caption);
    if (hasReasons) {
      const reasons = element("span", "reasons", photo.reasons ?? "");
      reasons.title = photo.reasons ?? "";
      card.append(reasons);
    }
    card.addEventListener("click", () => openViewer(photo));
    card.addEventListener("focus", () => setActive(photo));
    item.append(card);
    const others = hidden.get(photo);
    if (others) {
      const open = opened.has(photo.stack);
      frame.append(element("span", "kind", stackWords(photo)));
      card.classList.toggle("stacked", !open);
      const expand = element("button", "expand", open ? "close" : `+${others}`);
      expand.type = "button";
      expand.tabIndex = -1; // the key E does the same
      expand.setAttribute("aria-expanded", open);
      expand.setAttribute("aria-label", `${plural(others, "other")} of the ${stackWords(photo)}, ${photo.name}`);
      expand.addEventListener("click", () => toggleStack(photo));
      item.append(expand);
    }
    if (byId("stack").checked && opened.has(photo.stack)) card.classList.add("member");
    return item;
  }

  function setActive(photo) {
    if (photo === active) return;
    const old = cards.get(active);
    if (old) old.firstChild.tabIndex = -1;
    active = photo;
    const now = cards.get(active);
    if (now) now.firstChild.tabIndex = 0;
  }

  /** Brings a photo into the window and gives it the focus. */
  function focusPhoto(photo) {
    setActive(photo);
    const place = places[shown.indexOf(photo)];
    if (!place) return;
    const top = grid.offsetTop + place.top;
    const bar = document.querySelector(".status").offsetHeight + 8;
    if (top < window.scrollY + bar) window.scrollTo(0, top - bar);
    else if (top + place.height > window.scrollY + window.innerHeight) window.scrollTo(0, top + place.height + 10 - window.innerHeight);
    render();
    focusActive();
  }
  const focusActive = () => cards.get(active)?.firstChild.focus({ preventScroll: true });

  function toggleStack(photo) {
    if (photo.stack === undefined || !byId("stack").checked) return;
    if (!opened.delete(photo.stack)) opened.add(photo.stack);
    update();
    const first = shown.includes(photo) ? photo : shown.find((other) => other.stack === photo.stack);
    if (first) focusPhoto(first);
  }

  function neighbour(key) {
    const at = shown.indexOf(active);
    const last = shown.length - 1;
    const beside = { ArrowLeft: at - 1, ArrowRight: at + 1, Home: 0, End: last }[key];
    if (beside !== undefined) return shown[Math.min(last, Math.max(0, beside))];
    const here = places[at];
    const step = { ArrowUp: -1, ArrowDown: 1, PageUp: -3, PageDown: 3 }[key];
    const row = Math.min(rows.length - 1, Math.max(0, here.row + step));
    if (row === here.row) return active;
    const middle = here.left + here.width / 2;
    let best = rows[row].start;
    for (let other = best; other < (rows[row + 1]?.start ?? shown.length); other++) {
      const distance = (place) => Math.abs(place.left + place.width / 2 - middle);
      if (distance(places[other]) < distance(places[best])) best = other;
    }
    return shown[best];
  }

  // ---- One photo ----

  const viewer = byId("viewer");
  let maps;
  let current;
  let position; // its place among those shown, also once a mark has taken it away from them
  const LEAST_RANGE = 0.15;
  const SWITCHES = { quality: "map-shown", detail: "detail-shown" };
  let layers = {}; // the current photo's maps: columns, rows and numbers, where they lie, and what their colours span
  let zoomed = -1; // which region is shown at 1:1

  function openViewer(photo) {
    showPhoto(photo);
    if (!viewer.open) viewer.showModal();
    byId("next").focus();
  }

  function showPhoto(photo) {
    current = photo;
    byId("viewer-name").textContent = photo.name;
    byId("viewer-folder").textContent = photo.folder;
    position = shown.indexOf(photo);
    byId("place").textContent = `${number(position + 1)} of ${number(shown.length)}`;
    byId("previous").disabled = shown[0] === photo;
    byId("next").disabled = shown[shown.length - 1] === photo;

    byId("score").textContent = photo.scored ? photo.score.toFixed(2) : "not scored";
    byId("spread").textContent = photo.spread === undefined ? "" : `± ${photo.spread.toFixed(2)}`;
    byId("strip").hidden = !photo.scored;
    if (photo.scored) byId("needle").style.left = `${100 * quality(photo.score)}%`;
    byId("detail").textContent = photo.detail === undefined ? "" : `${photo.detail.toFixed(2)} at 100 %`;
    byId("holds").textContent = photo.holds_words ?? "";
    byId("percentile").textContent = photo.percentile === undefined ? "" : `better than ${photo.percentile.toFixed(0)} % of the photos the model was trained on`;
    for (const [kind, text] of Object.entries({ error: photo.error, warning: photo.remarks })) {
      byId(kind).hidden = !text;
      byId(kind).textContent = text ?? "";
    }
    showReasons(photo);
    const facts = {
      size: photo.width && `${number(photo.width)} × ${number(photo.height)} px`,
      scale: `${data.scale.low} to ${data.scale.high}, ${HIGHER ? "higher" : "lower"} is better`,
      "people say": photo.low !== undefined && `${photo.low.toFixed(1)} to ${photo.high.toFixed(1)}${photo.opinion_spread === undefined ? "" : `, one by one ± ${photo.opinion_spread.toFixed(1)}`}`,
      "by both": photo.detail !== undefined && photo.rank.toFixed(2),
      stack: photo.stack !== undefined && placeWords(photo),
    };
    for (const column of data.columns) {
      const value = photo[column];
      if (!PLACED.has(column) && value !== undefined) facts[column.replaceAll("_", " ")] = typeof value === "number" ? number(value) : String(value);
    }
    byId("facts").replaceChildren(...Object.entries(facts).filter(([, fact]) => fact).map(([name, fact]) => {
      const line = element("div");
      line.append(element("dt", "", name), element("dd", "", fact));
      return line;
    }));

    const image = byId("photo");
    const frame = byId("frame");
    const thumbnail = photo.width ? picture("thumbnails", photo) : "";
    frame.style.setProperty("--ratio", photo.ratio);
    frame.style.backgroundImage = thumbnail && `url("${thumbnail}")`;
    byId("fallback").hidden = true;
    image.alt = photo.name;
    image.onerror = () => {
      image.onerror = null;
      byId("fallback").hidden = !thumbnail;
      if (thumbnail) image.src = thumbnail;
      else image.removeAttribute("src");
    };
    image.src = photo.link;
    byId("views").hidden = !photo.width;
    if (photo.width) byId("views-image").src = picture("views", photo);
    readMaps(photo);
    closeZoom();
    showMap();
    showMarkButtons();
  }

  /** Which faults are named, and how probable each is. */
  function showReasons(photo) {
    byId("reasons").hidden = !photo.named;
    if (!photo.named) return;
    const said = photo.reasons ? photo.reasons.split("; ") : [];
    const line = (name, words) => {
      const percent = 100 * photo[`p_${name}`];
      const item = element("li");
      const bar = element("i");
      bar.style.width = `${percent}%`;
      const track = element("span", "chance");
      track.append(bar);
      item.append(element("span", "", words), track, element("span", "percent", `${percent.toFixed(0)} %`));
      return item;
    };
    const others = Object.keys(data.faults).filter((name) => !photo.named.includes(name)).sort((a, b) => photo[`p_${b}`] - photo[`p_${a}`]);
    byId("reasons-title").textContent = said.length ? "Reasons, and how probably a judge calls each plain" : "No reason is named";
    byId("named").replaceChildren(...photo.named.map((name, at) => line(name, said[at])));
    byId("not-named").replaceChildren(...others.map((name) => line(name, data.faults[name])));
  }

  const bytes = (encoded) => [...atob(encoded)].map((letter) => letter.charCodeAt(0));

  function readMaps(photo) {
    maps ??= JSON.parse(byId("maps").textContent);
    const detail = maps.details[photo.index];
    layers = { quality: readQuality(maps.maps[photo.index]), detail: detail && { ...readDetail(detail), zooms: detail.zooms } };
    byId("mapping").hidden = !layers.quality && !layers.detail;
    for (const kind in layers) byId(`mapping-${kind}`).hidden = !layers[kind];
    const regions = (detail?.zooms ?? []).map((zoom, at) => {
      const button = element("button");
      button.type = "button";
      button.setAttribute("aria-label", `At 1:1, ${zoom.place}: ${zoom.lost.toFixed(1)} octaves lost`);
      placeOver(button, zoom);
      button.addEventListener("click", (event) => {
        event.stopPropagation();
        showZoom(at);
      });
      return button;
    });
    byId("regions").replaceChildren(...regions);
  }

  const placeOver = (item, { left, top, width, height }) =>
    Object.assign(item.style, { left: `${100 * left}%`, top: `${100 * top}%`, width: `${100 * width}%`, height: `${100 * height}%` });

  function readQuality(found) {
    if (!found) return null;
    const [columns, encoded] = found;
    const values = bytes(encoded).map((level) => maps.low + (level / 255) * (maps.high - maps.low));
    // The colours span the photo's own scores, and at least a part of the scale, lest what hardly differs look different.
    const [least, most] = [Math.min(...values), Math.max(...values)];
    const missing = Math.max(0, LEAST_RANGE * (HIGH - LOW) - (most - least)) / 2;
    const ends = [least - missing, most + missing];
    const [worst, best] = HIGHER ? ends : ends.reverse();
    const legend = [worst.toFixed(2), best.toFixed(2)];
    return { columns, rows: values.length / columns, values, worst, best, legend, left: 0, top: 0, width: 1, height: 1 };
  }

  function readDetail(found) {
    const { low, step, most } = maps.octaves;
    const values = bytes(found.levels).map((level) => (level === 255 ? NaN : low + level * step));
    const legend = [`${most} octaves lost at 1:${found.factor}`, "none"];
    return { ...found, rows: values.length / found.columns, values, worst: most, best: 0, legend };
  }

  const shownLayer = () => Object.keys(SWITCHES).filter((kind) => byId(SWITCHES[kind]).checked).map((kind) => layers[kind])[0];

  function showMap() {
    const layer = shownLayer();
    byId("map").hidden = !layer;
    byId("regions").hidden = byId("hint").hidden = !layer?.zooms;
    byId("reading").hidden = true;
    const told = layer ?? layers.quality ?? layers.detail;
    ["low", "high"].forEach((end, at) => (byId(`legend-${end}`).textContent = told?.legend[at] ?? ""));
    if (layer) drawLayer(byId("map"), layer);
  }

  /** Draws a map on a canvas that lies over its photo. Where nothing is known it stays clear. */
  function drawLayer(canvas, layer) {
    placeOver(canvas, layer);
    canvas.style.opacity = byId("opacity").value / 100;
    canvas.classList.toggle("places", layer.factor !== undefined);
    Object.assign(canvas, { width: layer.columns, height: layer.rows });
    const context = canvas.getContext("2d");
    const pixels = context.createImageData(layer.columns, layer.rows);
    layer.values.forEach((value, at) => {
      if (Number.isNaN(value)) return;
      pixels.data.set([...channels((value - layer.worst) / (layer.best - layer.worst)), 255], 4 * at);
    });
    context.putImageData(pixels, 0, 0);
  }

  /** Where the pointer is, as shares of an element's height and width. */
  function pointed(event, within) {
    const box = within.getBoundingClientRect();
    return [(event.clientX - box.left) / box.width, (event.clientY - box.top) / box.height];
  }

  function readLayer(event, layer, within, reading) {
    const [x, y] = pointed(event, within);
    const column = layer ? Math.floor(((x - layer.left) / layer.width) * layer.columns) : -1;
    const row = layer ? Math.floor(((y - layer.top) / layer.height) * layer.rows) : -1;
    reading.hidden = !layer || column < 0 || row < 0 || column >= layer.columns || row >= layer.rows;
    if (reading.hidden) return;
    const value = layer.values[row * layer.columns + column];
    reading.textContent = Number.isNaN(value) ? "nothing to judge" : value.toFixed(2);
    Object.assign(reading.style, { left: `${100 * x}%`, top: `${100 * y}%` });
  }

  // ---- Regions at 1:1 ----

  const currentZoom = () => zoomed >= 0 && { ...readDetail(layers.detail.zooms[zoomed]), left: 0, top: 0, width: 1, height: 1 };

  /** Shows the region that a click on the map is in, or the nearest. */
  function zoomAt(event) {
    const zooms = shownLayer()?.zooms;
    if (!zooms?.length) return;
    const [x, y] = pointed(event, byId("frame"));
    const distance = ({ left, top, width, height }) => Math.hypot((left + width / 2 - x) * current.width, (top + height / 2 - y) * current.height);
    showZoom(zooms.reduce((nearest, zoom, at) => (distance(zoom) < distance(zooms[nearest]) ? at : nearest), 0));
  }

  function showZoom(at) {
    zoomed = at;
    const { place, lost } = layers.detail.zooms[at];
    byId("zoom-title").textContent = `1:1, ${place}: ${lost.toFixed(1)} octaves lost (${at + 1} of ${layers.detail.zooms.length})`;
    byId("zoom-photo").src = `crops/${String(current.index).padStart(5, "0")}-${at}.jpg`;
    byId("zoom-photo").alt = `${current.name} at 1:1, ${place}`;
    byId("zoom").hidden = false;
    byId("zoom-next").focus();
    showZoomMap();
  }

  function showZoomMap() {
    byId("zoom-map").hidden = zoomed < 0 || !byId("zoom-map-shown").checked;
    byId("zoom-reading").hidden = true;
    if (!byId("zoom-map").hidden) drawLayer(byId("zoom-map"), currentZoom());
  }

  function closeZoom() {
    const focused = byId("zoom").contains(document.activeElement);
    const region = byId("regions").hidden ? byId("next") : byId("regions").children[zoomed];
    zoomed = -1;
    byId("zoom").hidden = true;
    byId("zoom-photo").removeAttribute("src");
    if (focused) (region ?? byId("next")).focus();
  }

  function showMarkButtons() {
    for (const mark of ["keep", "reject"]) byId(mark).setAttribute("aria-pressed", markOf(current) === mark);
  }

  function step(by) {
    const at = shown.indexOf(current);
    const next = at >= 0 ? shown[at + by] : shown[by > 0 ? position : position - 1];
    if (next) showPhoto(next);
  }

  // ---- Keys and controls ----

  function press(event) {
    if (event.ctrlKey || event.metaKey || event.altKey || byId("help").open) return;
    const typing = event.target.matches("[type='search'], [type='number'], select");
    if (typing || (event.target.type === "range" && event.key.startsWith("Arrow"))) return;
    const photo = viewer.open ? current : active;
    const inGrid = !viewer.open && grid.contains(event.target);
    const key = event.key.length === 1 ? event.key.toLowerCase() : event.key;
    if (viewer.open && ["ArrowLeft", "ArrowRight"].includes(key)) step(key === "ArrowLeft" ? -1 : 1);
    else if (inGrid && /^(Arrow|Home|End|Page)/.test(key)) focusPhoto(neighbour(key));
    else if ((key === "k" || key === "x") && photo && (viewer.open || inGrid)) setMark(photo, key === "k" ? "keep" : "reject");
    else if (key === "m" && viewer.open && layers.quality) byId("map-shown").click();
    else if (key === "d" && viewer.open && layers.detail) byId(zoomed >= 0 ? "zoom-map-shown" : "detail-shown").click();
    else if (key === "z" && viewer.open && layers.detail?.zooms.length) showZoom((zoomed + 1) % layers.detail.zooms.length);
    else if (key === "g" && !viewer.open && stacks.size) byId("stack").click();
    else if (key === "e" && inGrid) toggleStack(photo);
    else if (key === "/" && !viewer.open) byId("search").select();
    else if (key === "?") byId("help").showModal();
    else return;
    event.preventDefault();
  }

  document.addEventListener("keydown", press);
  byId("measure").addEventListener("input", () => chooseMeasure(byId("measure").value));
  for (const id of ["sort", "status", "reason", "folder", "search", "stack"]) byId(id).addEventListener("input", update);
  byId("stack").addEventListener("change", () => opened.clear());
  byId("reset").addEventListener("click", reset);
  byId("empty-reset").addEventListener("click", reset);
  byId("copy-keep").addEventListener("click", () => copyMarked("keep"));
  byId("copy-reject").addEventListener("click", () => copyMarked("reject"));
  byId("download").addEventListener("click", download);
  byId("help-button").addEventListener("click", () => byId("help").showModal());
  byId("previous").addEventListener("click", () => step(-1));
  byId("next").addEventListener("click", () => step(1));
  byId("close").addEventListener("click", () => viewer.close());
  for (const mark of ["keep", "reject"]) byId(mark).addEventListener("click", () => setMark(current, mark));
  for (const [kind, other] of [["quality", "detail"], ["detail", "quality"]]) {
    byId(SWITCHES[kind]).addEventListener("change", () => {
      if (byId(SWITCHES[kind]).checked) byId(SWITCHES[other]).checked = false;
      showMap();
    });
  }
  byId("opacity").addEventListener("input", () => {
    showMap();
    showZoomMap();
  });
  byId("frame").addEventListener("pointermove", (event) => readLayer(event, shownLayer(), byId("frame"), byId("reading")));
  byId("frame").addEventListener("pointerleave", () => (byId("reading").hidden = true));
  byId("frame").addEventListener("click", zoomAt);
  byId("zoom-frame").addEventListener("pointermove", (event) => readLayer(event, currentZoom(), byId("zoom-frame"), byId("zoom-reading")));
  byId("zoom-frame").addEventListener("pointerleave", () => (byId("zoom-reading").hidden = true));
  byId("zoom-map-shown").addEventListener("change", showZoomMap);
  byId("zoom-next").addEventListener("click", () => showZoom((zoomed + 1) % layers.detail.zooms.length));
  byId("zoom-close").addEventListener("click", closeZoom);
  viewer.addEventListener("cancel", (event) => {
    if (zoomed < 0) return;
    event.preventDefault(); // Escape: back to the whole photo
    closeZoom();
  });
  viewer.addEventListener("click", (event) => event.target === viewer && viewer.close());
  viewer.addEventListener("close", () => {
    byId("photo").onerror = null;
    byId("photo").removeAttribute("src");
    focusPhoto(shown.includes(current) ? current : active);
  });
  let frameAsked = false;
  window.addEventListener("scroll", () => {
    if (frameAsked) return;
    frameAsked = true;
    requestAnimationFrame(() => {
      frameAsked = false;
      render();
    });
  }, { passive: true });
  new ResizeObserver(() => grid.clientWidth !== room && layOut()).observe(grid);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => {
    readRamp();
    update();
    showMap();
  });

  const folders = [...new Set(photos.map((photo) => photo.folder))].sort();
  byId("folder").append(...folders.map((folder, index) => {
    const option = element("option", "", folder);
    option.value = index;
    return option;
  }));
  byId("folders").hidden = folders.length < 2;
  byId("reason").append(...Object.entries(data.faults).flatMap(([name, words]) => {
    const count = photos.filter((photo) => photo.named?.includes(name)).length;
    if (!count) return [];
    const option = element("option", "", `${words} (${number(count)})`);
    option.value = name;
    return [option];
  }));
  if (!hasReasons) for (const part of document.querySelectorAll(".of-reasons")) part.hidden = true;
  byId("stacking").hidden = !stacks.size;
  if (!photos.some((photo) => photo.detail !== undefined)) {
    for (const part of document.querySelectorAll(".of-detail")) {
      if (part.tagName === "OPTION") part.remove();
      else part.hidden = true;
    }
  }
  readRamp();
  listenToHistogram();
  showMarks();
  chooseMeasure("score");
}
