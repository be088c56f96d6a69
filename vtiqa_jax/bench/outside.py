"""Scores by anybody's command: it is given paths, and prints a path and a score a line."""

import contextlib
import re
import shlex
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from vtiqa_jax.errors import UserError
from vtiqa_jax.results.results import ScoreResult

LIST = "{list}"
"""Placeholder in the command for a file that lists the paths."""
LINE = re.compile(r'"?(.*?)"?[,;\s]\s*([^,;\s]+)\s*')
SHOWN = 80
"""Characters of a line that a message shows."""


def score_by_command(command: str, photos: Sequence[Path], *, are_left: bool = False) -> Iterator[ScoreResult]:
    """Runs a command once over all photos.

    It reads their absolute paths, one a line, from the file in place of `{list}`, or else from standard input. To
    standard output it prints, in any order, a path as it was given, a tab, comma or blank, and a number: `nan` for a
    photo that it cannot score. What it prints to standard error is shown.

    Args:
        command: for the shell.
        photos: none of them twice.
        are_left: others have a score already, so that these may be the ones that never get one.

    Yields:
        A result for each photo, as soon as it is printed; at the end those without a score, and why.

    Raises:
        UserError: it cannot be run, fails, or prints nothing or something else.
    """
    waiting = {str(photo.absolute()): photo for photo in photos}
    done: set[str] = set()
    with tempfile.TemporaryDirectory() as folder:
        listed = Path(folder, "photos.txt")
        listed.write_text("".join(f"{path}\n" for path in waiting), encoding="utf-8", errors="surrogateescape")
        with listed.open() as paths:
            process = subprocess.Popen(
                command.replace(LIST, shlex.quote(str(listed))),
                shell=True,
                stdin=subprocess.DEVNULL if LIST in command else paths,
                stdout=subprocess.PIPE,
                encoding="utf-8",
                errors="surrogateescape",
            )
        assert process.stdout is not None
        try:
            with process.stdout as lines:
                for number, line in enumerate(lines, start=1):
                    if line.strip():
                        path, score = _parse(line, number)
                        if path in done:
                            raise UserError(
                                f"the command printed {path} a second time in line {number}; print each path once"
                            )
                        if path not in waiting:
                            raise UserError(
                                f"the command printed a score for {path!r} in line {number}, which is not in its list;"
                                " print each path exactly as it is given"
                            )
                        done.add(path)
                        photo = waiting.pop(path)
                        reason = None if np.isfinite(score) else f"the command printed {score}"
                        yield ScoreResult(photo, None if reason else score, reason)
        except BaseException:
            process.terminate()
            process.wait()
            raise
        if status := process.wait():
            raise UserError(
                f"the command ended with status {status} after {len(done)} of {len(photos)} photos, and its own message"
                " is above; correct it and give the same command again: it continues from there"
            )
    if not done and not are_left:
        raise UserError(
            f"the command printed no score for {len(photos)} photos; print one line for each: a path, a tab, a number"
        )
    for photo in waiting.values():
        yield ScoreResult(photo, None, "the command printed no score for it")


def _parse(line: str, number: int) -> tuple[str, float]:
    """Parses a line into the path and the score."""
    if match := LINE.fullmatch(line.rstrip("\r\n")):
        with contextlib.suppress(ValueError):
            return match[1], float(match[2])
    raise UserError(
        f"the command printed {line.strip()[:SHOWN]!r} in line {number}, which is not a path, a tab and a number; print"
        " everything else to standard error"
    )
