"""Compares a converted model, layer by layer, with what the model it came from returned for the same views.

The expected values are an .npz as tests/golden/expected.npz: uint8 views [n, 3, 224, 224] (`global_view`, `mosaic`,
for the paper's model `mosaic_original`) and what was returned for them, any of `score`, `score_original`,
`features_global`, `features_mosaic` [n, width], `sensitivity_original` [n, 24, 24] (each batch brought to 0..1),
`positions_original` [n, 7, 7, 2], and for the global view `patch_embed` and `block<i>` (first tokens only).
"""

import dataclasses
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, UInt8

from convert import files
from vtiqa_jax import params as parameters
from vtiqa_jax import views
from vtiqa_jax.config import ModelConfig
from vtiqa_jax.errors import UserError
from vtiqa_jax.model import VTIQA, OriginalVTIQA, VisionTransformer

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

    what: str
    measure: str
    value: float
    tolerance: float

    @property
    def within(self) -> bool:
        """Whether it is near enough; a NaN is not."""
        return self.value <= self.tolerance


def _relative(what: str, ours: Array, expected: np.ndarray, tolerance: float = LAYER_TOLERANCE) -> Difference:
    value = np.linalg.norm(np.asarray(ours, np.float64) - expected) / np.linalg.norm(expected)
    return Difference(what, "relative norm of the difference", float(value), tolerance)


def _greatest(what: str, ours: Array, expected: np.ndarray, tolerance: float) -> Difference:
    value = np.abs(np.asarray(ours, np.float64) - expected).max()
    return Difference(what, "greatest difference", float(value), tolerance)


def _layers(
    vit: VisionTransformer, view: Float[Array, "n size size 3"], expected: dict[str, np.ndarray]
) -> list[Difference]:
    """`patch_embed` and every `block<i>` that is expected, of the global view."""
    differences = []
    if "patch_embed" in expected:
        wanted = expected["patch_embed"]
        differences.append(_relative("patch_embed", vit.patch_embed(view)[:, : wanted.shape[1]], wanted))
    x = vit.embed(view)
    for index, block in enumerate(vit.blocks):
        x = block(x)
        wanted = expected.get(f"block{index}")
        if wanted is not None:
            differences.append(_relative(f"block{index}", x[:, : wanted.shape[1]], wanted))
    return differences


def _released(model: VTIQA, view: Array, expected: dict[str, np.ndarray]) -> list[Difference]:
    differences = _layers(model.backbone, view, expected)
    mosaic = _normalised(expected["mosaic"])
    for name, image in (("features_global", view), ("features_mosaic", mosaic)):
        if name in expected:
            differences.append(_relative(name, model.backbone(image), expected[name]))
    return [*differences, _greatest("score", model(view, mosaic), expected["score"], SCORE_TOLERANCE)]


def _original(model: OriginalVTIQA, view: Array, expected: dict[str, np.ndarray]) -> list[Difference]:
    differences = []
    sensitivity = model.selector.sensitivity(view)
    if "sensitivity_original" in expected:
        spread = (sensitivity - sensitivity.min()) / jnp.ptp(sensitivity)
        differences.append(
            _relative("sensitivity_original", spread, expected["sensitivity_original"], SENSITIVITY_TOLERANCE)
        )
    if "positions_original" in expected:
        positions = np.asarray(model.selector.positions(sensitivity, model.config.local_size))
        share = float((positions != expected["positions_original"]).any(-1).mean())
        differences.append(Difference("positions_original", "share that differs", share, POSITIONS_TOLERANCE))
    score = model(view, _normalised(expected["mosaic_original"]))
    return [*differences, _greatest("score_original", score, expected["score_original"], SCORE_TOLERANCE)]


def _normalised(pixels: UInt8[np.ndarray, "n 3 size size"]) -> Float[Array, "n size size 3"]:
    return views.normalise(jnp.asarray(pixels.transpose(0, 2, 3, 1)))


def compare(config: ModelConfig, params: parameters.Params, expect: Path) -> list[Difference]:
    """All differences between this model and the expected values in `expect`.

    Errors: UserError when the file lacks the views or the score, or they do not fit the model.
    """
    expected = files.read(expect)
    suffix = "_original" if config.kind == "original" else ""
    shape = (3, config.view_size, config.view_size)
    for key in ("global_view", f"mosaic{suffix}"):
        if key not in expected or expected[key].dtype != np.uint8 or expected[key].shape[1:] != shape:
            raise UserError(f"{expect}: `{key}` must be uint8 [n, {', '.join(map(str, shape))}]")
    if f"score{suffix}" not in expected:
        raise UserError(f"{expect} holds no `score{suffix}`")
    model = parameters.merge(parameters.abstract(config)[0], jax.tree.map(jnp.asarray, params))
    view = _normalised(expected["global_view"])
    with jax.default_matmul_precision("highest"):
        if isinstance(model, VTIQA):
            return _released(model, view, expected)
        assert isinstance(model, OriginalVTIQA)
        return _original(model, view, expected)


def table_of(differences: list[Difference]) -> str:
    """The differences as a Markdown table."""
    rows = [f"| {d.what} | {d.measure} | {d.value:.1e} | {d.tolerance:.0e} |" for d in differences]
    return "\n".join(["| quantity | measure | difference | tolerance |", "|---|---|---|---|", *rows])
