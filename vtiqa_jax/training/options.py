"""The options of a training, as the command line shows them."""

import dataclasses
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from vtiqa_jax.training.finetune import FinetuneRecipe
from vtiqa_jax.training.published import PublishedRecipe

Pair = Parameter(negative_bool="no-")
"""Of --plots and --no-plots, say."""


@dataclasses.dataclass(frozen=True)
class SplitOptions:
    """How photos are divided."""

    test_fraction: float = 0.2
    """Share of the photos that is tested on once, at the end."""
    val_fraction: float = 0.1
    """Share of the other photos that selects the best epoch; 0 keeps the last one."""
    split_seed: int = 0
    """Shuffles the photos before they are divided."""
    splits: int = 1
    """Train on so many splits, one after the other, and report the median and the interquartile range."""
    split_file: Path | None = None
    """Take the split from a file: split.json of an earlier run, pyiqa's .csv or .pkl, or a folder of LIQE's lists."""
    split_column: str = "official_split"
    """In pyiqa's .csv the column with the part; of its .pkl the number of the split."""
    split_names: Path | None = None
    """pyiqa's .csv that the row numbers in its .pkl refer to."""


@dataclasses.dataclass(frozen=True)
class MachineOptions:
    """Memory, saving, logs, several machines."""

    image_cache: Path | None = None
    """Where decoded photos, and their features, are kept; share it among runs on the same photos."""
    photos_on_device: Annotated[bool | None, Pair] = None
    """Keep all photos in the devices' memory; when not given, if they take at most half of what is free."""
    save_every: int = 500
    """Steps after which the state of the run is saved, besides after each epoch."""
    log_every: int = 50
    """Steps after which the loss is logged within an epoch."""
    plots: Annotated[bool, Pair] = True
    """Whether the curve, the scatter plot and TensorBoard's events are made after an epoch, besides metrics.jsonl."""
    coordinator: str | None = None
    """Train with other processes: "auto" finds SLURM, Kubernetes or MPI, HOST:PORT is process 0's address."""
    processes: int | None = None
    """How many there are, with HOST:PORT."""
    process_id: int | None = None
    """Which of them this is, from 0, with HOST:PORT."""


@dataclasses.dataclass(frozen=True)
class TrainOptions:
    """What every training has."""

    workdir: Path = Path("runs/train")
    """Where the results go. The same command again resumes a run that was stopped."""
    checkpoint: str = "default"
    """The checkpoint to start from, or "default" for the model that comes with the package."""
    keep_head: bool = False
    """Start from the checkpoint's head, too, mapped to the new label scale; otherwise a new one is initialised."""
    readout_blocks: tuple[int, ...] = ()
    """The blocks, counted from 1, whose class tokens the head sees; those after the last are dropped. The checkpoint's
    own, or its last block, when not given."""
    eval_mosaics: int = 3
    """Mosaics that the trained model scores a photo by, their class tokens averaged; the release has 1."""
    view_size: int | None = None
    """Side of both views, pixels, a multiple of the patch; positions are interpolated. The checkpoint's by default."""
    screen_side: int | None = None
    """Shrink photos whose longer side has more pixels to this many, with antialiasing. The checkpoint's when not given:
    512 for the packaged model, never for converted weights."""
    recipe: FinetuneRecipe | PublishedRecipe = FinetuneRecipe()
    """How to train."""
    split: Annotated[SplitOptions, Parameter(name="*", group="Split")] = SplitOptions()
    machine: Annotated[MachineOptions, Parameter(name="*", group="Machine")] = MachineOptions()
