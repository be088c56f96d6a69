"""No-reference image quality by ONNX Runtime: what `vtiqa score` of vtiqa-jax says, without JAX.

import vtiqa_onnx

scorer = vtiqa_onnx.load()
scorer.score("a.jpg")                         # float32 [1], on scorer.scale
scorer.score(["a.jpg", array_uint8_hwc])      # float32 [2]
for result in scorer.stream(["a.jpg", "b.jpg"]):
    print(result.image, result.score, result.detail, *result.reasons)
"""

from vtiqa_jax.errors import ImageError, UserError
from vtiqa_jax.results.reasons import Fault
from vtiqa_jax.results.results import ScoreResult
from vtiqa_onnx.scorer import Scorer, load

__all__ = ["Fault", "ImageError", "ScoreResult", "Scorer", "UserError", "load"]
