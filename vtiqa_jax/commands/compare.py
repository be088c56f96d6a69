"""`vtiqa compare`: which of two photos is better, and how sure the model is."""

from pathlib import Path
from typing import Annotated

import numpy as np
from tyro.conf import Positional, arg

import vtiqa_jax
from vtiqa_jax.errors import UserError
from vtiqa_jax.evaluation.spread import Spread, probability_above
from vtiqa_jax.models.vtiqa import ComputeDtype
from vtiqa_jax.photos.stderr import quiet_decoders

WORDS = ((0.99, "almost certainly"), (0.9, "very likely"), (0.75, "likely"), (0.6, "perhaps"))
"""From which probability on a word is said."""


def compare(
    a: Positional[Path],
    b: Positional[Path],
    checkpoint: Annotated[str, arg(metavar="DIR")] = "default",
    spread: int = 16,
    seed: int = 0,
    compute_dtype: ComputeDtype = "float32",
) -> None:
    """Says which of two photos the model finds better, and how sure that is. Of people's disagreement it knows nothing.

    Args:
        a: a photo.
        b: another one.
        checkpoint: the model: a checkpoint's folder, or "default" for the one that comes with the package.
        spread: mosaics that both photos are scored by, the same ones.
        seed: of these mosaics.
        compute_dtype: bfloat16 is faster where the hardware multiplies it, and less exact.
    """
    mosaics = Spread(spread, seed)
    model = vtiqa_jax.load(checkpoint, compute_dtype=compute_dtype)
    with quiet_decoders():
        results = list(model.stream([a, b], spread=mosaics))
    for result in results:
        if result.error:
            raise UserError(f"{result.image}: {result.error}")
    print(f"{model.scale}; mean ± standard deviation over {spread} mosaics, the same for both")
    for result in results:
        print(f"{result.mean:.4f} ± {result.spread:.4f}  {result.image}")
    difference = np.subtract(results[0].draws, results[1].draws)
    better = probability_above(difference if model.scale.higher_is_better else -difference)
    winner, loser, sure = (a, b, better) if better >= 0.5 else (b, a, 1 - better)
    apart = f"{abs(difference.mean()):.4f} ± {difference.std(ddof=1):.4f}"
    word = next((word for least, word in WORDS if sure >= least), None)
    if word is None:
        print(f"They are as good as each other: {apart} apart, and with other mosaics either may be ahead.")
        return
    percent = "more than 99.9" if sure > 0.999 else f"{100 * sure:.1f}"
    print(f"{winner} is {word} better than {loser}, by {apart}.")
    print(f"By {percent} % of other mosaics it would be, too. How far people agree is not in this number.")
