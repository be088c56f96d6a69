"""What is scored so far, kept beside an output until that is complete: an interrupted run goes on from there.

`scores.csv.part` is a CSV file whose first line, a comment, holds the settings of the run, and whose last column tells
whether a photo has changed since. A row is written as soon as it is known; a row that was cut off is scored again.
"""

import csv
import io
import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from filelock import FileLock, Timeout

from vtiqa_jax import atomic
from vtiqa_jax.errors import UserError
from vtiqa_jax.evaluation.results import ScoreResult
from vtiqa_jax.evaluation.score_files import Row, from_cells, from_row, to_cells, to_row
from vtiqa_jax.photos.stamps import file_stamp

ENCODING: dict[str, Any] = {"newline": "", "encoding": "utf-8", "errors": "surrogateescape"}
"""Of the file; bytes of a photo's name that are no UTF-8 are kept."""


def journal_path(output: Path) -> Path:
    """Where the journal of an output is."""
    return output.with_name(f"{output.name}.part")


class Journal:
    """The rows of a run and of the interrupted one before it."""

    def __init__(self, file: IO[str], names: Sequence[str], recovered: Mapping[str, tuple[Row, str]]) -> None:
        """Goes on in an open file.

        Args:
            file: to append to.
            names: the columns.
            recovered: rows that it holds, with the photos' stamps, by image.
        """
        self._file, self._names = file, names
        self._writer = csv.writer(file)
        self._recovered = dict(recovered)
        self._stamps: dict[str, str] = {}
        self.count = len(recovered)

    def known(self, photo: Path) -> ScoreResult | None:
        """The result that an interrupted run had, unless it was a failure or the file has changed since."""
        image = str(photo)
        try:
            stamp = file_stamp(photo)
        except OSError:
            return None
        row, scored = self._recovered.get(image, ({}, ""))
        if scored == stamp:
            return from_row(row)
        self._stamps[image] = stamp
        return None

    def add(self, result: ScoreResult) -> None:
        """Writes a result that was not known."""
        image = str(result.image)
        stamp = self._stamps.pop(image, None)
        if stamp is None and image in self._recovered:
            return
        # A failure is tried again: the reason may be gone though the file is the same.
        stamp = "" if result.error or stamp is None else stamp
        self._writer.writerow([*to_cells(to_row(result, self._names)), stamp])
        self._file.flush()
        self.count += 1


def _read(path: Path, settings: Mapping[str, Any], names: Sequence[str]) -> dict[str, tuple[Row, str]]:
    """The whole rows of successes in an interrupted run's journal. Errors: UserError when it is of another run."""
    with path.open(**ENCODING) as file:
        first = file.readline()
        try:
            found = json.loads(first.removeprefix("# "))
        except ValueError:
            found = None
        if not first.startswith("# ") or not isinstance(found, dict):
            raise UserError(f"{path} is in the way and not of an interrupted run; move it")
        differ = [name for name in settings.keys() | found.keys() if settings.get(name) != found.get(name)]
        if differ:
            raise UserError(
                f"{path} is of an interrupted run with other settings ({', '.join(sorted(differ))});"
                " give its command again, or remove it"
            )
        rows: dict[str, tuple[Row, str]] = {}
        text = file.read()
        lines = csv.reader(io.StringIO(text[: text.rfind("\n") + 1], newline=""), strict=True)
        try:
            next(lines, None)  # the names
            for *cells, stamp in lines:
                row = from_cells(cells, names)
                if stamp:
                    rows[str(row["image"])] = row, stamp
        except (csv.Error, ValueError):  # cut off there
            pass
    return rows


@contextmanager
def open_journal(output: Path, settings: Mapping[str, Any], names: Sequence[str]) -> Iterator[Journal]:
    """A journal that goes when the block ends without an error, which is when the output is complete.

    Args:
        output: the file that the rows are for.
        settings: JSON that tells runs apart whose rows do not go together.
        names: the columns.

    Raises:
        UserError: it cannot be written, another run is writing it, or it is of a run with other settings.
    """
    path = journal_path(output)
    lock = FileLock(f"{path}.lock")
    try:
        lock.acquire(timeout=0)
    except Timeout:
        raise UserError(f"another run is writing {output}") from None
    except OSError as error:
        raise UserError(f"{output} cannot be written: {error.strerror}") from error
    try:
        rows = _read(path, settings, names) if path.exists() else {}
        with atomic.atomic_replace(path) as temporary, temporary.open("w", **ENCODING) as file:
            file.write(f"# {json.dumps(settings)}\n")
            csv.writer(file).writerows([[*names, "stamp"], *([*to_cells(row), stamp] for row, stamp in rows.values())])
        with path.open("a", **ENCODING) as file:
            yield Journal(file, names, rows)
        path.unlink()
    finally:
        Path(lock.lock_file).unlink(missing_ok=True)
        lock.release()
