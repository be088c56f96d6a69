"""Which model made a score: whatever changes scores changes the fingerprint, and nothing else does."""

import dataclasses
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest

from vtiqa_jax.models import checkpoint
from vtiqa_jax.models import fingerprint as fingerprints
from vtiqa_jax.models.checkpoint import Checkpoint
from vtiqa_jax.models.config import LabelScale, ModelConfig
from vtiqa_jax.models.fingerprint import fingerprint, identify
from vtiqa_jax.models.params import Params
from vtiqa_jax.results.identities import differences
from vtiqa_jax.scoring.mosaic_sampling import MosaicSampling
from vtiqa_jax.scoring.scorer import Scorer


@pytest.fixture
def made(config: ModelConfig, weights: Params, scale: LabelScale) -> Checkpoint:
    percentiles = {"labels": [1.0] * 101, "scores": np.linspace(1, 5, 101).tolist()}
    return Checkpoint(config, weights, scale, {"trained": {"percentiles": percentiles}})


def other_weights(params: Params) -> Params:
    name = next(name for name in params if name.endswith("kernel"))
    changed = np.array(params[name])
    changed.flat[0] = np.nextafter(changed.flat[0], np.float32(9))
    return {**params, name: changed}


def other_percentiles(provenance: dict[str, Any]) -> dict[str, Any]:
    return {"trained": {"percentiles": {"scores": np.linspace(1, 4, 101).tolist()}}}


def with_detail(provenance: dict[str, Any]) -> dict[str, Any]:
    return provenance | {"detail": {"percentiles": np.linspace(1, 4, 101).tolist(), "photos": 300}}


def test_what_changes_scores_changes_the_fingerprint_and_is_named(
    made: Checkpoint, config: ModelConfig, scale: LabelScale, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = identify(made, "float32")
    others = {
        "weights": dataclasses.replace(made, params=other_weights(made.params)),
        "config.eval_mosaics": dataclasses.replace(made, config=dataclasses.replace(config, eval_mosaics=3)),
        "config.screen_side": dataclasses.replace(made, config=dataclasses.replace(config, screen_side=100)),
        "scale.high": dataclasses.replace(made, scale=dataclasses.replace(scale, high=6.0)),
        "scale.higher_is_better": dataclasses.replace(made, scale=dataclasses.replace(scale, higher_is_better=False)),
        "percentiles": dataclasses.replace(made, provenance=other_percentiles(made.provenance)),
        "detail percentiles": dataclasses.replace(made, provenance=with_detail(made.provenance)),
    }
    identities = {name: identify(other, "float32") for name, other in others.items()}
    identities["compute_dtype"] = identify(made, "bfloat16")
    monkeypatch.setattr(fingerprints, "ARITHMETIC", "another")
    identities["resizing"] = identify(made, "float32")
    for name, identity in identities.items():
        assert differences(one, identity) == differences(identity, one) == [name]
    assert len({fingerprint(identity) for identity in (one, *identities.values())}) == len(identities) + 1


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_a_model_is_the_same_wherever_it_is(made: Checkpoint, tmp_path: Path, dtype: Any) -> None:
    expected = fingerprint(identify(made, dtype))
    checkpoint.save(tmp_path / "elsewhere", dataclasses.replace(made, provenance={**made.provenance, "note": "hello"}))
    assert fingerprint(identify(checkpoint.load(tmp_path / "elsewhere"), dtype)) == expected
    assert Scorer.load(tmp_path / "elsewhere", compute_dtype=dtype).fingerprint == expected
    assert made.scale is not None
    on_device = jax.tree.map(jax.numpy.asarray, made.params)
    scorer = Scorer(
        made.config, on_device, made.scale, provenance=made.provenance, compute_dtype=dtype, devices=jax.devices()[:1]
    )
    assert scorer.fingerprint == expected


def test_settings_are_the_model_and_how_it_is_asked(made: Checkpoint) -> None:
    assert made.scale is not None
    scorer = Scorer(made.config, made.params, made.scale, provenance=made.provenance)
    settings = scorer.settings()
    assert differences(identify(made, "float32"), settings) == ["decoders"]
    assert differences(settings, scorer.settings(MosaicSampling(2))) == ["mosaic sampling"]
    assert differences(scorer.settings(MosaicSampling(2)), scorer.settings(MosaicSampling(2, seed=1))) == [
        "mosaic sampling.seed"
    ]
    assert {"pillow", "opencv-python-headless"} <= settings["decoders"].keys()
