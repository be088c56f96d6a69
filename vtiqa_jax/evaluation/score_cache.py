"""Scores of photos that were scored before, by what is in the file, in one SQLite database for any number of folders.

A score belongs to the SHA-256 of a file's content and ending and to the settings of the model, so that a photo may be
renamed, moved or copied. A file whose size, times and place are as they were is not read again to find its hash. The
database is in WAL mode: several runs may use it at once, on a local disk.
"""

import contextlib
import dataclasses
import hashlib
import json
import os
import sqlite3
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from vtiqa_jax.errors import UserError
from vtiqa_jax.evaluation.results import ScoreResult
from vtiqa_jax.photos.stamps import file_stamp

APPLICATION_ID = 0x56544941
"""Tells these databases from others, so that none is written to by mistake."""
NAME = "vtiqa-scores.sqlite"
"""In a folder."""
BUSY_SECONDS = 60
SETTLED_SECONDS = 2.0
"""A file that changed later than so long ago may change again without a new time: it is read the next time, too."""
NOT_KEPT = ("image", "inspected")
SCHEMA = """
CREATE TABLE IF NOT EXISTS files (path BLOB PRIMARY KEY, stamp TEXT NOT NULL, sha256 BLOB NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS scores (sha256 BLOB, settings TEXT, result TEXT NOT NULL, PRIMARY KEY (sha256, settings))
WITHOUT ROWID;
"""


class ScoreCache:
    """The scores of one model with one set of settings."""

    def __init__(self, database: sqlite3.Connection, settings: Mapping[str, Any]) -> None:
        """Uses a database that `open_cache` opened."""
        self._database, self._lock = database, threading.Lock()
        self._settings = json.dumps(settings, sort_keys=True)
        self._pending: dict[Path, tuple[bytes, str]] = {}

    def known(self, photo: Path) -> ScoreResult | None:
        """A photo's result, if one of the same content was stored; called by several threads."""
        try:
            started, stamp, place = time.time_ns(), file_stamp(photo), os.fsencode(photo.absolute())
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
                status = photo.stat()
                if started - max(status.st_mtime_ns, status.st_ctime_ns) >= SETTLED_SECONDS * 1e9:
                    with self._lock, self._database:
                        self._database.execute("REPLACE INTO files VALUES (?, ?, ?)", (place, stamp, digest))
        except OSError:  # told when the photo is decoded
            return None
        query, key = "SELECT result FROM scores WHERE sha256 = ? AND settings = ?", (digest, self._settings)
        with self._lock:
            found = self._database.execute(query, key).fetchone()
            if not found:
                self._pending[photo] = digest, stamp
                return None
        values = json.loads(found[0])
        return ScoreResult(photo, **values | {"draws": tuple(values["draws"])})

    def add(self, result: ScoreResult) -> None:
        """Stores a result of a photo that was looked for, unless it failed or the file has changed since."""
        digest, stamp = self._pending.pop(result.image, (b"", ""))
        with contextlib.suppress(OSError):
            if digest and not result.error and file_stamp(result.image) == stamp:
                values = {
                    field.name: getattr(result, field.name)
                    for field in dataclasses.fields(result)
                    if field.name not in NOT_KEPT
                }
                with self._lock, self._database:
                    row = (digest, self._settings, json.dumps(values))
                    self._database.execute("REPLACE INTO scores VALUES (?, ?, ?)", row)


@contextmanager
def open_cache(path: Path, settings: Mapping[str, Any]) -> Iterator[ScoreCache]:
    """A cache in a file, or in a folder; made when it is not there.

    Args:
        path: the database, or the folder that holds it.
        settings: JSON: scores with other settings are others.

    Raises:
        UserError: it is something else, damaged, or cannot be written.
    """
    file = path / NAME if path.is_dir() else path
    try:
        database = sqlite3.connect(file, timeout=BUSY_SECONDS, check_same_thread=False)
        try:
            (application,) = database.execute("PRAGMA application_id").fetchone()
            (tables,) = database.execute("SELECT count(*) FROM sqlite_master").fetchone()
            if tables and application != APPLICATION_ID:
                raise UserError(f"{file} is a database of another program; name another file for --cache")
            database.execute("PRAGMA journal_mode = WAL")
            database.execute("PRAGMA synchronous = NORMAL")
            database.execute(f"PRAGMA application_id = {APPLICATION_ID}")
            database.executescript(SCHEMA)
            yield ScoreCache(database, settings)
        finally:
            database.close()
    except sqlite3.Error as error:
        raise UserError(f"the cache {file} cannot be used: {error}; repair, remove or rename it") from error
