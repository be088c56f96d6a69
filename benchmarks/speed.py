"""Compares the speed of this project and of PyTorch with the same model, in one run on one device.

For example:

    python benchmarks/speed.py

Stored photos (uint8) lie on the device. The benchmark times cutting the views, normalising and the model. Each figure
is the median of several rounds after a warm-up. The sides take turns within a round, and every output is read. A side
that is not installed, or fails, is left out with a line that says so. The time to the first result and the peak memory
are measured beforehand, for each side in a process of its own, with empty compilation caches.
"""

import contextlib
import dataclasses
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, Literal

import jax
import jax.numpy as jnp
import numpy as np
from cyclopts import Parameter

from vtiqa_jax import cli
from vtiqa_jax.command_line import Command, parse

# Both frameworks share the device's memory.
os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")

from timing import Trainer, device, on_gpu, photos, timed, versions

from vtiqa_jax import sharding
from vtiqa_jax.data.loader import ImageStore
from vtiqa_jax.models import params
from vtiqa_jax.models.compute_dtype import fastest_dtype
from vtiqa_jax.models.config import LabelScale, deit_small
from vtiqa_jax.scoring.scorer import Scorer
from vtiqa_jax.training.published import PublishedRecipe

# Multiplications and additions of one DeiT-S/16 forward pass at 224 px, counted twice each, for both views.
FORWARD_FLOPS = 2 * 9.2e9
CONFIG = deit_small()

Work = Literal["scoring", "training, head stage", "training, full stage"]
SIDES = ("vtiqa-jax float32", "vtiqa-jax bfloat16", "PyTorch eager float32", "PyTorch compiled bfloat16")
Round = Callable[[int], float]
"""Works on all photos in the order of a round; returns the seconds it took, outputs read."""


def jax_round(what: Work, dtype: Any, batch: int, steps: int) -> Round:
    """This project: its scorer, or a step of the published recipe."""
    count = batch * steps
    store = ImageStore(photos(count, CONFIG, 0), sharding.data_mesh(), on_device=on_gpu())
    weights = params.init_params(CONFIG, 0)
    if what == "scoring":
        scorer = Scorer(CONFIG, weights, LabelScale("speed", 1.0, 5.0), compute_dtype=dtype)

        def score(number: int) -> float:
            rows = np.random.default_rng(number + 1).permutation(count)
            return timed(lambda: scorer.score_store(store, rows, batch_size=batch))

        return score
    recipe = PublishedRecipe(batch_size=batch, compute_dtype=dtype)
    trainer = Trainer(CONFIG, recipe, weights, store, np.linspace(1, 5, count), np.arange(count))

    def train(number: int) -> float:
        return timed(lambda: trainer.epoch(number + 1, head_only=what == "training, head stage"))

    return train


def torch_round(what: Work, strong: bool, batch: int, steps: int) -> Round:
    """Builds PyTorch's round: as the authors run it, or the strongest, which is compiled, with bfloat16 autocast, fused
    attention, and both views in one pass; on a GPU also with CUDA graphs, channels last, a fused optimiser, and scoring
    in bfloat16 altogether."""
    import torch
    import torch_model

    where = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    model = torch_model.Model(sdpa=strong, joined=strong).to(where)
    model.train(what != "scoring")
    if what == "training, head stage":
        for name, parameter in model.named_parameters():
            parameter.requires_grad = name.startswith("head")
    fastest = strong and where.type == "cuda"
    if fastest and what == "scoring":
        model = model.bfloat16()  # no products alone, but all
    if fastest:
        model = model.to(memory_format=torch.channels_last)
    # "reduce-overhead" replays CUDA graphs.
    run = torch.compile(model, mode="reduce-overhead" if fastest else "default") if strong else model
    chosen = [parameter for parameter in model.parameters() if parameter.requires_grad]
    optimiser = torch.optim.SGD(chosen, lr=0.01, weight_decay=1e-3, fused=fastest or None)
    stored = photos(batch * steps, CONFIG, 0)
    small, large = (
        torch.from_numpy(array).permute(0, 3, 1, 2).to(where) for array in (stored.global_images, stored.local_images)
    )
    labels = torch.linspace(1, 5, batch).to(where)

    def one(rows: torch.Tensor) -> torch.Tensor:
        both = torch_model.views(small[rows], large[rows])
        if what == "scoring":
            if fastest:
                both = tuple(view.bfloat16() for view in both)
            with torch.inference_mode(), torch.autocast(where.type, torch.bfloat16, enabled=strong and not fastest):
                return run(*both).float()
        with torch.autocast(where.type, torch.bfloat16, enabled=strong):
            loss = (run(*both) - labels).abs().mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        return loss.detach().reshape(1)

    def work(number: int) -> float:
        rows = torch.from_numpy(np.random.default_rng(number + 1).permutation(batch * steps)).to(where)
        return timed(lambda: torch.cat([one(part) for part in rows.split(batch)]).sum().item())

    return work


def built(side: str, what: Work, batch: int, steps: int) -> Round:
    """Builds a side, ready to work."""
    if side.startswith("PyTorch"):
        return torch_round(what, side.endswith("bfloat16"), batch, steps)
    return jax_round(what, side.split()[1], batch, steps)


@dataclasses.dataclass(frozen=True)
class Alone:
    """One side in a process of its own."""

    first_seconds: float
    """Seconds from the first call to its result: mostly compilation."""
    peak_gb: float
    """Peak of the device's memory; on a CPU, of the whole process."""


def measure_alone(side: str, what: Work, batch: int) -> None:
    """Prints an `Alone` as JSON."""
    work = built(side, what, batch, 1)
    first = work(0)
    work(1)
    memory: float = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    if side.startswith("PyTorch"):
        import torch

        memory = torch.cuda.max_memory_allocated() if torch.cuda.is_available() else memory
    elif told := jax.devices()[0].memory_stats():
        memory = told["peak_bytes_in_use"]
    print(json.dumps(dataclasses.asdict(Alone(first, memory / 1e9))))


def alone(side: str, what: Work, batch: int) -> Alone | None:
    """Runs `measure_alone` in a new process without any compilation cache; None when it fails."""
    with tempfile.TemporaryDirectory() as empty:
        environment = os.environ | {
            "TORCHINDUCTOR_CACHE_DIR": empty, "JAX_ENABLE_COMPILATION_CACHE": "false",
            "PYTHONPATH": os.pathsep.join(filter(None, [os.getcwd(), os.environ.get("PYTHONPATH")])),
        }  # fmt: skip
        call = [sys.executable, __file__, "alone", "--side", side, "--what", what, "--batch", str(batch)]
        ended = subprocess.run(call, env=environment, capture_output=True, text=True)
    if ended.returncode == 0:
        return Alone(**json.loads(ended.stdout.splitlines()[-1]))
    print(f"  {side}, {what}: left out ({(ended.stderr.splitlines() or ['?'])[-1][:150]})", file=sys.stderr)
    return None


def in_turns(sides: tuple[str, ...], what: Work, batch: int, rounds: int) -> dict[str, float]:
    """Photos a second of each side, the median; one that fails is left out."""
    steps = max(4, 1024 // batch) if on_gpu() else max(1, 8 // batch)
    working: dict[str, Round] = {}
    for side in sides:
        try:
            working[side] = built(side, what, batch, steps)
            working[side](-1)
        except Exception as error:  # not installed, a compiler that is missing, memory that is too small
            working.pop(side, None)
            print(f"  {side}: left out ({(str(error).splitlines() or [repr(error)])[0][:150]})", file=sys.stderr)
    found: dict[str, list[float]] = {side: [] for side in working}
    for number in range(rounds):
        for side, work in working.items():
            found[side].append(work(number))
    return {side: batch * steps / statistics.median(seconds) for side, seconds in found.items()}


def peak(dtype: str, rounds: int = 5) -> float:
    """Measures FLOP/s of the fastest large matrix product that either framework does: what the device can do."""
    found = 0.0
    for size in (4096, 8192, 16384) if on_gpu() else (1024, 2048, 4096):
        a = jax.random.normal(jax.random.key(0), (size, size), dtype)
        multiply = jax.jit(lambda x, y: jax.lax.dot(x, y, preferred_element_type=jnp.float32))
        works: list[Callable[[], object]] = [lambda: multiply(a, a).block_until_ready()]  # noqa: B023, called at once
        with contextlib.suppress(ImportError):
            import torch

            b = torch.randn(size, size, dtype=getattr(torch, dtype), device="cuda" if on_gpu() else "cpu")
            works.append(lambda: (b @ b)[0, 0].item())  # noqa: B023, likewise
        for work in works:
            work()
            found = max(found, 2 * size**3 / min(timed(work) for _ in range(rounds)))
    return found


@dataclasses.dataclass(frozen=True)
class Row:
    """One line of the table."""

    what: Work
    batch: int
    side: str
    photos_per_second: float
    of_eager: float | None
    of_peak: float
    alone: Alone | None


def main(
    batches: tuple[int, ...] = (1, 8, 64),
    train_batch: int = 0,
    rounds: int = 5,
    sides: tuple[str, ...] = (),
    only: tuple[Work, ...] = (),
    alone_too: Annotated[bool, Parameter(negative_bool="no-")] = True,
    out: Path = Path("runs/speed.json"),
) -> None:
    """Prints photos a second in training and scoring, by the released model.

    Args:
        batches: Numbers of photos that are scored together.
        train_batch: Photos of a training step; 0 means 192 on a GPU and 8 on a CPU.
        rounds: Number of turns of each side; the median is taken.
        sides: Sides to measure. All when not given, except those in bfloat16 on a CPU without such products, where they
            are slower than float32.
        only: Part of the work to measure.
        alone_too: First measure first results and peak memory, for training and the largest batch.
        out: JSON file for the results.
    """
    if not sides and fastest_dtype(jax.devices()[0].platform) == "float32":
        sides = tuple(side for side in SIDES if side.endswith("float32"))
        print("left out: bfloat16, which this CPU does not multiply; --sides asks for it", file=sys.stderr)
    sides = sides or SIDES
    size = train_batch or (192 if on_gpu() else 8)
    work: tuple[Work, ...] = ("scoring",) * len(batches) + ("training, head stage", "training, full stage")
    jobs = list(zip(work, [*sorted(batches), size, size], [1] * (len(batches) + 1) + [3], strict=True))
    last = {what: batch for what, batch, _ in jobs}
    jobs = [job for job in jobs if not only or job[0] in only]
    apart = {
        (what, batch, side): alone(side, what, batch)
        for what, batch, _ in jobs
        for side in sides
        if alone_too and batch == last[what]
    }
    peaks = {dtype: peak(dtype) for dtype in sorted({side.split()[-1] for side in sides})}
    print(f"{device()}; {versions()}; peak {', '.join(f'{k} {v / 1e12:.2f} TFLOP/s' for k, v in peaks.items())}")
    print("of peak: the model's multiplications over those of the fastest large matrix product of the same type")
    print(
        f"{'':<22}{'batch':>6}  {'side':<26}{'photos/s':>9}{'x eager':>9}{'of peak':>9}{'first, s':>9}{'peak, GB':>9}"
    )
    rows: list[Row] = []
    for what, batch, passes in jobs:
        found = in_turns(sides, what, batch, rounds)
        eager = found.get("PyTorch eager float32")
        for side, rate in found.items():
            share = rate * passes * FORWARD_FLOPS / peaks[side.split()[-1]]
            row = Row(what, batch, side, rate, rate / eager if eager else None, share, apart.get((what, batch, side)))
            rows.append(row)
            faster = "-" if row.of_eager is None else f"{row.of_eager:.2f}"
            first, memory = (f"{row.alone.first_seconds:.1f}", f"{row.alone.peak_gb:.2f}") if row.alone else ("", "")
            print(
                f"{what:<22}{batch:>6}  {side:<26}{rate:>9.1f}{faster:>9}{share:>9.1%}{first:>9}{memory:>9}",
                flush=True,
            )
    told = {"device": device(), "versions": versions(), "peaks": peaks, "rounds": rounds}
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(json.dumps(told | {"rows": [dataclasses.asdict(row) for row in rows]}, indent=1) + "\n")


if __name__ == "__main__":
    if sys.argv[1:2] == ["alone"]:
        parse(Command(measure_alone, ""), "alone", sys.argv[2:])()
    else:
        cli.run_script(main, description=__doc__)
