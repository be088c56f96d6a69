"""Splits: the photos that train, those that select the best epoch, and those that are tested on at the end.

Protocols: `clean` has train, validation and test; photos of one scene stay in one part. `paper` has the authors' splits
(release, data_preparation and training scripts), without validation photos: they selected the best epoch on the test
photos, and results obtained so say it. `official` is the split that comes with a data set.
"""

import dataclasses
import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import Any, Literal

import numpy as np
from jaxtyping import Int

from vtiqa_jax.data.names import match_names
from vtiqa_jax.errors import UserError

Protocol = Literal["clean", "paper", "official"]
PARTS = ("train", "val", "test")
FORMAT = "vtiqa-jax split 1"
TRAIN_SHARE = 0.8
FEWEST_TO_SELECT = 20
"""Validation photos that can select an epoch. A correlation of n photos is off by about 1 / sqrt(n - 1): by .23 of 20,
several times what one epoch differs from the next; with fewer the best one is drawn by lot."""
RELEASED_SEEDS = {"koniq10k": 0, "spaq": 0, "livew": 4, "rbid": 2, "cid2013": 4}
"""Seeds of the one shuffle in the release's test scripts, test_example_of_*.py."""
ASSUMED = {
    "spaq": "the order before shuffling was not published; taken as the photos' names, sorted, as for KonIQ-10k",
    "livew": "the order before shuffling was not published; taken as the .mat file's, all 1,169 rows with the 7"
    " practice photos",
    "rbid": "the order before shuffling was not published; taken as the photos' numbers, as for KonIQ-10k",
    "cid2013": "the order before shuffling was not published and is not certain; taken as the photos' names, sorted",
}


@dataclasses.dataclass(frozen=True)
class Split:
    """Rows of a manifest."""

    train: Int[np.ndarray, " train"]
    val: Int[np.ndarray, " val"]
    test: Int[np.ndarray, " test"]
    select_on_test: bool = False
    """Whether the test photos select the best epoch, for want of validation photos."""
    note: str = ""
    """Note for people: how the split was made, and on which assumptions."""

    @property
    def selection(self) -> Int[np.ndarray, " n"]:
        """The rows that select the best epoch; when there are none the last epoch is kept."""
        return self.test if self.select_on_test else self.val

    @property
    def selection_part(self) -> str:
        """The part that they are: validation or test."""
        return "test" if self.select_on_test else "validation"

    @property
    def too_few_to_select(self) -> bool:
        """Whether there are validation photos, but so few that they would select an epoch by chance."""
        return not self.select_on_test and 0 < len(self.val) < FEWEST_TO_SELECT

    def without(self, rows: Sequence[int]) -> "Split":
        """Returns the split without some rows.

        Raises:
            UserError: a part that had photos is left with too few for a correlation.
        """
        kept = {part: np.setdiff1d(getattr(self, part), np.asarray(rows, np.int64)) for part in PARTS}
        for part, left in kept.items():
            if len(left) < 2 and len(getattr(self, part)):
                raise UserError(f"{len(left)} photos are left to {part}, and a correlation needs 2")
        return dataclasses.replace(self, **kept)


def _partition_from_end(count: int, order: np.ndarray, sizes: Sequence[int]) -> list[np.ndarray]:
    """Cuts `order` into its last sizes[0] rows, the sizes[1] before them, ..., and the rest."""
    parts, end = [], count
    for size in sizes:
        parts.append(np.sort(order[end - size : end]))
        end -= size
    return [*parts, np.sort(order[:end])]


def _sample_scenes(rows: np.ndarray, scenes: np.ndarray, fraction: float, rng: np.random.Generator) -> np.ndarray:
    """Draws complete scenes until they come as near to `fraction` of the rows as they can."""
    target, selected = fraction * len(rows), np.zeros(len(rows), bool)
    for scene in rng.permutation(np.unique(scenes)):
        members = scenes == scene
        if selected.sum() + members.sum() / 2 <= target:
            selected |= members
    return rows[selected]


def random_split(
    count: int,
    *,
    test_fraction: float,
    val_fraction: float,
    seed: int,
    in_order: bool = False,
    scenes: Sequence[str] = (),
) -> Split:
    """Returns a split drawn at random.

    Args:
        count: rows to divide.
        test_fraction: share of them to test on.
        val_fraction: share of the others to validate on.
        seed: of the shuffling.
        in_order: takes the test rows, and before them the validation rows, from the end instead of shuffling.
        scenes: one for each row; no scene is in two parts.

    Raises:
        UserError: a part is too small for a correlation, or scenes are given with `in_order`.
    """
    for name, fraction in (("--test-fraction", test_fraction), ("--val-fraction", val_fraction)):
        if not 0 <= fraction < 1:
            raise UserError(f"{name} must be at least 0 and below 1, not {fraction:g}")
    rng = np.random.default_rng(seed)
    if scenes:
        if in_order:
            raise UserError("scenes are kept together by shuffling them: leave out --in-order")
        names = np.asarray(scenes)
        test = _sample_scenes(np.arange(count), names, test_fraction, rng)
        rest = np.setdiff1d(np.arange(count), test)
        val = _sample_scenes(rest, names[rest], val_fraction, rng)
        train = np.setdiff1d(rest, val)
        note = f"{len(set(scenes))} scenes divided, none in two parts; seed {seed}"
    else:
        order = np.arange(count) if in_order else rng.permutation(count)
        test_size = round(count * test_fraction)
        sizes = (test_size, round((count - test_size) * val_fraction))
        test, val, train = _partition_from_end(count, order, sizes)
        note = "the file's order" if in_order else f"shuffled, seed {seed}"
    for part, rows, share in (("train", train, 1.0), ("validate", val, val_fraction), ("test", test, test_fraction)):
        if len(rows) == 1 or (len(rows) == 0 and share > 0):
            raise UserError(
                f"of {count} photos {len(rows)} would be left to {part} on, and a correlation needs 2;"
                " add photos, or change --test-fraction and --val-fraction (0 is allowed)"
            )
    return Split(train, val, test, note=note)


def authors_split(dataset: str, names: Sequence[str], index: int | None = None, *, complete: bool = True) -> Split:
    """Returns a split of the authors of VT-IQA.

    Preparation: the sorted names are shuffled by seed 0 of NumPy's legacy generator. The test scripts shuffle that
    order once more; the training script shuffles for i = 0, 1, ... by seed i the order that i - 1 left. Each time the
    first int(0.8 n) train. Exact for KonIQ-10k; for the others see ASSUMED.

    Args:
        dataset: the data set's name.
        names: all photos of its table, in the table's order.
        index: the split of the training script, 0 to 9; None for that of the released weights.
        complete: whether `names` are all there are. When they are not, the split is another one and its note says so.

    Raises:
        UserError: the paper did not use this data set.
    """
    if dataset not in RELEASED_SEEDS:
        raise UserError(f"the paper did not use {dataset}; take --protocol clean or official")
    count = len(names)
    keep_order = dataset == "livew"
    order = np.arange(count) if keep_order else np.array(sorted(range(count), key=lambda row: names[row]))
    seeds = [0, RELEASED_SEEDS[dataset]] if index is None else [0, *range(index + 1)]
    for seed in seeds:
        order = order[np.random.RandomState(seed).permutation(count)]
    train_size = int(TRAIN_SHARE * count)
    which = "of the released weights" if index is None else f"{index} of the training script"
    note = f"the authors' split {which}; the best epoch is selected on the TEST photos, as they did"
    if not complete:
        note = f"drawn as the authors drew theirs, but from {count} photos only, so NOT {note}"
    if dataset in ASSUMED:
        note += f"; assumption: {ASSUMED[dataset]}"
    none = np.empty(0, np.int64)
    return Split(np.sort(order[:train_size]), none, np.sort(order[train_size:]), select_on_test=True, note=note)


def restrict_to(split: Split, all_names: Sequence[str], names: Sequence[str]) -> Split:
    """Returns the split of a part of the photos.

    Args:
        split: rows of `all_names`.
        all_names: all photos.
        names: those that are there, matched by `names.match_names`; the result has rows of these.

    Raises:
        UserError: fewer than two are left to train or to test on.
    """
    rows = match_names(all_names, names, "the photos that are there")

    def restrict(part: np.ndarray) -> np.ndarray:
        listed = (all_names[int(row)] for row in part)
        return np.array(sorted(rows[name] for name in listed if name in rows), np.int64)

    train, val, test = restrict(split.train), restrict(split.val), restrict(split.test)
    if min(len(train), len(test)) < 2:
        raise UserError(f"{split.note}: only {len(train)} of its training and {len(test)} of its test photos are there")
    missing = len(all_names) - len(names)
    note = split.note + (f"; {missing} of its {len(all_names)} photos are not there" if missing else "")
    return dataclasses.replace(split, train=train, val=val, test=test, note=note)


def from_parts(parts: Sequence[str], *, val_fraction: float, seed: int, note: str, scenes: Sequence[str] = ()) -> Split:
    """Returns a split given as the part of each row.

    Args:
        parts: `train`, `val`, `test` or "" (none) for each row.
        val_fraction: share of the training rows that validate when no row is `val`.
        seed: draws them.
        note: see `Split.note`.
        scenes: one for each row; they are drawn in complete scenes.

    Raises:
        UserError: a part has another name, or too few photos.
    """
    labels = np.asarray(parts)
    unknown = set(parts) - {*PARTS, ""}
    if unknown:
        raise UserError(f"{note}: a part called {sorted(unknown)[0]!r}; they are train, val and test")
    train, val, test = (np.flatnonzero(labels == part) for part in PARTS)
    if len(val) == 0 and val_fraction > 0:
        rng = np.random.default_rng(seed)
        if scenes:
            val = _sample_scenes(train, np.asarray(scenes)[train], val_fraction, rng)
        else:
            val = np.sort(rng.permutation(train)[: round(val_fraction * len(train))])
        train = np.setdiff1d(train, val)
        note += f"; {len(val)} of its training photos drawn to validate, seed {seed}"
    if len(train) < 2 or len(val) == 1 or len(test) == 1:
        raise UserError(f"{note}: {len(train)} photos to train on, {len(val)} to validate, {len(test)} to test; need 2")
    return Split(train, val, test, note=note)


def hash_parts(parts: Mapping[str, Sequence[Any]], select_on_test: bool) -> str:
    """Returns a hash of which photos are in which part."""
    return hashlib.sha256(json.dumps([[parts[part] for part in PARTS], select_on_test]).encode()).hexdigest()


def to_json(split: Split, names: Sequence[str]) -> dict[str, Any]:
    """Returns the split as JSON: the photos of each part by name, with a hash."""
    parts = {part: [names[row] for row in getattr(split, part)] for part in PARTS}
    head = {"format": FORMAT, "note": split.note, "select_on_test": split.select_on_test}
    return head | {"sha256": hash_parts(parts, split.select_on_test)} | parts
