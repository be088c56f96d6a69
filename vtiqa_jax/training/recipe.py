"""What a training recipe decides, and its state between epochs."""

import abc
import dataclasses
import math
from typing import Any, ClassVar, Literal

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Float, Int

from vtiqa_jax.data.distorted import LEVELS
from vtiqa_jax.data.loader import Batch
from vtiqa_jax.data.splits import Split
from vtiqa_jax.models.compute_dtype import DtypeChoice
from vtiqa_jax.models.params import Params
from vtiqa_jax.models.vtiqa import HEAD_DROPOUT, ModelConfig


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
    """Epochs since then, as the recipe counts them."""
    note: str = ""
    """What the last epoch led to, for people."""
    improved: bool = False
    """Whether the last epoch's weights are the best so far."""
    restore_best: bool = False
    """Whether the next epoch begins from the best weights."""
    done: bool = False

    def is_better(self, metric: float | None) -> bool:
        """Whether `metric` is the best so far. NaN never is; None, without photos to select on, always is."""
        return metric is None or (math.isfinite(metric) and metric > self.best)


def order_loss(
    outputs: Float[Array, " batch"], chains: Float[Array, " batch"], places: Float[Array, " batch"], margin: float
) -> Float[Array, ""]:
    """Hinge loss over the pairs of neighbouring levels of a chain: the score has to fall by `margin` times the step.

    A step that hardly anybody sees, as from the untouched photo to the lowest level, so costs little.

    Args:
        outputs: standardised scores, higher ones better.
        chains: the chain that each photo belongs to; -1 for none.
        places: its place there: 0 for untouched, 1, 2, ... for the levels of `data/distorted.py`.
        margin: for a step from level 0 to 1, in standard deviations of the training scores.
    """
    one, other = (slice(None), None), (None, slice(None))
    pairs = (chains[one] == chains[other]) & (chains[one] >= 0) & (places[one] + 1 == places[other])
    steps = jnp.diff(jnp.array((0, *LEVELS), jnp.float32))[places.astype(jnp.int32)]
    missing = jax.nn.relu(margin * steps[one] - (outputs[one] - outputs[other]))
    return jnp.where(pairs, missing, 0).sum() / jnp.maximum(pairs.sum(dtype=jnp.float32), 1)


class Recipe(abc.ABC):
    """How a model is trained. A recipe is a frozen dataclass whose fields are its settings."""

    selection_metric: ClassVar[Literal["plcc", "srcc"]] = "srcc"
    """The metric by which the best epoch is selected."""
    must_select: ClassVar[bool] = False
    """Whether the recipe's course depends on that metric: it then takes however few photos there are to select on."""
    batch_size: int
    """Photos a step, over all devices together."""
    seed: int
    """Of the head's initialisation, the order of the photos, the augmentation and the dropout."""
    compute_dtype: DtypeChoice
    """What the transformer multiplies in."""
    ema: float = 0.0
    """Decay of the average of the weights that is evaluated and kept; 0 for the weights themselves."""
    drop_path: float = 0.0
    """Rate at which the last block's branches are skipped."""
    head_dropout: float = HEAD_DROPOUT
    """Rate at which the head's inputs are dropped."""
    freeze_backbone: bool = False
    """The head alone learns, on features that are computed once."""
    chains: int = 0
    """Training photos that are also shown untouched and at rising levels of a distortion, see `data/distorted.py`."""
    leave_out: tuple[str, ...] = ()
    """Distortions that no chain shows."""
    chains_per_batch: int = 4
    """Chains in a step."""
    order_weight: float = 0.0
    """Weight of `order_loss` beside the recipe's loss, when there are chains."""
    order_margin: float = 0.0
    """See `order_loss`."""

    def init_head(self, params: Params) -> Params:
        """The parameters of a freshly initialised model, with the head as this recipe initialises it."""
        return params

    def label_stats(self, mos: Float[np.ndarray, " n"]) -> tuple[float, float]:
        """Mean and standard deviation that labels are standardised with; (0, 1) for raw labels."""
        return 0.0, 1.0

    def is_trainable(self, name: str, config: ModelConfig, *, head_only: bool) -> bool:
        """Whether a parameter learns."""
        return True

    @abc.abstractmethod
    def optimizer(self, config: ModelConfig) -> optax.GradientTransformation:
        """Gradients to the updates that, times the learning rate, are subtracted from the parameters."""

    @abc.abstractmethod
    def augment(self, key: Array, batch: Batch, config: ModelConfig) -> tuple[Array, Array]:
        """The global views and the mosaics of a batch, uint8, not yet normalised."""

    @abc.abstractmethod
    def loss(self, outputs: Any, batch: Batch) -> tuple[Float[Array, ""], dict[str, Array]]:
        """The loss over the photos whose `mask` is 1.

        Args:
            outputs: what the model returns; of `VTIQA` scores [batch].
            batch: its `labels` are standardised by `label_stats`; other columns are as they were read.

        Returns:
            The loss, and scalars to log by name.
        """

    def selection(self, split: Split) -> Int[np.ndarray, " n"]:
        """The rows of a split that select the best epoch; without any the last one is kept."""
        return split.val[:0] if split.too_few_to_select and not self.must_select else split.selection

    def init_schedule(self) -> ScheduleState:
        """The state before the first epoch."""
        return ScheduleState()

    @abc.abstractmethod
    def update_schedule(self, state: ScheduleState, metric: float | None) -> ScheduleState:
        """The state after an epoch; `metric` is the selection metric, None without photos to select on."""

    @abc.abstractmethod
    def learning_rate(self, state: ScheduleState, step: int, steps_per_epoch: int) -> float:
        """The learning rate of step `step`, counted from the start of the run."""

    def remaining_epochs(self, state: ScheduleState) -> int | None:
        """How many epochs are to come; None when that is not known."""
        return None
