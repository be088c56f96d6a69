"""Draws the pictures of docs/report.md and docs/explain.md: distorted photographs and their page in Chromium.

    python docs/report_pictures.py [FOLDER]

The photographs are those of the demonstration (`vtiqa_jax/data/demo.py`). Needs Playwright and Chromium on the path.
FOLDER keeps the page.
"""

import contextlib
import io
import shutil
import sys
import tempfile
from pathlib import Path

import cv2
import numpy as np
from PIL import Image
from playwright.sync_api import Page, sync_playwright

import vtiqa_jax
from vtiqa_jax.commands import score
from vtiqa_jax.data import demo
from vtiqa_jax.data.distortions import DISTORTIONS

DOCS = Path(__file__).parent
SHOTS = (
    ("defocus", 0.15), ("defocus", 0.6), ("motion", 0.5), ("noise", 0.4), ("noise", 0.8), ("jpeg", 0.7),
    ("overexposed", 0.4), ("underexposed", 0.5), ("underexposed", 0.8), ("hazy", 0.5),
)  # fmt: skip
"""Versions of each photograph, beside the pristine one: distortion and level."""
LONGER_SIDE = 900


def write_photos(folder: Path) -> None:
    """Writes a folder for each photograph, with its shots."""
    rng = np.random.default_rng(0)
    for name, original in demo.originals().items():
        if name == "motorcycle_left.png":  # its licence does not say that it may be shown
            continue
        stem = Path(name).stem
        (folder / stem).mkdir(parents=True)
        scale = min(1.0, LONGER_SIDE / max(original.shape))
        photo = cv2.resize(original, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
        shots = {stem: photo} | {
            f"{stem}-{kind}-{level}": DISTORTIONS[kind](photo, level, rng) for kind, level in SHOTS
        }
        for shot, pixels in shots.items():
            cv2.imwrite(str(folder / stem / f"{shot}.jpg"), pixels[:, :, ::-1], [cv2.IMWRITE_JPEG_QUALITY, 95])
    (folder / "cut off.jpg").write_bytes((folder / "coffee" / "coffee.jpg").read_bytes()[:2000])


def write_report(photos: Path, report: Path) -> None:
    """Writes the page of the photos."""
    sys.argv = ["vtiqa", "score", f"{photos.name}/", "--report", f"{report.name}/", "--maps"]  # what the page shows
    score.score(photos, report=report, maps=True, quiet=True)


def draw_map() -> None:
    """Draws explain.png: the map of a photograph with noise in a disc."""
    photo = cv2.resize(demo.originals()["coffee.png"], None, fx=0.8, fy=0.8, interpolation=cv2.INTER_AREA)
    rows, columns = np.mgrid[: photo.shape[0], : photo.shape[1]]
    noisy = photo + np.random.default_rng(0).normal(0, 30, photo.shape)
    disc = (rows - 90) ** 2 + (columns - 380) ** 2 < 70**2
    photo = np.where(disc[:, :, None], np.clip(noisy, 0, 255), photo).astype(np.uint8)
    vtiqa_jax.load().explain(photo).save(DOCS / "explain.png", "noise in a disc at the upper right")
    write(Image.open(DOCS / "explain.png"), "explain")


def save(page: Page, name: str) -> None:
    """Writes a screenshot."""
    write(Image.open(io.BytesIO(page.screenshot(animations="disabled"))), name)


def write(picture: Image.Image, name: str) -> None:
    """Writes a picture of 255 colours: photographs are too large as PNG files otherwise."""
    picture = picture.convert("RGB")
    palette = picture.quantize(255, method=Image.Quantize.MEDIANCUT)
    picture.quantize(palette=palette, dither=Image.Dither.FLOYDSTEINBERG).save(DOCS / f"{name}.png", optimize=True)


def main(folder: Path) -> None:
    """Draws explain.png, report.png, report-photo.png and report-phone.png."""
    draw_map()
    if not (folder / "photographs").exists():
        write_photos(folder / "photographs")
    with contextlib.chdir(folder):  # so that the page names short paths
        write_report(Path("photographs"), Path("report"))
    url = (folder / "report" / "index.html").absolute().as_uri()
    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])

        def opened(width: int, height: int, scheme: str) -> Page:
            page = browser.new_page(viewport={"width": width, "height": height}, color_scheme=scheme)
            page.goto(url)
            page.wait_for_load_state("networkidle")
            return page

        page = opened(1120, 880, "light")
        page.check("#stack")
        page.locator(".expand").nth(2).click()
        page.locator("h1").click()
        page.wait_for_timeout(400)
        save(page, "report")

        page = opened(1120, 700, "dark")
        page.fill("#search", "chelsea-hazy")
        page.locator(".card", has_text="chelsea-hazy").click()
        page.check("#map-shown")
        page.wait_for_timeout(400)
        save(page, "report-photo")

        page = opened(360, 740, "light")
        page.select_option("#sort", "worst")
        page.wait_for_timeout(400)
        save(page, "report-phone")
        browser.close()


if __name__ == "__main__":
    if len(sys.argv) > 1:
        main(Path(sys.argv[1]))
    else:
        with tempfile.TemporaryDirectory() as temporary:
            main(Path(temporary))
