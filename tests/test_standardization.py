"""A layer that was fitted to standardized inputs, and takes them as they are."""

import jax.numpy as jnp
import numpy as np
import pytest

from vtiqa_jax.heads.standardization import LEAST_DEVIATION, Standardization


@pytest.mark.usefixtures("as_people_run")
def test_a_folded_layer_finds_in_raw_inputs_what_it_found_in_standardized_ones(rng: np.random.Generator) -> None:
    inputs = (rng.normal(size=(50, 6)) * [1, 20, 0.1, 0, 3, 1] + [5, -300, 0, 7, 1, 0]).astype(np.float32)
    params = {"fc.kernel": rng.normal(size=(6, 4)), "fc.bias": rng.normal(size=4), "other.bias": np.ones(2)}
    standardize = Standardization.of(inputs)
    standardized = np.asarray(standardize(jnp.asarray(inputs)))
    assert np.abs(standardized).max() < 6  # one that never varies is no infinity
    folded = standardize.fold_into(params, "fc")
    found = inputs @ folded["fc.kernel"] + folded["fc.bias"]
    expected = standardized @ params["fc.kernel"] + params["fc.bias"]
    np.testing.assert_allclose(found, expected, atol=1e-3)
    # A layer that forgets the mean is wrong by more than a hundred tolerances.
    assert np.abs(inputs @ folded["fc.kernel"] + params["fc.bias"] - expected).max() > 0.1
    assert folded["other.bias"] is params["other.bias"]


@pytest.mark.usefixtures("as_people_run")
def test_what_hardly_varies_does_not_count_as_much(rng: np.random.Generator) -> None:
    inputs = np.stack([rng.normal(size=200), 1e-4 * rng.normal(size=200)], axis=1).astype(np.float32)
    spread = np.asarray(Standardization.of(inputs)(jnp.asarray(inputs))).std(0)
    assert spread[0] > 0.9 and spread[1] < 2e-4 / LEAST_DEVIATION
