"""Scores of photos that were scored before, in one SQLite database: what `--cache` names, or an unfinished run's part.

A score belongs to the SHA-256 of a file's content and ending and to the settings it was made by, so that a photo may be
renamed, moved or copied. A file whose size, times and place are as they were is not read again to find its hash.
"""

import base64
import contextlib
import dataclasses
import hashlib
import json
import os
import sqlite3
import stat
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from vtiqa_jax.errors import UserError
from vtiqa_jax.photos.capture import Capture
from vtiqa_jax.photos.stamps import file_stamp
from vtiqa_jax.results.identities import differences
from vtiqa_jax.results.network_disks import is_on_network_disk
from vtiqa_jax.results.reasons import Fault
from vtiqa_jax.results.results import ScoreResult

APPLICATION_ID = 0x56544941
"""Tells these databases from others, so that none is written to by mistake."""
NAME = "vtiqa-scores.sqlite"
"""The file's name where `--cache` is a folder."""
BUSY_SECONDS = 60.0
"""Seconds that a run waits while another one writes to the same cache."""
BATCH_SECONDS = 1.0
"""Seconds that scores wait to be committed together where each commit waits for the disk; in WAL mode none does."""
SETTLED_SECONDS = 2.0
"""A file that changed later than so long ago may change again without a new time: it is read the next time, too."""
NAME_BYTES = 240
"""Longest name of an output whose part has the same one, with `.part` and SQLite's `-journal` after it."""
NOT_KEPT = ("image", "inspected", "stack", "stack_kind", "best")
"""Fields that depend on this run, or on the other photos."""
KEPT = tuple(field.name for field in dataclasses.fields(ScoreResult) if field.name not in NOT_KEPT)
CAPTURED = tuple(field.name for field in dataclasses.fields(Capture))
SCHEMA = f"""
BEGIN IMMEDIATE;
PRAGMA application_id = {APPLICATION_ID};
CREATE TABLE IF NOT EXISTS files (path BLOB PRIMARY KEY, stamp TEXT NOT NULL, sha256 BLOB NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS settings (id INTEGER PRIMARY KEY, content TEXT NOT NULL UNIQUE);
CREATE TABLE IF NOT EXISTS scores (
    sha256 BLOB, settings INTEGER REFERENCES settings, result TEXT NOT NULL, PRIMARY KEY (sha256, settings)
) WITHOUT ROWID;
COMMIT;
"""


class NotOurs(Exception):
    """A file is something else than a database of scores."""


def _code(error: sqlite3.Error) -> int:
    """Returns SQLite's primary code of an error; 0 for one of Python's module."""
    return getattr(error, "sqlite_errorcode", 0) & 0xFF


def _pack(result: ScoreResult) -> str:
    """Returns what is kept of a result, as JSON."""
    values = {name: getattr(result, name) for name in KEPT}
    values["capture"] = result.capture and dataclasses.asdict(result.capture)
    values["sketch"] = result.sketch and base64.b64encode(result.sketch).decode()
    return json.dumps(values)


def _unpack(packed: str) -> dict[str, Any]:
    """Returns the fields of a result that `_pack` made JSON of."""
    values = json.loads(packed)
    values["mosaic_scores"] = tuple(values["mosaic_scores"])
    values["faults"] = tuple(Fault(*fault) for fault in values["faults"])
    if taken := values["capture"]:
        values["capture"] = Capture(**taken | {"size": taken["size"] and tuple(taken["size"])})
    values["sketch"] = values["sketch"] and base64.b64decode(values["sketch"])
    return values


class ScoreCache:
    """The scores of one model with one set of settings."""

    def __init__(self, path: Path, settings: Mapping[str, Any], *, alone: bool) -> None:
        """Opens or makes the database.

        Args:
            path: its file.
            settings: JSON: scores with other settings are others.
            alone: whether no other run may use it at the same time, or have scores with other settings in it.

        Raises:
            NotOurs: the file is something else.
            UserError: it has scores with other settings, and must not.
            sqlite3.Error: it is damaged, in use, or cannot be written.
        """
        self.path = path
        self._lock = threading.Lock()
        self._looked_up: dict[Path, tuple[bytes, str]] = {}
        self._files: list[tuple[bytes, str, bytes]] = []
        self._scores: list[tuple[bytes, int, str]] = []
        self._due = 0.0
        self._database = sqlite3.connect(path.absolute(), timeout=0 if alone else BUSY_SECONDS, check_same_thread=False)
        try:
            self._batch_seconds = 0.0 if self._prepare(alone=alone) else BATCH_SECONDS
            self._settings = self._settings_id(settings, alone=alone)
        except BaseException:
            self._database.close()
            raise

    def _prepare(self, *, alone: bool) -> bool:
        """Checks whose database it is, chooses its journal, makes its tables. Returns whether it is in WAL mode."""
        execute = self._database.execute
        if alone:
            execute("PRAGMA locking_mode = EXCLUSIVE")  # then WAL needs no shared memory, which network disks lack
        try:
            # In this order: another run that makes the file now names its program first, and makes its tables then.
            (tables,) = execute("SELECT count(*) FROM sqlite_master").fetchone()
            (application,) = execute("PRAGMA application_id").fetchone()
        except sqlite3.DatabaseError as error:
            if _code(error) == sqlite3.SQLITE_NOTADB:
                raise NotOurs(str(error)) from error
            raise
        if tables and application != APPLICATION_ID:
            raise NotOurs("it is a database of another program")
        mode = "WAL" if alone or not is_on_network_disk(self.path) else "DELETE"
        mode = self._choose_journal(mode, 0.0 if alone else BUSY_SECONDS)
        execute("PRAGMA synchronous = NORMAL")
        if not tables:
            self._database.executescript(SCHEMA)
        return mode == "wal"

    def _choose_journal(self, mode: str, patience: float) -> str:
        """Chooses the journal's mode and returns what it is then; waits for another run, which SQLite here does not."""
        until = time.monotonic() + patience
        while True:
            try:
                return str(self._database.execute(f"PRAGMA journal_mode = {mode}").fetchone()[0])
            except sqlite3.OperationalError as error:
                if _code(error) != sqlite3.SQLITE_BUSY or time.monotonic() > until:
                    raise
                time.sleep(0.02)

    def _settings_id(self, settings: Mapping[str, Any], *, alone: bool) -> int:
        # The fields, too: a result without those that came later is not what is asked for.
        current: dict[str, Any] = json.loads(json.dumps({**settings, "fields": KEPT, "capture": CAPTURED}))
        content = json.dumps(current, sort_keys=True)
        stored = [json.loads(text) for (text,) in self._database.execute("SELECT content FROM settings")]
        if alone and (differ := sorted({name for other in stored for name in differences(other, current)})):
            raise UserError(
                f"{self.path} belongs to an interrupted run with other settings ({', '.join(differ)});"
                " give that run's command again, or remove the file"
            )
        with self._database:
            self._database.execute("INSERT OR IGNORE INTO settings (content) VALUES (?)", (content,))
        return self._database.execute("SELECT id FROM settings WHERE content = ?", (content,)).fetchone()[0]

    def get(self, photo: Path) -> ScoreResult | None:
        """Returns a photo's result, if one of the same content was stored; called by several threads."""
        try:
            started, status = time.time_ns(), photo.stat()
            if not stat.S_ISREG(status.st_mode):  # a pipe can be read once
                return None
            stamp, place = file_stamp(photo), os.fsencode(photo.absolute())
            with self._lock:
                found = self._database.execute("SELECT stamp, sha256 FROM files WHERE path = ?", (place,)).fetchone()
            if found and found[0] == stamp:
                digest = found[1]
            else:
                hashed = hashlib.sha256(photo.read_bytes())
                hashed.update(os.fsencode(photo.suffix.lower()))  # which may say how the content is to be read
                digest = hashed.digest()
                if file_stamp(photo) != stamp:  # being written
                    return None
                if started - max(status.st_mtime_ns, status.st_ctime_ns) >= SETTLED_SECONDS * 1e9:
                    with self._lock:
                        self._files.append((place, stamp, digest))
        except OSError:  # told when the photo is decoded
            return None
        query, key = "SELECT result FROM scores WHERE sha256 = ? AND settings = ?", (digest, self._settings)
        with self._lock:
            found = self._database.execute(query, key).fetchone()
            if not found:
                self._looked_up[photo] = digest, stamp
                return None
        return ScoreResult(photo, **_unpack(found[0]))

    def add(self, result: ScoreResult) -> None:
        """Stores a result of a photo that was looked for, unless it failed or the file has changed since."""
        digest, stamp = self._looked_up.pop(result.image, (b"", ""))
        with contextlib.suppress(OSError):
            if digest and not result.error and file_stamp(result.image) == stamp:
                self._scores.append((digest, self._settings, _pack(result)))
        if time.monotonic() >= self._due:
            self.commit()

    def commit(self) -> None:
        """Writes what waits, in one transaction: from then on no kill loses it."""
        with self._lock, self._database:
            self._database.executemany("REPLACE INTO files VALUES (?, ?, ?)", self._files)
            self._database.executemany("REPLACE INTO scores VALUES (?, ?, ?)", self._scores)
            self._files.clear()
            self._scores.clear()
        self._due = time.monotonic() + self._batch_seconds

    def close(self) -> None:
        """Writes what waits and closes the database."""
        try:
            self.commit()
        finally:
            self._database.close()


@contextmanager
def open_cache(path: Path, settings: Mapping[str, Any]) -> Iterator[ScoreCache]:
    """Opens the cache in a file, or in a folder, for any number of models, folders and runs at once.

    Args:
        path: the database, which is made when it is not there, or the folder that holds it.
        settings: JSON: scores with other settings are others.

    Raises:
        UserError: it is something else, damaged, or cannot be written.
    """
    file = path / NAME if path.is_dir() else path
    try:
        with contextlib.closing(ScoreCache(file, settings, alone=False)) as cache:
            yield cache
    except NotOurs as error:
        raise UserError(f"{file}: {error}; name another file for --cache") from error
    except sqlite3.Error as error:
        raise UserError(f"the cache {file} cannot be used: {error}; repair, remove or rename it") from error


def part_path(output: Path) -> Path:
    """Returns where the scores of an unfinished run are, beside its output."""
    name = os.fsencode(output.name)
    short = output.name if len(name) <= NAME_BYTES else hashlib.sha256(name).hexdigest()[:16]
    return output.with_name(f"{short}.part")


@contextmanager
def open_part(output: Path, settings: Mapping[str, Any]) -> Iterator[ScoreCache]:
    """Opens the scores of this run and of the interrupted one before it.

    They go when the block ends without an error, which is when the output is complete.

    Args:
        output: the file that the scores are for.
        settings: JSON that tells runs apart whose scores do not go together.

    Raises:
        UserError: it cannot be written, another run is writing it, or it is of a run with other settings.
    """
    path = part_path(output)
    try:
        with contextlib.closing(ScoreCache(path, settings, alone=True)) as part:
            yield part
    except NotOurs as error:
        raise UserError(f"{path} exists and does not belong to an interrupted run; move it away") from error
    except sqlite3.Error as error:
        if _code(error) == sqlite3.SQLITE_BUSY:
            raise UserError(f"another run is writing {output}; wait for it or end it") from error
        raise UserError(f"{path} cannot be used: {error}; make room for it, or remove it") from error
    path.unlink(missing_ok=True)
