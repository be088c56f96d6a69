"""`vtiqa bench`: a model, or anybody's command, beside people on all public data sets that a person has."""

import dataclasses
import datetime
import importlib.metadata
import json
import sys
from collections.abc import Sequence
from pathlib import Path

from tqdm import tqdm

from vtiqa_jax import atomic
from vtiqa_jax.bench.contenders import Contender, command_contender, model_contender
from vtiqa_jax.bench.parts import Part, TestPart, choose_test_part
from vtiqa_jax.bench.rows import Row, compare
from vtiqa_jax.bench.table import format_table
from vtiqa_jax.commands.sigterm import raise_on_sigterm
from vtiqa_jax.data import datasets
from vtiqa_jax.data.datasets.find import Found, find_releases, read_found
from vtiqa_jax.errors import Terminated, UserError
from vtiqa_jax.photos.stderr import quiet_decoders
from vtiqa_jax.results.results import ScoreResult
from vtiqa_jax.results.score_cache import ScoreCache, open_part

FORMAT = "vtiqa-jax bench 1"


def bench(
    folder: Path,
    /,
    *,
    checkpoint: str = "default",
    command: str | None = None,
    lower_is_better: bool = False,
    trained_on: str = "",
    only: str = "",
    part: Part = "clean",
    split_files: tuple[str, ...] = (),
    partial: bool = False,
    out: Path = Path("bench.json"),
    batch_size: int | None = None,
) -> int:
    """Compares a model, or any command that scores photos, with people on the public data sets in a folder.

    Example: vtiqa bench data --out bench.json

    After an interruption the same command continues. Exit status: 0 all done, 1 some data sets or photos were left out,
    2 bad arguments.

    Args:
        folder: Folder that holds releases of public data sets, as their owners distribute them.
        checkpoint: Model: the folder of a checkpoint, an .npz file, or "default" for the packaged model.
        command: Shell command that scores in place of a model. It gets a file of paths in place of {list}, or else
            paths on standard input, and prints a path, a tab and a score for each.
        lower_is_better: Treat lower scores of the command as better.
        trained_on: Data sets that trained the command's model, separated by commas.
        only: Data sets to take, separated by commas, such as koniq10k,livew. All in the folder when not given.
        part: Photos to take. clean: the official test photos, or the whole set where it has no official split, without
            any that trained the model. official, paper (the authors' test photos) and all: these photos, with a mark
            where some may have trained the model.
        split_files: Splits as NAME=FILE: of the data set NAME, take the test photos of the split in FILE, such as
            split.json of a run.
        partial: Accept incomplete releases.
        out: File for all figures, as JSON.
        batch_size: Photos computed together: at most 4 on a CPU; 64 on a GPU when not given.
    """
    if command is None and (lower_is_better or trained_on):
        raise UserError("--lower-is-better and --trained-on need --command; a checkpoint says both itself")
    if command is not None and checkpoint != "default":
        raise UserError("--command and --checkpoint exclude each other; give one of them")
    if atomic.is_stream(out):
        raise UserError("--out must be a file, as the scores of an interrupted run are kept beside it")
    files = _split_files(split_files)
    found = find_releases(folder)
    names = _choose_names(found, _list(only), files)
    atomic.make_folder(out.parent)
    atomic.check_output(out)
    if command is None:
        contender = model_contender(checkpoint, batch_size)
    else:
        contender = command_contender(command, _list(trained_on), lower_is_better=lower_is_better)
    parts: dict[str, TestPart] = {}
    for name in names:
        try:
            dataset = read_found(name, found, partial=partial)
            parts[name] = choose_test_part(
                dataset, contender.trainings, part=part, split_file=files.get(name), partial=partial
            )
        except UserError as error:
            print(f"left out: {error}", file=sys.stderr)
    if not parts:
        raise UserError(f"none of the data sets in {folder} can be scored; the lines above say why")
    rows: dict[str, Row] = {}
    with raise_on_sigterm(), quiet_decoders(), open_part(out, contender.settings) as memory:
        results = _score(contender, [photo for chosen in parts.values() for photo in chosen.photos], memory)
        for name, chosen in parts.items():
            try:
                rows[name] = compare(contender, chosen, results)
            except UserError as error:
                print(f"left out: {error}", file=sys.stderr)
        if not rows:
            raise UserError("no data set has two photos with a score; the lines above say why")
        content = {
            "format": FORMAT,
            "vtiqa_jax": importlib.metadata.version("vtiqa-jax"),
            "date": datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%d"),
            "scored_by": contender.identity,
            "part": part,
            "datasets": rows,
        }
        atomic.write_text(out, json.dumps(content, indent=2) + "\n")
    print(contender.name)
    print(format_table(rows))
    if all((row["srcc"] or 0) < 0 for row in rows.values()):
        hint = "if lower scores are better, add --lower-is-better" if command else "is the model's direction right?"
        print(f"on every data set the scores fall where people's scores rise: {hint}", file=sys.stderr)
    print(f"{out}: all figures, to post")
    return 1 if len(rows) < len(names) or any(row["failed"] for row in rows.values()) else 0


def _list(names: str) -> list[str]:
    return [name.strip() for name in names.split(",") if name.strip()]


def _split_files(pairs: Sequence[str]) -> dict[str, Path]:
    """Returns the file of each data set. Errors: UserError for what is not NAME=FILE."""
    files = {}
    for pair in pairs:
        name, equals, file = pair.partition("=")
        if not equals:
            raise UserError(f"--split-files takes NAME=FILE, such as koniq10k=runs/koniq/split.json, not {pair}")
        files[name] = Path(file)
    return files


def _choose_names(found: Found, only: Sequence[str], files: dict[str, Path]) -> list[str]:
    """Chooses the data sets to score, in the order of the table.

    Raises:
        UserError: there is none, or not one that was named.
    """
    archives = found.tell_archives(found.folder)
    for name in (*only, *files):
        title = datasets.dataset_info(name).title
        if name not in found.releases:
            raise UserError(
                f"no {title} in {found.folder}; it holds {', '.join(found.releases) or 'no data set'}{archives}"
            )
    if not found.releases:
        hint = archives or "; docs/datasets.md says what their files are called"
        raise UserError(f"no data set in {found.folder}; it may hold {', '.join(datasets.READERS)}{hint}")
    return [name for name in datasets.READERS if name in (only or found.releases)]


def _score(contender: Contender, photos: Sequence[Path], memory: ScoreCache) -> dict[Path, ScoreResult]:
    """Scores the photos that an interrupted run has not. Photos without a score are named on standard error."""
    results: dict[Path, ScoreResult] = {}
    try:
        stream = contender.score(photos, memory.get)
        for result in tqdm(stream, "scoring", len(photos), unit="photo", disable=None, leave=False):
            memory.add(result)
            results[result.image] = dataclasses.replace(result, sketch=None, faults=())  # of all they would fill memory
            if result.error:
                print(f"left out: {result.image}: {result.error}", file=sys.stderr)
    except (KeyboardInterrupt, Terminated):
        memory.commit()
        print(
            f"{len(results)} scores are kept in {memory.path}; give the same command again to continue", file=sys.stderr
        )
        raise
    return results
