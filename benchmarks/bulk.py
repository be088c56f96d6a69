"""Measures how much longer `vtiqa bulk` takes than `vtiqa score` on the same photos, and the time of each stage.

For example:

    python benchmarks/bulk.py --photos DIR --rounds 2

The two commands take turns. Each is timed as a whole, as a process of its own, and finds its compiled programs in a
cache. The stages are timed in this process, one after the other, on the first photos.
"""

import csv
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
from timing import device, timed, versions

import vtiqa_jax
from vtiqa_jax import cli
from vtiqa_jax.bulk import decoding, sources
from vtiqa_jax.photos.decode import decode
from vtiqa_jax.photos.files import find
from vtiqa_jax.photos.resize import prepare
from vtiqa_jax.scoring.steps import pass_size


def command(*arguments: object) -> float:
    """Seconds that `vtiqa ARGUMENTS` takes."""
    words = [sys.executable, "-m", "vtiqa_jax", *map(str, arguments)]
    began = time.perf_counter()
    ended = subprocess.run(words, capture_output=True, text=True, check=False)
    if ended.returncode not in (0, 1):
        sys.exit(ended.stderr)
    return time.perf_counter() - began


def stages(photos: list[Path]) -> None:
    """Prints what a photo costs by stage, and what it weighs between them."""
    scorer = vtiqa_jax.load()
    size = pass_size(scorer.mesh, 1 << 30)
    table = next(sources.read_blocks([str(photo) for photo in photos]))
    data = [photo.read_bytes() for photo in photos]
    pixels = [decode("", one).pixels for one in data]
    preparation = scorer.config.preparation
    decoded = decoding.decode_rows(table, preparation)
    prepared, shapes = list(decoding.unpack(decoded, preparation)), [one.shape[:2] for one in pixels]
    list(scorer.score_prepared(prepared[:size], shapes[:size], size))
    seconds = {
        "reading": timed(lambda: [photo.read_bytes() for photo in photos]),
        "decoding": timed(lambda: [decode("", one).pixels for one in data]),
        "resizing": timed(lambda: [prepare(one, scorer.config.screen_side, scorer.config.eval_cuts) for one in pixels]),
        "reading, decoding, resizing, packing": timed(lambda: decoding.decode_rows(table, preparation)),
        "scoring": timed(lambda: list(scorer.score_prepared(prepared, shapes, size))),
    }
    for name, value in seconds.items():
        print(f"{name:<38}{1000 * value / len(photos):8.2f} ms")
    print(f"{'between decoding and scoring':<38}{decoded.nbytes / len(photos) / 1e6:8.2f} MB")


def main(photos: Path, rounds: int = 1, staged: int = 64) -> None:
    """Prints seconds, photos a second, the share that bulk takes longer, and the largest difference of two scores.

    Args:
        photos: Folder of photos.
        rounds: Number of turns of each command; the medians are compared.
        staged: Number of photos whose stages are timed.
    """
    files = [Path(file) for file in find([photos])]
    print(f"{device()}; {versions()}; {len(files)} photos")
    stages(files[:staged])
    with tempfile.TemporaryDirectory() as folder:
        sheet, few = Path(folder, "score.csv"), Path(folder, "few.txt")
        few.write_text("\n".join(str(file.resolve()) for file in files[:8]))
        print(f"bulk on 8 photos, all of it start: {command('bulk', few, Path(folder, 'few')):.1f} s")
        taken: dict[str, list[float]] = {"score": [], "bulk": []}
        for number in range(rounds):
            taken["score"].append(command("score", photos, "--out", sheet))
            taken["bulk"].append(command("bulk", photos, Path(folder, f"out{number}")))
            for name, seconds in taken.items():
                print(f"{name:<8}{seconds[-1]:8.1f} s{len(files) / seconds[-1]:8.1f} photos/s", flush=True)
        middle = {name: statistics.median(seconds) for name, seconds in taken.items()}
        print(f"bulk over score: {middle['bulk'] / middle['score'] - 1:+.1%}")
        with sheet.open(newline="") as file:
            scores = {str(Path(row["image"]).resolve()): float(row["score"] or "nan") for row in csv.DictReader(file)}
        found = pq.read_table(Path(folder, "out0")).to_pydict()
        bulk = dict(zip(found["path"], found["score"], strict=True))
        assert bulk.keys() == scores.keys()
        apart = np.abs([float(bulk[path] or np.nan) - score for path, score in scores.items()])
        print(f"largest difference of two scores: {np.nanmax(apart):.1e}")


if __name__ == "__main__":
    cli.run_script(main, description=__doc__)
