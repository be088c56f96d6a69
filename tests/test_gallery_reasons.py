"""Reasons on the page, in a real browser: which photos have them, and how probable they are."""

import csv
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.test_gallery import HEADER, noise, previewed
from tests.test_gallery_browser import browser as browser
from tests.test_gallery_browser import names, watched
from tests.test_gallery_browser import pytestmark as pytestmark
from vtiqa_jax.gallery.page import open_gallery
from vtiqa_jax.results.reasons import WORDS, Fault, name_faults
from vtiqa_jax.results.results import ScoreResult

playwright = pytest.importorskip("playwright.sync_api", reason='needs Playwright: pip install "vtiqa-jax[dev]"')
expect = playwright.expect
Page = Any

STRENGTHS = {
    "shaken.jpg": {"motion": 3.0, "too_dark": 1.2},
    "dark.jpg": {"too_dark": 2.0, "luminance_noise": 0.8},
    "good.jpg": {},
}
"""Of what is not 0; named from 1 on."""


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three photos that were judged and a fourth that is no photograph."""
    root = tmp_path_factory.mktemp("reasons")
    with open_gallery(root / "report") as gallery:
        for number, (name, strong) in enumerate(STRENGTHS.items()):
            faults = [Fault(fault, strong.get(fault, 0.0), strong.get(fault, 0.0) / 4) for fault in WORDS]
            named = name_faults(faults, dict.fromkeys(WORDS, 1.0))
            result = ScoreResult(root / name, 2.0 + number, faults=named, width=90, height=60)
            gallery.add(result, previewed(noise(number)))
        gallery.add(ScoreResult(root / "plot.png", 1.0, width=90, height=60, warning="no photo"), previewed(noise(7)))
        gallery.finish(HEADER)
    return root / "report"


@pytest.fixture
def page(browser: Any, report: Path) -> Iterator[Page]:
    page, wrong = watched(browser)
    page.goto((report / "index.html").as_uri())
    yield page
    page.context.close()
    assert wrong == []


def lines(page: Page, kind: str) -> list[str]:
    return [" ".join(text.split()) for text in page.locator(f"#{kind} li").all_inner_texts()]


def test_a_card_says_why(page: Page) -> None:
    assert page.locator(".card .reasons").all_inner_texts() == [
        "",
        "too dark",
        "severe motion blur; slightly too dark",
        "",
    ]
    heard = [card.get_attribute("aria-label") for card in page.locator(".card").all()]
    assert [", reasons: " in text for text in heard] == [False, True, True, False]


def test_photos_are_chosen_by_reason(page: Page) -> None:
    options = ["all", "no fault named", "motion blur (1)", "too dark (2)"]
    assert page.locator("#reason option").all_inner_texts() == options
    for value, shown in {
        "too_dark": ["dark.jpg", "shaken.jpg"],
        "motion": ["shaken.jpg"],
        "none": ["good.jpg"],
    }.items():
        page.select_option("#reason", value)
        assert names(page) == shown
    page.click("#reset")
    assert len(names(page)) == 4


def test_an_open_photo_says_how_probable_each_is(page: Page) -> None:
    page.locator(".card", has_text="shaken.jpg").click()
    assert lines(page, "named") == ["severe motion blur 75 %", "slightly too dark 30 %"]
    widths = [
        bar.evaluate("bar => bar.offsetWidth / bar.parentNode.offsetWidth") for bar in page.locator("#named i").all()
    ]
    assert widths == pytest.approx([0.75, 0.3], abs=0.02)
    expect(page.locator("#not-named")).not_to_be_visible()
    page.locator("#others summary").focus()
    page.keyboard.press("Enter")
    assert len(lines(page, "not-named")) == len(WORDS) - 2
    page.keyboard.press("ArrowLeft")  # dark.jpg
    assert lines(page, "named") == ["too dark 50 %"]
    assert lines(page, "not-named")[0] == "luminance noise 20 %"
    page.keyboard.press("ArrowLeft")  # good.jpg
    expect(page.locator("#reasons-title")).to_have_text("No fault is named")
    assert lines(page, "named") == []


def test_of_what_is_no_photograph_nothing_is_said(page: Page) -> None:
    page.locator(".card", has_text="plot.png").click()
    expect(page.locator("#reasons")).not_to_be_visible()


def test_the_table_has_them(page: Page) -> None:
    with page.expect_download() as download:
        page.click("#download")
    with Path(download.value.path()).open(newline="") as file:
        rows = {Path(row["image"]).name: row for row in csv.DictReader(file)}
    assert rows["shaken.jpg"]["reasons"] == "severe motion blur; slightly too dark"
    assert [rows[name]["p_motion"] for name in ("shaken.jpg", "good.jpg", "plot.png")] == ["0.75", "0", ""]


@pytest.mark.parametrize("width", [360, 1200])
def test_they_fit_on_a_phone(browser: Any, report: Path, width: int) -> None:
    page, wrong = watched(browser)
    page.set_viewport_size({"width": width, "height": 740})
    page.goto((report / "index.html").as_uri())
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    for card in page.locator("#grid li").all():
        text, item = card.locator(".reasons").bounding_box(), card.bounding_box()
        assert text["y"] + text["height"] <= item["y"] + item["height"] + 0.5
    page.locator(".card", has_text="shaken.jpg").click()
    page.locator("#others summary").click()
    assert page.locator(".panel").evaluate("e => e.scrollWidth <= e.clientWidth")
    for item in page.locator(".percent").all():
        assert item.bounding_box()["height"] < 30, "on one line"
    page.context.close()
    assert wrong == []


def test_a_model_without_reasons_shows_nothing_of_them(browser: Any, tmp_path: Path) -> None:
    with open_gallery(tmp_path / "report") as gallery:
        gallery.add(ScoreResult(tmp_path / "a.jpg", 2.0, width=90, height=60), previewed(noise(0)))
        gallery.finish(HEADER)
    page, wrong = watched(browser)
    page.goto((tmp_path / "report" / "index.html").as_uri())
    for part in page.locator(".of-reasons").all():
        expect(part).not_to_be_visible()
    assert page.locator(".card .reasons").count() == 0
    page.context.close()
    assert wrong == []
