"""The page that `vtiqa export --web` writes."""

import functools
import gzip
import json
import os
import re
import shutil
import threading
from collections.abc import Iterator
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import onnx
import pytest
from PIL import Image

import vtiqa_jax
from tests.conftest import Command
from tests.reasoned import draw_weights
from tests.test_export_detail import blurred, expected, flat, large_params
from vtiqa_jax import __main__ as program
from vtiqa_jax.data import demo
from vtiqa_jax.export import web_page
from vtiqa_jax.models import catalog, checkpoint, views
from vtiqa_jax.models.checkpoint import Checkpoint
from vtiqa_jax.models.config import LabelScale, tiny_config
from vtiqa_jax.results.reasons import say_reasons
from vtiqa_jax.scoring.quality_map import REGIONS

REAL = os.environ.get("ONNXRUNTIME_WEB")
"""The folder of the npm package, for the test in a browser."""


@pytest.fixture
def package(tmp_path: Path) -> Path:
    """Stands for the npm package."""
    folder = tmp_path / "onnxruntime-web"
    (folder / "dist").mkdir(parents=True)
    for name in (*web_page.SCRIPTS, web_page.WASM):
        (folder / "dist" / name).write_text(f"this is {name}")
    return folder


def test_the_page_is_whole_and_small(package: Path, tmp_path: Path, command: Command) -> None:
    out = tmp_path / "site"
    status, said, error = command(program.main, "export", "default", out, "--web", package)
    assert status == 0, error
    assert f"python -m http.server --directory {out}" in said
    files = {path.name: path.read_bytes() for path in out.iterdir()}
    # With 3.7 MB of the real runtime, a person loads less than 21 MB.
    assert sum(map(len, files.values())) < 21e6 - 3.8e6
    assert gzip.decompress(files["runtime.wasm.gzip"]) == b"this is ort-wasm-simd-threaded.wasm"
    model = onnx.load_from_string(gzip.decompress(files["model.onnx.gzip"]))
    card = {entry.key: entry.value for entry in model.metadata_props}
    assert json.loads(files["card.json"]) == card
    assert card["attribution"]
    config = catalog.load().config
    assert json.loads(card["regions"]) == {
        "offsets": views.region_offsets(config.local_resize, config.view_size // 2, REGIONS),
        "size": config.view_size // 2,
        "side": config.local_resize,
    }
    # What the files name is there: scripts, styles, workers, and what is fetched.
    for name in ("index.html", "page.js", "worker.js"):
        text = files[name].decode()
        named = re.findall(r'(?:src|href|from|Worker\(|fetch\()[ =(]*"(?!data:)(?:\./)?([^"]+)"', text)
        assert named
        assert set(named) <= files.keys()
    identifiers = re.findall(r'"(\w+)"', files["page.js"].decode().partition("].map")[0])
    assert identifiers
    for identifier in identifiers:
        assert f'id="{identifier}"' in files["index.html"].decode()


def test_refusals(package: Path, tmp_path: Path, command: Command) -> None:
    out = tmp_path / "site"

    def refused(said: str, *options: object) -> None:
        status, _, error = command(program.main, "export", "default", out, *options)
        assert (status, error.count("\n")) == (2, 1), error
        assert said in error

    refused("is not the npm package onnxruntime-web", "--web", tmp_path)
    assert not out.exists()
    out.mkdir()
    (out / "mine").touch()
    refused("exists already", "--web", package)
    refused("remove it yourself", "--web", package, "--force")
    assert [path.name for path in out.iterdir()] == ["mine"]
    (out / "card.json").touch()
    assert command(program.main, "export", "default", out, "--web", package, "--force")[0] == 0
    assert not (out / "mine").exists()


# ---- in a browser ----


@pytest.fixture
def server(tmp_path: Path) -> Iterator[str]:
    """The address of a plain web server for tmp_path/site."""

    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            pass

    handler = functools.partial(Quiet, directory=str(tmp_path / "site"))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as running:
        threading.Thread(target=running.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{running.server_port}"
        running.shutdown()


in_browser = pytest.mark.skipif(
    not (REAL and shutil.which("chromium")), reason="needs chromium, and ONNXRUNTIME_WEB=DIR"
)


@pytest.mark.slow
@in_browser
def test_a_browser_gives_the_same_scores(server: str, tmp_path: Path, command: Command) -> None:
    sync_api = pytest.importorskip("playwright.sync_api")
    assert command(program.main, "export", "default", tmp_path / "site", "--web", REAL)[0] == 0
    photographs = demo.originals()
    for name in ("coffee", "astronaut"):
        Image.fromarray(photographs[f"{name}.png"]).save(tmp_path / f"{name}.png")
    turned = Image.Exif()
    turned[274] = 6  # a quarter turn
    Image.fromarray(photographs["coffee.png"]).save(tmp_path / "turned.jpg", exif=turned, quality=95)
    (tmp_path / "broken.jpg").write_bytes(b"no photo")
    names = ["coffee.png", "astronaut.png", "turned.jpg"]
    asked, messages = [], []
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        page = browser.new_page()
        page.on("request", lambda request: asked.append((request.method, request.url)))
        page.on("console", lambda message: messages.append(message.text))
        page.goto(server)
        page.set_input_files("#files", [tmp_path / name for name in [*names, "broken.jpg"]])
        page.wait_for_selector("#results li:first-child .score:has-text('failed')", timeout=120_000)
        scores = page.eval_on_selector_all("[data-score]", "all => all.map(one => Number(one.dataset.score))")
        shares = re.findall(r"better than (\d+) %", page.inner_text("#results"))
        page.click("#results li:last-child button")
        page.wait_for_selector("#results li:last-child canvas", timeout=120_000)
        regions = page.eval_on_selector("canvas", "canvas => JSON.parse(canvas.dataset.scores)")
        pixels = page.eval_on_selector(
            "canvas", "canvas => [...canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height).data]"
        )
        browser.close()
    scorer = vtiqa_jax.load()
    ours = scorer.score([tmp_path / name for name in reversed(names)])
    assert np.abs(scores - ours).max() < 0.002 * (5 - 1)
    assert np.abs(scorer.percentile(np.array(scores)) - np.array(shares, float)).max() < 0.51
    quality = scorer.explain(tmp_path / names[0])
    assert np.abs(np.reshape(regions, quality.scores.shape) - quality.scores).max() < 0.002 * (5 - 1)
    colours = np.reshape(pixels, (-1, 4))
    assert (colours[:, 3] == 255).all()
    assert np.ptp(colours[:, 0]) > 50
    assert {method for method, url in asked if not url.startswith("blob:")} == {"GET"}
    assert all(url.startswith((server, "blob:", "data:")) for _, url in asked)
    assert not messages


@pytest.mark.slow
@in_browser
def test_a_browser_says_what_photos_show_at_their_own_pixels(
    server: str, scale: LabelScale, tmp_path: Path, command: Command
) -> None:
    sync_api = pytest.importorskip("playwright.sync_api")
    config = tiny_config(depth=3, native_factors=(1, 2, 4, 8), native_blocks=(1, 2), subject=True, screen_side=512)
    drawn = large_params(config)
    drawn["detail.octaves.kernel"] = 0.2 * drawn["detail.octaves.kernel"]  # photos hold at all scales
    drawn["subject.pixels.fc3.kernel"] = 0.1 * drawn["subject.pixels.fc3.kernel"]
    provenance = {"detail": {"percentiles": np.linspace(scale.low, scale.high, 101).tolist(), "photos": 300}}
    checkpoint.save(tmp_path / "model", Checkpoint(config, drawn, scale, provenance))
    options = ("--web", REAL, "--storage", "float32")
    assert command(program.main, "export", tmp_path / "model", tmp_path / "site", *options)[0] == 0
    pictures = {f"blur{seed}.png": blurred(1200, 1500, seed) for seed in (1, 4, 8)}
    pictures["large.png"] = blurred(2000, 2000, 1)
    for name, pixels in (pictures | {"flat.png": flat(1200, 1500, 0)}).items():
        Image.fromarray(pixels).save(tmp_path / name)
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        page = browser.new_page()
        page.goto(server)
        page.set_input_files("#files", [tmp_path / name for name in ("flat.png", *pictures)])
        page.wait_for_selector("#results li:first-child .detail", timeout=120_000)
        *lines, last = page.eval_on_selector_all(".detail", "all => all.map(one => one.textContent)")
        said = page.eval_on_selector_all(".detail", "all => all.map(one => [one.dataset.detail, one.dataset.holds])")
        page.click("#results li:first-child button")
        page.wait_for_selector("#results li:first-child canvas", timeout=120_000)
        browser.close()
    ours = expected(config, drawn, list(reversed(pictures.values())))[:, 1:]
    np.testing.assert_allclose(np.array(said[:-1], float), ours, rtol=1e-3)
    assert last == "Nothing in the photo has structure, so it cannot be judged at 100 %."
    sizes = [4.0, 1.8, 1.8, 1.8]
    said_of_scales = [
        "at 100 %" if holds >= 100
        else "at less than 12.5 %" if holds < 12.5
        else f"up to {holds:.0f} %, about {size * (holds / 100) ** 2:.2g} of {size:g} megapixels"
        for size, (_, holds) in zip(sizes, ours, strict=True)
    ]  # fmt: skip
    assert len({words[:5] for words in said_of_scales}) == 3, "one photo of each kind"
    share = 100 * (ours[0, 0] - scale.low) / (scale.high - scale.low)
    compared = [
        f"more detail than {share if scale.higher_is_better else 100 - share:.0f} % of cameras' photos; ",
        "",
        "",
        "",
    ]
    for line, (detail, _), large, words in zip(lines, ours, compared, said_of_scales, strict=True):
        assert line == f"at 100 %: {detail:.2f}; {large}holds {words}"


@pytest.mark.slow
@in_browser
def test_a_browser_says_why_photos_are_bad(server: str, tmp_path: Path, command: Command) -> None:
    sync_api = pytest.importorskip("playwright.sync_api")
    config = tiny_config(native_factors=(1, 2), native_blocks=(1,), reasons=True)
    made = Checkpoint(config, draw_weights(config), LabelScale("test", 1.0, 5.0), {})
    checkpoint.save(tmp_path / "model", made)
    options = ("--web", REAL, "--storage", "float32")
    assert command(program.main, "export", tmp_path / "model", tmp_path / "site", *options)[0] == 0
    photos = [tmp_path / f"{seed}.png" for seed in range(3)]
    for seed, path in enumerate(photos):
        Image.fromarray(blurred(120, 150, seed)).save(path)
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        page = browser.new_page()
        page.goto(server)
        page.set_input_files("#files", photos)
        page.wait_for_selector("#results li:first-child .detail", timeout=120_000)
        said = page.eval_on_selector_all(
            "li", "all => all.map(one => one.querySelector('.reasons')?.textContent ?? '')"
        )
        browser.close()
    ours = [say_reasons(result.reasons) for result in vtiqa_jax.load(tmp_path / "model").stream(reversed(photos))]
    assert any(ours) and said == [reasons or "No fault is named" for reasons in ours]
