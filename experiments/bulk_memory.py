"""Measures whether the memory of `vtiqa bulk` stays constant with many tiny photos and a tiny model.

For example:

    python experiments/bulk_memory.py --photos 100000

The memory of a process is its proportional set size (Linux): shared memory is divided among the processes that share
it. So the sum over the driver and all processes below it, with Ray's object store, counts nothing twice. The model is
too small to judge anything; its stored sizes are 34 and 96 px.
"""

import dataclasses
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import cv2
import numpy as np
import pyarrow.parquet as pq
from bulk_kills import children

from vtiqa_jax import cli
from vtiqa_jax.models import checkpoint
from vtiqa_jax.models.checkpoint import Checkpoint
from vtiqa_jax.models.config import LabelScale, tiny_config
from vtiqa_jax.models.params import init_params

PARTS = 10
"""Rows of the table, each an equal share of the time from the first written file on."""
IN_A_FOLDER = 1000


@dataclasses.dataclass(frozen=True)
class Sample:
    """What was seen at one moment."""

    seconds: float
    photos: int
    """Written so far, to the file."""
    driver: float
    """Memory of the driver, in megabytes like the others."""
    largest: float
    """Memory of the largest process below the driver."""
    total: float


def memory(pid: int) -> float:
    """Returns the proportional set size in megabytes; 0 when the process has ended."""
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    except OSError:
        return 0.0
    return sum(int(line.split()[1]) for line in lines if line.startswith("Pss:")) / 1e3


def make_photos(folder: Path, count: int) -> None:
    """Makes PNGs of 40 x 30 px, no two alike."""
    rng = np.random.default_rng(0)
    for number in range(count):
        part = folder / f"{number // IN_A_FOLDER:04}"
        part.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(part / f"{number:07}.png"), rng.integers(0, 256, (30, 40, 3), np.uint8))


def make_model(path: Path) -> None:
    """Makes a model of random parameters."""
    config = tiny_config()
    checkpoint.save(path, Checkpoint(config, init_params(config, seed=0), LabelScale("made up", 1, 5), {}))


def main(photos: int = 100_000, rows_per_file: int = 1000) -> None:
    """Prints the memory in each tenth of the run. Exit status 1 if a photo is missing or there twice.

    Args:
        photos: Number of photos.
        rows_per_file: Same as of `vtiqa bulk`.
    """
    samples: list[Sample] = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        make_photos(folder / "photos", photos)
        make_model(folder / "model")
        words = ["bulk", folder / "photos", folder / "out", "--checkpoint", folder / "model"]
        words += ["--rows-per-file", rows_per_file]
        began = time.perf_counter()
        with (
            Path(folder, "log").open("wb") as log,
            subprocess.Popen([sys.executable, "-m", "vtiqa_jax", *map(str, words)], stdout=log, stderr=log) as process,
        ):
            while process.poll() is None:
                below = [memory(pid) for pid in children(process.pid)]
                driver = memory(process.pid)
                written = rows_per_file * len(list((folder / "out").glob("*.parquet")))
                seconds = time.perf_counter() - began
                samples.append(Sample(seconds, written, driver, max(below, default=0), driver + sum(below)))
                time.sleep(1)
        if process.returncode:
            sys.exit(Path(folder, "log").read_text()[-3000:])
        found = pq.read_table(folder / "out").column("path").to_pylist()
    last = samples[-1]
    print(
        f"{last.seconds:.0f} s, {photos / last.seconds:.0f} photos/s; {len(set(found))} photos in {len(found)} rows\n"
    )
    print("| until, s | photos written | all processes, MB | the largest | the driver |\n|---|---|---|---|---|")
    running = [sample for sample in samples if sample.photos]
    for part in np.array_split(np.arange(len(running)), PARTS):
        here = [running[index] for index in part]
        if here:
            peaks = (max(getattr(one, field) for one in here) for field in ("total", "largest", "driver"))
            print(f"| {here[-1].seconds:.0f} | {here[-1].photos} | {' | '.join(f'{peak:.0f}' for peak in peaks)} |")
    sys.exit(0 if len(found) == len(set(found)) == photos else 1)


if __name__ == "__main__":
    cli.run_script(main, description=__doc__)
