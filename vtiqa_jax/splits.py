"""Which photos train, which choose the best epoch, and which are read at the end.

Two protocols. `clean`: train, validation and test; photos of one scene stay in one part. `paper`: the authors' splits
(release, data_preparation and training scripts), without validation photos: they chose the best epoch on the test
photos, and results obtained so say it.
"""

import csv
import dataclasses
import hashlib
import json
import pickle
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
from jaxtyping import Int

from vtiqa_jax.errors import UserError

Protocol = Literal["clean", "paper", "official"]
PARTS = ("train", "val", "test")
FORMAT = "vtiqa-jax split 1"
TRAIN_SHARE = 0.8
RELEASED_SEEDS = {"koniq10k": 0, "spaq": 0, "livew": 4, "rbid": 2, "cid2013": 4}
"""Of the one shuffle in the release's test scripts, test_example_of_*.py."""
ASSUMED = {
    "spaq": "the order before shuffling was not published; taken as the photos' names, sorted, as for KonIQ-10k",
    "livew": "the order before shuffling was not published; taken as the .mat file's, all 1,169 rows with the 7"
    " practice photos",
    "rbid": "the order before shuffling was not published; taken as the photos' numbers, as for KonIQ-10k",
    "cid2013": "the order before shuffling was not published and is not certain; taken as the photos' names, sorted",
}


@dataclasses.dataclass(frozen=True)
class Split:
    """Rows of a manifest. Without validation photos, `chosen_on_test` says whether the test photos choose the epoch."""

    train: Int[np.ndarray, " train"]
    val: Int[np.ndarray, " val"]
    test: Int[np.ndarray, " test"]
    chosen_on_test: bool = False
    note: str = ""
    """How it came about, for people; what was assumed, if anything was."""

    @property
    def choosing(self) -> Int[np.ndarray, " n"]:
        """The rows on which the best epoch is chosen; none keep the last epoch."""
        return self.test if self.chosen_on_test else self.val


def _whole(count: int, order: np.ndarray, held: Sequence[int]) -> list[np.ndarray]:
    """Cuts `order` from its end: the last held[0] rows, before them held[1], ..., and what is left."""
    parts, end = [], count
    for size in held:
        parts.append(np.sort(order[end - size : end]))
        end -= size
    return [*parts, np.sort(order[:end])]


def _by_scene(rows: np.ndarray, scenes: np.ndarray, fraction: float, rng: np.random.Generator) -> np.ndarray:
    """Whole scenes, in random order, until they come as near to `fraction` of the rows as they can."""
    wanted, taken = fraction * len(rows), np.zeros(len(rows), bool)
    for scene in rng.permutation(np.unique(scenes)):
        members = scenes == scene
        if taken.sum() + members.sum() / 2 <= wanted:
            taken |= members
    return rows[taken]


def clean(
    count: int,
    *,
    test_fraction: float,
    val_fraction: float,
    seed: int,
    in_order: bool = False,
    scenes: Sequence[str] = (),
) -> Split:
    """Divides `count` rows: `test_fraction` of them to test and, of those left, `val_fraction` to validate.

    Shuffled by `seed`; with `in_order` the file's last rows instead; with `scenes` (one for each row) no scene is in
    two parts. Errors: UserError when a part is too small for a correlation, or scenes are to be taken in order.
    """
    for name, fraction in (("--test-fraction", test_fraction), ("--val-fraction", val_fraction)):
        if not 0 <= fraction < 1:
            raise UserError(f"{name} must be at least 0 and below 1, not {fraction:g}")
    rng = np.random.default_rng(seed)
    if scenes:
        if in_order:
            raise UserError("scenes are kept together by shuffling them: leave out --in-order")
        names = np.asarray(scenes)
        test = _by_scene(np.arange(count), names, test_fraction, rng)
        learning = np.setdiff1d(np.arange(count), test)
        val = _by_scene(learning, names[learning], val_fraction, rng)
        train = np.setdiff1d(learning, val)
        note = f"{len(set(scenes))} scenes divided, none in two parts; seed {seed}"
    else:
        order = np.arange(count) if in_order else rng.permutation(count)
        tested = round(count * test_fraction)
        test, val, train = _whole(count, order, (tested, round((count - tested) * val_fraction)))
        note = "the file's order" if in_order else f"shuffled, seed {seed}"
    for part, rows, wanted in (("train", train, 1.0), ("validate", val, val_fraction), ("test", test, test_fraction)):
        if len(rows) == 1 or (len(rows) == 0 and wanted > 0):
            raise UserError(
                f"of {count} photos {len(rows)} would be left to {part} on, and a correlation needs 2;"
                " change --test-fraction and --val-fraction (0 is allowed)"
            )
    return Split(train, val, test, note=note)


def released(dataset: str, names: Sequence[str], index: int | None = None, *, complete: bool = True) -> Split:
    """The authors' split: that of the released weights, or number `index` (0 to 9) of their training script.

    Preparation: the sorted names are shuffled by seed 0 of NumPy's legacy generator. The test scripts shuffle that
    order once more; the training script shuffles for i = 0, 1, ... by seed i the order that i - 1 left. Each time the
    first int(0.8 n) train. Exact for KonIQ-10k; for the others see ASSUMED. `names` are all photos of the data set's
    table; when they are not (`complete`), the split is another one and its note says so. Errors: UserError.
    """
    if dataset not in RELEASED_SEEDS:
        raise UserError(f"the paper did not use {dataset}; take --protocol clean or official")
    count = len(names)
    keep_order = dataset == "livew"
    order = np.arange(count) if keep_order else np.array(sorted(range(count), key=lambda row: names[row]))
    seeds = [0, RELEASED_SEEDS[dataset]] if index is None else [0, *range(index + 1)]
    for seed in seeds:
        order = order[np.random.RandomState(seed).permutation(count)]
    trained = int(TRAIN_SHARE * count)
    which = "of the released weights" if index is None else f"{index} of the training script"
    note = f"the authors' split {which}; the best epoch is chosen on the TEST photos, as they did"
    if not complete:
        note = f"drawn as the authors drew theirs, but from {count} photos only, so NOT {note}"
    if dataset in ASSUMED:
        note += f"; assumption: {ASSUMED[dataset]}"
    none = np.empty(0, np.int64)
    return Split(np.sort(order[:trained]), none, np.sort(order[trained:]), chosen_on_test=True, note=note)


def among(split: Split, listed: Sequence[str], names: Sequence[str]) -> Split:
    """A split of the photos `listed` as one of those of them that are in `names`, by their places there.

    Errors: UserError when fewer than two are left to train or to test on.
    """
    rows = {name: row for row, name in enumerate(names)}

    def kept(part: np.ndarray) -> np.ndarray:
        there = (listed[int(row)] for row in part)
        return np.array(sorted(rows[name] for name in there if name in rows), np.int64)

    train, val, test = kept(split.train), kept(split.val), kept(split.test)
    if min(len(train), len(test)) < 2:
        raise UserError(f"{split.note}: of its photos {len(train)} to train and {len(test)} to test on are there")
    left_out = len(listed) - len(names)
    note = split.note + (f"; {left_out} of its {len(listed)} photos are not there" if left_out else "")
    return dataclasses.replace(split, train=train, val=val, test=test, note=note)


def from_parts(parts: Sequence[str], *, val_fraction: float, seed: int, note: str, scenes: Sequence[str] = ()) -> Split:
    """The split that names a part for each row ("" for none). Without a `val` part, `val_fraction` of `train` is drawn
    for it by `seed`, in whole `scenes` where these are given. Errors: UserError for another name or too few photos."""
    labels = np.asarray(parts)
    unknown = set(parts) - {*PARTS, ""}
    if unknown:
        raise UserError(f"{note}: a part called {sorted(unknown)[0]!r}; they are train, val and test")
    train, val, test = (np.flatnonzero(labels == part) for part in PARTS)
    if len(val) == 0 and val_fraction > 0:
        rng = np.random.default_rng(seed)
        if scenes:
            val = _by_scene(train, np.asarray(scenes)[train], val_fraction, rng)
        else:
            val = np.sort(rng.permutation(train)[: round(val_fraction * len(train))])
        train = np.setdiff1d(train, val)
        note += f"; {len(val)} of its training photos drawn to validate, seed {seed}"
    if len(train) < 2 or len(val) == 1 or len(test) == 1:
        raise UserError(f"{note}: {len(train)} photos to train on, {len(val)} to validate, {len(test)} to test; need 2")
    return Split(train, val, test, note=note)


def _digest(parts: Mapping[str, Sequence[Any]], chosen_on_test: bool) -> str:
    told = [[parts[part] for part in PARTS], chosen_on_test]
    return hashlib.sha256(json.dumps(told).encode()).hexdigest()


def names_of(split: Split, names: Sequence[str]) -> dict[str, Any]:
    """The split as JSON: the photos of each part by name, with a hash."""
    parts = {part: [names[row] for row in getattr(split, part)] for part in PARTS}
    head = {"format": FORMAT, "note": split.note, "chosen_on_test": split.chosen_on_test}
    return head | {"sha256": _digest(parts, split.chosen_on_test)} | parts


class _Primitives(pickle.Unpickler):
    """Reads pickles of dicts, lists, numbers and text; whatever would call anything is refused."""

    def find_class(self, module: str, name: str) -> Any:
        raise pickle.UnpicklingError(f"it carries code ({module}.{name})")


def _listed(path: Path, folder_part: str) -> list[str]:
    """Names in the one file of a folder whose name ends in `folder_part`: a path and a score to a line (LIQE)."""
    files = [file for file in sorted(path.iterdir()) if file.stem.endswith(folder_part)]
    if len(files) > 1:
        raise UserError(f"{path} holds more than one split: {', '.join(file.name for file in files)}")
    if not files:
        return []
    return [line.split("\t")[0].strip() for line in files[0].read_text().splitlines() if line.strip()]


def _table(path: Path) -> list[dict[str, str]]:
    """pyiqa's meta information: a CSV whose first column names the photo."""
    with path.open(newline="", encoding="utf-8-sig") as file:
        dialect = "excel-tab" if "\t" in file.readline() else "excel"
        file.seek(0)
        return list(csv.DictReader(file, dialect=dialect))


def _read(path: Path, column: str, meta: Path | None) -> tuple[dict[str, list[str]], bool]:
    """The names in each part, and whether the test photos choose the epoch."""
    if path.is_dir():
        return {part: _listed(path, part) for part in PARTS}, False
    if path.suffix == ".json":
        told = json.loads(path.read_text())
        parts = {part: [str(name) for name in told[part]] for part in PARTS}
        chosen_on_test = bool(told["chosen_on_test"])
        if told["format"] != FORMAT or told["sha256"] != _digest(parts, chosen_on_test):
            raise ValueError("its hash does not fit: it was changed or cut off")
        return parts, chosen_on_test
    if path.suffix == ".csv":
        rows = _table(path)
        if rows and column not in rows[0]:
            raise ValueError(f"no column `{column}` (found: {', '.join(rows[0])}); name one with --split-column")
        return {part: [next(iter(row.values())) for row in rows if row[column] == part] for part in PARTS}, False
    if path.suffix == ".pkl":
        if meta is None:
            raise ValueError("it holds row numbers of pyiqa's meta information; give that CSV with --split-names")
        with path.open("rb") as file:
            told = _Primitives(file).load()
        key = int(column) if column.isdigit() else 1
        names = [next(iter(row.values())) for row in _table(meta)]
        rows = {part: list(told[key].get(part, [])) for part in PARTS}
        if min((row for part in PARTS for row in rows[part]), default=0) < 0:
            raise ValueError("a row number below 0")
        return {part: [names[row] for row in rows[part]] for part in PARTS}, False
    raise ValueError("its kind is not known: .json of this project, .csv or .pkl of pyiqa, or a folder of LIQE's lists")


_MALFORMED = (ValueError, KeyError, TypeError, IndexError, AttributeError, pickle.UnpicklingError)
"""What reading a file of another form raises."""


def load(
    path: Path,
    names: Sequence[str],
    *,
    column: str = "official_split",
    meta: Path | None = None,
    val_fraction: float,
    seed: int,
    partial: bool = False,
    scenes: Sequence[str] = (),
) -> Split:
    """A split from a file: ours (.json), pyiqa's (.csv with the part in `column`; .pkl with row numbers of the CSV
    `meta`, `column` being the number of the split, 1 when it is no number) or a folder with LIQE's lists.

    Photos are matched by name, or by the last component of it where those are unique. `partial` passes over photos
    that are not in `names`. With `scenes`, one for each photo, none may be in two parts. Errors: UserError.
    """
    try:
        parts, chosen_on_test = _read(path, column, meta)
    except (OSError, EOFError, ArithmeticError, MemoryError, RecursionError, csv.Error, *_MALFORMED) as error:
        reason = f"{error} is missing in it" if isinstance(error, KeyError) else error or "it is damaged"
        raise UserError(f"{path} cannot be read as a split: {reason}") from error

    def key(name: str) -> str:
        return name.replace("\\", "/").rsplit("/", 1)[-1] if by_last else name

    by_last = len({Path(name).name for name in names}) == len(names)
    rows = {key(name): row for row, name in enumerate(names)}
    labels = [""] * len(names)
    for part in PARTS:
        for name in parts[part]:
            row = rows.get(key(name))
            if row is None:
                if partial:
                    continue
                raise UserError(f"{path} lists {name}, which is not among the {len(names)} photos")
            if labels[row] and labels[row] != part:
                raise UserError(f"{path} lists {name} in {labels[row]} and in {part}")
            labels[row] = part
    drawn = 0.0 if chosen_on_test else val_fraction
    split = from_parts(labels, val_fraction=drawn, seed=seed, note=f"from {path.name}", scenes=scenes)
    if scenes:
        parts_of: dict[str, set[str]] = {}
        for part in PARTS:
            for row in getattr(split, part):
                parts_of.setdefault(scenes[int(row)], set()).add(part)
        for scene, found in sorted(parts_of.items()):
            if len(found) > 1:
                raise UserError(f"{path} puts photos of the scene {scene} into {' and '.join(sorted(found))}")
    return dataclasses.replace(split, chosen_on_test=chosen_on_test)
