"""Tests that every photo is scored exactly once while `vtiqa bulk` is killed at random moments (SIGKILL).

For example:

    python experiments/bulk_kills.py --photos DIR --kills 20

After a random time the driver is killed, or one of its Ray workers (which read, decode, score, filter or write). A
driver that ended without a result is started again at once. A complete result is compared with the folder and with
`vtiqa score`; then the next run begins, until the number of kills is reached.
"""

import csv
import os
import random
import signal
import subprocess
import sys
import tempfile
from collections import Counter
from pathlib import Path

import pyarrow.parquet as pq

from vtiqa_jax import cli


def children(pid: int) -> list[int]:
    """Returns the processes below a process, at any depth."""
    try:
        tasks = list(Path(f"/proc/{pid}/task").iterdir())
        found = [int(child) for task in tasks for child in (task / "children").read_text().split()]
    except OSError:  # it has just ended
        return []
    return found + [below for child in found for below in children(child)]


def workers(driver: int) -> dict[int, str]:
    """Finds a driver's Ray workers and what they call themselves."""
    names = {}
    for pid in children(driver):
        try:
            name = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")[0].decode()
        except OSError:
            continue
        if name.startswith("ray::"):
            names[pid] = name.removeprefix("ray::")
    return names


def kill_one(driver: subprocess.Popen[bytes], rng: random.Random, share: float) -> str:
    """Kills the driver or one of its workers; what it was, empty when there was none."""
    if rng.random() < share:
        driver.kill()
        driver.wait()
        return "driver"
    busy = {pid: name for pid, name in workers(driver.pid).items() if name != "IDLE"}
    if not busy:
        return ""
    pid = rng.choice(sorted(busy))
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        return ""
    return busy[pid]


def main(
    photos: Path,
    kills: int = 20,
    drivers: float = 0.5,
    shortest: float = 0.0,
    longest: float = 25.0,
    rows_per_file: int = 20,
    seed: int = 0,
    checkpoint: str = "default",
) -> None:
    """Prints every kill, and what was missing, double or different in the end. Exit status 1 if anything was.

    Args:
        photos: Folder of photos that can be read.
        kills: Number of kills.
        drivers: Share of the kills that hit drivers.
        shortest: Shortest time between two kills, in seconds.
        longest: Longest time between two kills, in seconds.
        rows_per_file: Same as of `vtiqa bulk`.
        seed: Seed of the moments and the victims.
        checkpoint: Model; a tiny one reads and writes more between two kills.
    """
    rng, killed, results, starts, wrong = random.Random(seed), Counter[str](), 0, 0, 0
    with tempfile.TemporaryDirectory() as folder:
        sheet = Path(folder, "scores.csv")
        vtiqa = [sys.executable, "-m", "vtiqa_jax"]
        score = [*vtiqa, "score", photos, "--out", sheet, "--checkpoint", checkpoint]
        subprocess.run(score, check=True, stdout=subprocess.DEVNULL)
        with sheet.open(newline="") as file:
            expected = {str(Path(row["image"]).resolve()): float(row["score"]) for row in csv.DictReader(file)}
        while killed.total() < kills:
            out, complete = Path(folder, f"out{results}"), False
            given = ["--rows-per-file", str(rows_per_file), "--checkpoint", checkpoint]
            words = [*vtiqa, "bulk", photos.resolve(), out, *given]
            while not complete:
                with Path(folder, "log").open("wb") as log:
                    driver = subprocess.Popen(words, stdout=log, stderr=log)
                starts += 1
                while driver.poll() is None:
                    try:
                        driver.wait(rng.uniform(shortest, longest) if killed.total() < kills else None)
                    except subprocess.TimeoutExpired:
                        victim = kill_one(driver, rng, drivers)
                        killed.update([victim] if victim else [])
                        done = len(list(out.glob("*.parquet")))
                        print(f"{killed.total():>3}  {done:>4} files  {victim or 'none to kill'}", flush=True)
                complete = driver.returncode == 0
                if driver.returncode not in (0, -signal.SIGKILL):
                    print(f"     the driver gave up ({driver.returncode}): {Path(folder, 'log').read_text()[-300:]}")
            results += 1
            found = pq.read_table(out).to_pydict()
            times = Counter(found["path"])
            scores = dict(zip(found["path"], found["score"], strict=True))
            missing = len(expected.keys() - times.keys())
            double = sum(count > 1 for count in times.values())
            different = sum(abs((scores[path] or 0) - expected[path]) > 1e-5 for path in expected.keys() & times.keys())
            wrong += missing + double + different
            print(f"result {results}: {len(times)} photos, {missing} missing, {double} double, {different} different")
    print(f"{killed.total()} kills in {starts} starts for {results} results:")
    for name, count in killed.most_common():
        print(f"  {count:>3}  {name}")
    sys.exit(1 if wrong else 0)


if __name__ == "__main__":
    cli.run_script(main, description=__doc__)
