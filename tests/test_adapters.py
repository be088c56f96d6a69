"""What the adapters share, and the one that needs pyarrow alone; tests/adapters runs the packages themselves."""

import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pyarrow as pa
import pytest
from PIL import Image

from tests.photo_files import encoded, smooth
from vtiqa_jax.adapters import scoring
from vtiqa_jax.adapters.hugging_face import ScorePhotos
from vtiqa_jax.errors import UserError
from vtiqa_jax.photos.decode import PhotoFile, decode, open_photo
from vtiqa_jax.results.results import ScoreResult

FORK = """
import os, sys, jax
from vtiqa_jax.adapters.scoring import load_scorer
from vtiqa_jax.errors import UserError

if sys.argv[1] == "after":
    jax.devices()
if os.fork() == 0:
    try:
        print(load_scorer(str.upper, "loaded"), flush=True)
    except UserError as error:
        print(error, flush=True)
    os._exit(0)  # without JAX's own end, which waits for its threads, too
os.wait()
"""


class Names:
    """A scorer that sees how long a photo's name is; photos called "broken" cannot be read."""

    def __init__(self, model: str) -> None:
        self.model = model

    def stream(self, photos: list[Any]) -> Iterator[ScoreResult]:
        for photo in photos:
            is_broken = "broken" in repr(photo)
            yield ScoreResult(photo, None, repr(photo)) if is_broken else ScoreResult(photo, float(len(photo)))


def names(model: str) -> Names:
    return Names(model)


def test_a_process_loads_each_model_once() -> None:
    assert scoring.load_scorer(names, "a") is scoring.load_scorer(names, "a")
    assert scoring.load_scorer(names, "b").model == "b"


@pytest.mark.parametrize("when", ["before", "after"])
def test_a_fork_of_what_has_computed_is_refused_and_no_other(when: str) -> None:
    """JAX would wait for ever there."""
    command = [sys.executable, "-W", "ignore", "-c", FORK, when]
    said = subprocess.run(command, check=True, capture_output=True, text=True, timeout=120).stdout
    expected = "LOADED" if when == "before" else "this process is a fork of one in which JAX has computed"
    assert said.startswith(expected)


def test_rows_keep_their_columns_and_get_typed_ones() -> None:
    table = pa.table({"image": ["abc", "a"], "score": [7, 8]})
    scored = ScorePhotos(load=names)(table)
    assert scored.column_names == ["image", "score", *scoring.COLUMNS_BY_NAME]
    assert scored["score"].to_pylist() == [7, 8]
    assert scored["vtiqa_score"].to_pylist() == [3.0, 1.0]
    assert scored.schema.field("vtiqa_error").type == pa.string()  # though there is none
    replaced = ScorePhotos(load=names)(scored.set_column(0, "image", pa.array(["ab", "broken"])))
    assert replaced.schema == scored.schema
    assert replaced["vtiqa_score"].to_pylist() == [2.0, None]
    assert replaced["vtiqa_error"].to_pylist() == [None, "'broken'"]


def test_what_a_feature_image_stores_is_not_decoded_before() -> None:
    stored = [{"bytes": b"data", "path": "broken.nef"}, {"bytes": None, "path": "broken/here.jpg"}]
    errors = ScorePhotos(load=names)(pa.table({"image": stored}))["vtiqa_error"].to_pylist()
    assert errors == [repr(PhotoFile(b"data", "broken.nef")), repr("broken/here.jpg")]


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (pa.table({"picture": ["a"]}), "no column 'image'; there are picture"),
        ({"image": ["a"]}, "with_format"),
    ],
)
def test_rows_that_cannot_be_scored_are_refused(rows: Any, message: str) -> None:
    with pytest.raises(UserError, match=message):
        ScorePhotos(load=names)(rows)


def test_a_file_that_was_read_is_decoded_by_its_name(monkeypatch: pytest.MonkeyPatch) -> None:
    """A RAW file may show what it is by its name alone."""
    data = encoded(Image.fromarray(smooth(20, 30)), "PNG")
    assert (open_photo(PhotoFile(data)).pixels == decode("", data).pixels).all()
    asked = []
    monkeypatch.setattr("vtiqa_jax.photos.decode.raw.is_raw", lambda name, *_: asked.append(name))
    open_photo(PhotoFile(data, "a.nef"))
    assert asked == ["a.nef"]
