"""Measures whether anything holds the model back on the way in and out.

For example:

    python benchmarks/pipeline.py files --count 1000     # from JPEG files to scores, and where the time goes
    python benchmarks/pipeline.py feeding                # from stored pixels to training steps
    python benchmarks/pipeline.py epoch                  # a whole epoch of KonIQ-10k's size; needs 20 GB of disk
    python benchmarks/pipeline.py start                  # `vtiqa score` on one photo, start included
"""

import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Literal

import cv2
import jax
import numpy as np
from timing import Trainer, device, on_gpu, photos, timed, versions

import vtiqa_jax
from vtiqa_jax import cli, sharding
from vtiqa_jax.data.image_cache import ImageCache
from vtiqa_jax.data.loader import ImageStore
from vtiqa_jax.models import params
from vtiqa_jax.models.compute_dtype import ComputeDtype, fastest_dtype
from vtiqa_jax.models.config import ModelConfig, deit_small
from vtiqa_jax.photos.decode import decode
from vtiqa_jax.photos.resize import prepare
from vtiqa_jax.scoring.steps import make_score_step, round_weights, score_store
from vtiqa_jax.training.finetune import FinetuneRecipe


def jpeg(path: Path, seed: int) -> Path:
    """Writes a made-up photo of 1024 x 768, about 400 kB."""
    rng = np.random.default_rng(seed)
    blobs = cv2.resize(rng.integers(0, 256, (12, 16, 3), np.uint8), (1024, 768), interpolation=cv2.INTER_CUBIC)
    cv2.imwrite(str(path), np.clip(blobs + rng.normal(0, 8, blobs.shape), 0, 255).astype(np.uint8))
    return path


def resident() -> float:
    """Returns the peak memory of this process so far, in MB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def files(
    count: int = 1000,
    checkpoint: str = "default",
    compute_dtype: ComputeDtype = "bfloat16",
    batch_size: int = 4,
    rounds: int = 3,
) -> None:
    """Measures from JPEG files of 1024 x 768 to scores.

    Args:
        count: Number of photos.
        checkpoint: Model: a checkpoint, or "default" for the packaged model.
        compute_dtype: Type of the model's products.
        batch_size: Photos computed together.
        rounds: Number of turns of the model alone and of the whole; medians are shown.
    """
    scorer = vtiqa_jax.load(checkpoint, compute_dtype=compute_dtype)
    with tempfile.TemporaryDirectory() as folder:
        distinct = [jpeg(Path(folder) / f"{index:03d}.jpg", index) for index in range(min(count, 100))]
        paths = [distinct[index % len(distinct)] for index in range(count)]
        read = [path.read_bytes() for path in distinct]
        decoded = [decode("", data).pixels for data in read]
        each = {
            "reading": timed(lambda: [path.read_bytes() for path in distinct]) / len(distinct),
            "decoding": timed(lambda: [decode("", data).pixels for data in read]) / len(distinct),
            "resizing": timed(
                lambda: [prepare(pixels, scorer.config.screen_side, scorer.config.eval_cuts) for pixels in decoded]
            )
            / len(distinct),
        }
        stored = photos(batch_size, scorer.config, 0)
        store = ImageStore(stored, sharding.data_mesh())
        rows = np.arange(count) % batch_size
        each["transferring"] = timed(lambda: jax.block_until_ready(store.read(rows[:batch_size]))) / batch_size
        scorer.score_store(store, rows[:batch_size], batch_size=batch_size)  # compiles
        alone, whole, memory = [], [], []
        for _ in range(rounds):
            alone.append(timed(lambda: scorer.score_store(store, rows, batch_size=batch_size)) / count)
            whole.append(timed(lambda: scorer.score(paths, batch_size=batch_size)) / count)
            memory.append(resident())
    each["computing"] = statistics.median(alone)
    together = statistics.median(whole)
    print(f"{device()}; {versions()}; {checkpoint}, {compute_dtype}, {count} JPEG files of 1024 x 768")
    for name, seconds in each.items():
        print(f"{name:<12}{1e3 * seconds:>8.2f} ms a photo, alone")
    rate = each["computing"] / together
    print(f"{'together':<12}{1e3 * together:>8.2f} ms a photo, {1 / together:.1f} photos/s: {rate:.2f} of the model")
    print(f"peak memory after each round: {', '.join(f'{megabytes:.0f} MB' for megabytes in memory)}")


def made_up(count: int, config: ModelConfig, folder: Path) -> ImageCache:
    """Makes stored photos on disk."""
    arrays = []
    for side in (config.global_resize, config.local_resize):
        array = np.lib.format.open_memmap(folder / f"{side}.npy", "w+", np.uint8, (count, side, side, 3))
        for start in range(0, count, 64):
            array[start : start + 64] = np.random.default_rng(start).integers(0, 256, array[start : start + 64].shape)
        arrays.append(array)
    return ImageCache(*arrays)


def feeding(batch_size: int = 0, steps: int = 20, blocks: int = 12, rounds: int = 3) -> None:
    """Divides the time of a training step that reads from disk by that of one with its batch in memory; 1.00 is best.

    Args:
        batch_size: Photos of a step; 0 means 192 on a GPU and 8 on a CPU.
        steps: Number of steps in an epoch.
        blocks: Number of the transformer's blocks; a model of fewer is faster, and harder to feed.
        rounds: Number of epochs of each, in turns; medians are shown.
    """
    config = deit_small(depth=blocks)
    size = batch_size or (192 if on_gpu() else 8)
    count = size * steps
    labels = np.random.default_rng(0).standard_normal(count)
    with tempfile.TemporaryDirectory() as folder:
        disk = made_up(count, config, Path(folder))
        # One photo in memory that stands for all: nothing is read but a cached line.
        both = (disk.global_images, disk.local_images)
        same = ImageCache(*(np.broadcast_to(np.array(array[:1]), array.shape) for array in both))
        mesh = sharding.data_mesh()
        stores = {
            "from memory": ImageStore(same, mesh, on_device=False),
            "from disk": ImageStore(disk, mesh, on_device=False),
        }
        if on_gpu():
            stores["on the device"] = ImageStore(disk, mesh, on_device=True)
        weights, dtype = params.init_params(config, 0), fastest_dtype(mesh.devices.flat[0].platform)
        recipe = FinetuneRecipe(batch_size=size, compute_dtype=dtype)
        sides = {
            name: Trainer(config, recipe, weights, store, labels, np.arange(count)) for name, store in stores.items()
        }
        found: dict[str, list[float]] = {name: [] for name in sides}
        for epoch in range(rounds + 1):
            for name, side in sides.items():
                seconds = timed(lambda: side.epoch(epoch))  # noqa: B023, called at once
                if epoch:  # the first compiles
                    found[name].append(seconds / steps)
    step = {name: statistics.median(seconds) for name, seconds in found.items()}
    print(f"{device()}; {versions()}; {blocks} blocks, batch {size}, finetune recipe, {dtype}")
    for name, seconds in step.items():
        print(
            f"{name:<14}{seconds:>8.4f} s a step, {size / seconds:>8.1f} photos/s,"
            f" {seconds / step['from memory']:.2f} of the step from memory"
        )


def epoch(
    train: int = 8058, test: int = 2015, batch_size: int = 192, on_device: bool | None = None, rounds: int = 2
) -> None:
    """Divides the time of a whole epoch of KonIQ-10k's size, training and scoring, by that of its computation alone.

    Args:
        train: Number of training photos, with made-up pixels.
        test: Number of photos that are scored after the epoch.
        batch_size: Photos of a step.
        on_device: Keep the photos in the device's memory. If they fit, when not given.
        rounds: Number of epochs; the median is taken.
    """
    config, count = deit_small(), train + test
    labels = np.random.default_rng(0).standard_normal(count)
    weights, mesh = params.init_params(config, 0), sharding.data_mesh()
    dtype = fastest_dtype(mesh.devices.flat[0].platform)
    recipe, score_step = (
        FinetuneRecipe(batch_size=batch_size, compute_dtype=dtype),
        make_score_step(config, dtype, mesh),
    )
    with tempfile.TemporaryDirectory(dir=os.environ.get("TMPDIR")) as folder:
        disk = made_up(count, config, Path(folder))
        began = time.perf_counter()
        store = ImageStore(disk, mesh, on_device=on_device)
        moving = time.perf_counter() - began
        # The same work on one batch that lies on the device, over and over.
        hot = ImageStore(photos(batch_size, config, 0), mesh, on_device=True)
        rows = np.arange(count)
        sides = {
            name: (which, Trainer(config, recipe, weights, which, labels, selected[:train]), selected[train:])
            for name, which, selected in (("computing", hot, rows % batch_size), ("whole", store, rows))
        }
        found: dict[str, list[float]] = {name: [] for name in sides}

        def whole(side: tuple[ImageStore, Trainer, np.ndarray], number: int) -> None:
            which, trainer, selected = side
            trainer.epoch(number)
            score_store(score_step, round_weights(trainer.params, dtype), which, selected)

        for number in range(rounds + 1):
            for name, side in sides.items():
                seconds = timed(lambda: whole(side, number))  # noqa: B023, called at once
                if number:  # the first compiles
                    found[name].append(seconds)
    result = {name: statistics.median(seconds) for name, seconds in found.items()}
    where = "on the device" if store.on_device else "read from disk"
    print(f"{device()}; {versions()}; {train} + {test} photos, batch {batch_size}, {where}")
    if store.on_device:
        print(f"moving them there {moving:>8.1f} s, once")
    print(f"computing alone   {result['computing']:>8.1f} s")
    print(f"whole epoch       {result['whole']:>8.1f} s, {result['whole'] / result['computing']:.2f} of it")


def start(compute_dtype: Literal["float32", "bfloat16"] = "float32", rounds: int = 5) -> None:
    """Measures `vtiqa score` on one photo, start included, with the compiled program in the cache.

    Args:
        compute_dtype: Type of the model's products.
        rounds: Number of runs; the median is shown.
    """
    with tempfile.TemporaryDirectory() as folder:
        path = jpeg(Path(folder) / "photo.jpg", 0)
        call = [sys.executable, "-m", "vtiqa_jax", "score", str(path), "--compute-dtype", compute_dtype]
        seconds = [timed(lambda: subprocess.run(call, check=True, capture_output=True)) for _ in range(rounds + 1)]
    print(f"{device()}; {versions()}; {compute_dtype}")
    print(f"first {seconds[0]:.2f} s; then {statistics.median(seconds[1:]):.2f} s, median of {rounds}")


if __name__ == "__main__":
    cli.run_script(files, feeding, epoch, start, description=__doc__)
