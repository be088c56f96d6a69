"""A training recipe: its decisions, and its state between epochs."""

import abc
import dataclasses
import math
from typing import Any, ClassVar

import numpy as np
import optax
from jax.sharding import Mesh
from jaxtyping import Array, Float, Int

from vtiqa_jax.data.batches import AuxiliaryPhotos
from vtiqa_jax.data.loader import Batch
from vtiqa_jax.data.manifest import Manifest
from vtiqa_jax.data.splits import Split
from vtiqa_jax.models.compute_dtype import DtypeChoice
from vtiqa_jax.models.config import LabelScale, ModelConfig
from vtiqa_jax.models.params import Params
from vtiqa_jax.models.vtiqa import HEAD_DROPOUT
from vtiqa_jax.training.learner import Learner
from vtiqa_jax.training.whole_model import WholeModel


@dataclasses.dataclass(frozen=True)
class ScheduleState:
    """All that a recipe remembers from epoch to epoch; plain JSON."""

    epoch: int = 0
    lr: float = 0.0
    """Learning rate of the published recipe; fine-tuning computes its own from the step."""
    head_only: bool = False
    best: float = -2.0
    """The best selection metric so far; below any correlation at first."""
    epochs_since_best: int = 0
    """Number of epochs since then, as the recipe counts them."""
    note: str = ""
    """Message for people about what the last epoch led to."""
    improved: bool = False
    """Whether the last epoch's weights are the best so far."""
    restore_best: bool = False
    """Whether the next epoch begins from the best weights."""
    done: bool = False

    def is_better(self, metric: float | None) -> bool:
        """Tells whether `metric` is the best so far. NaN never is; None, without photos to select on, always is."""
        return metric is None or (math.isfinite(metric) and metric > self.best)


class Recipe(abc.ABC):
    """How a model is trained. A recipe is a frozen dataclass whose fields are its settings."""

    selection_metric: ClassVar[str] = "srcc"
    """Name of the metric of `metrics.METRICS` that selects the best epoch, the one with the highest value."""
    must_select: ClassVar[bool] = False
    """Whether the recipe's course depends on that metric. It then accepts any number of photos to select on."""
    batch_size: int
    """Photos in a step, over all devices together."""
    seed: int
    """Seed of the head's initialisation, the order of the photos, the augmentation and the dropout."""
    compute_dtype: DtypeChoice
    """Type of the transformer's products."""
    ema: float = 0.0
    """Decay of the average of the weights that is evaluated and kept. 0 keeps the weights themselves."""
    drop_path: float = 0.0
    """Rate at which the last block's branches are skipped."""
    head_dropout: float = HEAD_DROPOUT
    """Rate at which the head's inputs are dropped."""

    def model_config(self, config: ModelConfig) -> ModelConfig:
        """Returns the model that is trained, by the config of the one that it starts from; the same by default.

        What it has beside that one's parameters is freshly initialised.
        """
        return config

    def init_head(self, params: Params) -> Params:
        """Returns the parameters of a freshly initialised model, with the head as this recipe initialises it."""
        return params

    def label_stats(self, mos: Float[np.ndarray, " n"]) -> tuple[float, float]:
        """Returns mean and standard deviation that labels are standardised with; (0, 1) for raw labels."""
        return 0.0, 1.0

    def is_trainable(self, name: str, config: ModelConfig, *, head_only: bool) -> bool:
        """Tells whether a parameter learns."""
        return True

    def auxiliary_photos(self, photos: Manifest, rows: Int[np.ndarray, " n"], scale: LabelScale) -> AuxiliaryPhotos:
        """Returns the photos that are shown beside those with labels; none by default.

        Args:
            photos: all photos with labels.
            rows: those that train.
            scale: what the labels mean.
        """
        return AuxiliaryPhotos(photos)

    def learner(self, config: ModelConfig, mesh: Mesh) -> Learner:
        """Returns what learns, and what it sees of a photo: the whole model, from views that `augment` draws."""
        return WholeModel(config, mesh, self.compute_dtype, self.augment, self.drop_path, self.head_dropout)

    @abc.abstractmethod
    def optimizer(self, config: ModelConfig) -> optax.GradientTransformation:
        """Gradients to the updates that, times the learning rate, are subtracted from the parameters."""

    @abc.abstractmethod
    def augment(self, key: Array, batch: Batch, config: ModelConfig) -> tuple[Array, Array]:
        """Returns the global views and the mosaics of a batch, uint8, not yet normalised."""

    @abc.abstractmethod
    def loss(self, outputs: Any, batch: Batch) -> tuple[Float[Array, ""], dict[str, Array]]:
        """Returns the loss over the photos whose `mask` is 1.

        Args:
            outputs: what the model returns; of `VTIQA` scores [batch].
            batch: its `labels` are standardised by `label_stats`; other columns are as they were read.

        Returns:
            The loss, and scalars to log by name.
        """

    def selection(self, split: Split) -> Int[np.ndarray, " n"]:
        """Returns the rows of a split that select the best epoch; without any the last one is kept."""
        return split.val[:0] if split.too_few_to_select and not self.must_select else split.selection

    def init_schedule(self) -> ScheduleState:
        """Returns the state before the first epoch."""
        return ScheduleState()

    @abc.abstractmethod
    def update_schedule(self, state: ScheduleState, metric: float | None) -> ScheduleState:
        """Returns the state after an epoch; `metric` is the selection metric, None without photos to select on."""

    @abc.abstractmethod
    def learning_rate(self, state: ScheduleState, step: int, steps_per_epoch: int) -> float:
        """Returns the learning rate of step `step`, counted from the start of the run."""

    def remaining_epochs(self, state: ScheduleState) -> int | None:
        """Returns how many epochs are to come; None when that is not known."""
        return None
