"""Photos of every kind, and what the packaged model says of them.

`pytest` alone collects nothing here, for no file is called test_*: each needs a package of its own (docs/adapters.md).
"""

import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest
from PIL import Image, ImageOps

import vtiqa_jax
from tests.photo_files import encoded, exif, smooth
from vtiqa_jax.adapters.scoring import COLUMNS_BY_NAME
from vtiqa_jax.results.results import ScoreResult

DOCUMENT = Path(__file__).parents[2] / "docs" / "adapters.md"
TOLERANCE = 2e-4
"""Of a score on a scale from 1 to 5. Taking one photo's row for the next, or not turning a photo, is further off."""
STEPS = {6: 0.0, 1: 0.1}
"""By which numbers of so many decimals may be rounded otherwise."""
UNREADABLE = ("broken.jpg", "missing.jpg")
Snippet = Callable[[str], str]
Compare = Callable[..., None]


@pytest.fixture(autouse=True, scope="session")
def usual_promotion_everywhere() -> Iterator[None]:
    """As in people's programs."""
    with jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"):
        yield


def _noisy(levels: int) -> np.ndarray:
    noise = np.random.default_rng(levels).integers(-levels, levels + 1, (300, 400, 3))
    return np.clip(smooth(300, 400) + noise, 0, 255).astype(np.uint8)


@pytest.fixture(scope="session")
def photos(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Colour, grey of 16 bits, CMYK, transparent, palette, lying on its side, cut off, and one that is not there."""
    folder = tmp_path_factory.mktemp("photos")
    images = [Image.fromarray(_noisy(3 * number)) for number in range(8)]
    half_clear = [images[4].copy(), ImageOps.mirror(images[5])]
    for image in half_clear:
        image.putalpha(128)
    files = {
        "a.jpg": encoded(images[0], "JPEG"),
        "b.png": encoded(images[1], "PNG"),
        "grey16.png": encoded(Image.fromarray(np.asarray(images[2].convert("L")).astype(np.uint16) * 257), "PNG"),
        "cmyk.jpg": encoded(images[3].convert("CMYK"), "JPEG"),
        "rgba.png": encoded(half_clear[0], "PNG"),
        "la.png": encoded(half_clear[1].convert("LA"), "PNG"),
        "palette.png": encoded(images[6].quantize(64), "PNG"),
        "turned.jpg": encoded(images[7], "JPEG", exif=exif(6)),
        "broken.jpg": encoded(images[0], "JPEG")[:300],
    }
    for name, data in files.items():
        (folder / name).write_bytes(data)
    return [folder / name for name in (*files, "missing.jpg")]


@pytest.fixture(scope="session")
def scored(photos: list[Path]) -> dict[Path, ScoreResult]:
    """What is said of each, by the interface that `vtiqa score` has."""
    results = dict(zip(photos, vtiqa_jax.load().stream(photos), strict=True))
    assert [path.name for path, result in results.items() if result.score is None] == list(UNREADABLE)
    readable = [result.score for result in results.values() if result.score is not None]
    assert min(np.diff(sorted(readable))) > 2 * TOLERANCE  # no two are alike
    return results


@pytest.fixture(scope="session")
def compare(scored: dict[Path, ScoreResult]) -> Compare:
    """Asserts that an adapter's columns of a photo, all and no others, have what was found by the package itself.

    `nothing` is what stands, by a column's type, where there is nothing; None when not given.
    """

    def check(photo: Path, row: Mapping[str, Any], nothing: Mapping[type, Any] | None = None) -> None:
        ours = {name: value for name, value in row.items() if name.startswith("vtiqa_")}
        assert ours.keys() == COLUMNS_BY_NAME.keys()
        for name, column in COLUMNS_BY_NAME.items():
            expected = column.value(scored[photo])
            if expected is None and nothing:
                expected = nothing[column.type]
            if column.type is float and expected is not None:
                assert ours[name] == pytest.approx(expected, abs=TOLERANCE + STEPS[column.decimals], nan_ok=True), name
            else:
                assert ours[name] == expected, (photo.name, name)

    return check


@pytest.fixture
def snippet() -> Snippet:
    """Finds the block of the document that has a word in it."""

    def find(word: str) -> str:
        blocks = re.findall(r"^```\w+\n(.*?)^```$", DOCUMENT.read_text(), re.DOTALL | re.MULTILINE)
        (block,) = [block for block in blocks if word in block]
        return block

    return find
