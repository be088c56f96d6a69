"""The options of a training, as the command line shows them."""

import dataclasses
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from vtiqa_jax.training.finetune import FinetuneRecipe
from vtiqa_jax.training.published import PublishedRecipe

Pair = Parameter(negative_bool="no-")
"""Parameter with two options, such as --plots and --no-plots."""


@dataclasses.dataclass(frozen=True)
class SplitOptions:
    """Options for dividing the photos."""

    test_fraction: float = 0.2
    """Share of the photos for the test, once, at the end."""
    val_fraction: float = 0.1
    """Share of the other photos that selects the best epoch. 0 keeps the last epoch."""
    split_seed: int = 0
    """Seed of the shuffle before the photos are divided."""
    splits: int = 1
    """Number of splits to train on, one after the other. The median and the interquartile range are reported."""
    split_file: Path | None = None
    """File with the split: split.json of an earlier run, pyiqa's .csv or .pkl, or a folder of LIQE's lists."""
    split_column: str = "official_split"
    """Column of pyiqa's .csv that names the part, or the number of the split in its .pkl."""
    split_names: Path | None = None
    """Table of pyiqa, .csv, that the row numbers in its .pkl refer to."""


@dataclasses.dataclass(frozen=True)
class MachineOptions:
    """Options for memory, saving, logs and several machines."""

    image_cache: Path | None = None
    """Folder for decoded photos and their features. Runs on the same photos can share it."""
    photos_on_device: Annotated[bool | None, Pair] = None
    """Keep all photos in the devices' memory. When not given, if they take at most half of what is free."""
    save_every: int = 500
    """Steps between two saves of the run's state, besides one after each epoch."""
    log_every: int = 50
    """Steps between two logs of the loss within an epoch."""
    plots: Annotated[bool, Pair] = True
    """Draw the curve and the scatter plot and write TensorBoard's events after each epoch, besides metrics.jsonl."""
    coordinator: str | None = None
    """Address of process 0, HOST:PORT, to train with other processes. "auto" asks SLURM, Kubernetes or MPI."""
    processes: int | None = None
    """Number of processes, with HOST:PORT."""
    process_id: int | None = None
    """Number of this process, from 0, with HOST:PORT."""


@dataclasses.dataclass(frozen=True)
class TrainOptions:
    """Options that every training has."""

    workdir: Path = Path("runs/train")
    """Folder for the results. The same command again resumes a run that was stopped."""
    checkpoint: str = "default"
    """Model to start from: the folder of a checkpoint, an .npz file, or "default" for the packaged model."""
    keep_head: bool = False
    """Start from the checkpoint's head too, mapped to the new label scale. Otherwise a new one is initialised."""
    readout_blocks: tuple[int, ...] = ()
    """Blocks, counted from 1, whose class tokens the head sees; blocks after the last are dropped. When not given,
    those of the checkpoint, or its last block."""
    eval_mosaics: int = 3
    """Number of mosaics that the trained model scores a photo by, their class tokens averaged. The release has 1."""
    view_size: int | None = None
    """Side of both views in pixels, a multiple of the patch. The checkpoint's when not given."""
    screen_side: int | None = None
    """Longer side, in pixels, to which larger photos are shrunk with antialiasing. The checkpoint's when not given:
    512 for the packaged model, none for converted weights."""
    recipe: FinetuneRecipe | PublishedRecipe = FinetuneRecipe()
    """Settings of the recipe."""
    split: Annotated[SplitOptions, Parameter(name="*", group="Split")] = SplitOptions()
    machine: Annotated[MachineOptions, Parameter(name="*", group="Machine")] = MachineOptions()
