"""How fast: this project and PyTorch, the same model, the same photos, in turns in one run on one device.

    python benchmarks/speed.py model                     # training and scoring, photos a second, against PyTorch
    python benchmarks/speed.py files --count 1000        # from JPEG files to scores, and where the time goes
    python benchmarks/speed.py feeding                   # from prepared arrays to a training step

Each figure is the median of several rounds after a warm-up; the sides take turns within a round; every round has other
photos, and every output is read. A side that is not installed, or fails, is left out and said so.
"""

import dataclasses
import json
import platform
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import jax
import jax.numpy as jnp
import numpy as np
import tyro

from vtiqa_jax import images, params
from vtiqa_jax.config import LabelScale, ModelConfig, deit_small
from vtiqa_jax.modern import Modern
from vtiqa_jax.prepared import Prepared
from vtiqa_jax.recipe import Course
from vtiqa_jax.released import Released
from vtiqa_jax.scoring import Scorer
from vtiqa_jax.training import Training

# Multiplications and additions of one DeiT-S/16 forward pass at 224 px, counted twice each, for both views.
FORWARD_FLOPS = 2 * 9.2e9
SCALE = LabelScale("speed", 1.0, 5.0)

try:
    import torch
    import torch_model
except ImportError:
    torch = None

Timed = Callable[[int], float]
"""Works on the photos of a round and returns the seconds it took, outputs read."""


def device() -> str:
    """What everything is measured on."""
    kind = jax.devices()[0].device_kind
    if kind != "cpu":
        return kind
    model = [line for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("model name")]
    return f"{model[0].split(': ')[1] if model else platform.processor()}, {len(model)} cores"


def photos(count: int, config: ModelConfig, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Random stored photos, uint8."""
    rng = np.random.default_rng(seed)
    return tuple(
        rng.integers(0, 256, (count, side, side, 3), np.uint8) for side in (config.global_size, config.local_size)
    )  # type: ignore[return-value]


def timed(work: Callable[[], Any]) -> float:
    """Seconds that `work` takes."""
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def peak(dtype: Any, size: int, rounds: int = 5) -> float:
    """FLOP/s of a large matrix product: what the device can do."""
    a = jax.random.normal(jax.random.key(0), (size, size), dtype)
    multiply = jax.jit(lambda x, y: jax.lax.dot(x, y, preferred_element_type=jnp.float32).sum())
    float(multiply(a, a))
    return 2 * size**3 / min(timed(lambda: float(multiply(a, a))) for _ in range(rounds))


def in_turns(sides: dict[str, Timed], rounds: int) -> dict[str, float]:
    """The median seconds of each side; one that fails is left out."""
    working = {}
    for name, side in sides.items():
        try:
            compile_seconds = timed(lambda side=side: side(-1))
            working[name] = side
            print(f"  {name}: first call {compile_seconds:.1f} s", file=sys.stderr)
        except Exception as error:  # a compiler that is missing, memory that is too small
            print(
                f"  {name}: left out ({str(error).splitlines()[0][:100] if str(error) else error!r})", file=sys.stderr
            )
    found: dict[str, list[float]] = {name: [] for name in working}
    for number in range(rounds):
        for name, side in working.items():
            found[name].append(side(number))
    return {name: statistics.median(values) for name, values in found.items()}


def torch_sides(batch: int, config: ModelConfig, *, training: str | None) -> dict[str, Timed]:
    """PyTorch as the authors run it, and the strongest: compiled, bfloat16 autocast, fused attention."""
    if torch is None:
        print("  PyTorch is not installed: its sides are left out", file=sys.stderr)
        return {}
    where = torch.device("cuda" if torch.cuda.is_available() else "cpu")

    def side(*, strong: bool) -> Timed:
        model = torch_model.Model(sdpa=strong, joined=strong).to(where)
        model.train(training is not None)
        if training == "head":
            for name, parameter in model.named_parameters():
                parameter.requires_grad = name.startswith("head")
        run = torch.compile(model) if strong else model
        chosen = [parameter for parameter in model.parameters() if parameter.requires_grad]
        optimiser = torch.optim.SGD(chosen, lr=0.01, weight_decay=1e-3)

        def work(number: int) -> float:
            small, large = (torch.from_numpy(array).permute(0, 3, 1, 2) for array in photos(batch, config, number + 1))
            labels = torch.linspace(1, 5, batch).to(where)
            if where.type == "cuda":
                torch.cuda.synchronize()
            began = time.perf_counter()
            both = torch_model.views(small.to(where), large.to(where))
            with torch.autocast(where.type, torch.bfloat16, enabled=strong):
                if training is None:
                    with torch.inference_mode():
                        float(run(*both).sum())
                    return time.perf_counter() - began
                loss = (run(*both) - labels).abs().mean()
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            float(loss.detach())
            if where.type == "cuda":
                torch.cuda.synchronize()
            return time.perf_counter() - began

        return work

    return {"PyTorch eager float32": side(strong=False), "PyTorch compiled bfloat16": side(strong=True)}


def scoring_sides(batch: int, config: ModelConfig) -> dict[str, Timed]:
    """This project's scorer in both types."""
    sides: dict[str, Timed] = {}
    for dtype in ("float32", "bfloat16"):
        scorer = Scorer(config, params.drawn(config, 0), SCALE, compute_dtype=dtype)  # type: ignore[arg-type]

        def work(number: int, scorer: Scorer = scorer) -> float:
            small, large = photos(batch, config, number + 1)
            return timed(lambda: scorer.score_versions(small, large, range(batch), batch_size=batch))

        sides[f"vtiqa-jax {dtype}"] = work
    return sides


def training_sides(batch: int, config: ModelConfig, *, stage: str) -> dict[str, Timed]:
    """A step of the released recipe in both types."""
    sides: dict[str, Timed] = {}
    for dtype in ("float32", "bfloat16"):
        small, large = photos(batch, config, 0)
        mos = np.linspace(1, 5, batch).astype(np.float32)
        recipe = Released(batch_size=batch, compute_dtype=dtype)  # type: ignore[arg-type]
        made = Training(config, recipe, params.drawn(config, 0), Prepared(small, large), mos, np.arange(batch))

        def work(number: int, made: Training = made) -> float:
            course = Course(epoch=number + 1, lr=0.01, head_only=stage == "head")
            return timed(lambda: [float(measured.loss) for measured in made.epoch(course)])

        sides[f"vtiqa-jax {dtype}"] = work
    return sides


@dataclasses.dataclass(frozen=True)
class Row:
    """One line of the table."""

    what: str
    batch: int
    side: str
    photos_per_second: float
    of_eager: float | None
    of_peak: float | None


def versions() -> dict[str, str]:
    """What was compared."""
    found = {"python": platform.python_version(), "jax": jax.__version__}
    return found | ({"torch": torch.__version__} if torch else {})


def model(
    batches: tuple[int, ...] = (1, 8, 64),
    train_batch: int = 0,
    rounds: int = 5,
    out: Path = Path("runs/speed.json"),
) -> None:
    """Training and scoring against PyTorch, the released model, from stored photos in host memory.

    Args:
        batches: photos scored together.
        train_batch: photos a step; 0 takes 192 on a GPU and 8 on a CPU.
        rounds: of which the median is taken.
        out: the results as JSON.
    """
    config, gpu = deit_small(), jax.devices()[0].platform != "cpu"
    size = train_batch or (192 if gpu else 8)
    peaks = {
        "float32": peak(jnp.float32, 8192 if gpu else 2048),
        "bfloat16": peak(jnp.bfloat16, 8192 if gpu else 2048),
    }
    print(f"{device()}; {versions()}; peak {', '.join(f'{k} {v / 1e12:.2f} TFLOP/s' for k, v in peaks.items())}")
    print(f"{'':<24}{'batch':>6}  {'side':<28}{'photos/s':>10}{'x eager':>9}{'of peak':>9}")
    rows: list[Row] = []

    def measure(what: str, batch: int, sides: dict[str, Timed], flops: float) -> None:
        for name, seconds in (found := in_turns(sides, rounds)).items():
            eager = found.get("PyTorch eager float32")
            top = peaks["bfloat16" if "bfloat16" in name else "float32"]
            row = Row(what, batch, name, batch / seconds, eager and eager / seconds, batch / seconds * flops / top)
            rows.append(row)
            faster = "-" if row.of_eager is None else f"{row.of_eager:.2f}"
            print(
                f"{what:<24}{batch:>6}  {name:<28}{row.photos_per_second:>10.1f}{faster:>9}{row.of_peak:>9.1%}",
                flush=True,
            )

    for batch in batches:
        measure(
            "scoring", batch, scoring_sides(batch, config) | torch_sides(batch, config, training=None), FORWARD_FLOPS
        )
    for stage, factor in (("head", 1), ("full", 3)):
        sides = training_sides(size, config, stage=stage) | torch_sides(size, config, training=stage)
        measure(f"training, {stage} stage", size, sides, factor * FORWARD_FLOPS)
    memory = jax.devices()[0].memory_stats() if gpu else None
    told = {
        "device": device(), "versions": versions(), "peaks": peaks, "rounds": rounds,
        "peak_memory_bytes": memory and memory.get("peak_bytes_in_use"),
        "rows": [dataclasses.asdict(row) for row in rows],
    }  # fmt: skip
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(json.dumps(told, indent=1) + "\n")


def files(
    count: int = 1000, checkpoint: str = "default", compute_dtype: str = "bfloat16", batch_size: int = 32
) -> None:
    """From JPEG files of 1024 x 768 to scores.

    Args:
        count: photos.
        checkpoint: the model.
        compute_dtype: float32 or bfloat16.
        batch_size: photos computed together.
    """
    import vtiqa_jax

    scorer = vtiqa_jax.load(checkpoint, compute_dtype=compute_dtype)  # type: ignore[arg-type]
    rng = np.random.default_rng(0)
    with tempfile.TemporaryDirectory() as folder:
        paths = []
        for index in range(count):
            blobs = cv2.resize(rng.integers(0, 256, (12, 16, 3), np.uint8), (1024, 768), interpolation=cv2.INTER_CUBIC)
            noisy = np.clip(blobs + rng.normal(0, 8, blobs.shape), 0, 255).astype(np.uint8)
            paths.append(Path(folder) / f"{index:05d}.jpg")
            cv2.imwrite(str(paths[-1]), noisy)
        some = paths[: min(100, count)]
        small, large = photos(batch_size, scorer.config, 0)
        scorer.score_versions(small, large, range(batch_size), batch_size=batch_size)  # compiles
        read = [path.read_bytes() for path in some]
        alone = {"reading": timed(lambda: [path.read_bytes() for path in some])}
        decoded = [images.decode(data) for data in read]
        alone["decoding"] = timed(lambda: [images.decode(data) for data in read])
        alone["resizing"] = timed(lambda: [images.versions(pixels, scorer.config) for pixels in decoded])
        batches = max(1, 128 // batch_size)
        rows = list(range(batch_size)) * batches
        alone["computing"] = timed(lambda: scorer.score_versions(small, large, rows, batch_size=batch_size))
        each = {name: seconds / len(some) for name, seconds in alone.items()}
        each["computing"] = alone["computing"] / len(rows)
        whole = timed(lambda: scorer.score(paths, batch_size=batch_size)) / count
    print(f"{device()}; {versions()}; {checkpoint}, {compute_dtype}, {count} JPEG files of 1024 x 768")
    for name, seconds in each.items():
        print(f"{name:<12}{1e3 * seconds:>8.2f} ms a photo, alone")
    rate = each["computing"] / whole
    print(f"{'together':<12}{1e3 * whole:>8.2f} ms a photo: {1 / whole:.1f} photos/s, {rate:.2f} of the model's rate")


def feeding(batch_size: int = 0, steps: int = 20, blocks: int = 12) -> None:
    """The time of a training step from prepared arrays on disk over that from one batch in memory; 1.00 is perfect.

    Args:
        batch_size: photos a step; 0 takes 192 on a GPU and 8 on a CPU.
        steps: measured.
        blocks: of the transformer; fewer make a faster model, which is harder to feed.
    """
    config = deit_small(depth=blocks)
    size = batch_size or (192 if jax.devices()[0].platform != "cpu" else 8)
    count = size * steps
    mos = np.random.default_rng(0).uniform(1, 5, count).astype(np.float32)
    with tempfile.TemporaryDirectory() as folder:
        arrays = []
        for side in (config.global_size, config.local_size):
            path = Path(folder) / f"{side}.npy"
            array = np.lib.format.open_memmap(path, mode="w+", dtype=np.uint8, shape=(count, side, side, 3))
            for row in range(count):
                array[row] = np.random.default_rng(row).integers(0, 256, (side, side, 3), np.uint8)
            arrays.append(array)
        # One photo in memory that stands for all: nothing is read but a cached line.
        same = Prepared(*(np.broadcast_to(np.array(array[:1]), array.shape) for array in arrays))
        found = {}
        for name, prepared in (("from memory", same), ("from disk", Prepared(*arrays))):
            made = Training(config, Modern(batch_size=size), params.drawn(config, 0), prepared, mos, np.arange(count))

            def work(made: Training = made) -> None:
                for measured in made.epoch(Course()):
                    float(measured.loss)

            work()
            found[name] = timed(work) / steps
    print(f"{device()}; {versions()}; {blocks} blocks, batch {size}")
    for name, seconds in found.items():
        print(f"{name:<12}{seconds:>8.3f} s a step, {size / seconds:.1f} photos/s")
    print(f"disk over memory: {found['from disk'] / found['from memory']:.2f}")


if __name__ == "__main__":
    app = tyro.extras.SubcommandApp()
    for command in (model, files, feeding):
        app.command(name=command.__name__)(command)
    app.cli(description=__doc__)
