"""Compares vtiqa-onnx with `vtiqa score` and the plain ONNX file: installed size, start, speed and scores.

For example:

    python -m venv light && light/bin/pip install dist/vtiqa_onnx-*.whl
    vtiqa export default plain.onnx
    python benchmarks/light.py light plain.onnx photos/ --rounds 5

Each side is a process of its own that reads files. The sides take turns. On a shared machine the CPU seconds say more
than the clock.
"""

import csv
import math
import os
import statistics
import subprocess
import sys
import sysconfig
import tempfile
import time
from pathlib import Path

import numpy as np
from timing import device, versions

from vtiqa_jax import cli
from vtiqa_jax.photos import files

PLAIN = """
import csv, sys
import cv2, onnxruntime
plain, out, *photos = sys.argv[1:]
session = onnxruntime.InferenceSession(plain, providers=["CPUExecutionProvider"])
with open(out, "w", newline="") as file:
    writer = csv.writer(file)
    writer.writerow(["image", "score", "low", "high", "detail", "holds"])
    for photo in photos:
        pixels = cv2.imread(photo, cv2.IMREAD_COLOR_RGB)
        found = session.run(["score", "low", "high", "detail", "holds"], {"photos": pixels[None]})
        writer.writerow([photo, *(float(values[0]) for values in found)])
"""
"""As docs/export.md says: without orientation, profiles and damage, a photo at a time."""


COLUMNS = ("score", "low", "high", "detail", "holds")
SHIPPED = {"pip", "setuptools", "pkg_resources", "_distutils_hack"}
"""With every environment."""


def installed_size(site: Path) -> int:
    """Bytes of an environment's packages without compiled modules and without pip."""
    return sum(
        path.stat().st_size
        for path in site.rglob("*")
        if path.is_file() and path.suffix != ".pyc" and path.relative_to(site).parts[0].split("-")[0] not in SHIPPED
    )


def measure(command: list[str]) -> tuple[float, float]:
    """Seconds by the clock and of CPUs that a process takes."""
    before, began = os.times(), time.perf_counter()
    subprocess.run(command, stdout=subprocess.DEVNULL, check=False)
    after = os.times()
    used = after.children_user + after.children_system - before.children_user - before.children_system
    return time.perf_counter() - began, used


def read(path: Path) -> dict[str, dict[str, str]]:
    """Reads a table's rows by photo."""
    with path.open(newline="", errors="surrogateescape") as file:
        return {row["image"]: row for row in csv.DictReader(file)}


def largest_difference(ours: dict[str, dict[str, str]], theirs: dict[str, dict[str, str]], column: str) -> float:
    """Finds the largest difference in a column; infinite if one has a number and the other none."""
    pairs = [(ours[image][column], row[column]) for image, row in theirs.items()]
    numbers = [[float(text) if text else math.nan for text in pair] for pair in pairs]
    return float(np.max([np.inf if math.isnan(a) != math.isnan(b) else np.nan_to_num(abs(a - b)) for a, b in numbers]))


def main(light: Path, plain: Path, photos: Path, /, *, rounds: int = 5) -> None:
    """Prints the tables.

    Args:
        light: Virtual environment with vtiqa-onnx and nothing else.
        plain: File written by `vtiqa export default plain.onnx`.
        photos: Folder of photos.
        rounds: Number of turns of each side; the minimum and the median are printed.
    """
    found = files.find([photos])
    folder = Path(tempfile.mkdtemp())
    out = {name: folder / f"{name}.csv" for name in ("vtiqa score", "vtiqa-onnx score", "plain ONNX file")}
    whole = Path(sysconfig.get_path("scripts"), "vtiqa")

    def commands(paths: list[str]) -> dict[str, list[str]]:
        begun = {"vtiqa score": str(whole), "vtiqa-onnx score": str(light / "bin" / "vtiqa-onnx")}
        asked = {name: [path, "score", *paths, "--quiet", "--out", str(out[name])] for name, path in begun.items()}
        name = "plain ONNX file"
        return asked | {name: [sys.executable, "-c", PLAIN, str(plain), str(out[name]), *paths]}

    (site,) = light.glob("lib/python*/site-packages")
    print(f"{device()}; {versions()}; {len(found)} photos")
    print(f"vtiqa-onnx and what it needs, installed: {installed_size(site) / 1e6:.1f} MB")
    for what, paths, repeats in (("one photo", found[:1], rounds), (f"{len(found)} photos", found, 1)):
        seconds: dict[str, list[tuple[float, float]]] = {name: [] for name in out}
        for _ in range(repeats):
            for name, command in commands(paths).items():
                seconds[name].append(measure(command))
        for name, taken in seconds.items():
            clock, used = ([round(values[kind], 2) for values in taken] for kind in (0, 1))
            print(f"{what:<12} {name:<18} clock {min(clock):8.2f} (median {statistics.median(clock):.2f}),", end=" ")
            print(f"CPUs {min(used):8.2f} (median {statistics.median(used):.2f})")
    tables = {name: read(path) for name, path in out.items()}
    for name in ("vtiqa-onnx score", "plain ONNX file"):
        largest = {column: largest_difference(tables[name], tables["vtiqa score"], column) for column in COLUMNS}
        print(f"largest difference from vtiqa score, {name}: {largest}")


if __name__ == "__main__":
    cli.run_script(main, description=__doc__)
