"""`vtiqa-onnx score`: photos and folders to scores, as by `vtiqa score`."""

import argparse
import importlib.metadata
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

from vtiqa_jax import atomic
from vtiqa_jax.commands.photos import WHAT_TO_DO, find_photos
from vtiqa_jax.commands.sigterm import raise_on_sigterm
from vtiqa_jax.distribution import DISTRIBUTION
from vtiqa_jax.errors import UserError
from vtiqa_jax.models.false_alarms import DEFAULT_RATE
from vtiqa_jax.photos import decode
from vtiqa_jax.photos.stderr import quiet_decoders
from vtiqa_jax.results import score_files
from vtiqa_jax.results.columns import score_columns
from vtiqa_jax.results.lines import say_heading, say_line, shown_columns
from vtiqa_jax.results.results import ScoreResult


class _Parser(argparse.ArgumentParser):
    """Tells a mistake in one line, as all of this project's commands do."""

    def error(self, message: str) -> NoReturn:
        raise UserError(f"{message}; see {self.prog} --help")


class _Version(argparse.Action):
    """Looks the version up when it is asked for."""

    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> NoReturn:
        parser.exit(message=f"{DISTRIBUTION} {importlib.metadata.version(DISTRIBUTION)}\n")


def _parse(words: Sequence[str]) -> argparse.Namespace:
    parser = _Parser("vtiqa-onnx", description="Scores the quality of photos by ONNX Runtime.", allow_abbrev=False)
    parser.add_argument("--version", action=_Version, nargs=0, help="Show the version and exit.")
    commands = parser.add_subparsers(required=True, metavar="score", dest="command")
    score = commands.add_parser(
        "score",
        help="Score photos.",
        description="Scores photos. Exit status: 0 all done, 1 some could not be read, 2 bad arguments."
        " What a score means: docs/meaning.md of vtiqa-jax.",
        allow_abbrev=False,
    )
    score.add_argument(
        "paths", nargs="*", type=Path, metavar="PATHS", help="Photos, and folders that are searched for photos."
    )
    score.add_argument(
        "--out",
        type=Path,
        metavar="FILE",
        help='File for the scores: .csv, .jsonl, .json or .parquet; "-" (standard output) gets CSV.',
    )
    score.add_argument("--reasons", action="store_true", help="Add the probability of each fault, as columns of --out.")
    score.add_argument(
        "--false-alarms",
        type=float,
        default=DEFAULT_RATE,
        metavar="RATE",
        help="Rate of false alarms: the share of good photos that get any reason, 0.005 to 0.1. (default: %(default)s)",
    )
    score.add_argument(
        "--model", type=Path, metavar="FILE", help="Model that `vtiqa export ... --inputs prepared` wrote."
    )
    score.add_argument(
        "--device", choices=("auto", "cpu", "cuda"), default="auto", help="Device. (default: %(default)s)"
    )
    score.add_argument("--threads", type=int, metavar="N", help="Threads that compute. (default: one for each CPU)")
    score.add_argument("--batch-size", type=int, metavar="N", help="Photos computed together.")
    score.add_argument(
        "--max-pixels",
        type=int,
        default=decode.MAX_PIXELS,
        metavar="N",
        help="Most pixels of a photo. A larger one is not decoded and counts as failed. (default: %(default)s)",
    )
    score.add_argument("--quiet", action="store_true", help="Print nothing but mistakes.")
    return parser.parse_args(words)


def run(words: Sequence[str]) -> int:
    """Does what a command line says.

    Returns:
        The exit status.

    Raises:
        UserError: a mistake on the command line.
    """
    return _score(_parse(words))


def _score(asked: argparse.Namespace) -> int:
    photos = find_photos(asked.paths, what_to_do=WHAT_TO_DO)
    out: Path | None = asked.out
    ending = "" if out is None else score_files.check_writable(out, photos)
    if asked.reasons and out is None:
        raise UserError("--reasons adds columns to a file; name the file with --out FILE")
    from vtiqa_onnx import scorer  # not before the mistakes are told: it takes most of the start

    model = scorer.load(asked.model, threads=asked.threads, device=asked.device, false_alarms=asked.false_alarms)
    batch_size = scorer.BATCH if asked.batch_size is None else asked.batch_size
    is_silent = asked.quiet or (out is not None and atomic.is_standard_output(out))
    columns = shown_columns(model.unknown)
    results: list[ScoreResult] = []
    found = model.stream(photos, batch_size=batch_size, max_pixels=asked.max_pixels)
    with raise_on_sigterm(), quiet_decoders():
        if not is_silent:
            print(say_heading(columns, model.scale), flush=True)
        for result in found:
            results.append(result)
            if not is_silent:
                print(say_line(result, columns, alone=len(photos) == 1), flush=True)
            elif result.error is not None:
                print(f"{result.image}: {result.error}", file=sys.stderr)
    failed = sum(result.error is not None for result in results)
    if out is not None and failed < len(results):
        score_files.write_scores(out, ending, results, score_columns(mosaics=False, reasons=asked.reasons), model.scale)
    elif out is not None:
        print(f"no photo was scored, so {out} is not written", file=sys.stderr)
    if failed:
        print(f"{failed} of {len(photos)} photos could not be read", file=sys.stderr)
    return 1 if failed else 0
