"""Draws the pictures of docs/report.md: distorted photographs, scored by the packaged model, their page in Chromium.

    python docs/report_pictures.py [FOLDER]

The photographs are those of the demonstration (`vtiqa_jax/data/demo.py`). The quality map is made here: the scores of
6 x 6 overlapping quarters of the photo. Needs Playwright and Chromium on the path. FOLDER keeps the page.
"""

import contextlib
import io
import shutil
import sys
import tempfile
from pathlib import Path

import cv2
import numpy as np
from jaxtyping import Float
from PIL import Image
from playwright.sync_api import Page, sync_playwright

import vtiqa_jax
from vtiqa_jax.data import demo, formats, images
from vtiqa_jax.data.distortions import DISTORTIONS
from vtiqa_jax.gallery.page import GalleryHeader, GalleryItem, open_gallery
from vtiqa_jax.gallery.preview import make_preview

DOCS = Path(__file__).parent
SHOTS = (
    ("defocus", 0.15), ("defocus", 0.6), ("motion", 0.5), ("noise", 0.4), ("noise", 0.8), ("jpeg", 0.7),
    ("overexposed", 0.4), ("underexposed", 0.5), ("underexposed", 0.8), ("hazy", 0.5),
)  # fmt: skip
"""Of each photograph, beside the untouched one: distortion and level."""
LONGER_SIDE = 900


def write_photos(folder: Path) -> None:
    """A folder for each photograph, with its shots."""
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


def map_of_crops(scorer: vtiqa_jax.Scorer, pixels: images.Rgb, cells: int = 6) -> Float[np.ndarray, "rows columns"]:
    """The scores of overlapping quarters of a photo."""
    height, width = (side // 2 for side in pixels.shape[:2])
    tops, lefts = (np.linspace(0, side, cells).astype(int) for side in (height, width))
    crops = [np.ascontiguousarray(pixels[top : top + height, left : left + width]) for top in tops for left in lefts]
    return scorer.score(crops).reshape(cells, cells)


def write_report(photos: Path, report: Path) -> None:
    """The page of the photos, as `vtiqa score` makes it; one photo has a map."""
    scorer = vtiqa_jax.load()
    with open_gallery(report) as gallery:
        for result in scorer.stream(formats.find_images([photos])):
            preview, quality = None, None
            if result.error is None:
                pixels = images.read(result.image)
                preview = make_preview(pixels, images.resize_pair(pixels, scorer.config), scorer.config)
                if result.image.name == "chelsea.jpg":
                    quality = map_of_crops(scorer, pixels)
            item = GalleryItem(result.image, result.score, result.percentile, error=result.error, quality_map=quality)
            gallery.add(item, preview)
        command = f"vtiqa score {photos.name}/ --report {report.name}/"
        gallery.finish(GalleryHeader(photos.name, "the packaged model", scorer.scale, command, "27 November 2026"))


def save(page: Page, name: str) -> None:
    """A screenshot of 255 colours: photographs are too large as PNG files otherwise."""
    picture = Image.open(io.BytesIO(page.screenshot(animations="disabled"))).convert("RGB")
    palette = picture.quantize(255, method=Image.Quantize.MEDIANCUT)
    picture.quantize(palette=palette, dither=Image.Dither.FLOYDSTEINBERG).save(DOCS / f"{name}.png", optimize=True)


def main(folder: Path) -> None:
    """Draws report.png, report-photo.png and report-phone.png."""
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

        page = opened(1120, 760, "light")
        page.check("#stack")
        page.locator(".expand").nth(2).click()
        page.locator("h1").click()
        page.wait_for_timeout(400)
        save(page, "report")

        page = opened(1120, 700, "dark")
        page.check("#stack")
        page.locator(".card", has_text="chelsea.jpg").click()
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
