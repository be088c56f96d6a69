"""Fitting the detail head: octaves lost, from the tokens of places of versions whose losses are known."""

import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Array

from vtiqa_jax.heads.ladder_batches import FitOptions
from vtiqa_jax.heads.ladder_fit import fit_ladders, sample_places
from vtiqa_jax.heads.places import Places
from vtiqa_jax.heads.standardization import Standardization, by_name
from vtiqa_jax.models.detail import DetailHead
from vtiqa_jax.models.params import Params


def fit_detail(places: Places, factors: tuple[int, ...], options: FitOptions = FitOptions()) -> Params:
    """Fits the head.

    Args:
        places: of versions of many photos.
        factors: `ModelConfig.native_factors`.
        options: how.

    Returns:
        Its parameters, by the names of a VT-IQA. `curve` is as it was drawn, see `curve.fit_curve`.
    """
    standardize = Standardization.of(sample_places(places.tokens, options.seed).astype(np.float32))
    head = DetailHead(places.tokens.shape[-1], rngs=nnx.Rngs(options.seed))

    def judge(head: DetailHead, tokens: Array) -> tuple[Array, Array]:
        return head(standardize(tokens.astype(jnp.float32)))

    params = fit_ladders(head, judge, places, places.tokens, factors, options)
    return standardize.fold_into(by_name(params, "detail."), "detail.fc1")
