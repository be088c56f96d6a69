"""The published recipe (release, training/training_example_of_koniq.py), as a state machine over epochs.

SGD without momentum on the L1 loss of raw labels, first the head alone, then everything, at four learning rates in
turn; then, on every plateau, back to the best weights at 0.3 of the rate.
"""

import dataclasses
from typing import ClassVar

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Float

from vtiqa_jax.data.loader import Batch
from vtiqa_jax.errors import UserError
from vtiqa_jax.models import views
from vtiqa_jax.models.compute_dtype import DtypeChoice
from vtiqa_jax.models.config import ModelConfig
from vtiqa_jax.models.params import Params, param_group
from vtiqa_jax.training.recipe import Recipe, ScheduleState

FIRST_LR = 0.01
UNFREEZE_AFTER = 10
RATE_AFTER = {10: 0.001, 20: 0.005, 30: 0.03}
"""Learning rates by the epoch after which they are taken; epochs count from 0."""
PATIENCE = 20
"""Epochs without a better PLCC, from epoch 21 on, that make a plateau."""
PLATEAU_FACTOR = 0.3
LAST_LR = 5e-5


@dataclasses.dataclass(frozen=True)
class PublishedRecipe(Recipe):
    """The published recipe: SGD, L1, head first, plateaus with return to the best weights."""

    selection_metric: ClassVar[str] = "plcc"
    must_select: ClassVar[bool] = True

    max_epochs: int = 2000
    """Most passes over the training photos; mostly the learning rate runs out before (the authors': after 255 to
    265)."""
    batch_size: int = 192
    """Photos in a step, over all devices together. The authors had 48 on each of 4 GPUs."""
    weight_decay: float = 1e-3
    """Weight decay, added to the gradient of every parameter, biases included."""
    compute_dtype: DtypeChoice = "float32"
    """Type of the transformer's products. The authors' is float32."""
    seed: int = 0
    """Seed of the head's initialisation, the order of the photos, the augmentation and the dropout."""

    def __post_init__(self) -> None:
        if self.max_epochs < 1 or self.batch_size < 2:
            raise UserError("--recipe.max-epochs must be at least 1 and --recipe.batch-size at least 2")

    def init_head(self, params: Params) -> Params:
        """Initialises the head as PyTorch a linear layer: weights and biases uniform within 1 / sqrt(inputs)."""
        rng = np.random.default_rng(self.seed)
        head = {}
        for name in sorted(name for name in params if param_group(name)[0] == "head"):
            inputs = params[name.rsplit(".", 1)[0] + ".kernel"].shape[0]
            head[name] = rng.uniform(-1, 1, params[name].shape).astype(np.float32) * np.float32(inputs**-0.5)
        return params | head

    def is_trainable(self, name: str, config: ModelConfig, *, head_only: bool) -> bool:
        """Lets the head alone learn at first, then everything."""
        return param_group(name)[0] == "head" or not head_only

    def optimizer(self, config: ModelConfig) -> optax.GradientTransformation:
        """Returns SGD with PyTorch's coupled weight decay; without state, so that rebuilding it changes nothing."""
        return optax.add_decayed_weights(self.weight_decay)

    def augment(self, key: Array, batch: Batch, config: ModelConfig) -> tuple[Array, Array]:
        """Draws crop, flip and mosaic once for the batch.

        The global view is flipped when its crop lies left of the middle, the mosaic never is; row i and column i of the
        mosaic share one offset, as the authors seeded their generator twice.
        """
        small, large = batch["global_images"], batch["local_images"]
        crop_key, mosaic_key = jax.random.split(key)
        span = config.global_resize - config.view_size
        top, left = jax.random.randint(crop_key, (2,), 0, span)
        pitch = large.shape[1] // config.mosaic_grid
        offsets = jax.random.randint(mosaic_key, (config.mosaic_grid,), 0, pitch - config.mosaic_patch)
        view = views.crop(small, top, left, config.view_size)
        return views.flip(view, left < span // 2), views.mosaic(large, offsets, offsets, config.mosaic_patch)

    def loss(self, outputs: Float[Array, " batch"], batch: Batch) -> tuple[Float[Array, ""], dict[str, Array]]:
        """Returns the mean absolute error."""
        labels, mask = batch["labels"], batch["mask"]
        return (mask * jnp.abs(outputs - labels)).sum() / mask.sum(), {}

    def init_schedule(self) -> ScheduleState:
        """Starts with the head alone, at its rate."""
        return ScheduleState(lr=FIRST_LR, head_only=True)

    def update_schedule(self, state: ScheduleState, metric: float | None) -> ScheduleState:
        """Runs the state machine.

        Raises:
            UserError: there are no photos to select on.
        """
        if metric is None:
            raise UserError(
                "the published recipe selects the best epoch: give it validation photos, or --protocol paper"
            )
        epoch, lr, notes = state.epoch, state.lr, []
        since, better = state.epochs_since_best + 1, state.is_better(metric)
        if better:
            since = 0
            notes.append("best")
        if epoch in RATE_AFTER:
            lr = RATE_AFTER[epoch]
            notes.append(f"lr {lr:g}")
        if epoch == UNFREEZE_AFTER:
            notes.append("all layers from now on")
        if epoch == max(RATE_AFTER):
            since = 1
        plateau = since > PATIENCE and epoch > max(UNFREEZE_AFTER, 20)
        if plateau:
            lr, since = lr * PLATEAU_FACTOR, 0
            notes.append(f"back to the best weights, lr {lr:.3g}")
        done = epoch + 1 >= self.max_epochs or (plateau and lr < LAST_LR)
        return ScheduleState(
            epoch=epoch + 1,
            lr=lr,
            head_only=state.head_only and epoch < UNFREEZE_AFTER,
            best=metric if better else state.best,
            epochs_since_best=since,
            note="; ".join([*notes, *(["end"] if done else [])]),
            improved=better,
            restore_best=plateau and not done,
            done=done,
        )

    def learning_rate(self, state: ScheduleState, step: int, steps_per_epoch: int) -> float:
        """Returns one for the whole epoch."""
        return state.lr
