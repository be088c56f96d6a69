"""The published recipe (release, training/training_example_of_koniq.py), as a state machine over epochs.

SGD without momentum on the L1 loss of raw labels, first the head alone, then everything, at four learning rates in
turn; then, on every plateau, back to the best weights at 0.3 of the rate.
"""

import dataclasses
from typing import Literal

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Float, UInt8

from vtiqa_jax import views
from vtiqa_jax.config import ModelConfig
from vtiqa_jax.errors import UserError
from vtiqa_jax.model import ComputeDtype
from vtiqa_jax.params import Params
from vtiqa_jax.recipe import Course

FIRST_LR = 0.01
UNFREEZE_AFTER = 10
RATE_AFTER = {10: 0.001, 20: 0.005, 30: 0.03}
"""Learning rates by the epoch after which they are taken; epochs count from 0."""
PATIENCE = 20
"""Epochs without a better PLCC, from epoch 21 on, that make a plateau."""
PLATEAU_FACTOR = 0.3
LAST_LR = 5e-5


@dataclasses.dataclass(frozen=True)
class Released:
    """The published recipe: SGD, L1, head first, plateaus with return to the best weights."""

    max_epochs: int = 2000
    """Stop here when the learning rate has not run out before (the authors' runs took 255 to 265)."""
    batch_size: int = 192
    """Photos a step, over all devices together (the authors: 48 on each of 4 GPUs)."""
    weight_decay: float = 1e-3
    """Added to the gradient of every parameter, biases included."""
    compute_dtype: ComputeDtype = "float32"
    """Type of the products; the authors' is float32."""
    seed: int = 0
    """Of the head's first weights, the order of the photos, the augmentation and the dropout."""

    def __post_init__(self) -> None:
        if self.max_epochs < 1 or self.batch_size < 2:
            raise UserError("--recipe.max-epochs must be at least 1 and --recipe.batch-size at least 2")

    @property
    def ema(self) -> float:
        """None."""
        return 0.0

    @property
    def drop_path(self) -> float:
        """None."""
        return 0.0

    @property
    def chooses_by(self) -> Literal["plcc", "srcc"]:
        """PLCC."""
        return "plcc"

    def head(self, params: Params) -> Params:
        """The head as PyTorch draws a linear layer: weights and biases uniform within 1 / sqrt(inputs)."""
        rng = np.random.default_rng(self.seed)
        drawn = {}
        for path in sorted(path for path in params if path.startswith("head.")):
            inputs = params[path.rsplit(".", 1)[0] + ".kernel"].shape[0]
            drawn[path] = rng.uniform(-1, 1, params[path].shape).astype(np.float32) * np.float32(inputs**-0.5)
        return params | drawn

    def labels(self, mos: Float[np.ndarray, " n"]) -> tuple[float, float]:
        """Raw."""
        return 0.0, 1.0

    def trains(self, config: ModelConfig, path: str, *, head_only: bool) -> bool:
        """The head alone at first, then everything."""
        return path.startswith("head.") or not head_only

    def transform(self, config: ModelConfig) -> optax.GradientTransformation:
        """Plain SGD with PyTorch's coupled weight decay. Without state, so rebuilding it each epoch changes nothing."""
        return optax.add_decayed_weights(self.weight_decay)

    def augment(
        self,
        key: Array,
        global_versions: UInt8[Array, "batch small small 3"],
        local_versions: UInt8[Array, "batch large large 3"],
        config: ModelConfig,
    ) -> tuple[Array, Array]:
        """Drawn once for the batch. The global view is mirrored when its crop lies left of the middle, the mosaic
        never is; row i and column i of the mosaic share one offset, as the generator was seeded twice."""
        crop_key, mosaic_key = jax.random.split(key)
        span = config.global_size - config.view_size
        top, left = jax.random.randint(crop_key, (2,), 0, span)
        pitch = local_versions.shape[1] // config.grid
        offsets = jax.random.randint(mosaic_key, (config.grid,), 0, pitch - config.cell)
        view = views.crop(global_versions, top, left, config.view_size)
        return (
            views.flip(view, left < span // 2),
            views.mosaic(local_versions, offsets, offsets, config.cell),
        )

    def loss(
        self, scores: Float[Array, " batch"], labels: Float[Array, " batch"], present: Float[Array, " batch"]
    ) -> Float[Array, ""]:
        """Mean absolute error."""
        return (present * jnp.abs(scores - labels)).sum() / present.sum()

    def first(self) -> Course:
        """The head alone, at its rate."""
        return Course(lr=FIRST_LR, head_only=True)

    def advance(self, course: Course, figure: float | None) -> Course:
        """The state machine. Errors: UserError without photos to choose on."""
        if figure is None:
            raise UserError(
                "the released recipe chooses the best epoch: give it validation photos, or --protocol paper"
            )
        epoch, lr, events = course.epoch, course.lr, []
        since, better = course.since_best + 1, course.better(figure)
        if better:
            since = 0
            events.append("best")
        if epoch in RATE_AFTER:
            lr = RATE_AFTER[epoch]
            events.append(f"lr {lr:g}")
        if epoch == UNFREEZE_AFTER:
            events.append("all layers from now on")
        if epoch == max(RATE_AFTER):
            since = 1
        plateau = since > PATIENCE and epoch > max(UNFREEZE_AFTER, 20)
        if plateau:
            lr, since = lr * PLATEAU_FACTOR, 0
            events.append(f"back to the best weights, lr {lr:.3g}")
        done = epoch + 1 >= self.max_epochs or (plateau and lr < LAST_LR)
        return Course(
            epoch=epoch + 1,
            lr=lr,
            head_only=course.head_only and epoch < UNFREEZE_AFTER,
            best=figure if better else course.best,
            since_best=since,
            event="; ".join([*events, *(["end"] if done else [])]),
            improved=better,
            reload=plateau and not done,
            done=done,
        )

    def lr(self, course: Course, step: int, steps_per_epoch: int) -> float:
        """One for the whole epoch."""
        return course.lr

    def epochs_left(self, course: Course) -> int | None:
        """Nobody knows."""
        return None
