"""Kills training and scoring at random times, starts them again, and tests that nothing is lost.

For example:

    python experiments/random_kills.py --kills 100 [--seed 0]

Half of the kills (SIGKILL) hit `vtiqa train` on made-up photos with a small model, the other half `vtiqa score`. The
time of a kill is drawn from the whole length of an undisturbed run; every second kill of the training comes right after
a state was saved. Weights, predictions, history and the CSV of scores must equal those of the undisturbed run, bit for
bit.
"""

import dataclasses
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
from cyclopts import Parameter

from vtiqa_jax import cli
from vtiqa_jax.models import checkpoint
from vtiqa_jax.models.checkpoint import Checkpoint
from vtiqa_jax.models.config import LabelScale, tiny_config
from vtiqa_jax.models.params import init_params

PHOTOS = 40
TIMES = {"seconds", "photos_per_second"}
"""Entries that may differ in each run."""


def make_photos(folder: Path) -> None:
    """Photos of noise with scores, and a model to start from."""
    rng, lines = np.random.default_rng(0), ["image,mos"]
    (folder / "photos").mkdir()
    for index in range(PHOTOS):
        pixels = 128 + (index + 1) * 2.5 * rng.standard_normal((50, 60, 3))
        cv2.imwrite(str(folder / "photos" / f"p{index:02}.png"), np.clip(pixels, 0, 255).astype(np.uint8))
        lines.append(f"p{index:02}.png,{index / 10}")
    (folder / "scores.csv").write_text("\n".join(lines) + "\n")
    config = tiny_config()
    model = Checkpoint(config, init_params(config, seed=0), LabelScale("made up", 0.0, 4.0), {})
    checkpoint.save(folder / "model", model)


def start(*arguments: object) -> subprocess.Popen[str]:
    """Starts `vtiqa` in a process of its own, on the CPU."""
    program = [sys.executable, "-m", "vtiqa_jax", *map(str, arguments)]
    environment = os.environ | {"JAX_PLATFORMS": "cpu", "COLUMNS": "1000"}
    return subprocess.Popen(program, text=True, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)


def start_training(folder: Path, workdir: Path) -> subprocess.Popen[str]:
    """Starts a run of 8 epochs that saves a state after each step."""
    return start(
        *("train", "manifest", "--scores", folder / "scores.csv", "--images", folder / "photos"),
        *(
            "--checkpoint",
            folder / "model",
            "--image-cache",
            folder / "images",
            "--workdir",
            workdir,
            "--save-every",
            1,
        ),
        *("--recipe.epochs", 8, "--recipe.batch-size", 4),
    )


def start_scoring(folder: Path, workdir: Path) -> subprocess.Popen[str]:
    """Starts to score ten times the photos, to a CSV."""
    workdir.mkdir(exist_ok=True)
    photos = [folder / "photos"] * 10
    return start("score", *photos, "--checkpoint", folder / "model", "--out", workdir / "s.csv")


def newest_state(workdir: Path) -> int:
    """Returns the step of the newest whole state; 0 without one."""
    steps = [int(path.name) for path in (workdir / "states").glob("[0-9]*") if path.name.isdigit()]
    return max(steps, default=0)


def read_training(workdir: Path) -> dict[str, object]:
    """Reads what must not differ between two runs."""

    def lasting(text: str) -> dict[str, object]:
        return {key: value for key, value in json.loads(text).items() if key not in TIMES}

    weights = checkpoint.load(workdir / "checkpoint").params
    return {name: array.tobytes() for name, array in weights.items()} | {
        "predictions": (workdir / "predictions.csv").read_bytes(),
        "result": lasting((workdir / "result.json").read_text()),
        "history": [lasting(line) for line in (workdir / "metrics.jsonl").read_text().splitlines()],
    }


def read_scoring(workdir: Path) -> dict[str, object]:
    """Reads the CSV of scores."""
    return {"scores": (workdir / "s.csv").read_bytes()}


@dataclasses.dataclass(frozen=True)
class Job:
    """Something to kill."""

    name: str
    start: Callable[[Path, Path], subprocess.Popen[str]]
    read: Callable[[Path], dict[str, object]]
    result: str
    """The file that is there once the job is done, and not before."""
    waits_for_states: bool


JOBS = (
    Job("training", start_training, read_training, "result.json", True),
    Job("scoring", start_scoring, read_scoring, "s.csv", False),
)


def finish(running: subprocess.Popen[str], job: Job) -> None:
    """Waits for the end.

    Raises:
        SystemExit: it failed.
    """
    _, error = running.communicate(timeout=600)
    if running.returncode not in (0, -signal.SIGKILL) or "Traceback" in error:
        raise SystemExit(f"{job.name}: exit status {running.returncode}: {error}")


def kill_again_and_again(folder: Path, job: Job, kills: int, rng: np.random.Generator) -> str:
    """Kills a job `kills` times, beginning anew whenever it gets through, and lets the last one get through.

    Returns:
        The figures.

    Raises:
        SystemExit: something was lost.
    """
    for name in ("compiled", "undisturbed"):  # the first one compiles, and prepares the photos
        begun = time.monotonic()
        finish(job.start(folder, folder / f"{job.name}-{name}"), job)
        length = time.monotonic() - begun
    wanted = job.read(folder / f"{job.name}-undisturbed")
    killed, runs, starts = 0, 0, 0
    workdir = folder / f"{job.name}-0"
    while True:
        running, before = job.start(folder, workdir), newest_state(workdir)
        starts, begun = starts + 1, time.monotonic()
        if killed < kills:
            wait = rng.uniform(0, length)
            if job.waits_for_states and killed % 2:
                while running.poll() is None and newest_state(workdir) <= before:
                    time.sleep(0.005)
                wait = time.monotonic() - begun + rng.uniform(0, 0.3)
            while running.poll() is None and time.monotonic() - begun < wait:
                time.sleep(0.005)
            if running.poll() is None:
                running.kill()
                killed += 1
        finish(running, job)
        if newest_state(workdir) < before and not (workdir / job.result).exists():
            raise SystemExit(f"{job.name}: state {before} was lost, {newest_state(workdir)} is left")
        if (workdir / job.result).exists() and running.returncode == 0:
            differing = [name for name, value in job.read(workdir).items() if wanted[name] != value]
            if differing or wanted.keys() != job.read(workdir).keys():
                raise SystemExit(f"{job.name}: {', '.join(differing)} differ after {killed} kills in {workdir}")
            runs += 1
            if killed == kills:
                break
            workdir = folder / f"{job.name}-{runs}"
        elif job.name == "scoring" and (workdir / job.result).exists():
            lines = (workdir / job.result).read_bytes()
            if lines != wanted["scores"]:
                raise SystemExit("scoring: a CSV has its name and is not whole")
    return (
        f"{job.name}: {killed} kills in {starts} starts, {runs} runs got through, each as the undisturbed one"
        f" ({length:.1f} s)"
    )


@Parameter(name="*")
@dataclasses.dataclass(frozen=True)
class Arguments:
    """Options."""

    kills: int = 100
    """Number of kills, half of them of each job."""
    seed: int = 0
    """Seed of the times."""


def main(arguments: Arguments = Arguments()) -> None:
    """Prints the figures."""
    rng = np.random.default_rng(arguments.seed)
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        make_photos(folder)
        for number, job in enumerate(JOBS):
            share = arguments.kills // 2 + (arguments.kills % 2 if number == 0 else 0)
            print(kill_again_and_again(folder, job, share, rng), flush=True)


if __name__ == "__main__":
    cli.run_script(main, description=__doc__)
