"""The recipe of this project: AdamW, cosine, one learning rate per depth; docs/experiments.md says why each piece."""

import dataclasses
import math
import re
from typing import Any, Literal

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


def depth_of(path: str, depth: int) -> int:
    """How early a parameter acts: 0 for the embedding, i + 1 for block i, depth + 1 for the final norm and the head."""
    block = re.match(r"backbone\.blocks\.(\d+)\.", path)
    if block:
        return int(block[1]) + 1
    return 0 if re.match(r"backbone\.(patch_embed|cls_token|pos_embed)", path) else depth + 1


@dataclasses.dataclass(frozen=True)
class Modern:
    """AdamW with warm-up and cosine, a learning rate per depth, L1 and PLCC loss."""

    epochs: int = 8
    """Passes over the training photos."""
    batch_size: int = 32
    """Photos a step, over all devices together."""
    peak_lr: float = 1e-4
    """Peak learning rate of the backbone's last block."""
    head_lr: float = 1e-3
    """Peak learning rate of the head."""
    layer_decay: float = 0.8
    """Each block learns this much slower than the one after it."""
    freeze_blocks: int = 0
    """Leave the embedding and the first N blocks as they are; their backward pass is not computed."""
    weight_decay: float = 0.05
    """AdamW's, on matrices only."""
    warmup: float = 0.1
    """Share of the steps in which the learning rate rises; it falls along a cosine afterwards."""
    plcc_weight: float = 1.0
    """Weight of 1 - PLCC of the batch beside the L1 loss on standardised labels."""
    drop_path: float = 0.0
    """Chance that a photo skips a branch of the last block; it falls in even steps to 0 at the first."""
    ema: float = 0.0
    """Decay of the average of the weights that is evaluated and kept; 0 keeps the weights themselves."""
    compute_dtype: ComputeDtype = "bfloat16"
    """Type of the products; parameters and sums are float32."""
    seed: int = 0
    """Of the head's first weights, the order of the photos, the augmentation and the dropout."""

    def __post_init__(self) -> None:
        if self.epochs < 1 or self.batch_size < 2:
            raise UserError("--recipe.epochs must be at least 1 and --recipe.batch-size at least 2")
        if min(self.peak_lr, self.head_lr) <= 0 or self.freeze_blocks < 0:
            raise UserError("learning rates must be above 0 and --recipe.freeze-blocks at least 0")
        if not (0 <= self.drop_path < 1 and 0 <= self.ema < 1):
            raise UserError("--recipe.drop-path and --recipe.ema must be at least 0 and below 1")

    @property
    def chooses_by(self) -> Literal["plcc", "srcc"]:
        """SRCC."""
        return "srcc"

    def head(self, params: Params) -> Params:
        """The head as the model draws it, but for the signs of its last layer, which alternate: units that can only add
        to the score (ReLU) leave bad photos no room, and a draw of mostly one sign cost .1 of SRCC among them."""
        last = np.abs(np.asarray(params["head.fc3.kernel"]))
        signs = np.where(np.arange(len(last)) % 2, -1, 1).astype(last.dtype)
        return params | {"head.fc3.kernel": last * signs[:, None]}

    def labels(self, mos: Float[np.ndarray, " n"]) -> tuple[float, float]:
        """Standardised, so that one learning rate fits every label scale."""
        return float(mos.mean()), float(mos.std())

    def trains(self, config: ModelConfig, path: str, *, head_only: bool) -> bool:
        """Everything after the frozen blocks."""
        return self.freeze_blocks == 0 or depth_of(path, config.depth) > self.freeze_blocks

    def transform(self, config: ModelConfig) -> optax.GradientTransformation:
        """AdamW with clipping; each parameter scaled to its own share of the head's learning rate."""
        if self.freeze_blocks > config.depth:
            raise UserError(f"--recipe.freeze-blocks {self.freeze_blocks}, but the model has {config.depth} blocks")

        def rate(path: str) -> float:
            if path.startswith("head."):
                return self.head_lr
            return self.peak_lr * self.layer_decay ** max(0, config.depth - depth_of(path, config.depth))

        def matrices(params: Any) -> Any:
            return {path: array.ndim == 2 for path, array in params.items()}

        def by_depth(updates: Any, _: Any) -> Any:
            return {path: update * (rate(path) / self.head_lr) for path, update in updates.items()}

        return optax.chain(
            optax.clip_by_global_norm(1.0),
            optax.scale_by_adam(),
            optax.add_decayed_weights(self.weight_decay, matrices),
            optax.stateless(by_depth),
        )

    def augment(
        self,
        key: Array,
        global_versions: UInt8[Array, "batch small small 3"],
        local_versions: UInt8[Array, "batch large large 3"],
        config: ModelConfig,
    ) -> tuple[Array, Array]:
        """Drawn for each photo by itself."""
        return views.augment(key, global_versions, local_versions, config)

    def loss(
        self, scores: Float[Array, " batch"], labels: Float[Array, " batch"], present: Float[Array, " batch"]
    ) -> Float[Array, ""]:
        """Mean absolute error plus `plcc_weight` times 1 - PLCC of the batch; labels are standardised."""
        weights = present / present.sum()
        centred, wanted = scores - (weights * scores).sum(), labels - (weights * labels).sum()
        # The sums of squares may be 0 (equal labels in a small batch): the constant keeps the gradient finite.
        norms = jnp.sqrt((present * centred**2).sum() * (present * wanted**2).sum() + 1e-6)
        plcc = (present * centred * wanted).sum() / norms
        return (weights * jnp.abs(scores - labels)).sum() + self.plcc_weight * (1 - plcc)

    def first(self) -> Course:
        """Before the first epoch."""
        return Course()

    def advance(self, course: Course, figure: float | None) -> Course:
        """Counts the epochs and remembers the best."""
        better = course.better(figure)
        return dataclasses.replace(
            course,
            epoch=course.epoch + 1,
            best=figure if better and figure is not None else course.best,
            since_best=0 if better else course.since_best + 1,
            event="best" if better and figure is not None else "",
            improved=better,
            done=course.epoch + 1 == self.epochs,
        )

    def lr(self, course: Course, step: int, steps_per_epoch: int) -> float:
        """The head's: up along a line, down along a cosine."""
        steps = self.epochs * steps_per_epoch
        warmup = max(1, round(steps * self.warmup))
        # Plain floats: Optax's schedules would start half a dozen operations on the device for each step.
        if step < warmup:
            return self.head_lr * (step + 1) / warmup
        return self.head_lr * 0.5 * (1 + math.cos(math.pi * (step - warmup) / max(1, steps - warmup)))

    def epochs_left(self, course: Course) -> int | None:
        """Known from the start."""
        return self.epochs - course.epoch
