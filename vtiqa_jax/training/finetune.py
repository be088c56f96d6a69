"""The recipe of this project: AdamW, cosine, one learning rate per depth; docs/experiments.md says why each piece."""

import dataclasses
import math
from collections.abc import Mapping
from typing import Any, ClassVar

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax.sharding import Mesh
from jaxtyping import Array, Float, Int

from vtiqa_jax.data import distorted
from vtiqa_jax.data.batches import AuxiliaryPhotos
from vtiqa_jax.data.distortions import DISTORTIONS, Distortion
from vtiqa_jax.data.loader import Batch
from vtiqa_jax.data.manifest import Manifest
from vtiqa_jax.errors import UserError
from vtiqa_jax.models import views
from vtiqa_jax.models.compute_dtype import DtypeChoice
from vtiqa_jax.models.config import LabelScale, ModelConfig
from vtiqa_jax.models.params import layer_index, param_group
from vtiqa_jax.models.vtiqa import HEAD_DROPOUT
from vtiqa_jax.training.features import HeadAlone
from vtiqa_jax.training.learner import Learner
from vtiqa_jax.training.ranking import ranking_loss
from vtiqa_jax.training.recipe import Recipe, ScheduleState


@dataclasses.dataclass(frozen=True)
class FinetuneRecipe(Recipe):
    """AdamW with warm-up and cosine, a learning rate per depth, L1 and PLCC loss."""

    distortions: ClassVar[Mapping[str, Distortion]] = DISTORTIONS
    """Distortions that the ladders show, by name."""

    epochs: int = 8
    """Passes over the training photos."""
    batch_size: int = 32
    """Photos in a step, over all devices together."""
    peak_lr: float = 1e-4
    """Peak learning rate of the backbone's last block."""
    head_lr: float = 1e-3
    """Peak learning rate of the head."""
    layer_decay: float = 0.8
    """Learning rate of each block, as a share of that of the block after it."""
    freeze_blocks: int = 0
    """Number of first blocks that are frozen, with the embedding. Their backward pass is not computed."""
    freeze_backbone: bool = False
    """Train only the head, on features that are computed once: minutes, not hours. A second training with --checkpoint
    and --keep-head can then train all layers."""
    weight_decay: float = 0.05
    """Weight decay of AdamW, on matrices only."""
    warmup: float = 0.1
    """Share of the steps in which the learning rate rises. Afterwards it falls along a cosine."""
    plcc_weight: float = 1.0
    """Weight of 1 - PLCC of the batch, beside the L1 loss on standardised labels."""
    drop_path: float = 0.0
    """Rate at which a photo skips a branch of the last block. It falls in even steps to 0 at the first block."""
    ema: float = 0.0
    """Decay of the average of the weights that is evaluated and kept. 0 keeps the weights themselves."""
    head_dropout: float = HEAD_DROPOUT
    """Rate at which the head's inputs are dropped. The release has 0.5."""
    ladders: int = 0
    """Number of distortion ladders made of training photos. The model learns their order beside the labels."""
    leave_out: tuple[str, ...] = ()
    """Distortions that no ladder shows, to see whether the model notices what it was not taught."""
    ladders_per_batch: int = 4
    """Ladders in a step, beside --recipe.batch-size photos with labels."""
    ranking_weight: float = 0.5
    """Weight of the hinge loss on neighbouring levels of a ladder."""
    ranking_margin: float = 1.4
    """Least fall of the score from a pristine photo to its grossest distortion, in standard deviations of the training
    labels. Each level has its share."""
    compute_dtype: DtypeChoice = "auto"
    """Type of the transformer's products; parameters and sums are float32. auto takes bfloat16 on hardware that
    multiplies it. A run keeps the type that it began with."""
    seed: int = 0
    """Seed of the head's initialisation, the order of the photos, the augmentation and the dropout."""

    def __post_init__(self) -> None:
        if self.epochs < 1 or self.batch_size < 2:
            raise UserError("--recipe.epochs must be at least 1 and --recipe.batch-size at least 2")
        if min(self.peak_lr, self.head_lr) <= 0 or self.freeze_blocks < 0:
            raise UserError("learning rates must be above 0 and --recipe.freeze-blocks at least 0")
        if not all(0 <= rate < 1 for rate in (self.drop_path, self.head_dropout, self.ema)):
            raise UserError("--recipe.drop-path, --recipe.head-dropout and --recipe.ema must be at least 0 and below 1")
        if unknown := set(self.leave_out) - set(self.distortions):
            raise UserError(
                f"--recipe.leave-out: unknown distortion {min(unknown)}; choose from {', '.join(self.distortions)}"
            )
        if set(self.leave_out) >= set(self.distortions):
            raise UserError("--recipe.leave-out leaves no distortion; leave out --recipe.ladders instead")
        if self.leave_out and not self.ladders:
            raise UserError("--recipe.leave-out needs --recipe.ladders")
        if min(self.ranking_weight, self.ranking_margin) < 0:
            raise UserError("--recipe.ranking-weight and --recipe.ranking-margin must be at least 0")
        if self.freeze_backbone and (self.freeze_blocks or self.drop_path):
            raise UserError(
                "--recipe.freeze-backbone excludes --recipe.freeze-blocks and --recipe.drop-path; leave them out"
            )
        if self.ladders < 0 or self.ladders_per_batch < 1:
            raise UserError("--recipe.ladders must be at least 0 and --recipe.ladders-per-batch at least 1")

    def label_stats(self, mos: Float[np.ndarray, " n"]) -> tuple[float, float]:
        """Labels are standardised, so that one learning rate fits every label scale."""
        return float(mos.mean()), float(mos.std())

    def auxiliary_photos(self, photos: Manifest, rows: Int[np.ndarray, " n"], scale: LabelScale) -> AuxiliaryPhotos:
        """Makes distorted versions of training photos, a ladder in a group."""
        if not self.ladders:
            return AuxiliaryPhotos(photos)
        better = scale.higher_is_better
        longer, ladders = distorted.add_ladders(
            photos, rows, self.ladders, self.leave_out, higher_is_better=better, distortions=self.distortions
        )
        columns = distorted.ladder_columns(ladders, len(longer.names), higher_is_better=better)
        return AuxiliaryPhotos(longer, ladders, self.ladders_per_batch, columns)

    def learner(self, config: ModelConfig, mesh: Mesh) -> Learner:
        """Returns the whole model, or the head alone."""
        if self.freeze_backbone:
            return HeadAlone(config, mesh, self.compute_dtype, self.head_dropout)
        return super().learner(config, mesh)

    def is_trainable(self, name: str, config: ModelConfig, *, head_only: bool) -> bool:
        """Lets everything after the frozen blocks learn, or the head alone."""
        if self.freeze_backbone:
            return param_group(name)[0] == "head"
        return self.freeze_blocks == 0 or layer_index(name, config.depth) > self.freeze_blocks

    def optimizer(self, config: ModelConfig) -> optax.GradientTransformation:
        """Returns AdamW with clipping; each parameter has its own share of the head's learning rate."""
        if self.freeze_blocks > config.depth:
            raise UserError(f"--recipe.freeze-blocks {self.freeze_blocks}, but the model has {config.depth} blocks")

        def peak(name: str) -> float:
            if param_group(name)[0] == "head":
                return self.head_lr
            return self.peak_lr * self.layer_decay ** max(0, config.depth - layer_index(name, config.depth))

        def matrices(params: Any) -> Any:
            return {name: array.ndim == 2 for name, array in params.items()}

        def scale_by_depth(updates: Any, _: Any) -> Any:
            return {name: update * (peak(name) / self.head_lr) for name, update in updates.items()}

        return optax.chain(
            optax.clip_by_global_norm(1.0),
            optax.scale_by_adam(),
            optax.add_decayed_weights(self.weight_decay, matrices),
            optax.stateless(scale_by_depth),
        )

    def augment(self, key: Array, batch: Batch, config: ModelConfig) -> tuple[Array, Array]:
        """Draws crop, mosaic offsets and one flip for both views, for each photo by itself."""
        small, large = batch["global_images"], batch["local_images"]
        count, height, width, _ = large.shape
        grid, patch = config.mosaic_grid, config.mosaic_patch
        keys = jax.random.split(key, 4)
        corner = jax.random.randint(keys[0], (count, 2), 0, config.global_resize - config.view_size + 1)
        rows = jax.random.randint(keys[1], (count, grid), 0, height // grid - patch + 1)
        cols = jax.random.randint(keys[2], (count, grid), 0, width // grid - patch + 1)
        flipped = jax.random.bernoulli(keys[3], shape=(count,))
        global_view = views.crop(small, corner[:, 0], corner[:, 1], config.view_size)
        return views.flip(global_view, flipped), views.flip(views.mosaic(large, rows, cols, patch), flipped)

    def loss(self, outputs: Float[Array, " batch"], batch: Batch) -> tuple[Float[Array, ""], dict[str, Array]]:
        """Returns mean absolute error plus `plcc_weight` times 1 - PLCC; with ladders also their ranking loss."""
        labels, mask = batch["labels"], batch["mask"]
        weights = mask / mask.sum()
        centred, centred_labels = outputs - (weights * outputs).sum(), labels - (weights * labels).sum()
        # The sums of squares may be 0 (equal labels in a small batch): the constant keeps the gradient finite.
        norms = jnp.sqrt((mask * centred**2).sum() * (mask * centred_labels**2).sum() + 1e-6)
        plcc = (mask * centred * centred_labels).sum() / norms
        l1 = (weights * jnp.abs(outputs - labels)).sum()
        loss, logged = l1 + self.plcc_weight * (1 - plcc), {"l1": l1, "batch_plcc": plcc}
        if not self.ladders:
            return loss, logged
        ranking = ranking_loss(batch["signs"] * outputs, batch["ladders"], batch["level_index"], self.ranking_margin)
        return loss + self.ranking_weight * ranking, logged | {"ranking": ranking}

    def update_schedule(self, state: ScheduleState, metric: float | None) -> ScheduleState:
        """Counts the epochs and remembers the best."""
        better = state.is_better(metric)
        return dataclasses.replace(
            state,
            epoch=state.epoch + 1,
            best=metric if better and metric is not None else state.best,
            epochs_since_best=0 if better else state.epochs_since_best + 1,
            note="best" if better and metric is not None else "",
            improved=better,
            done=state.epoch + 1 == self.epochs,
        )

    def learning_rate(self, state: ScheduleState, step: int, steps_per_epoch: int) -> float:
        """Returns the head's: up along a line, down along a cosine."""
        steps = self.epochs * steps_per_epoch
        warmup = max(1, round(steps * self.warmup))
        # Plain floats: Optax's schedules would start half a dozen operations on the device for each step.
        if step < warmup:
            return self.head_lr * (step + 1) / warmup
        return self.head_lr * 0.5 * (1 + math.cos(math.pi * (step - warmup) / max(1, steps - warmup)))

    def remaining_epochs(self, state: ScheduleState) -> int | None:
        """Returns a number that is known from the start."""
        return self.epochs - state.epoch
