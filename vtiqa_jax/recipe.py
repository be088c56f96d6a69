"""What a training recipe decides, and where in its course a run stands."""

import dataclasses
import math
from typing import Literal, Protocol, runtime_checkable

import numpy as np
import optax
from jaxtyping import Array, Float, UInt8

from vtiqa_jax.config import ModelConfig
from vtiqa_jax.model import ComputeDtype
from vtiqa_jax.params import Params


@dataclasses.dataclass(frozen=True)
class Course:
    """Where a run stands before an epoch. All that a recipe remembers from epoch to epoch; plain JSON."""

    epoch: int = 0
    lr: float = 0.0
    """Of the released recipe; `modern` computes its own from the step."""
    head_only: bool = False
    best: float = -2.0
    """The best figure so far on the photos that choose the epoch; below any correlation at first."""
    since_best: int = 0
    """Epochs since then, as the recipe counts them."""
    event: str = ""
    """What the last epoch led to, for people."""
    improved: bool = False
    """Whether the last epoch's weights are the best so far."""
    reload: bool = False
    """Whether the next epoch begins from the best weights."""
    done: bool = False

    def better(self, figure: float | None) -> bool:
        """Whether `figure` is the best so far; without photos to choose on the last epoch is. NaN never is."""
        return figure is None or (math.isfinite(figure) and figure > self.best)


@runtime_checkable
class Recipe(Protocol):
    """How a model is trained: `Modern` or `Released`."""

    @property
    def batch_size(self) -> int:
        """Photos a step, over all devices together."""
        ...

    @property
    def seed(self) -> int:
        """Of everything drawn."""
        ...

    @property
    def compute_dtype(self) -> ComputeDtype:
        """Type of the products."""
        ...

    @property
    def ema(self) -> float:
        """Decay of the average of the weights that is evaluated and kept; 0 for the weights themselves."""
        ...

    @property
    def drop_path(self) -> float:
        """Chance that a photo skips a branch of the last block."""
        ...

    @property
    def chooses_by(self) -> Literal["plcc", "srcc"]:
        """The figure by which the best epoch is chosen."""
        ...

    def head(self, params: Params) -> Params:
        """Freshly drawn parameters of the model's head, in place of those in `params`."""
        ...

    def labels(self, mos: Float[np.ndarray, " n"]) -> tuple[float, float]:
        """The mean and the spread of the training photos' MOS that labels are standardised with; (0, 1) for raw."""
        ...

    def trains(self, config: ModelConfig, path: str, *, head_only: bool) -> bool:
        """Whether this parameter learns in this stage."""
        ...

    def transform(self, config: ModelConfig) -> optax.GradientTransformation:
        """Gradients to the direction that, times the learning rate, is taken off the parameters."""
        ...

    def augment(
        self,
        key: Array,
        global_versions: UInt8[Array, "batch small small 3"],
        local_versions: UInt8[Array, "batch large large 3"],
        config: ModelConfig,
    ) -> tuple[Array, Array]:
        """The two views of a batch."""
        ...

    def loss(
        self, scores: Float[Array, " batch"], labels: Float[Array, " batch"], present: Float[Array, " batch"]
    ) -> Float[Array, ""]:
        """The loss over the photos for which `present` is 1; the others only fill the batch."""
        ...

    def first(self) -> Course:
        """The course before the first epoch."""
        ...

    def advance(self, course: Course, figure: float | None) -> Course:
        """The course after an epoch whose figure on the choosing photos was `figure`; None without such photos."""
        ...

    def lr(self, course: Course, step: int, steps_per_epoch: int) -> float:
        """The learning rate of step `step`, counted from the start of the run."""
        ...

    def epochs_left(self, course: Course) -> int | None:
        """How many epochs are to come; None when that is not known."""
        ...
