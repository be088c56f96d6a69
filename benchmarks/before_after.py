"""Compares the speed of two checkouts of this project, in one run on one machine.

For example:

    git worktree add before COMMIT
    python benchmarks/before_after.py before . --rounds 5 --model before/vtiqa_jax/default.npz

Each checkout runs in a process of its own. The two take turns, in an order that changes from round to round, so that
both see the machine equally busy. The benchmark times scoring and a fine-tuning step of one model on made-up photos, in
float32 and bfloat16. It does not time compilation, decoding and moving the photos. The table shows the median over the
rounds for each side, and the median of the ratio within a round.
"""

import dataclasses
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

SCORED = 4
"""Photos that are scored together."""
TRAINED = 8
"""Photos of a fine-tuning step."""
JOBS = ("scoring, float32", "scoring, bfloat16", "training step, float32", "training step, bfloat16")

Job = Callable[[], Any]
"""Computes once and waits for it; returns the scores, or the loss."""


# ---- a child: one checkout. Nothing of the project is imported by the parent ----


def made_up(count: int, sides: tuple[int, int]) -> list[Any]:
    """Makes random stored photos of both sizes."""
    import numpy as np

    rng = np.random.default_rng(0)
    return [rng.integers(0, 256, (count, side, side, 3), np.uint8) for side in sides]


def make_job(name: str, model: str) -> Job:
    """Makes a job of a checkout of this interface."""
    import jax
    import numpy as np

    from vtiqa_jax import sharding
    from vtiqa_jax.data.image_cache import ImageCache
    from vtiqa_jax.data.loader import ImageStore, load_batches
    from vtiqa_jax.models import catalog
    from vtiqa_jax.scoring.scorer import Scorer
    from vtiqa_jax.training.finetune import FinetuneRecipe
    from vtiqa_jax.training.step import init_state, make_key, make_train_step

    what, dtype = name.split(", ")
    start, mesh = catalog.load(model), sharding.data_mesh()
    config, count = start.config, SCORED if what == "scoring" else TRAINED
    cache = ImageCache(*made_up(count, (config.global_resize, config.local_resize)))
    store, rows = ImageStore(cache, mesh), np.arange(count)
    if what == "scoring":
        assert start.scale is not None
        scorer = Scorer(config, start.params, start.scale, compute_dtype=dtype)  # type: ignore[arg-type]
        return lambda: scorer.score_store(store, rows, batch_size=count).tolist()
    recipe = FinetuneRecipe(batch_size=count, compute_dtype=dtype)  # type: ignore[arg-type]
    state, frozen = init_state(recipe, config, start.params, mesh)
    key = make_key(0, mesh)
    labels = {"labels": np.linspace(-1, 1, count).astype(np.float32)}
    batch = next(load_batches(store, labels, [rows], count))
    step = make_train_step(recipe, config, mesh)

    def train_once() -> float:
        nonlocal state
        state, logged = step(state, frozen, key, np.float32(1e-5), batch)
        jax.block_until_ready(state)
        return float(logged["loss"])

    return train_once


def child() -> None:
    """Reads a line of JSON, {"job": name, "model": path, "calls": n}, and answers with one, until there are none."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # nothing that is printed becomes an answer
    import jax

    import vtiqa_jax

    device = jax.devices()[0].device_kind

    def answer(content: dict[str, Any]) -> None:
        answers.write(json.dumps(content) + "\n")
        answers.flush()

    answer({"package": str(Path(vtiqa_jax.__file__).resolve().parent), "device": device, "jax": jax.__version__})
    jobs: dict[str, Job] = {}
    for line in sys.stdin:
        asked = json.loads(line)
        name = asked["job"]
        if name not in jobs:
            jobs[name] = make_job(name, asked["model"])
            first = jobs[name]()  # compiles
            answer({"first": first})
            continue
        seconds = []
        for _ in range(asked["calls"]):
            began = time.perf_counter()
            jobs[name]()
            seconds.append(time.perf_counter() - began)
        answer({"seconds": statistics.median(seconds)})


# ---- the parent ----


class Side:
    """A checkout and its process."""

    def __init__(self, checkout: Path, model: str) -> None:
        self.checkout, self._model = checkout.resolve(), model
        if not (self.checkout / "vtiqa_jax").is_dir():
            sys.exit(f"{checkout} is not a checkout of this project")
        call = [sys.executable, str(Path(__file__).resolve()), "child"]
        environment = os.environ | {"PYTHONPATH": str(self.checkout), "XLA_PYTHON_CLIENT_PREALLOCATE": "false"}
        self._process = subprocess.Popen(
            call, cwd=self.checkout, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        self.told = self._answer()
        if Path(self.told["package"]) != self.checkout / "vtiqa_jax":
            sys.exit(f"{checkout}: its process imported {self.told['package']}")

    def _answer(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            sys.exit(f"the process of {self.checkout.name} ended with status {self._process.wait()}")
        return json.loads(line)

    def ask(self, job: str, calls: int) -> dict[str, Any]:
        """Returns what the process answers to one line; it computes meanwhile, and no other does."""
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps({"job": job, "model": self._model, "calls": calls}) + "\n")
        self._process.stdin.flush()
        return self._answer()

    def close(self) -> None:
        """Ends the process."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait()


@dataclasses.dataclass(frozen=True)
class Row:
    """One line of the table; seconds of each round."""

    job: str
    old: list[float]
    new: list[float]
    difference: float
    """Largest difference between both sides' scores, or between the first losses."""

    def __str__(self) -> str:
        ratio = statistics.median(new / old for old, new in zip(self.old, self.new, strict=True))
        old, new = (f"{1e3 * statistics.median(seconds):.1f}" for seconds in (self.old, self.new))
        return f"| {self.job} | {old} | {new} | {ratio:.3f} | {self.difference:.1e} |"


def measure(job: str, old: Side, new: Side, rounds: int, calls: int) -> Row:
    """Measures one job on both sides, in turns."""
    firsts = [side.ask(job, 0)["first"] for side in (old, new)]
    values = [first if isinstance(first, list) else [first] for first in firsts]
    for side in (old, new):
        side.ask(job, 1)  # the first call after compilation is slower
    seconds: dict[Side, list[float]] = {old: [], new: []}
    for number in range(rounds):
        for side in (old, new) if number % 2 == 0 else (new, old):
            seconds[side].append(side.ask(job, calls)["seconds"])
    return Row(job, seconds[old], seconds[new], max(abs(a - b) for a, b in zip(*values, strict=True)))


def main(
    old: Path, new: Path, /, rounds: int = 5, calls: int = 3, model: Path | None = None, only: tuple[str, ...] = ()
) -> None:
    """Prints a Markdown table, row by row: milliseconds of both checkouts, and the ratio of the new one to the old one.

    Args:
        old: Checkout.
        new: Another checkout.
        rounds: Number of turns of each side.
        calls: Number of calls in a turn; their median is taken.
        model: Checkpoint or quantized file that both can read. Each side's own packaged model when not given.
        only: Jobs to time, such as "scoring, float32". All when not given.
    """
    path = str(model.resolve()) if model else "default"
    sides = Side(old, path), Side(new, path)
    print(f"{sides[0].told['device']}, JAX {sides[0].told['jax']}; {rounds} rounds of {calls} calls, {SCORED} photos")
    print(f"scored together, {TRAINED} a training step\n")
    print("| | before, ms | after, ms | after / before | largest difference of the scores, or of the first loss |")
    print("|---|---|---|---|---|", flush=True)
    for job in only or JOBS:
        print(measure(job, *sides, rounds, calls), flush=True)
    for side in sides:
        side.close()


if __name__ == "__main__":
    if sys.argv[1:] == ["child"]:
        child()
    else:
        from vtiqa_jax import cli

        cli.run_script(main, description=__doc__)
