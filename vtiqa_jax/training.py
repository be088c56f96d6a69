"""The training step: AdamW with one learning rate per depth, L1 and PLCC loss, data parallel under `jax.jit`.

`nnx.jit` is not used: its Python overhead is 20 ms a step at this number of parameters. Neither is `jax.pmap`, which
JAX keeps in maintenance mode only: plain `jax.jit` with sharded inputs says the same for any number of devices.
"""

import dataclasses
import re
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import nnx
from jaxtyping import Array, Float, Int

from vtiqa_jax import devices, views
from vtiqa_jax import params as parameters
from vtiqa_jax.config import ModelConfig
from vtiqa_jax.errors import UserError
from vtiqa_jax.model import VTIQA, ComputeDtype
from vtiqa_jax.prepared import Prepared


@dataclasses.dataclass(frozen=True)
class Recipe:
    """How the model is trained."""

    epochs: int = 8
    """Passes over the training photos."""
    batch_size: int = 32
    """Photos a step, over all devices together."""
    lr: float = 1e-4
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
    compute_dtype: ComputeDtype = "bfloat16"
    """Type of the products; parameters and sums are float32."""
    seed: int = 0
    """Of the head's first weights, the order of the photos, the augmentation and the dropout."""

    def __post_init__(self) -> None:
        if self.epochs < 1 or self.batch_size < 2:
            raise UserError("--epochs must be at least 1 and --batch-size at least 2")
        if min(self.lr, self.head_lr) <= 0 or self.freeze_blocks < 0:
            raise UserError("learning rates must be above 0 and --freeze-blocks at least 0")


class State(NamedTuple):
    """All that changes from step to step. `params` are the trained ones; `step` counts from 0."""

    params: parameters.Params
    opt_state: optax.OptState
    step: Array


def depth_of(path: str, depth: int) -> int:
    """How early a parameter acts: 0 for the embedding, i + 1 for block i, depth + 1 for the final norm and the head."""
    block = re.match(r"backbone\.blocks\.(\d+)\.", path)
    if block:
        return int(block[1]) + 1
    return 0 if re.match(r"backbone\.(patch_embed|cls_token|pos_embed)", path) else depth + 1


def trainable(config: ModelConfig, recipe: Recipe, path: str) -> bool:
    """Whether the recipe trains this parameter."""
    return recipe.freeze_blocks == 0 or depth_of(path, config.depth) > recipe.freeze_blocks


def optimiser(config: ModelConfig, recipe: Recipe, steps: int) -> optax.GradientTransformation:
    """AdamW with warm-up, cosine and one learning rate per depth, for parameters by dotted path."""
    warmup = max(1, round(steps * recipe.warmup))
    schedule = optax.warmup_cosine_decay_schedule(0.0, 1.0, warmup, max(steps, warmup + 1))

    def rate(path: str) -> float:
        if path.startswith("head."):
            return recipe.head_lr
        return recipe.lr * recipe.layer_decay ** max(0, config.depth - depth_of(path, config.depth))

    def matrices(params: Any) -> Any:
        return {path: array.ndim == 2 for path, array in params.items()}

    def by_depth(updates: Any, _: Any) -> Any:
        return {path: update * rate(path) for path, update in updates.items()}

    return optax.chain(
        optax.clip_by_global_norm(1.0),
        optax.scale_by_adam(),
        optax.add_decayed_weights(recipe.weight_decay, matrices),
        optax.stateless(by_depth),
        optax.scale_by_learning_rate(schedule),
    )


def loss(scores: Float[Array, " batch"], labels: Float[Array, " batch"], plcc_weight: float) -> Float[Array, ""]:
    """Mean absolute error plus `plcc_weight` times 1 - PLCC of the batch; labels are standardised."""
    centred, wanted = scores - scores.mean(), labels - labels.mean()
    # The sums of squares may be 0 (equal labels in a small batch): the constant keeps the gradient finite.
    norms = jnp.sqrt((centred**2).sum() * (wanted**2).sum() + 1e-6)
    return jnp.abs(scores - labels).mean() + plcc_weight * (1 - (centred * wanted).sum() / norms)


def make_step(
    config: ModelConfig, recipe: Recipe, transform: optax.GradientTransformation
) -> Callable[..., tuple[State, Float[Array, ""]]]:
    """The jitted step `(state, frozen, key, global_versions, local_versions, labels) -> (state, loss)`.

    Frozen parameters are constants of the loss, so the backward pass through them is never built.
    """
    graphdef, _ = parameters.abstract(config, recipe.compute_dtype)

    @jax.jit(donate_argnums=0)
    def step(
        state: State,
        frozen: parameters.Params,
        key: Array,
        global_versions: Array,
        local_versions: Array,
        labels: Array,
    ) -> tuple[State, Array]:
        view_key, dropout_key = jax.random.split(jax.random.fold_in(key, state.step))
        both = views.augment(view_key, global_versions, local_versions, config)

        def loss_of(trained: parameters.Params) -> Array:
            model: VTIQA = parameters.merge(graphdef, frozen | trained)  # type: ignore[assignment]
            scores = model(*map(views.normalise, both), rngs=nnx.Rngs(dropout=dropout_key))
            return loss(scores, labels, recipe.plcc_weight)

        value, gradients = jax.value_and_grad(loss_of)(state.params)
        updates, opt_state = transform.update(gradients, state.opt_state, state.params)
        return State(optax.apply_updates(state.params, updates), opt_state, state.step + 1), value  # type: ignore[arg-type]

    return step


def batches(
    prepared: Prepared,
    labels: Float[np.ndarray, " n"],
    rows: Int[np.ndarray, " rows"],
    size: int,
    seed: int,
    epoch: int,
) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """One epoch's batches in the order that (seed, epoch) gives, whole batches only, the next one read ahead."""
    order = np.random.default_rng((seed, epoch)).permutation(rows)
    chosen = [np.sort(order[start : start + size]) for start in range(0, len(order) - size + 1, size)]

    def read(batch: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        return prepared.global_versions[batch], prepared.local_versions[batch], labels[batch]

    with ThreadPoolExecutor(1) as reader:
        upcoming = reader.submit(read, chosen[0])
        for following in [*chosen[1:], None]:
            current = upcoming.result()
            if following is not None:
                upcoming = reader.submit(read, following)
            yield current


def rescale(params: parameters.Params, mean: float, std: float) -> parameters.Params:
    """The model whose scores are `std` times these plus `mean`: training works on standardised labels, a checkpoint
    holds a model on the label scale itself."""
    kernel, bias = np.asarray(params["head.fc3.kernel"]), np.asarray(params["head.fc3.bias"])
    changed = {"head.fc3.kernel": kernel * np.float32(std), "head.fc3.bias": bias * np.float32(std) + np.float32(mean)}
    return {path: np.asarray(array) for path, array in (params | changed).items()}


class Training:
    """A run: the model being trained and what it is trained on. `epoch()` trains, `params()` gives the model."""

    def __init__(
        self,
        config: ModelConfig,
        recipe: Recipe,
        start: parameters.Params,
        prepared: Prepared,
        mos: Float[np.ndarray, " n"],
        rows: Int[np.ndarray, " rows"],
        *,
        over: Sequence[jax.Device] | None = None,
    ) -> None:
        """`start` are all parameters of the model, `rows` the photos to train on, `over` the devices (all).

        Errors: UserError when all labels are equal or more blocks are frozen than there are.
        """
        if recipe.freeze_blocks > config.depth:
            raise UserError(f"--freeze-blocks {recipe.freeze_blocks}, but the model has {config.depth} blocks")
        self._mean, self._std = float(mos[rows].mean()), float(mos[rows].std())
        if self._std == 0:
            raise UserError(f"all {len(rows)} training photos have the same score, {self._mean:g}: nothing to learn")
        self._recipe, self._prepared, self._rows = recipe, prepared, rows
        self._labels = ((mos - self._mean) / self._std).astype(np.float32)
        self._mesh = devices.data_mesh(over)
        self._batch = min(recipe.batch_size, len(rows)) // self._mesh.size * self._mesh.size
        if self._batch == 0:
            raise UserError(f"a batch of {min(recipe.batch_size, len(rows))} does not reach {self._mesh.size} devices")
        self.steps_per_epoch = len(rows) // self._batch
        transform = optimiser(config, recipe, recipe.epochs * self.steps_per_epoch)
        chosen = {path: array for path, array in start.items() if trainable(config, recipe, path)}
        self._frozen = devices.replicated({k: v for k, v in start.items() if k not in chosen}, self._mesh)
        self._state = devices.replicated(State(chosen, transform.init(chosen), jnp.int32(0)), self._mesh)
        self._key = devices.replicated(jax.random.key_data(jax.random.key(recipe.seed)), self._mesh)
        self._step = make_step(config, recipe, transform)

    def epoch(self, epoch: int) -> Iterator[Float[Array, ""]]:
        """Trains one epoch, yielding each step's loss while the device may still be computing it."""
        key = jax.random.wrap_key_data(self._key)
        for batch in batches(self._prepared, self._labels, self._rows, self._batch, self._recipe.seed, epoch):
            placed = devices.divided(batch, self._mesh)
            self._state, value = self._step(self._state, self._frozen, key, *placed)
            yield value

    def params(self) -> dict[str, Any]:
        """The model as it stands, on the label scale, on the host."""
        return rescale(jax.device_get(self._frozen | self._state.params), self._mean, self._std)
