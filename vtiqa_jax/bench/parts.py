"""The photos of a data set that a model may be tested on: none that it was trained on."""

import dataclasses
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
from jaxtyping import Int

from vtiqa_jax.data import split_files, splits
from vtiqa_jax.data.datasets.info import Dataset
from vtiqa_jax.data.manifest import ImageFolder
from vtiqa_jax.errors import UserError

Part = Literal["clean", "official", "paper", "all"]


@dataclasses.dataclass(frozen=True)
class Training:
    """One training of a model, or of the model that it began with."""

    titles: tuple[str, ...]
    """Titles of the data sets."""
    protocol: str | None
    """See `splits.Protocol`."""
    split_hash: str | None
    """Hash of the split, see `splits.hash_parts`; None where it is not known."""


def list_trainings(provenance: Mapping[str, Any]) -> list[Training]:
    """Lists the trainings in a checkpoint's provenance, the last one first."""
    found = []
    trained = provenance.get("trained", {})
    while trained:
        data = trained.get("data", [])
        titles = (data,) if isinstance(data, str) else tuple(data)
        found.append(Training(titles, trained.get("protocol"), trained.get("split sha256")))
        trained = trained.get("started from", {}).get("trained", {})
    return found


@dataclasses.dataclass(frozen=True)
class TestPart:
    """The photos of a data set that a model is tested on."""

    __test__ = False  # no test of pytest's

    dataset: Dataset
    rows: Int[np.ndarray, " n"]
    name: str
    """Name for people, such as `official test`."""
    is_trained_on: bool
    """Whether other photos of the set trained the model."""
    has_leak: bool
    """Whether some of these photos did, or may have."""

    @property
    def photos(self) -> list[Path]:
        """Their files."""
        images = self.dataset.photos.images
        assert isinstance(images, ImageFolder)
        return [images.path(self.dataset.photos.names[row]) for row in self.rows]


def choose_test_part(
    found: Dataset,
    trainings: Sequence[Training],
    *,
    part: Part = "clean",
    split_file: Path | None = None,
    partial: bool = False,
) -> TestPart:
    """Chooses the photos to test on.

    Args:
        found: the data set.
        trainings: of the model.
        part: `clean`: the official test photos, or the whole set where it has no official split; the others are what
            `splits.Protocol` has, and may hold photos that trained the model, which `has_leak` tells.
        split_file: takes the test photos of this split instead; of a model that was trained by it, say.
        partial: passes over photos of the split that are not there.

    Raises:
        UserError: by `clean`, photos of this part trained the model, or may have; or there is no such part.
    """
    # The authors' group keeps LIVE in the Wild's practice photos, and so do its splits.
    dataset = found if part == "paper" or split_file else found.without_practice()
    title, name = dataset.info.title, dataset.info.name
    names, split_hash = dataset.photos.names, None
    official = np.flatnonzero(np.asarray(dataset.official) == "test")
    if split_file is not None:
        split = split_files.load(split_file, names, val_fraction=0.0, seed=0, partial=partial, data_set=name)
        rows, told, split_hash = split.test, f"test of {split_file.name}", _read_hash(split_file)
    elif part == "paper":
        split = splits.authors_split(name, dataset.all_names, complete=dataset.complete)
        split = splits.restrict_to(split, dataset.all_names, names)
        rows, told, split_hash = split.test, "the authors' test", splits.to_json(split, names)["sha256"]
    elif part == "official" and not len(official):
        raise UserError(f"{title} has no official split, or its table is missing")
    elif part != "all" and len(official):
        rows, told = official, "official test"
    else:
        rows, told = np.arange(len(names)), "all"
    seen = [training for training in trainings if title in training.titles]
    has_leak = False
    for training in seen:
        is_of_split = split_hash is not None and training.split_hash == split_hash
        is_official = training.protocol == "official" and len(official) > 0 and bool(np.isin(rows, official).all())
        is_promised = split_file is not None and training.split_hash is None  # by whoever gave the file
        has_leak |= not (is_of_split or is_official or is_promised)
    if has_leak and part == "clean":
        reason = "the model was trained on photos of this set, perhaps on some of these"
        if split_file is not None:
            reason = f"{split_file} is not the split by which the model was trained"
        raise UserError(
            f"{title}: {reason}; give that run's split with --split-files {name}=RUN/split.json, or leave the set out"
        )
    return TestPart(dataset, rows, told, bool(seen), has_leak)


def _read_hash(split_file: Path) -> str | None:
    """Reads the hash of a split of ours; None for those of others."""
    return json.loads(split_file.read_text(encoding="utf-8")).get("sha256") if split_file.suffix == ".json" else None
