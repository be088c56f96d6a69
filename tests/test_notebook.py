"""What people write first in a notebook: one photo, a batch, and what is no photo at all."""

import io
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest
from PIL import Image

import vtiqa_jax
from vtiqa_jax.models.config import LabelScale, ModelConfig
from vtiqa_jax.models.params import Params
from vtiqa_jax.scoring.scorer import Scorer


@pytest.fixture(scope="module")
def scorer(config: ModelConfig, weights: Params, scale: LabelScale) -> Scorer:
    return Scorer(config, weights, scale, devices=jax.devices()[:1])


@pytest.fixture
def batch(rng: np.random.Generator, tmp_path: Path) -> np.ndarray:
    """Three photos, the first and the second as files, too."""
    photos = rng.integers(0, 256, (3, 40, 50, 3), np.uint8)
    for name, pixels in zip("ab", photos, strict=False):
        Image.fromarray(pixels).save(tmp_path / f"{name}.png")
    return photos


GIVEN: dict[str, tuple[Callable[[Path, np.ndarray], Any], int]] = {
    "a name": (lambda folder, batch: str(folder / "a.png"), 1),
    "a path": (lambda folder, batch: folder / "a.png", 1),
    "an array": (lambda folder, batch: batch[0], 1),
    "a grey array": (lambda folder, batch: np.ascontiguousarray(batch[0, :, :, 0]), 1),
    "a Pillow image": (lambda folder, batch: Image.fromarray(batch[0]), 1),
    "a list of one": (lambda folder, batch: [folder / "a.png"], 1),
    "a batch": (lambda folder, batch: batch, 3),
    "a list of arrays": (lambda folder, batch: list(batch), 3),
    "a list of everything": (lambda folder, batch: [folder / "a.png", batch[1], Image.fromarray(batch[2])], 3),
    "a tuple": (lambda folder, batch: (str(folder / "a.png"), str(folder / "b.png")), 2),
    "an iterator": (lambda folder, batch: iter([folder / "a.png", folder / "b.png"]), 2),
    "Path.glob": (lambda folder, batch: folder.glob("*.png"), 2),
    "an array of names": (lambda folder, batch: np.array([str(folder / "a.png"), str(folder / "b.png")]), 2),
    "the values of a dictionary": (lambda folder, batch: {"x": folder / "a.png"}.values(), 1),
    "an empty list": (lambda folder, batch: [], 0),
    "an empty batch": (lambda folder, batch: batch[:0], 0),
    "an iterator at its end": (lambda folder, batch: iter([]), 0),
}


@pytest.mark.parametrize(("make", "count"), GIVEN.values(), ids=GIVEN)
def test_one_photo_and_several(
    scorer: Scorer, batch: np.ndarray, tmp_path: Path, make: Callable[[Path, np.ndarray], Any], count: int
) -> None:
    scores = scorer.score(make(tmp_path, batch))
    assert scores.shape == (count,) and scores.dtype == np.float32
    assert len(scorer.table(make(tmp_path, batch))) == count
    streamed = [result.score for result in scorer.stream(make(tmp_path, batch))]
    assert streamed == pytest.approx(scores.tolist(), abs=1e-4)


def test_each_form_of_a_photo_has_its_score(scorer: Scorer, batch: np.ndarray, tmp_path: Path) -> None:
    expected = scorer.score(list(batch))
    assert len(set(expected.tolist())) == 3
    np.testing.assert_array_equal(scorer.score(batch), expected)
    for photo in (tmp_path / "b.png", str(tmp_path / "b.png"), batch[1], Image.fromarray(batch[1])):
        np.testing.assert_allclose(scorer.score(photo), expected[1:2], atol=1e-4)
    np.testing.assert_allclose(scorer.score(sorted(tmp_path.glob("*.png"))), expected[:2], atol=1e-4)


WRONG: dict[str, Any] = {
    "nothing": None, "a number": 3, "NumPy's number": np.float32(3), "a dictionary": {"a.png": 1}, "bytes": b"a.png",
    "a file": io.BytesIO(b"a.png"), "a table": np.zeros(5, np.uint8), "floats": np.zeros((4, 5, 3)),
    "five axes": np.zeros((1, 2, 4, 5, 3), np.uint8), "five colours": np.zeros((4, 5, 5), np.uint8),
    "a list of nothing": [None], "a list of lists": [["a.png"]], "no pixels": np.zeros((0, 5, 3), np.uint8),
}  # fmt: skip


@pytest.mark.parametrize("given", WRONG.values(), ids=WRONG)
def test_what_is_no_photo_is_told_in_one_sentence(scorer: Scorer, given: Any) -> None:
    told = r"a path, a uint8 array or a Pillow image|a uint8 array \[height, width, 3\], not"
    for ask in (scorer.score, scorer.explain):
        with pytest.raises(vtiqa_jax.ImageError, match=told):
            ask(given)


def test_a_name_that_is_missing_is_named(scorer: Scorer, tmp_path: Path) -> None:
    with pytest.raises(vtiqa_jax.ImageError, match=r"none\.png: No such file or directory"):
        scorer.score(tmp_path / "none.png")
    assert [result.error for result in scorer.table(str(tmp_path / "none.png"))] == ["No such file or directory"]


def test_a_map_of_one_photo(scorer: Scorer, batch: np.ndarray, tmp_path: Path) -> None:
    expected = scorer.explain(batch[0]).scores
    for photo in (tmp_path / "a.png", str(tmp_path / "a.png"), Image.fromarray(batch[0])):
        np.testing.assert_allclose(scorer.explain(photo).scores, expected, atol=1e-4)


def test_the_public_names_are_listed() -> None:
    named = [name for name in dir(vtiqa_jax) if not name.startswith("__")]
    assert named == sorted(vtiqa_jax.__all__)
    for name in named:
        assert getattr(vtiqa_jax, name).__doc__, name
    assert not hasattr(vtiqa_jax, "scorer")


def test_a_scorer_says_what_it_is(scorer: Scorer) -> None:
    said = repr(scorer)
    for part in (
        "vtiqa",
        "2 blocks",
        "test scale, 1 to 5, higher is better",
        "float32",
        f"1 x {jax.devices()[0].device_kind}",
    ):
        assert part in said


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_a_scorer_goes_to_another_process(
    config: ModelConfig, weights: Params, scale: LabelScale, batch: np.ndarray, dtype: Any
) -> None:
    known = {"trained": {"percentiles": {"scores": list(range(101))}}}
    scorer = Scorer(config, weights, scale, provenance=known, compute_dtype=dtype, devices=jax.devices()[:1])
    sent = pickle.loads(pickle.dumps(scorer))
    assert sent.mesh.size == len(jax.devices())
    np.testing.assert_allclose(sent.score(batch), scorer.score(batch), atol=1e-3)
    assert (sent.settings(), sent.provenance) == (scorer.settings(), known)
