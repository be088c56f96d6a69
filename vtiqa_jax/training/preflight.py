"""Checks before a run begins: refusals, and notes to the person."""

from collections.abc import Collection, Iterator
from typing import Any

import jax
import numpy as np

from vtiqa_jax.data import distorted, loader, splits
from vtiqa_jax.data.manifest import Manifest
from vtiqa_jax.data.splits import Split
from vtiqa_jax.errors import UserError
from vtiqa_jax.models.checkpoint import Checkpoint
from vtiqa_jax.models.compute_dtype import slow_dtype_note
from vtiqa_jax.training.features import FEATURE_COLUMN
from vtiqa_jax.training.options import TrainOptions
from vtiqa_jax.training.recipe import Recipe
from vtiqa_jax.training.run_checkpointer import SavedState

RESERVED = frozenset({"labels", loader.MASK, FEATURE_COLUMN, *loader.IMAGE_COLUMNS, *distorted.LADDER_COLUMNS})
"""Names of a batch's own columns; no column of a CSV may take its place."""
FEW_PHOTOS = 300
"""Training photos up to which a kept head is proposed: a new one learns less of so few than the old one knows."""


def check_targets(photos: Manifest, taken: Collection[str] = RESERVED) -> None:
    """Checks that no target column has the name of something else in a batch.

    Args:
        photos: with their target columns.
        taken: names of what else there is in a batch.

    Raises:
        UserError: one has.
    """
    if both := sorted(photos.targets.keys() & set(taken)):
        raise UserError(f"a target column cannot be called {both[0]}: batches have one of that name; rename it")


def check_labels(photos: Manifest, split: Split, recipe: Recipe) -> None:
    """Checks that there is something to learn, and something to select an epoch by.

    Raises:
        UserError: all training photos, or all that select, have one score.
    """
    train_mos, selection = photos.mos[split.train], recipe.selection(split)
    if np.ptp(train_mos) == 0:
        raise UserError(f"all {len(train_mos)} training photos have the same score, {train_mos[0]:g}: nothing to learn")
    if len(selection) and np.ptp(photos.mos[selection]) == 0:
        raise UserError(
            f"all {len(selection)} {split.selection_part} photos have the same score: they cannot select an epoch"
        )


def check_left_out(saved: SavedState | None, left_out: list[str]) -> None:
    """Checks that the photos that cannot be read are those that a run began without.

    Raises:
        UserError: they are others; names one.
    """
    if saved is None or saved.step < 0:
        return
    if different := set(left_out) ^ set(saved.metadata.get("left out", [])):
        raise UserError(
            f"the run in this folder began with other photos: {min(different)}"
            f" {'can no longer' if min(different) in left_out else 'could not then, and can now'} be read; name another"
            " --workdir"
        )


def leakage_warning(start: Checkpoint, data: Any, split: str) -> str:
    """Returns a warning when the model that a training starts from was trained on the same data by another split."""
    trained = start.provenance.get("trained", {})
    while trained:
        if trained.get("data") == data and trained.get("split sha256") != split:
            seen = f"the model of --checkpoint has seen photos of {data}"
            return f"{seen}, perhaps some that are tested on here: another split"
        trained = trained.get("started from", {}).get("trained", {})
    return ""


def notes(
    split: Split, start: Checkpoint, before: Checkpoint | None, options: TrainOptions, data: Any, split_hash: str
) -> Iterator[str]:
    """Yields what a person should know of a run before it begins, a line each.

    Args:
        split: of the run.
        start: the model that is trained.
        before: the model that `start` was made from.
        options: of the run.
        data: what is trained on, as provenance has it.
        split_hash: of the split.
    """
    if note := leakage_warning(start, data, split_hash):
        yield note
    if note := slow_dtype_note(options.recipe.compute_dtype, jax.default_backend()):
        yield note
    if split.too_few_to_select:
        kept = "but this recipe does" if options.recipe.must_select else "so the last epoch is kept"
        yield (
            f"{len(split.val)} validation photos are too few to choose the best epoch ({splits.FEWEST_TO_SELECT} are"
            f" needed), {kept}. --val-fraction 0 trains on them as well."
        )
    if before is None or before.scale is None or options.keep_head:
        return
    same_inputs = all(
        getattr(before.config, name) == getattr(start.config, name) for name in ("depth", "readout_blocks")
    )
    if same_inputs and len(split.train) <= FEW_PHOTOS:
        model = "the packaged model" if options.checkpoint == "default" else options.checkpoint
        yield (
            f"{len(split.train)} photos are few for a head that starts from nothing; with --keep-head it starts from"
            f" that of {model}."
        )
