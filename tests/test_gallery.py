"""The page of `vtiqa score --report`: previews, files and text that nobody vouches for."""

import base64
import dataclasses
import errno
import hashlib
import json
import os
import re
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote_to_bytes

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vtiqa_jax import atomic
from vtiqa_jax.choosing.stacks import Stack
from vtiqa_jax.errors import UserError
from vtiqa_jax.gallery import page, preview
from vtiqa_jax.gallery.page import GalleryHeader, open_gallery
from vtiqa_jax.gallery.preview import make_preview
from vtiqa_jax.models.config import Kind, LabelScale, ModelConfig, tiny_config
from vtiqa_jax.photos.decode import decode
from vtiqa_jax.photos.resize import Rgb, prepare
from vtiqa_jax.results.results import ScoreResult

HEADER = GalleryHeader("holiday", "a model", LabelScale("test", 1.0, 5.0), "vtiqa score holiday", "today")
TINY = tiny_config()


def noise(seed: int, height: int = 60, width: int = 90) -> Rgb:
    """A picture like no other: big soft blots."""
    blots = np.random.default_rng(seed).integers(0, 256, (12, 18, 3), np.uint8)
    return cv2.resize(blots, (width, height), interpolation=cv2.INTER_CUBIC)


def previewed(pixels: Rgb) -> preview.Preview:
    return make_preview(pixels, pixels, TINY)


# ---- Previews ----


@pytest.mark.parametrize("kind", ["vtiqa", "original"])
def test_the_views_are_those_that_the_model_sees(kind: Kind) -> None:
    """The paper's model selects its patches; the page shows it the released one's."""
    pixels = noise(0)
    shown = decode("", make_preview(pixels, pixels, ModelConfig(kind=kind)).views).pixels.astype(int)
    seen = np.concatenate(prepare(pixels, None, ModelConfig().eval_cuts), axis=1)
    other = np.concatenate(prepare(pixels[::-1], None, ModelConfig().eval_cuts), axis=1)
    assert np.abs(shown - seen).mean() < 3 < 20 < np.abs(shown - other).mean(), "JPEG's losses are 2 levels"


@pytest.mark.parametrize(
    ("size", "thumbnail"),
    [((640, 960), (213, 320)), ((960, 640), (320, 213)), ((20, 30), (20, 30)), ((1, 3000), (1, 320)), ((1, 1), (1, 1))],
)
def test_a_thumbnail_keeps_the_shape_and_is_never_enlarged(size: tuple[int, int], thumbnail: tuple[int, int]) -> None:
    made = previewed(noise(0, *size))
    shown = decode("", made.thumbnail).pixels
    assert shown.shape[:2] == thumbnail
    assert decode("", made.views).pixels.shape == (TINY.view_size, 2 * TINY.view_size, 3)


def test_a_thumbnail_has_the_colours_of_the_photo() -> None:
    red = np.full((40, 40, 3), (250, 10, 10), np.uint8)
    np.testing.assert_allclose(decode("", previewed(red).thumbnail).pixels.mean((0, 1)), (250, 10, 10), atol=3)


# ---- Files ----


def write(folder: Path, count: int = 2) -> None:
    with open_gallery(folder) as gallery:
        for number in range(count):
            gallery.add(ScoreResult(Path(f"{number}.jpg"), 3.0 + number), previewed(noise(number)))
        gallery.finish(HEADER)


def everything(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_pictures_are_written_as_they_come_and_the_page_appears_at_the_end(tmp_path: Path) -> None:
    target = tmp_path / "a" / "report"
    with open_gallery(target) as gallery:
        gallery.add(ScoreResult(Path("0.jpg"), 3.0), previewed(noise(0)))
        assert len(list(tmp_path.rglob("*.jpg"))) == 2
        gallery.add(ScoreResult(Path("1.jpg"), None, error="broken"), None)
        gallery.finish(HEADER)
        assert not target.exists()
    names = {"index.html", "thumbnails/00000.jpg", "views/00000.jpg"}
    assert everything(target).keys() == names
    assert [path.name for path in target.parent.iterdir()] == ["report"]


def test_a_report_is_made_again(tmp_path: Path) -> None:
    write(tmp_path / "report", 3)
    write(tmp_path / "report", 1)
    assert len(everything(tmp_path / "report")) == 3
    assert page.report_id(tmp_path / "report") != page.report_id(tmp_path / "other")


@pytest.mark.parametrize("interruption", [KeyboardInterrupt, ValueError, BrokenPipeError])
def test_an_interrupted_run_changes_nothing(tmp_path: Path, interruption: type[BaseException]) -> None:
    def stop(folder: Path) -> None:
        with open_gallery(folder) as gallery:
            gallery.add(ScoreResult(Path("0.jpg"), 3.0), previewed(noise(0)))
            raise interruption

    with pytest.raises(interruption):
        stop(tmp_path / "report")
    assert not list(tmp_path.iterdir())
    write(tmp_path / "report")
    before = everything(tmp_path / "report")
    with pytest.raises(interruption):
        stop(tmp_path / "report")
    assert everything(tmp_path) == {f"report/{name}": data for name, data in before.items()}


@pytest.mark.parametrize("case", ["photos", "another page", "report and notes", "file"])
def test_what_is_no_report_is_never_replaced(tmp_path: Path, case: str) -> None:
    target = tmp_path / "out"
    if case == "file":
        target.write_text("mine")
    else:
        target.mkdir()
    if case == "photos":
        (target / "a.jpg").write_bytes(b"mine")
    if case == "another page":
        (target / "index.html").write_text("<meta name='generator' content='mine'>")
    if case == "report and notes":
        target.rmdir()
        write(target)
        (target / "notes.txt").write_text("mine")
    before = everything(tmp_path)
    with pytest.raises(UserError, match=r"out .*(holds other files|replace a file)"), open_gallery(target):
        pytest.fail("the folder was accepted")
    assert everything(tmp_path) == before


def test_an_empty_folder_and_a_link_to_a_report_are_written_to(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    write(tmp_path / "empty")
    (tmp_path / "link").symlink_to(tmp_path / "empty")
    write(tmp_path / "link", 1)
    assert (tmp_path / "link").is_symlink()
    assert len(everything(tmp_path / "empty")) == 3


def test_a_place_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    (tmp_path / "loop").symlink_to("loop")
    for folder in (tmp_path / "file" / "report", tmp_path / "loop", tmp_path / "loop" / "report"):
        with pytest.raises(UserError, match=r"the report .* cannot be written"), open_gallery(folder):
            pytest.fail("the folder was accepted")


@pytest.mark.parametrize("step", ["pictures", "page", "place"])
def test_what_goes_wrong_with_the_report_is_told_of_the_report(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    method = {"pictures": "write_bytes", "page": "write_text", "place": "replace"}[step]
    monkeypatch.setattr(Path, method, full)
    with pytest.raises(UserError, match=r"the report .*report cannot be written: No space left"):
        write(tmp_path / "report")
    assert not list(tmp_path.iterdir())


def test_what_goes_wrong_elsewhere_is_not_told_of_the_report(tmp_path: Path) -> None:
    error = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "scores.csv")
    with pytest.raises(OSError) as raised, open_gallery(tmp_path / "report"):
        raise error
    assert raised.value is error
    assert not list(tmp_path.iterdir())


def test_a_killed_runs_rest_in_a_folder_that_cannot_be_replaced_is_no_obstacle(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A folder mounted into a container, say: the report is made inside of it."""
    target, real = tmp_path / "report", os.path.ismount
    target.mkdir()
    monkeypatch.setattr(os.path, "ismount", lambda path: Path(path) == target or real(path))
    number = target.stat().st_ino
    (atomic.temporary_name(target) / "views").mkdir(parents=True)
    assert atomic.temporary_name(target).parent == target
    for count in (2, 1):
        write(target, count)
        assert len(everything(target)) == 1 + 2 * count
    assert target.stat().st_ino == number


# ---- Text that nobody vouches for ----


class Elements(HTMLParser):
    """The elements of a page, with their attributes and text."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None], str]] = []
        self.inside = False
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attributes), ""))
        self.inside = True

    def handle_endtag(self, tag: str) -> None:
        self.inside = False

    def handle_data(self, data: str) -> None:
        if self.inside:
            tag, attributes, text = self.found[-1]
            self.found[-1] = (tag, attributes, text + data)

    def of(self, tag: str) -> Iterator[tuple[dict[str, str | None], str]]:
        return ((attributes, text) for name, attributes, text in self.found if name == tag)

    def data(self, name: str) -> dict:
        (text,) = (text for attributes, text in self.of("script") if attributes.get("id") == name)
        return json.loads(text)


def read(folder: Path) -> Elements:
    return Elements((folder / "index.html").read_bytes().decode("utf-8"))


NASTY = "</script><script>alert(1)</script> <!-- \"'&amp; ]]> \u2028 {{ 7 * 7 }} javascript:alert(1)"


def test_nothing_that_a_file_says_becomes_markup(tmp_path: Path) -> None:
    header = GalleryHeader(NASTY, NASTY, LabelScale(NASTY, 1.0, 5.0), NASTY, NASTY)
    with open_gallery(tmp_path / "harmless") as gallery:
        gallery.finish(HEADER)
    with open_gallery(tmp_path / "nasty") as gallery:
        gallery.add(ScoreResult(Path(NASTY) / NASTY, None, error=NASTY, warning=NASTY), None)
        gallery.finish(header)
    harmless, nasty = read(tmp_path / "harmless"), read(tmp_path / "nasty")
    assert [tag for tag, *_ in nasty.found] == [tag for tag, *_ in harmless.found]
    assert [attributes for _, attributes, _ in nasty.found] == [attributes for _, attributes, _ in harmless.found]
    (photo,) = nasty.data("data")["photos"]
    assert photo["error"] == photo["warning"] == NASTY
    assert f"{photo['folder']}/{photo['name']}" == f"{NASTY}/{NASTY}"
    assert NASTY in next(nasty.of("h1"))[1]


@given(st.binary(min_size=1, max_size=30).filter(lambda name: not set(name) & {0, ord("/")} and name.strip(b".")))
def test_links_lead_to_the_file_whatever_its_name(name: bytes) -> None:
    path = Path("/photos") / os.fsdecode(name)
    link = page._link(path, Path("/reports/one"))
    assert re.fullmatch(r"[A-Za-z0-9_.~/%-]+", link)
    assert os.path.normpath(b"/reports/one/" + unquote_to_bytes(link)) == b"/photos/" + name


def test_a_name_that_is_no_text_makes_a_valid_page(tmp_path: Path) -> None:
    path = tmp_path / os.fsdecode(b"caf\xe9 \xf0\x9f\x8c\xbb.jpg")
    path.write_bytes(b"photo")
    with open_gallery(tmp_path / "report") as gallery:
        gallery.add(ScoreResult(path, None, error=f"{path} is broken"), None)
        gallery.finish(HEADER)
    (photo,) = read(tmp_path / "report").data("data")["photos"]
    assert photo["name"] == "caf\ufffd \U0001f33b.jpg"
    assert (
        Path(os.fsdecode(bytes(tmp_path / "report") + b"/" + unquote_to_bytes(photo["link"]))).read_bytes() == b"photo"
    )


def test_only_the_page_s_own_style_and_script_are_allowed(tmp_path: Path) -> None:
    write(tmp_path / "report")
    elements = read(tmp_path / "report")
    (policy,) = (a["content"] for a, _ in elements.of("meta") if a.get("http-equiv") == "Content-Security-Policy")
    assert policy is not None
    (style,) = (text for _, text in elements.of("style"))
    scripts = [text for attributes, text in elements.of("script") if "type" not in attributes]
    for kind, texts in (("style", [style]), ("script", scripts)):
        hashed = [base64.b64encode(hashlib.sha256(text.encode()).digest()).decode() for text in texts]
        assert f"{kind}-src 'sha256-" + "' 'sha256-".join(hashed) + "';" in policy
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    text = (tmp_path / "report" / "index.html").read_text()
    assert set(re.findall(r"\w+://[^\"' ]+", text)) == {"http://www.w3.org/2000/svg"}  # a name, never fetched


# ---- Data ----


def test_a_photo_s_data(tmp_path: Path) -> None:
    quality = np.array([[1.5, 2.0, 2.5], [4.5, 3.0, 1.5]], np.float32)
    twins = previewed(noise(0))
    with open_gallery(tmp_path / "report") as gallery:
        result = ScoreResult(Path("a/0.jpg"), 3.5, percentile=83.0, out_of_range="above", spread=0.25, warning="small")
        gallery.add(dataclasses.replace(result, width=90, height=60), twins, quality)
        gallery.add(ScoreResult(Path("1.jpg"), None, error="broken"), None)
        gallery.add(ScoreResult(Path("2.jpg"), 2.0), previewed(noise(1)))
        gallery.add(ScoreResult(Path("3.jpg"), 2.5), twins)
        gallery.finish(HEADER, [Stack("burst", (0, 3), (0,))])
    elements = read(tmp_path / "report")
    first, second, third, fourth = elements.data("data")["photos"]
    link, looks = first.pop("link"), first.pop("looks")
    np.testing.assert_allclose(looks, twins.looks, atol=0.005)
    assert first == {
        "name": "0.jpg", "folder": "a", "score": 3.5, "percentile": 83.0, "out_of_range": "above", "spread": 0.25,
        "warning": "small", "remarks": "above the scores of all training photos; small",
        "rank": 3.5, "width": 90, "height": 60, "stack": 1, "stack_kind": "burst", "best": True,
    }  # fmt: skip
    assert link == os.path.relpath("a/0.jpg", tmp_path / "report")
    assert second.keys() == {"name", "folder", "link", "error"}
    assert "stack" not in third and third["best"]
    assert (fourth["stack"], fourth["best"]) == (1, False)
    maps = elements.data("maps")
    (columns, encoded), *others = maps["maps"]
    assert others == [None] * 3
    levels = np.frombuffer(base64.b64decode(encoded), np.uint8).reshape(-1, columns)
    step = (maps["high"] - maps["low"]) / 255
    np.testing.assert_allclose(maps["low"] + levels * step, quality, atol=0.51 * step)
    assert [text for _, text in elements.of("dd")][:2] == ["4", "2.67"]


def test_a_map_that_is_the_same_everywhere(tmp_path: Path) -> None:
    with open_gallery(tmp_path / "report") as gallery:
        gallery.add(ScoreResult(Path("0.jpg"), 3.0), previewed(noise(0)), np.full((2, 2), 3.0))
        gallery.finish(HEADER)
    assert read(tmp_path / "report").data("maps")["low"] == 3.0
