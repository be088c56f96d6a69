"""Measures what each tuned kernel gains in whole training steps and in scoring.

For example:

    python benchmarks/layers.py                         # on a CPU: `implementation="cpu"`, kernel by kernel
    python benchmarks/layers.py                         # on a GPU: cuDNN's attention beside XLA's

One kernel at a time is replaced by its textbook version. A kernel that gains less than 5 % in both is to be removed.
Each figure is the median over the rounds of a version's time divided by the tuned one's in the same round. The versions
take turns, in an order drawn anew for each round. All are compiled beforehand and share one state and one batch.
"""

import contextlib
import dataclasses
import statistics
from collections.abc import Callable, Iterator, Mapping
from typing import Any
from unittest import mock

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from timing import device, on_gpu, photos, timed, versions

from vtiqa_jax import cli, sharding
from vtiqa_jax.data.loader import Batch, ImageStore, load_batches
from vtiqa_jax.models import catalog, cpu_kernels, params, vit
from vtiqa_jax.models.checkpoint import Checkpoint
from vtiqa_jax.models.compute_dtype import ComputeDtype
from vtiqa_jax.models.vit import Implementation
from vtiqa_jax.scoring import steps as scoring_steps
from vtiqa_jax.training import step, whole_model
from vtiqa_jax.training.finetune import FinetuneRecipe

EARNED = 0.05
"""Share that a kernel has to save of a training step or of scoring to stay."""
SCORED = 4
"""Photos that are scored together on a CPU."""
SCORED_ON_GPU = 64

Patch = tuple[Any, str, Any]
"""An object, the name of its attribute, and what that is meanwhile."""

LINEAR, LAYER_NORM, GELU = vit.linear, vit.layer_norm, vit.gelu


class Linear(nnx.Linear):
    """`nnx.Linear` with its own product, whose result becomes float32: what the other kernels take."""

    def __call__(self, *arguments: Any, **options: Any) -> jax.Array:
        """Returns the product plus the bias."""
        return super().__call__(*arguments, **options).astype(jnp.float32)


def textbook_linear(
    in_features: int, out_features: int, dtype: ComputeDtype, implementation: Implementation, **options: Any
) -> nnx.Linear:
    """Returns the textbook's `vit.linear` for what the tuned kernel would multiply."""
    if implementation != "cpu":  # the head's
        return LINEAR(in_features, out_features, dtype, implementation, **options)
    precision = jax.lax.Precision.HIGHEST if dtype == "float32" else None
    return Linear(in_features, out_features, dtype=jnp.dtype(dtype), precision=precision, **options)


def textbook_layer_norm(features: int, _: Implementation, *, rngs: nnx.Rngs) -> nnx.LayerNorm:
    """Returns `nnx.LayerNorm`, with the derivative that JAX finds."""
    return LAYER_NORM(features, "xla", rngs=rngs)


def textbook_gelu(x: jax.Array, _: Implementation) -> jax.Array:
    """Computes `jax.nn.gelu`, by erfc."""
    return GELU(x, "xla")


def textbook_attention(self: vit.Attention, x: jax.Array, *, cls_only: bool = False) -> jax.Array:
    """Computes `vit.Attention` by `jax.nn.dot_product_attention`, whatever computes the products around it."""
    batch, tokens, dim = x.shape
    qkv = self.qkv(x).astype(self.dtype).reshape(batch, tokens, 3, self.num_heads, dim // self.num_heads)
    q, k, v = qkv[:, : 1 if cls_only else tokens, 0], qkv[:, :, 1], qkv[:, :, 2]
    with vit.exact_products(self.dtype):
        attended = jax.nn.dot_product_attention(q, k, v, implementation="xla")
    return self.proj(attended.reshape(batch, -1, dim))


def computed_by(implementation: Implementation) -> list[Patch]:
    """Returns patches by which every block is computed so, whatever the device."""

    def selected(*_: Any) -> Implementation:
        return implementation

    return [(whole_model, "select_implementation", selected), (scoring_steps, "select_implementation", selected)]


TUNED = "tuned"
ON_CPU: Mapping[str, list[Patch]] = {
    TUNED: computed_by("cpu"),
    "attention": [*computed_by("cpu"), (vit.Attention, "__call__", textbook_attention)],
    "matmul": [*computed_by("cpu"), (vit, "linear", textbook_linear)],
    "the transposition in matmul": [*computed_by("cpu"), (cpu_kernels, "_transpose", lambda x: x.T)],
    "gelu": [*computed_by("cpu"), (vit, "gelu", textbook_gelu)],
    "LayerNorm": [*computed_by("cpu"), (vit, "layer_norm", textbook_layer_norm)],
    "all of them": computed_by("xla"),
}
"""The kernels that are replaced, by name."""
ON_GPU: Mapping[str, list[Patch]] = {TUNED: computed_by("cudnn"), "cuDNN's attention": computed_by("xla")}


@contextlib.contextmanager
def patched(patches: list[Patch]) -> Iterator[None]:
    """Applies the patches; no cache keeps what was traced without them or, afterwards, with them."""

    def forget() -> None:
        params.abstract_model.cache_clear()
        step.make_train_step.cache_clear()
        scoring_steps.make_score_step.cache_clear()
        jax.clear_caches()

    with contextlib.ExitStack() as stack:
        forget()
        stack.callback(forget)
        for target, name, value in patches:
            stack.enter_context(mock.patch.object(target, name, value))
        yield


@dataclasses.dataclass
class Work:
    """A training step and a pass of the scorer, compiled in every version, with what they work on."""

    state: step.TrainState
    frozen: params.Params
    key: jax.Array
    batch: Batch
    weights: params.Params
    scored: Batch
    steps: dict[str, Callable[..., Any]] = dataclasses.field(default_factory=dict)
    passes: dict[str, Callable[..., Any]] = dataclasses.field(default_factory=dict)

    def add(self, name: str, patches: list[Patch], recipe: FinetuneRecipe, model: Checkpoint) -> None:
        """Compiles one version."""
        mesh, scored = sharding.data_mesh(), self.scored
        with patched(patches):
            train_step: Any = step.make_train_step(recipe, model.config, mesh)
            run: Any = scoring_steps.make_score_step(model.config, recipe.compute_dtype, mesh)
            lowered = train_step.lower(self.state, self.frozen, self.key, np.float32(0), self.batch)
            self.steps[name] = lowered.compile()
            lowered = run.lower(self.weights, scored["global_images"], scored["local_images"])
            self.passes[name] = lowered.compile()

    def train(self, name: str) -> None:
        """Takes one training step. Its learning rate is 0: no version finds other weights than the one before."""
        self.state, logged = self.steps[name](self.state, self.frozen, self.key, np.float32(0), self.batch)
        jax.block_until_ready((self.state, logged))

    def score(self, name: str) -> None:
        """Takes one pass of the scorer."""
        images = self.scored["global_images"], self.scored["local_images"]
        jax.block_until_ready(self.passes[name](self.weights, *images))


def prepare(model: Checkpoint, recipe: FinetuneRecipe, scored: int) -> Work:
    """Puts made-up photos and the model on the device; nothing is compiled yet."""
    mesh, size = sharding.data_mesh(), recipe.batch_size
    store = ImageStore(photos(max(size, scored), model.config, 0), mesh)
    state, frozen = step.init_state(recipe, model.config, model.params, mesh)
    labels = {"labels": np.linspace(-1, 1, max(size, scored)).astype(np.float32)}
    batch = next(load_batches(store, labels, [np.arange(size)], size))
    key = step.make_key(0, mesh)
    weights = scoring_steps.round_weights(sharding.replicate(model.params, mesh), recipe.compute_dtype)
    return Work(state, frozen, key, batch, weights, store.read(np.arange(scored)))


def in_turns(work: Callable[[str], None], names: list[str], rounds: int) -> dict[str, list[float]]:
    """Seconds of each version in each round, after one round that does not count."""
    seconds: dict[str, list[float]] = {name: [] for name in names}
    rng = np.random.default_rng(0)
    for number in range(rounds + 1):
        for name in rng.permutation(names).tolist():
            took = timed(lambda: work(name))  # noqa: B023, called at once
            if number:
                seconds[name].append(took)
    return seconds


def main(
    batch: int = 0,
    rounds: int = 9,
    checkpoint: str = "default",
    dtypes: tuple[ComputeDtype, ...] = ("bfloat16", "float32"),
    only: tuple[str, ...] = (),
) -> None:
    """Prints how much longer training and scoring take without each kernel.

    Args:
        batch: Photos of a training step; 0 means 192 on a GPU and 8 on a CPU.
        rounds: Number of turns of each version; the median is taken.
        checkpoint: Model: a checkpoint, or "default" for the packaged model.
        dtypes: Types of the transformer's products.
        only: Kernels to look at. All when not given.
    """
    model, size = catalog.load(checkpoint), batch or (192 if on_gpu() else 8)
    versions_of = ON_GPU if on_gpu() else ON_CPU
    names = [TUNED, *(only or [name for name in versions_of if name != TUNED])]
    scored = SCORED_ON_GPU if on_gpu() else SCORED
    print(f"{device()}; {versions()}; {model.config.depth} blocks, a step of {size} photos, scoring of {scored}")
    columns: dict[str, dict[str, float]] = {}
    for dtype in dtypes:
        recipe = FinetuneRecipe(batch_size=size, compute_dtype=dtype)
        work = prepare(model, recipe, scored)
        for name in names:
            work.add(name, versions_of[name], recipe, model)
        for what, run in {"training": work.train, "scoring": work.score}.items():
            seconds = in_turns(run, names, rounds)
            print(f"{what}, {dtype}, tuned: {1e3 * statistics.median(seconds[TUNED]):.1f} ms")
            pairs = {name: zip(seconds[name], seconds[TUNED], strict=True) for name in names[1:]}
            columns[f"{what}, {dtype}"] = {
                name: statistics.median(without / tuned for without, tuned in both) for name, both in pairs.items()
            }
    print(f"\n| without | {' | '.join(columns)} | earns {EARNED:.0%} somewhere |")
    print("|---" * (len(columns) + 2) + "|")
    for name in names[1:]:
        ratios = [column[name] for column in columns.values()]
        # Of the time without the kernel, what it saves.
        stays = max(1 - 1 / ratio for ratio in ratios) >= EARNED
        print(f"| {name} | {' | '.join(f'{ratio:.3f}' for ratio in ratios)} | {'yes' if stays else 'no: it goes'} |")


if __name__ == "__main__":
    cli.run_script(main, description=__doc__)
