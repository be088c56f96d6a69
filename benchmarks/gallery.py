"""Measures how fast Chromium opens the page of `vtiqa score --report` with many photos, and how fast it reacts.

For example:

    python benchmarks/gallery.py [--photos 10000] [--repeats 5]
    python benchmarks/gallery.py --report DIR           # an existing page

Each made-up photo has a thumbnail of its own, a quality map of 7 x 7 and a name of 30 characters. A tenth of them
belong to stacks. Needs Playwright and Chromium on the path.
"""

import dataclasses
import shutil
import statistics
import tempfile
import time
from pathlib import Path

import cv2
import numpy as np
from cyclopts import Parameter
from playwright.sync_api import sync_playwright
from timing import device

from vtiqa_jax import cli
from vtiqa_jax.choosing.stacks import Stack
from vtiqa_jax.gallery.page import GalleryHeader, open_gallery
from vtiqa_jax.gallery.preview import make_preview
from vtiqa_jax.models.config import LabelScale, ModelConfig
from vtiqa_jax.results.results import ScoreResult

FIRST_PAINT = "performance.getEntriesByName('first-contentful-paint')[0].startTime"
ALL_READ = "performance.getEntriesByType('navigation')[0].domContentLoadedEventEnd"
TIMED = """async (act) => {
  const start = performance.now();
  (0, eval)(act);
  const script = performance.now() - start;
  await new Promise((done) => requestAnimationFrame(() => setTimeout(done)));
  return [script, performance.now() - start];
}"""
INPUT = "(document.getElementById('{0}').value = '{1}', document.getElementById('{0}').dispatchEvent(new Event('{2}')))"
ACTIONS = {
    "by name": INPUT.format("sort", "name", "input"),
    "best first": INPUT.format("sort", "best", "input"),
    "find: 77": INPUT.format("search", "77", "input"),
    "find nothing": INPUT.format("search", "", "input"),
    "scores from 3": INPUT.format("low", "3", "change"),
    "all scores": INPUT.format("low", "1", "change"),
    "stacked": "document.getElementById('stack').click()",
    "half the way down": "window.scrollTo(0, document.body.scrollHeight / 2)",
}


@Parameter(name="*")
@dataclasses.dataclass(frozen=True)
class Arguments:
    """Options."""

    photos: int = 10_000
    """Number of made-up photos."""
    report: Path | None = None
    """Folder that `vtiqa score --report` wrote. A page of made-up photos when not given."""
    repeats: int = 5
    """Number of times that each action is timed."""


def write(folder: Path, count: int) -> None:
    """Writes a page of made-up photos; prints how long its parts took."""
    rng = np.random.default_rng(0)
    config = ModelConfig()
    large = cv2.resize(rng.integers(0, 256, (64, 64, 3), np.uint8), (512, 512), interpolation=cv2.INTER_CUBIC)
    start = time.perf_counter()
    for _ in range(100):
        make_preview(large, large, config)
    print(f"a preview of 512 x 512 px: {(time.perf_counter() - start) * 10:.1f} ms")
    start = time.perf_counter()
    with open_gallery(folder) as gallery:
        for number in range(count):
            if number % 10 != 1:  # else as the one before
                blots = rng.integers(0, 256, (20, 30, 3), np.uint8)
                pixels = cv2.resize(blots, (320, 213), interpolation=cv2.INTER_CUBIC)
                preview = make_preview(pixels, pixels, config)
            path = Path(f"folder {number % 40:02}") / f"a photo of {number:08}.jpg"
            quality = rng.uniform(1, 5, (7, 7))
            score = float(quality.mean())
            result = ScoreResult(path, score, percentile=50.0, spread=0.2, width=320, height=213)
            gallery.add(result, preview, quality)
        finishing = time.perf_counter()
        stacks = [Stack("burst", (number - 1, number), (number,)) for number in range(1, count, 10)]
        header = GalleryHeader("a benchmark", "no model", LabelScale("made up", 1.0, 5.0), "none", "today")
        gallery.finish(header, stacks)
        print(f"the page: {time.perf_counter() - finishing:.1f} s")
    size = (folder / "index.html").stat().st_size
    print(f"{count} photos: {time.perf_counter() - start:.1f} s, index.html {size / 1e6:.1f} MB")


def main(arguments: Arguments = Arguments()) -> None:
    """Prints medians: the first paint of a new page, and for each action its script and the time to its frame."""
    chromium = shutil.which("chromium") or shutil.which("google-chrome")
    print(device())
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as driver:
        report = arguments.report or Path(folder) / "report"
        if arguments.report is None:
            write(report, arguments.photos)
        browser = driver.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        print(f"Chromium {browser.version}, window of 1360 x 900")
        paints, ready, actions = [], [], {name: [] for name in ACTIONS}
        for _ in range(arguments.repeats):
            context = browser.new_context(viewport={"width": 1360, "height": 900}, bypass_csp=True)
            page = context.new_page()
            page.goto((report / "index.html").absolute().as_uri())
            page.wait_for_function("performance.getEntriesByName('first-contentful-paint').length")
            paints.append(page.evaluate(FIRST_PAINT))
            ready.append(page.evaluate(ALL_READ))
            for name, act in ACTIONS.items():
                actions[name].append(page.evaluate(TIMED, act))
                nodes = page.evaluate("document.querySelectorAll('*').length")
            context.close()
        paint, read = statistics.median(paints), statistics.median(ready)
        print(f"first paint {paint:.0f} ms, all read {read:.0f} ms, {nodes} elements")
        for name, times in actions.items():
            script, frame = (statistics.median(row[which] for row in times) for which in (0, 1))
            print(f"{name}: {script:.0f} ms, with its frame {frame:.0f} ms")
        browser.close()


if __name__ == "__main__":
    cli.run_script(main, description=__doc__)
