"""The page in a real browser: what a person can do with mouse, keys and screen reader, and what may never happen."""

import csv
import dataclasses
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from tests.test_gallery import HEADER, noise, previewed
from vtiqa_jax.choosing.stacks import Stack
from vtiqa_jax.gallery.page import SCRIPT, GalleryHeader, open_gallery
from vtiqa_jax.gallery.zooms import Zoom, ZoomedMap
from vtiqa_jax.models.config import LabelScale
from vtiqa_jax.photos.jpeg import encode_jpeg
from vtiqa_jax.photos.place_grid import Region
from vtiqa_jax.results import columns
from vtiqa_jax.results.columns import Column
from vtiqa_jax.results.results import ScoreResult
from vtiqa_jax.scoring.detail_map import DetailMap

playwright = pytest.importorskip("playwright.sync_api", reason='needs Playwright: pip install "vtiqa-jax[dev]"')
CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(CHROMIUM is None, reason="needs Chromium on the path: apt-get install chromium"),
]
expect = playwright.expect
Page = Any
"""Playwright's `Page`."""

PWN = "<img src=x onerror='window.pwned=1'>"
NAMES = [f"IMG_{number:04}.jpg" for number in range(12)] + ["50% #1?.jpg", f"{PWN}.jpg", "script>window.pwned=1<.jpg"]
BROKEN = "</script><script>window.pwned=1</script>"
SCORES = [1.2, 1.9, 2.1, 2.4, 2.8, 3.0, 3.1, 3.3, 3.6, 3.9, 4.2, 4.7, 4.0, 2.2, 3.4]
SERIES = {4, 5, 8}
"""Shots of one scene; 8 is the best of them."""


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Fifteen photos in two folders, one gone since, and a sixteenth that could not be read."""
    root = tmp_path_factory.mktemp("root")
    folders = [root / "b<" / "c", root / "a"]
    with open_gallery(root / "report") as gallery:
        for number, (name, score) in enumerate(zip(NAMES, SCORES, strict=True)):
            folder = folders[number % 2] if number < 12 else root / "<"
            folder.mkdir(parents=True, exist_ok=True)
            pixels = noise(4) // (1 + number % 3) if number in SERIES else noise(number, 60, 50 + 10 * (number % 5))
            if number != 3:
                cv2.imencode(".jpg", pixels)[1].tofile(folder / name)
            quality = np.linspace(*(2, 4) if number == 7 else (1, 5), 12).reshape(3, 4) if number % 2 else None
            warning = "much smaller than a photo of a camera" if number == 7 else None
            result = ScoreResult(folder / name, score, percentile=10.0 + number, spread=0.25, warning=warning)
            result = dataclasses.replace(result, width=pixels.shape[1], height=pixels.shape[0])
            gallery.add(result, previewed(np.ascontiguousarray(pixels)), quality)
        gallery.add(ScoreResult(root / "a" / "broken.jpg", None, error=BROKEN), None)
        gallery.finish(HEADER, [Stack("burst", tuple(sorted(SERIES)), (8,))])
    return root / "report"


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        browser.close()


def watched(browser: Any, **options: Any) -> tuple[Page, list[str]]:
    """A new page and what it asked for or complained of that it should not; missing originals are expected."""
    context = browser.new_context(viewport={"width": 1200, "height": 800}, **options)
    page, wrong = context.new_page(), []
    page.on("request", lambda request: request.url.startswith(("file:", "blob:")) or wrong.append(request.url))
    missing = re.compile("Failed to load resource: net::ERR_FILE_NOT_FOUND")
    page.on("console", lambda said: missing.match(said.text) or wrong.append(said.text))
    page.on("pageerror", lambda error: wrong.append(str(error)))
    return page, wrong


@pytest.fixture
def page(browser: Any, report: Path) -> Iterator[Page]:
    page, wrong = watched(browser)
    page.goto((report / "index.html").as_uri())
    yield page
    assert page.evaluate("window.pwned") is None
    page.context.close()
    assert wrong == []


def names(page: Page) -> list[str]:
    return page.locator("#grid .name").all_inner_texts()


def numbers(page: Page) -> list[int]:
    """Of the shown photos, by their place in the report."""
    return [[*NAMES, "broken.jpg"].index(name) for name in names(page)]


def test_a_browser_itself_loads_the_modules(browser: Any, report: Path) -> None:
    """As editors read them, from a server: the one script that is made of them is no dialect."""
    text = re.sub('<meta http-equiv="Content-Security-Policy".*?>', "", (report / "index.html").read_text())
    module = '<script type="module" src="/gallery/scripts/main.js"></script>'
    text, count = re.subn("<script>.*?</script>", module, text, flags=re.DOTALL)
    assert count == 1
    package = SCRIPT.parents[2]

    def answer(route: Any) -> None:
        file = package / route.request.url.removeprefix("http://report/")
        if file.suffix == ".js":
            route.fulfill(path=file, content_type="text/javascript")
        elif file == package:
            route.fulfill(body=text, content_type="text/html")
        else:
            route.abort()

    page = browser.new_page()
    wrong: list[str] = []
    page.on("pageerror", lambda error: wrong.append(str(error)))
    page.route("http://report/**", answer)
    page.goto("http://report/")
    expect(page.locator("#shown")).to_have_text("16 photos")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("k")
    page.keyboard.press("Enter")
    expect(page.locator("#keep")).to_have_attribute("aria-pressed", "true")
    page.close()
    assert wrong == []


ORDER = sorted(range(15), key=lambda number: -SCORES[number])


def test_sorting(page: Page) -> None:
    assert numbers(page) == [*ORDER, 15]
    page.select_option("#sort", "worst")
    assert numbers(page) == [*reversed(ORDER), 15]
    page.select_option("#sort", "name")
    assert numbers(page) == list(range(16))
    expect(page.locator("#shown")).to_have_text("16 photos")


def test_filters(page: Page) -> None:
    page.fill("#search", "img_ 0009.")
    assert names(page) == ["IMG_0009.jpg"]
    expect(page.locator("#shown")).to_have_text("1 of 16 photos")
    page.fill("#search", "no such name")
    expect(page.locator("#empty")).to_be_visible()
    page.click("#empty-reset")
    assert len(names(page)) == 16
    page.select_option("#status", "failed")
    assert names(page) == ["broken.jpg"]
    page.select_option("#status", "warning")
    assert numbers(page) == [7]
    page.select_option("#status", "all")
    folder = page.locator("#folder option", has_text="b</c").get_attribute("value")
    page.select_option("#folder", folder)
    assert sorted(numbers(page)) == [0, 2, 4, 6, 8, 10]
    page.click("#reset")
    assert len(names(page)) == 16


def test_the_range_of_scores(page: Page) -> None:
    page.fill("#low", "2")
    page.fill("#high", "3")
    page.press("#high", "Enter")
    assert sorted(numbers(page)) == [2, 3, 4, 5, 13]
    page.click("#reset")
    box = page.locator("#histogram").bounding_box()
    place = {score: box["x"] + box["width"] * (score - 1) / 4 for score in (3.95, 4.75)}
    page.mouse.move(place[3.95], box["y"] + 30)
    page.mouse.down()
    page.mouse.move(place[4.75], box["y"] + 30, steps=4)
    page.mouse.up()
    assert sorted(numbers(page)) == [10, 11, 12]
    page.mouse.move(box["x"], box["y"] + 30)  # the drag is over
    assert sorted(numbers(page)) == [10, 11, 12]
    assert page.locator("#low").input_value() < "4.0"


FOCUSED = "(document.activeElement.querySelector('.name')?.textContent ?? document.activeElement.id)"


def focused(page: Page) -> str:
    return page.evaluate(FOCUSED)


def expect_focused(page: Page, name: str) -> None:
    """A dialog gives the focus back in its event `close`, which comes after the dialog is gone."""
    page.wait_for_function(f"name => {FOCUSED} === name", arg=name)


def test_the_keys(page: Page) -> None:
    page.locator("#help-button").focus()
    page.keyboard.press("Tab")
    shown = names(page)
    assert focused(page) == shown[0]
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowRight")
    assert focused(page) == shown[2]
    page.keyboard.press("ArrowDown")
    below = focused(page)
    boxes = [page.locator("#grid .card").nth(shown.index(name)).bounding_box() for name in (shown[2], below)]
    assert boxes[0]["y"] < boxes[1]["y"]
    middles = [box["x"] + box["width"] / 2 for box in boxes]
    assert abs(middles[0] - middles[1]) < boxes[1]["width"]
    page.keyboard.press("ArrowUp")
    assert focused(page) == shown[2]
    page.keyboard.press("End")
    assert focused(page) == shown[-1]
    page.keyboard.press("Home")
    page.keyboard.press("Enter")
    expect(page.locator("#viewer")).to_be_visible()
    expect(page.locator("#viewer-name")).to_have_text(shown[0])
    page.keyboard.press("ArrowRight")
    expect(page.locator("#viewer-name")).to_have_text(shown[1])
    page.keyboard.press("Escape")
    expect(page.locator("#viewer")).to_be_hidden()
    expect_focused(page, shown[1])
    page.keyboard.press("?")
    expect(page.locator("#help")).to_be_visible()
    page.keyboard.press("k")
    page.keyboard.press("Escape")
    expect_focused(page, shown[1])
    expect(page.locator("#marked")).to_have_text("0 kept, 0 rejected")
    page.keyboard.press("/")
    page.keyboard.type("xk")  # text, no marks
    expect(page.locator("#marked")).to_have_text("0 kept, 0 rejected")
    assert page.locator("#search").input_value() == "xk"


def test_the_first_key_only_selects(page: Page) -> None:
    """From the page's start, and from where one has scrolled to: nobody marks a photo that was not chosen."""
    shown = names(page)
    for key, first in (("ArrowDown", 0), ("PageDown", 0), ("PageUp", 0), ("Home", 0), ("End", -1), ("k", 0), ("e", 0)):
        page.reload()
        page.keyboard.press(key)
        assert focused(page) == shown[first], key
    expect(page.locator("#marked")).to_have_text("0 kept, 0 rejected")
    page.keyboard.press("k")
    page.keyboard.press("ArrowRight")
    assert focused(page) == shown[1]
    expect(page.locator("#marked")).to_have_text("1 kept, 0 rejected")
    page.set_viewport_size({"width": 500, "height": 400})
    page.reload()
    page.evaluate("window.scrollTo(0, document.body.scrollHeight)")
    page.keyboard.press("x")
    expect(page.locator(".card:focus")).to_be_in_viewport()
    assert focused(page) != shown[0]
    expect(page.locator("#marked")).to_have_text("1 kept, 0 rejected")
    page.keyboard.press("x")
    expect(page.locator("#marked")).to_have_text("1 kept, 1 rejected")
    page.evaluate("document.activeElement.blur()")
    page.keyboard.press("Home")
    assert focused(page) == shown[0]
    expect(page.locator(".card:focus")).to_be_in_viewport()
    page.click("#help-button")
    page.keyboard.press("Escape")
    page.keyboard.press("x")  # a button has the focus
    expect(page.locator("#marked")).to_have_text("1 kept, 1 rejected")


def open_photo(page: Page, number: int) -> None:
    page.locator("#grid .card", has_text=NAMES[number]).click()


def test_a_photo(page: Page, report: Path) -> None:
    open_photo(page, 7)
    expect(page.locator("#score")).to_have_text("3.30")
    expect(page.locator("#spread")).to_have_text("± 0.25")
    expect(page.locator("#percentile")).to_have_text("better than 17 % of the photos that trained the model")
    expect(page.locator("#warning")).to_have_text("much smaller than a photo of a camera")
    for image in ("#photo", "#views-image"):
        expect(page.locator(image)).not_to_have_js_property("naturalWidth", 0)
    assert page.locator("#photo").get_attribute("src") == "../a/IMG_0007.jpg"
    expect(page.locator("#fallback")).to_be_hidden()
    needle = page.locator("#needle").evaluate("e => e.style.left")
    assert float(needle.removesuffix("%")) == pytest.approx(100 * (3.3 - 1) / 4)
    page.click("#close")
    open_photo(page, 12)
    assert page.locator("#photo").get_attribute("src") == "../%3C/50%25%20%231%3F.jpg"
    expect(page.locator("#photo")).not_to_have_js_property("naturalWidth", 0)
    expect(page.locator("#fallback")).to_be_hidden()


@pytest.mark.parametrize("width", [360, 1200])
def test_a_name_has_a_line_of_its_own(browser: Any, detailed: Path, width: int) -> None:
    """However narrow the photo: what has no room is in the hint."""
    page, wrong = watched(browser)
    page.set_viewport_size({"width": width, "height": 740})
    page.goto((detailed / "index.html").as_uri())
    for card in page.locator(".card").all():
        name, picture = card.locator(".name").bounding_box(), card.locator(".picture").bounding_box()
        assert name["width"] > 0.75 * picture["width"]
        assert name["y"] + name["height"] <= card.bounding_box()["y"] + card.bounding_box()["height"] + 0.5
        assert card.locator(".numbers").evaluate("e => e.scrollWidth <= e.clientWidth"), "no number is cut"
        hint = card.locator(".name").evaluate("e => e.closest('[title]').title")
        assert hint.endswith(card.locator(".name").inner_text())
    page.context.close()
    assert wrong == []


def test_an_original_that_is_gone_is_shown_by_its_thumbnail(page: Page) -> None:
    open_photo(page, 3)
    expect(page.locator("#fallback")).to_be_visible()
    assert page.locator("#photo").get_attribute("src") == "thumbnails/00003.jpg"
    expect(page.locator("#photo")).not_to_have_js_property("naturalWidth", 0)


def test_the_quality_map_is_drawn(page: Page) -> None:
    open_photo(page, 2)
    expect(page.locator("#mapping")).to_be_hidden()
    page.keyboard.press("Escape")
    open_photo(page, 7)
    expect(page.locator("#map")).to_be_hidden()
    page.keyboard.press("m")
    expect(page.locator("#map")).to_be_visible()
    page.locator("#opacity").fill("30")
    assert page.locator("#map").evaluate("e => getComputedStyle(e).opacity") == "0.3"
    drawn = page.locator("#map").evaluate("e => [...e.getContext('2d').getImageData(0, 0, e.width, e.height).data]")
    pixels = np.array(drawn).reshape(3, 4, 4)
    assert (pixels[..., 3] == 255).all()
    worst, best = pixels[0, 0], pixels[-1, -1]
    assert worst[0] > worst[2] + 60  # ember
    assert best[2] > best[0] + 60  # sea
    assert page.locator(".legend span").all_inner_texts() == ["2.00", "4.00"]  # the photo's own
    box = page.locator("#frame").bounding_box()
    photo = page.locator("#photo").bounding_box()
    assert box == photo
    assert box["width"] / box["height"] == pytest.approx(70 / 60, rel=0.01)
    page.mouse.move(box["x"] + 0.9 * box["width"], box["y"] + 0.9 * box["height"])
    expect(page.locator("#reading")).to_have_text("4.00")
    page.keyboard.press("m")
    expect(page.locator("#map")).to_be_hidden()


def test_marks_survive_and_are_exported(page: Page, report: Path) -> None:
    page.locator("#grid .card").first.focus()
    page.keyboard.press("k")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("x")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("k")
    page.keyboard.press("k")  # again: no mark
    open_photo(page, 13)
    page.click("#keep")
    page.click("#reject")
    page.click("#keep")
    expect(page.locator("#keep")).to_have_attribute("aria-pressed", "true")
    expect(page.locator("#reject")).to_have_attribute("aria-pressed", "false")
    page.keyboard.press("Escape")
    page.reload()
    expect(page.locator("#marked")).to_have_text("2 kept, 1 rejected")
    expect(page.locator(".badge")).to_have_count(3)
    page.select_option("#status", "keep")
    assert numbers(page) == [ORDER[0], 13]
    with page.expect_download() as download:
        page.click("#download")
    with Path(download.value.path()).open(newline="", encoding="utf-8") as file:
        rows = {row["image"]: row for row in csv.DictReader(file)}
    root = report.parent
    assert len(rows) == 16
    assert {path: row["mark"] for path, row in rows.items() if row["mark"]} == {
        str(root / "a" / NAMES[11]): "keep",
        str(root / "b<" / "c" / NAMES[10]): "reject",
        str(root / "<" / NAMES[13]): "keep",
    }
    assert rows[str(root / "a" / "broken.jpg")]["error"] == BROKEN
    warned = rows[str(root / "a" / NAMES[7])]
    assert (float(warned["score"]), warned["warning"]) == (3.3, "much smaller than a photo of a camera")
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    page.click("#copy-keep")
    expect(page.locator("#toast")).to_have_text("2 paths copied")
    copied = page.evaluate("navigator.clipboard.readText()")
    assert copied == f"{root / 'a' / NAMES[11]}\n{root / '<' / NAMES[13]}\n"


def test_marking_what_is_not_marked_goes_on_to_the_next(page: Page) -> None:
    page.select_option("#status", "unmarked")
    before = names(page)
    page.locator("#grid .card").nth(1).focus()
    page.keyboard.press("x")
    assert names(page) == [before[0], *before[2:]]
    assert focused(page) == before[2]
    page.keyboard.press("Enter")
    page.keyboard.press("k")
    page.keyboard.press("ArrowRight")
    expect(page.locator("#viewer-name")).to_have_text(before[3])
    page.keyboard.press("ArrowLeft")
    expect(page.locator("#viewer-name")).to_have_text(before[0])


def test_photos_are_stacked(page: Page) -> None:
    everything = numbers(page)
    assert page.locator(".card", has_text="★").locator(".name").all_inner_texts() == [NAMES[8]]
    page.locator("#grid .card").first.focus()
    page.keyboard.press("g")
    assert numbers(page) == [number for number in everything if number not in SERIES - {8}]
    expect(page.locator("#shown")).to_have_text("16 photos, 1 stack")
    expect(page.locator(".expand")).to_have_text("+2")
    expect(page.locator(".kind")).to_have_text("burst of 3")
    page.click(".expand")
    opened = numbers(page)
    assert opened[opened.index(8) :][:3] == [8, 5, 4]
    assert focused(page) == NAMES[8]
    page.keyboard.press("e")
    assert len(numbers(page)) == 14
    page.fill("#high", "3.2")  # the best is out of the range
    page.press("#high", "Enter")
    expect(page.locator(".expand")).to_have_text("+1")
    assert 5 in numbers(page)
    page.click("#reset")
    page.uncheck("#stack")
    assert numbers(page) == everything


def test_a_bracket_is_shown_as_one_picture(browser: Any, tmp_path: Path) -> None:
    """No star, since none of them is to be rejected, and in the order of their names."""
    with open_gallery(tmp_path / "report") as gallery:
        for name, score in (("a", 2.0), ("b", 4.0), ("c", 1.0), ("d", 3.0), ("e", 1.5), ("f", 2.5)):
            gallery.add(ScoreResult(Path(f"{name}.jpg"), score), previewed(noise(1)))
        stacks = [Stack("exposure bracket", (0, 1, 2, 3), (0, 1, 2, 3)), Stack("copies", (4, 5), (4,))]
        gallery.finish(HEADER, stacks)
    page, wrong = watched(browser)
    page.goto((tmp_path / "report" / "index.html").as_uri())
    assert page.locator(".card", has_text="★").locator(".name").all_inner_texts() == ["e.jpg"]
    page.check("#stack")
    assert page.locator(".kind").all_inner_texts() == ["exposure bracket of 4: kept whole", "2 copies"]
    assert names(page) == ["b.jpg", "e.jpg"]  # the best copy, which is not the first by rank
    page.locator(".expand").first.click()
    assert names(page) == ["b.jpg", "a.jpg", "c.jpg", "d.jpg", "e.jpg"]
    page.locator("#grid .card").first.focus()
    page.keyboard.press("x")
    expect(page.locator("#toast")).to_have_text("Rejected, though its exposure bracket is one picture")
    page.keyboard.press("Enter")
    facts = dict(zip(*(page.locator(f"#facts {tag}").all_inner_texts() for tag in ("dt", "dd")), strict=True))
    assert facts["stack"] == "in exposure bracket of 4: kept whole"
    page.context.close()
    assert wrong == []


def test_names_and_reasons_are_shown_as_they_are(page: Page) -> None:
    assert f"{PWN}.jpg" in names(page)
    expect(page.locator(".reason")).to_have_text(BROKEN)
    expect(page.locator("#grid img[src='x']")).to_have_count(0)
    open_photo(page, 13)
    expect(page.locator("#viewer-name")).to_have_text(f"{PWN}.jpg")
    page.keyboard.press("Escape")
    page.locator("#grid .card", has_text="broken.jpg").click()
    expect(page.locator("#error")).to_have_text(BROKEN)
    expect(page.locator("#views")).to_be_hidden()


def test_what_a_screen_reader_hears(page: Page) -> None:
    cards = page.get_by_role("list", name="Photos").get_by_role("button")
    labels = [cards.nth(number).get_attribute("aria-label") for number in range(16)]
    assert labels[0] == "IMG_0011.jpg, score 4.70"
    assert "IMG_0008.jpg, score 3.60, best of burst of 3" in labels
    assert "IMG_0007.jpg, score 3.30, warning: much smaller than a photo of a camera" in labels
    assert labels[-1] == f"broken.jpg, not scored: {BROKEN}"
    item = page.get_by_role("listitem").nth(3)
    assert (item.get_attribute("aria-posinset"), item.get_attribute("aria-setsize")) == ("4", "16")
    assert page.locator("#grid [tabindex='0']").count() == 1
    assert page.get_by_role("status").first.get_attribute("id") == "shown"
    fields = {"Find": "searchbox", "from": "spinbutton", "to": "spinbutton", "Stacks": "switch"}
    for name, role in (fields | dict.fromkeys(("Order", "Show", "Folder"), "combobox")).items():
        assert page.get_by_role(role, name=name, exact=True).count() == 1, name
    unnamed = "e => !(e.getAttribute('aria-label') || e.innerText.trim() || e.closest('dialog:not([open])'))"
    assert page.locator("button").evaluate_all(f"all => all.filter({unnamed}).length") == 0
    open_photo(page, 7)
    assert page.get_by_role("dialog", name="IMG_0007.jpg").count() == 1


def luminance(colour: str) -> float:
    channels = np.array([int(part) for part in re.findall(r"\d+", colour)[:3]]) / 255
    linear = np.where(channels <= 0.03928, channels / 12.92, ((channels + 0.055) / 1.055) ** 2.4)
    return float(linear @ [0.2126, 0.7152, 0.0722])


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [360, 1200])
def test_both_schemes_and_a_phone(browser: Any, report: Path, scheme: str, width: int) -> None:
    page, wrong = watched(browser, color_scheme=scheme, reduced_motion="reduce")
    page.set_viewport_size({"width": width, "height": 740})
    page.goto((report / "index.html").as_uri())
    paper = luminance(page.evaluate("getComputedStyle(document.documentElement).backgroundColor"))
    assert (paper < 0.05) == (scheme == "dark")
    for text in ("h1", ".byline", ".card b", ".card .name", "#shown", "#marked", ".caution"):
        ink = luminance(page.locator(text).first.evaluate("e => getComputedStyle(e).color"))
        assert (max(ink, paper) + 0.05) / (min(ink, paper) + 0.05) >= 4.5, text
    assert page.locator(".switch input").first.evaluate("e => getComputedStyle(e).transitionDuration") == "0s"
    wide = "document.documentElement.scrollWidth"
    assert page.evaluate(wide) <= width
    open_photo(page, 7)
    page.keyboard.press("m")
    assert page.evaluate(wide) <= width
    assert page.locator(".viewer").evaluate("e => e.scrollWidth <= e.clientWidth")
    buttons = page.locator("#viewer button").evaluate_all("all => all.map(e => e.getBoundingClientRect().right)")
    assert max(buttons) <= width
    page.context.close()
    assert wrong == []


def test_a_scale_on_which_lower_is_better(browser: Any, tmp_path: Path) -> None:
    header = GalleryHeader("x", "a model", LabelScale("distortion", 0.0, 100.0, higher_is_better=False), "x", "x")
    with open_gallery(tmp_path / "report") as gallery:
        for name, score in (("bad", 90.0), ("good", 5.0), ("fair", 40.0)):
            gallery.add(ScoreResult(Path(f"{name}.jpg"), score), previewed(noise(1)))
        gallery.finish(header, [Stack("burst", (0, 1, 2), (1,))])
    page, wrong = watched(browser)
    page.goto((tmp_path / "report" / "index.html").as_uri())
    assert names(page) == ["good.jpg", "fair.jpg", "bad.jpg"]
    assert page.locator(".card", has_text="★").locator(".name").inner_text() == "good.jpg"
    bars = page.locator(".bar i").evaluate_all("all => all.map(e => parseFloat(e.style.width))")
    assert bars == pytest.approx([95, 60, 10])
    page.context.close()
    assert wrong == []


def test_a_column_that_comes_later_is_shown_and_downloaded(
    browser: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    @dataclasses.dataclass(frozen=True)
    class LaterResult(ScoreResult):
        fine_detail: float | None = None
        is_sharp: bool | None = None

    later = (Column("fine_detail", float, "of the finest grain"), Column("is_sharp", bool, "whether edges are steep"))
    monkeypatch.setattr(columns, "COLUMNS", (*columns.COLUMNS, *later))
    with open_gallery(tmp_path / "report") as gallery:
        gallery.add(LaterResult(Path("a.jpg"), 3.0, fine_detail=0.25, is_sharp=False), previewed(noise(1)))
        gallery.add(LaterResult(Path("b.jpg"), 2.0), previewed(noise(2)))
        gallery.finish(HEADER)
    page, wrong = watched(browser)
    page.goto((tmp_path / "report" / "index.html").as_uri())
    page.locator(".card").first.click()
    facts = dict(zip(*(page.locator(f"#facts {tag}").all_inner_texts() for tag in ("dt", "dd")), strict=True))
    assert (facts["fine detail"], facts["is sharp"]) == ("0.25", "false")
    page.keyboard.press("Escape")
    with page.expect_download() as download:
        page.click("#download")
    with Path(download.value.path()).open(newline="", encoding="utf-8") as file:
        first, second = csv.DictReader(file)
    assert list(first) == ["image", "score", "rank", "best", "fine_detail", "is_sharp", "mark"]
    assert (first["fine_detail"], first["is_sharp"], second["is_sharp"]) == ("0.25", "false", "")
    page.context.close()
    assert wrong == []


# ---- detail ----

DETAILED = {"sharp.jpg": (2.0, 4.5, 120.0), "soft.jpg": (4.0, 1.5, 20.0), "both.jpg": (3.9, 3.6, 60.0)}
"""Score, detail, and up to which scale a photo holds."""


def map_of(octaves: np.ndarray, region: Region, factor: int, height: int = 640, width: int = 960) -> DetailMap:
    weights = np.isfinite(octaves) / np.float32(np.isfinite(octaves).sum())
    return DetailMap(octaves.astype(np.float32), weights.astype(np.float32), factor, region, height, width)


@pytest.fixture(scope="module")
def detailed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three photos with detail, of which one has maps, and a fourth without structure."""
    root = tmp_path_factory.mktemp("detailed")
    octaves = np.array([[0, 2, np.nan], [0.5, 1, 1.5]])
    regions = [Region(0, 0, 400, 400), Region(240, 560, 400, 400)]
    shown = [
        Zoom(map_of(np.full((2, 2), number + 0.25), region, 1), encode_jpeg(noise(number, 400, 400)))
        for number, region in enumerate(regions)
    ]
    zoomed = ZoomedMap(map_of(octaves, Region(0, 0, 640, 960), 4), tuple(shown))
    with open_gallery(root / "report") as gallery:
        for number, (name, (score, detail, holds)) in enumerate(DETAILED.items()):
            pixels = noise(number, 640, 960)
            cv2.imencode(".jpg", pixels)[1].tofile(root / name)
            result = ScoreResult(root / name, score, detail=detail, holds=holds, width=6000, height=4000)
            if name == "soft.jpg":
                result = dataclasses.replace(result, low=3.52, high=4.31, opinion_spread=0.82, detail_percentile=6.4)
            quality = np.linspace(1, 5, 12).reshape(3, 4) if name == "soft.jpg" else None
            gallery.add(result, previewed(pixels), quality, zoomed if name == "soft.jpg" else None)
        gallery.add(ScoreResult(root / "fog.jpg", 3.0, width=960, height=640, warning="fog"), previewed(noise(9)))
        gallery.finish(HEADER)
    return root / "report"


@pytest.fixture
def detail_page(browser: Any, detailed: Path) -> Iterator[Page]:
    page, wrong = watched(browser)
    page.goto((detailed / "index.html").as_uri())
    yield page
    page.context.close()
    assert wrong == []


def test_both_numbers_are_shown_and_order_photos(detail_page: Page) -> None:
    page = detail_page
    assert names(page) == ["both.jpg", "soft.jpg", "fog.jpg", "sharp.jpg"], "by both numbers"
    assert page.locator(".card .detail").all_inner_texts() == ["1:1 3.60", "1:1 1.50", "1:1 4.50"]
    title = page.locator(".card", has_text="both.jpg").locator(".detail").get_attribute("title")
    assert title == "What the photo shows at 1:1; it holds up to 60 %, about 8.6 of 24 megapixels"
    label = page.locator(".card", has_text="both.jpg").get_attribute("aria-label")
    assert label == "both.jpg, score 3.90, detail 3.60, holds up to 60 %, about 8.6 of 24 megapixels"
    orders = {
        "worst": ["sharp.jpg", "fog.jpg", "soft.jpg", "both.jpg"],
        "score": ["soft.jpg", "both.jpg", "fog.jpg", "sharp.jpg"],
        "detail": ["sharp.jpg", "both.jpg", "soft.jpg", "fog.jpg"],
        "holds": ["sharp.jpg", "both.jpg", "soft.jpg", "fog.jpg"],
    }
    for order, expected in orders.items():
        page.select_option("#sort", order)
        assert names(page) == expected, order
    page.locator(".card", has_text="soft.jpg").click()
    expect(page.locator("#score")).to_have_text("4.00")
    expect(page.locator("#detail")).to_have_text("1.50 at 100 %")
    expect(page.locator("#detail-percentile")).to_have_text("more detail than 6 % of cameras' photos")
    expect(page.locator("#holds")).to_have_text("holds up to 20 %, about 0.96 of 24 megapixels")
    expect(page.locator("#facts")).to_contain_text("3.5 to 4.3, single people ± 0.8")
    page.keyboard.press("?")
    explained = page.locator("#help .meaning li:visible b").all_inner_texts()
    assert explained[:2] == ["Score", "People say 3.3 to 4.3"] and {"1:1", "Rank"} < set(explained)
    page.keyboard.press("Escape")
    page.keyboard.press("ArrowRight")
    expect(page.locator("#facts")).not_to_contain_text("people say")
    expect(page.locator("#detail")).to_have_text("")
    expect(page.locator("#warning")).to_have_text("fog")


def test_the_histogram_is_of_either_number(detail_page: Page) -> None:
    page = detail_page
    axis = page.locator("#axis span")
    assert axis.all_inner_texts() == ["1", "2", "3", "4", "5"]
    page.select_option("#measure", "holds")
    assert axis.all_inner_texts() == ["0", "30", "60", "90", "120"]
    assert page.locator("#histogram").get_attribute("aria-label") == "Histogram of holds"
    assert page.locator("#histogram rect").count() == 6, "three photos hold something: a bar and its faint one for each"
    page.fill("#low", "50")
    page.press("#low", "Enter")
    assert sorted(names(page)) == ["both.jpg", "sharp.jpg"]
    page.select_option("#measure", "detail")
    assert len(names(page)) == 4, "no range of another number stays behind"
    page.fill("#high", "2")
    page.press("#high", "Enter")
    assert names(page) == ["soft.jpg"]
    page.click("#reset")
    assert len(names(page)) == 4


def test_a_map_of_detail_leaves_clear_what_has_no_structure(detail_page: Page) -> None:
    page = detail_page
    open_named(page, "both.jpg")
    expect(page.locator("#mapping")).to_be_hidden()
    page.keyboard.press("Escape")
    open_named(page, "soft.jpg")
    expect(page.locator("#hint")).to_be_hidden()
    page.keyboard.press("m")
    page.keyboard.press("d")
    assert not page.locator("#map-shown").is_checked(), "one map at a time"
    drawn = page.locator("#map").evaluate("e => [...e.getContext('2d').getImageData(0, 0, e.width, e.height).data]")
    pixels = np.array(drawn).reshape(2, 3, 4)
    np.testing.assert_array_equal(pixels[..., 3], [[255, 255, 0], [255, 255, 255]])
    assert pixels[0, 0, 2] > pixels[0, 0, 0] + 60, "nothing lost: sea"
    assert pixels[0, 1, 0] > pixels[0, 1, 2] + 60, "two octaves lost: ember"
    assert page.locator(".legend span").all_inner_texts() == ["2 octaves lost at 1:4", "none"]
    box = page.locator("#frame").bounding_box()
    for x, text in ((0.5, "2.00"), (0.9, "nothing to judge")):
        page.mouse.move(box["x"] + x * box["width"], box["y"] + 0.2 * box["height"])
        expect(page.locator("#reading")).to_have_text(text)
    page.keyboard.press("m")
    expect(page.locator("#regions")).to_be_hidden()
    assert page.locator(".legend span").all_inner_texts() == ["1.00", "5.00"]


def open_named(page: Page, name: str) -> None:
    page.locator("#grid .card", has_text=name).click()


def test_a_click_zooms_to_1_to_1(detail_page: Page) -> None:
    page = detail_page
    open_named(page, "soft.jpg")
    box = page.locator("#frame").bounding_box()
    middle = (box["x"] + 0.7 * box["width"], box["y"] + 0.6 * box["height"])
    page.mouse.click(*middle)
    expect(page.locator("#zoom")).to_be_hidden()  # without the map a click is no question
    page.keyboard.press("d")
    page.mouse.click(*middle)
    expect(page.locator("#zoom-title")).to_have_text("1:1, lower right: 1.3 octaves lost (2 of 2)")
    expect(page.locator("#zoom-photo")).to_have_js_property("naturalWidth", 400)
    assert page.locator("#zoom-photo").get_attribute("src") == "crops/00001-1.jpg"
    expect(page.locator("#zoom-map")).to_be_hidden()
    page.keyboard.press("d")
    expect(page.locator("#zoom-map")).to_be_visible()
    assert page.locator("#zoom-map").bounding_box() == page.locator("#zoom-photo").bounding_box()
    page.keyboard.press("z")
    expect(page.locator("#zoom-title")).to_have_text("1:1, upper left: 0.3 octaves lost (1 of 2)")
    page.keyboard.press("Escape")
    expect(page.locator("#zoom")).to_be_hidden()
    expect(page.locator("#viewer")).to_be_visible()
    region = page.get_by_role("button", name="At 1:1, upper left: 0.3 octaves lost")
    region.focus()
    page.keyboard.press("Enter")
    expect(page.locator("#zoom-title")).to_contain_text("1 of 2")
    page.click("#zoom-close")
    assert region.evaluate("e => e === document.activeElement"), "where one was"
    page.keyboard.press("z")
    page.keyboard.press("ArrowLeft")
    expect(page.locator("#zoom")).to_be_hidden()  # another photo's region


@pytest.mark.parametrize("width", [360, 1200])
def test_detail_on_a_phone(browser: Any, detailed: Path, width: int) -> None:
    page, wrong = watched(browser)
    page.set_viewport_size({"width": width, "height": 740})
    page.goto((detailed / "index.html").as_uri())
    wide = "document.documentElement.scrollWidth"
    assert page.evaluate(wide) <= width
    open_named(page, "soft.jpg")
    page.keyboard.press("d")
    panel = page.locator(".panel")
    assert panel.evaluate("e => e.scrollWidth <= e.clientWidth")
    page.keyboard.press("z")
    expect(page.locator("#zoom-photo")).to_have_js_property("naturalWidth", 400)
    shown = page.locator("#zoom-photo").bounding_box()
    assert (shown["width"], shown["height"]) == (400, 400), "a pixel is a pixel; what has no room is scrolled to"
    assert page.evaluate(wide) <= width
    stage, zoom = (page.locator(name).bounding_box() for name in (".stage", "#zoom"))
    assert stage["x"] <= zoom["x"] and zoom["x"] + zoom["width"] <= stage["x"] + stage["width"]
    assert stage["y"] <= zoom["y"] and zoom["y"] + zoom["height"] <= stage["y"] + stage["height"]
    page.context.close()
    assert wrong == []


def test_a_model_without_detail_shows_nothing_of_it(page: Page) -> None:
    assert page.locator(".of-detail:visible").count() == page.locator(".card .detail").count() == 0
    assert page.locator("#sort option").count() == 3
    open_photo(page, 7)
    assert page.locator(".of-detail:visible").count() == 0
    expect(page.locator("#mapping-detail")).to_be_hidden()
    assert page.locator("#facts dt", has_text="rank").count() == 0
    page.keyboard.press("?")
    expect(page.locator("#help .meaning")).to_contain_text("Score: ")
    assert page.locator(".of-detail:visible").count() == 0
    page.keyboard.press("Escape")
    page.keyboard.press("d")
    page.keyboard.press("z")
    expect(page.locator("#map")).to_be_hidden()
    expect(page.locator("#zoom")).to_be_hidden()


def test_ten_thousand_photos_keep_the_document_small(browser: Any, tmp_path: Path) -> None:
    shared = previewed(noise(0))
    with open_gallery(tmp_path / "report") as gallery:
        for number in range(10_000):
            result = ScoreResult(Path(f"folder {number % 40}") / f"{number}.jpg", 1 + 4 * (number * 0.618 % 1))
            gallery.add(result, shared if number < 2 else None)
        gallery.finish(HEADER)
    page, _ = watched(browser)
    page.goto((tmp_path / "report" / "index.html").as_uri())
    expect(page.locator("#shown")).to_have_text("10,000 photos")
    count = "document.querySelectorAll('#grid *').length"
    assert 0 < page.evaluate(count) < 1500
    page.locator("#grid .card").first.focus()
    page.keyboard.press("End")
    expect(page.locator("#grid li").last).to_have_attribute("aria-posinset", "10000")
    expect(page.locator("#grid .card:focus")).to_be_in_viewport()
    page.mouse.wheel(0, -100_000)
    page.wait_for_timeout(200)
    assert 0 < page.evaluate(count) < 1500
    assert page.locator("#grid .card:focus").count() == 1  # still there, though far away
    page.fill("#search", "77")
    assert page.locator("#grid li").first.get_attribute("aria-setsize") == str(
        sum("77" in f"folder {number % 40}/{number}.jpg" for number in range(10_000))
    )
    page.context.close()
