"""Which of two photos a person likes better, asked on the page in a real browser."""

import csv
import dataclasses
import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from tests.test_gallery import HEADER, noise, previewed
from tests.test_gallery_browser import Page, browser, playwright, pytestmark, watched
from vtiqa_jax.choosing.stacks import Stack
from vtiqa_jax.gallery.page import open_gallery
from vtiqa_jax.results.results import ScoreResult
from vtiqa_jax.tuning.marks import read_marks

expect = playwright.expect
__all__ = ["browser", "pytestmark"]  # of the page's other tests

COUNT = 14
SHOTS = (3, 4)
"""Two of one scene."""


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Photos of many colours, one of them with a comma in its name, and one that could not be read."""
    root = tmp_path_factory.mktemp("root")
    rng = np.random.default_rng(1)
    with open_gallery(root / "report") as gallery:
        for number in range(COUNT):
            shot = noise(3 if number in SHOTS else number) // (2 if number == 4 else 1)
            pixels = (shot * rng.uniform(0.3, 1, 3)).astype(np.uint8)
            path = root / ("a, b.jpg" if number == 5 else f"{number}.jpg")
            cv2.imwrite(str(path), pixels)
            result = ScoreResult(path, 2 + 0.2 * number)
            result = dataclasses.replace(result, width=pixels.shape[1], height=pixels.shape[0])
            gallery.add(result, previewed(np.ascontiguousarray(pixels)))
        gallery.add(ScoreResult(root / "broken.jpg", None, error="broken"), None)
        gallery.finish(HEADER, [Stack("burst", SHOTS, SHOTS[:1])])
    return root / "report"


@pytest.fixture
def page(browser: Any, report: Path) -> Iterator[Page]:
    page, wrong = watched(browser, accept_downloads=True)
    page.goto((report / "index.html").as_uri())
    page.click("#pairs-button")
    yield page
    page.context.close()
    assert wrong == []


def asked(page: Page) -> tuple[str, str]:
    return tuple(page.locator(f"#pair-{side}-name").inner_text() for side in ("left", "right"))  # type: ignore[return-value]


def exported(page: Page, tmp_path: Path) -> list[list[str]]:
    with page.expect_download() as waiting:
        page.click("#pairs-download")
    waiting.value.save_as(tmp_path / "pairs.csv")
    with (tmp_path / "pairs.csv").open(newline="") as file:
        return list(csv.reader(file))


def test_answers_are_exported_as_vtiqa_tune_takes_them(page: Page, report: Path, tmp_path: Path) -> None:
    page.keyboard.press("Enter")
    expect(page.locator("#pairs")).to_be_visible()
    expect(page.locator("#pairs-download")).to_be_disabled()
    wanted = []
    for key, better in (("ArrowLeft", 0), ("ArrowRight", 1), ("ArrowDown", None), ("ArrowRight", 1)):
        pair = asked(page)
        wanted += [] if better is None else [[pair[better], pair[1 - better]]]
        page.keyboard.press(key)
        assert asked(page) != pair
    pair = asked(page)
    page.click("#choose-left")
    wanted.append([*pair])
    expect(page.locator("#pairs-count")).to_have_text("4 answers")
    lines = exported(page, tmp_path)
    assert lines == [["better", "worse"], *([str(report.parent / name) for name in pair] for pair in wanted)]
    assert [[path.name for path in pair] for pair in read_marks(tmp_path / "pairs.csv").pairs] == wanted


def test_answers_stay_and_can_be_undone(page: Page) -> None:
    first = asked(page)
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowDown")
    page.reload()
    page.click("#pairs-button")
    expect(page.locator("#pairs-count")).to_have_text("1 answer")
    page.keyboard.press("Backspace")
    page.click("#pairs-undo")
    expect(page.locator("#pairs-count")).to_have_text("0 answers")
    assert sorted(asked(page)) == sorted(first), "it is asked again"
    expect(page.locator("#pairs-undo")).to_be_disabled()


def test_every_pair_is_asked_once_and_no_two_shots_of_a_scene(page: Page) -> None:
    """Until there is none left: what was skipped does not come again either. Photos that were shown often wait."""
    seen: list[frozenset[str]] = []
    while not page.locator("#pairs-none").is_visible() and len(seen) < COUNT**2:
        seen.append(frozenset(asked(page)))
        page.keyboard.press("ArrowDown" if len(seen) % 3 == 0 else "ArrowLeft")
    assert len(set(seen)) == len(seen) == COUNT * (COUNT - 1) // 2 - 1
    assert frozenset({"3.jpg", "4.jpg"}) not in seen and not any("broken.jpg" in pair for pair in seen)
    early = Counter(name for pair in seen[: COUNT // 2] for name in pair)
    assert max(early.values()) <= 2, "while there are others"
    for key in ("ArrowLeft", "ArrowRight", "ArrowDown"):  # none of which has a pair to act on
        page.keyboard.press(key)
    expect(page.locator("#pairs-skip")).to_be_disabled()


def test_answers_decide_what_is_asked_next(browser: Any, report: Path) -> None:
    """A person who always takes the brighter photo is soon asked about photos that are alike in brightness."""
    page, wrong = watched(browser)
    page.goto((report / "index.html").as_uri())
    photos = json.loads(page.locator("#data").inner_text())["photos"]
    brightness = {photo["name"]: photo["looks"][0] for photo in photos if "looks" in photo}
    page.click("#pairs-button")
    gaps = []
    for _ in range(24):
        left, right = asked(page)
        gaps.append(abs(brightness[left] - brightness[right]))
        page.keyboard.press("ArrowLeft" if brightness[left] > brightness[right] else "ArrowRight")
    assert np.mean(gaps[12:]) < np.mean(gaps[:6])
    assert wrong == []
    page.context.close()


def test_long_names_fit_on_a_phone(browser: Any, tmp_path: Path) -> None:
    with open_gallery(tmp_path / "report") as gallery:
        for number in range(2):
            path = tmp_path / f"{'a long name ' * 12}{number}.jpg"
            gallery.add(ScoreResult(path, 3.0 + number, width=90, height=60), previewed(noise(number)))
        gallery.finish(HEADER)
    page, wrong = watched(browser)
    page.set_viewport_size({"width": 390, "height": 740})
    page.goto((tmp_path / "report" / "index.html").as_uri())
    page.click("#pairs-button")
    dialog = page.locator("#pairs").bounding_box()
    for button in page.locator("#pairs button").all():
        box = button.bounding_box()
        assert box["x"] + box["width"] <= dialog["x"] + dialog["width"]
    assert wrong == []
    page.context.close()


def test_the_pages_own_keys_rest_meanwhile(page: Page) -> None:
    page.keyboard.press("?")
    page.keyboard.press("g")
    expect(page.locator("#help")).not_to_be_visible()
    page.keyboard.press("Escape")
    expect(page.locator("#pairs")).not_to_be_visible()
    expect(page.locator("#pairs-button")).to_be_focused()


@pytest.mark.parametrize("count", [1, 2])
def test_a_page_without_two_photos_of_two_scenes_has_no_pairs(browser: Any, tmp_path: Path, count: int) -> None:
    with open_gallery(tmp_path / "report") as gallery:
        for number in range(count):
            gallery.add(ScoreResult(tmp_path / f"{number}.jpg", 3.0, width=90, height=60), previewed(noise(1)))
        gallery.finish(HEADER, [Stack("burst", (0, 1), (0,))] if count == 2 else [])
    page, wrong = watched(browser)
    page.goto((tmp_path / "report" / "index.html").as_uri())
    expect(page.locator("#pairs-button")).to_be_hidden()
    assert wrong == []
    page.context.close()
