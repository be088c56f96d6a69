"""A model as a StableHLO program that JAX alone runs, without this package."""

import jax
import numpy as np
from jax import export

from vtiqa_jax.models import params as parameters
from vtiqa_jax.models.config import ModelConfig
from vtiqa_jax.models.params import Params, ScoringModel
from vtiqa_jax.models.vtiqa import VTIQA

PLATFORMS = ("cpu", "cuda", "tpu")


def build(config: ModelConfig, params: Params) -> bytes:
    """Builds the textbook's program, with the parameters in it; for any number of photos and every platform.

    Args:
        config: the model's sizes; of the released or the paper's model.
        params: its parameters.

    Returns:
        What `jax.export.deserialize` reads: a function of `global_images` and `local_images`, as of `VTIQA.score`, that
        returns scores. With detail it is also of native views and of their structure, as of `VTIQA.read_native`. Of a
        model that says more than scores it returns a dict of `score` and of `detail`, `holds`, `low`, `high` and
        `opinion_spread` where it knows them, as `ScoreResult` has them but for NaN where nothing is known; with reasons
        also of the `strengths` and `probabilities` of `models.faults.FAULTS`; and of `novelty`, see `Novelty`.
    """
    graphdef, _ = parameters.abstract_model(config)

    @jax.jit
    def vtiqa(
        global_images: jax.Array, local_images: jax.Array, *native: jax.Array
    ) -> jax.Array | dict[str, jax.Array]:
        model: ScoringModel = parameters.merge_params(graphdef, jax.tree.map(jax.numpy.asarray, params))  # type: ignore[assignment]
        if not (native or config.intervals or config.novelty):
            return model.score(global_images, local_images)
        assert isinstance(model, VTIQA)
        shown = model.cut_views(global_images, local_images)
        features, subject = model.see_views(shown)
        both = features[0], features[1:].mean(0)
        said = {"score": model.score_features(*both)}
        if native:
            native_views, structure = native
            readings = model.read_native(native_views, structure, subject)
            said["detail"], holds = model.judge_detail(readings)
            said["holds"] = 100 * holds
            if config.reasons:
                reasons = model.judge_reasons(readings.summaries, features[0], shown[0])
                said["strengths"], said["probabilities"] = reasons
        if config.intervals:
            sureness = model.judge_intervals(said["score"], *both)
            said |= {"low": sureness.low, "high": sureness.high}
            if sureness.opinion_spread is not None:
                said["opinion_spread"] = sureness.opinion_spread
        if config.novelty:
            said["novelty"] = model.judge_novelty(*both)
        return said

    (batch,) = export.symbolic_shape("batch")
    sides = (config.global_resize, config.local_resize)
    photos = [jax.ShapeDtypeStruct((batch, side, side, 3), np.uint8) for side in sides]
    if config.native:
        native_views, structure = config.native.shapes
        photos += [
            jax.ShapeDtypeStruct((batch, *native_views), np.uint8),
            jax.ShapeDtypeStruct((batch, *structure), np.float32),
        ]
    return bytes(export.export(vtiqa, platforms=PLATFORMS)(*photos).serialize())
