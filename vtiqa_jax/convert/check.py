"""Compares a converted model, layer by layer, with what the model it came from returned for the same views.

The expected values are an .npz like tests/golden/expected.npz. It holds uint8 views [n, 3, 224, 224] (`global_view`,
`mosaic`, for the paper's model `mosaic_original`) and what was returned for them: `score` [n], or `score_original` for
the paper's model, and any of

- `patch_embed` and `block<i>` [n, first tokens, embed_dim], of the global view;
- `features_global`, `features_mosaic` [n, embed_dim];
- `sensitivity_original` [n, 24, 24], each batch brought to 0..1;
- `positions_original` [n, 7, 7, 2].
"""

import dataclasses
from collections.abc import Callable
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, UInt8

from vtiqa_jax.convert import files
from vtiqa_jax.errors import UserError
from vtiqa_jax.models import views
from vtiqa_jax.models.config import ModelConfig
from vtiqa_jax.models.original import OriginalVTIQA
from vtiqa_jax.models.params import Model, Params, abstract_model, merge_params
from vtiqa_jax.models.vit import Implementation
from vtiqa_jax.models.vtiqa import VTIQA

SCORE_TOLERANCE = 1e-4
"""Greatest difference of a score, in units of the label scale."""
LAYER_TOLERANCE = 2e-5
"""Greatest norm of the difference over norm, of activations. Two right ports differ by 5e-6 in float32."""
SENSITIVITY_TOLERANCE = 5e-5
"""The same of the sensitivity map, a gradient through the whole network: 2e-5 between two right ports."""
POSITIONS_TOLERANCE = 0.01
"""Greatest share of patch positions that may differ: near-ties of the sensitivity go either way."""


@dataclasses.dataclass(frozen=True)
class Difference:
    """How far one quantity is from what was expected."""

    quantity: str
    measure: str
    value: float
    tolerance: float

    @property
    def within(self) -> bool:
        """Whether it is near enough; a NaN is not."""
        return self.value <= self.tolerance


def _is_layer(quantity: str) -> bool:
    """Tells whether its first tokens alone are recorded."""
    return quantity.startswith(("patch_embed", "block"))


def _check_expected(expect: Path, quantity: str, shape: tuple[int, ...], expected: np.ndarray) -> None:
    if _is_layer(quantity) and expected.ndim == len(shape):
        shape = (shape[0], min(shape[1], expected.shape[1]), *shape[2:])
    if expected.shape != shape or expected.dtype.kind not in "fiu":
        raise UserError(
            f"{expect}: `{quantity}` is {expected.dtype} of shape {expected.shape}, the model returns numbers of shape"
            f" {shape}"
        )


def _difference(quantity: str, ours: np.ndarray, expected: np.ndarray) -> Difference:
    if quantity == "positions_original":
        share = float((ours != expected).any(-1).mean())
        return Difference(quantity, "share that differs", share, POSITIONS_TOLERANCE)
    if quantity in ("score", "score_original"):
        greatest = float(np.abs(ours.astype(np.float64) - expected).max())
        return Difference(quantity, "greatest difference", greatest, SCORE_TOLERANCE)
    if quantity == "sensitivity_original":
        tolerance = SENSITIVITY_TOLERANCE
    else:
        tolerance = LAYER_TOLERANCE
        ours = ours[:, : expected.shape[1]] if _is_layer(quantity) else ours
    relative = float(np.linalg.norm(ours.astype(np.float64) - expected) / np.linalg.norm(expected))
    return Difference(quantity, "relative norm of the difference", relative, tolerance)


Views = Float[Array, "n size size 3"]
Quantities = dict[str, Array]


def _vtiqa_quantities(model: Model, global_view: Views, mosaic: Views) -> Quantities:
    assert isinstance(model, VTIQA)
    vit = model.backbone
    quantities = {"patch_embed": vit.patch_embed(global_view)}
    x = vit.embed(global_view)
    for index, block in enumerate(vit.blocks):
        x = block(x)
        quantities[f"block{index}"] = x
    return quantities | {
        "features_global": vit(global_view),
        "features_mosaic": vit(mosaic),
        "score": model(global_view, mosaic),
    }


def _original_quantities(model: Model, global_view: Views, mosaic: Views) -> Quantities:
    assert isinstance(model, OriginalVTIQA)
    sensitivity = model.selector.sensitivity(global_view)
    return {
        "sensitivity_original": (sensitivity - sensitivity.min()) / jnp.ptp(sensitivity),
        "positions_original": model.selector.positions(sensitivity, model.config.local_resize),
        "score_original": model(global_view, mosaic),
    }


def _depth(quantity: str) -> tuple[int, int]:
    """Sorts quantities from the first layer to the score."""
    stages = ("patch_embed", "block", "features", "sensitivity", "positions", "score")
    stage = next(index for index, prefix in enumerate(stages) if quantity.startswith(prefix))
    number = quantity.removeprefix("block")
    return stage, int(number) if number.isdigit() else 0


def _normalized(pixels: UInt8[np.ndarray, "n 3 size size"]) -> Views:
    return views.normalize(jnp.asarray(pixels.transpose(0, 2, 3, 1)))


def compare(
    config: ModelConfig, params: Params, expect: Path, implementation: Implementation = "xla"
) -> list[Difference]:
    """Returns all differences between a model and the expected values, from the first layer to the score.

    Args:
        config: the model's config; of a VT-IQA or of the paper's model.
        params: its parameters.
        expect: the .npz of expected values.
        implementation: what computes the model.

    Raises:
        UserError: the file lacks the views or the score, or they do not fit the model.
    """
    expected = files.read(expect)
    suffix = "_original" if config.kind == "original" else ""
    shape = (3, config.view_size, config.view_size)
    for key in ("global_view", f"mosaic{suffix}"):
        if key not in expected or expected[key].dtype != np.uint8 or expected[key].shape[1:] != shape:
            raise UserError(f"{expect}: `{key}` must be uint8 [n, {', '.join(map(str, shape))}]")
    count = len(expected["global_view"])
    if not count or len(expected[f"mosaic{suffix}"]) != count:
        raise UserError(f"{expect}: `global_view` and `mosaic{suffix}` must be of the same photos, and of one at least")
    if f"score{suffix}" not in expected:
        raise UserError(f"{expect} has no array `score{suffix}`")

    graphdef, _ = abstract_model(config, implementation=implementation)
    compute: Callable[..., Quantities] = _original_quantities if suffix else _vtiqa_quantities

    @jax.jit
    def quantities(params: Params, global_view: Views, mosaic: Views) -> Quantities:
        computed = compute(merge_params(graphdef, params), global_view, mosaic)
        return {name: array for name, array in computed.items() if name in expected}

    pair = [_normalized(expected[key]) for key in ("global_view", f"mosaic{suffix}")]
    shapes = jax.eval_shape(quantities, params, *pair)
    # JAX returns the quantities sorted by name; block 10 is after block 9.
    names = sorted(shapes, key=_depth)
    for name in names:
        _check_expected(expect, name, shapes[name].shape, expected[name])
    computed = jax.device_get(quantities(params, *pair))
    return [_difference(name, computed[name], expected[name]) for name in names]


def markdown_table(differences: list[Difference]) -> str:
    """Returns the differences as a Markdown table."""
    rows = [f"| {d.quantity} | {d.measure} | {d.value:.1e} | {d.tolerance:.0e} |" for d in differences]
    return "\n".join(["| quantity | measure | difference | tolerance |", "|---|---|---|---|", *rows])
