"""A run's state on disk, so that it can go on where it was: written in the background, whole or not at all."""

import json
import shutil
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import jax
import numpy as np
from filelock import FileLock, Timeout
from orbax.checkpoint import v1 as ocp

from vtiqa_jax import atomic, checkpoint, devices
from vtiqa_jax.errors import UserError

KEPT = 2
"""Newest states kept: should the last one be damaged, there is one before it."""
TOLD = "told.json"
MARGIN = 1 << 20
"""Bytes that the files around the arrays may take."""


@contextmanager
def only_run_in(folder: Path) -> Iterator[None]:
    """Makes `folder` and keeps other runs out of it until it is left; a killed run keeps nobody out.

    Errors: UserError when another run is in it.
    """
    if not devices.first_process():
        yield
        return
    atomic.make_folder(folder)
    try:
        with FileLock(folder / ".lock", blocking=False):
            yield
    except Timeout as error:
        raise UserError(f"another run works in {folder}; wait for it, or name another --workdir") from error


class States:
    """The states in one folder, named by the step they were taken after. The first process writes, all read."""

    def __init__(self, folder: Path) -> None:
        """`folder` is made; on several machines it must be one that all of them see."""
        self.folder = folder.absolute()
        self._writer = ThreadPoolExecutor(1)
        self._writing: Future[None] | None = None
        if devices.first_process():
            atomic.make_folder(self.folder)
            for left_over in self.folder.glob(".*"):  # of a run that was killed
                atomic.remove(left_over)

    def _steps(self) -> list[int]:
        return sorted(int(path.name) for path in self.folder.glob("[0-9]*") if path.name.isdigit())

    def save(self, step: int, arrays: dict[str, np.ndarray], told: dict[str, Any]) -> None:
        """Starts to write a state (arrays on the host, the same in all processes, and JSON), after the one before is
        written. To be called by all processes. Errors: UserError when either cannot be written."""
        self.finish()
        part = self.folder / f".{step:09d}.part"
        with self._understood():
            if devices.first_process():
                atomic.remove(part)
                atomic.reserve(self.folder, sum(array.nbytes for array in arrays.values()) + MARGIN)
            written = ocp.save_async(str(part), arrays)
            self._writing = self._writer.submit(self._commit, written, part, step, told)

    def _commit(self, written: Any, part: Path, step: int, told: dict[str, Any]) -> None:
        """Once Orbax has written `part`, it becomes the newest state, and the oldest goes."""
        written.result()
        if not devices.first_process():
            return
        (part / TOLD).write_text(json.dumps(told))
        (part / checkpoint.HASHES).write_text(json.dumps(checkpoint.hashes(part)))
        path = self.folder / f"{step:09d}"
        atomic.remove(path)  # a damaged one, of a run before
        part.rename(path)
        for old in self._steps()[:-KEPT]:
            # Renamed first, so that no half-removed state keeps its name.
            atomic.remove((self.folder / f"{old:09d}").rename(self.folder / f".{old:09d}.gone"))

    @contextmanager
    def _understood(self) -> Iterator[None]:
        try:
            yield
        except Exception as error:  # Orbax and TensorStore raise what they like
            disk = error.strerror if isinstance(error, OSError) else None
            told = disk or (str(error).splitlines() or [repr(error)])[0]
            raise UserError(
                f"{self.folder}: the run's state could not be written ({told[:200]}); make room and give the same"
                " command again: it goes on from the state before"
            ) from error

    def finish(self) -> None:
        """Waits until all states are on disk. Errors: UserError when one could not be written."""
        if self._writing is None:
            return
        writing, self._writing = self._writing, None
        with self._understood():
            writing.result()

    def __enter__(self) -> "States":
        return self

    def __exit__(self, *_: object) -> None:
        """However the run ends, the state it was writing is written. Errors: as of `finish`."""
        self.finish()

    def newest(self) -> tuple[int, dict[str, Any], list[str]] | None:
        """The newest whole state: its step, its JSON, and what is wrong with newer ones, a line for each.

        Errors: UserError when the disk cannot be read, which says nothing about the states.
        """
        wrong: list[str] = []
        for step in reversed(self._steps()):
            path = self.folder / f"{step:09d}"
            try:
                if json.loads((path / checkpoint.HASHES).read_text()) != checkpoint.hashes(path):
                    raise ValueError("a file is missing, cut off or changed")
                return step, json.loads((path / TOLD).read_text()), wrong
            except (FileNotFoundError, NotADirectoryError, ValueError) as error:
                wrong.append(f"{path} is damaged and passed over: {error}")
            except OSError as error:
                raise UserError(f"{path} cannot be read now ({error.strerror}); give the same command again") from error
        return (-1, {}, wrong) if wrong else None

    def load(self, step: int, like: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        """The arrays of a state; `like` has their shapes and types. Errors: UserError when they do not fit."""
        here = jax.sharding.SingleDeviceSharding(jax.local_devices()[0])
        shapes = {k: jax.ShapeDtypeStruct(array.shape, array.dtype, sharding=here) for k, array in like.items()}
        path = self.folder / f"{step:09d}"
        try:
            with checkpoint.alone():
                return jax.device_get(ocp.load(str(path), shapes))
        except Exception as error:
            reason = (str(error).splitlines() or [type(error).__name__])[0]
            raise UserError(f"{path} is not a state of this run: {reason}; remove {self.folder}") from error

    def forget_after(self, step: int) -> None:
        """Removes the states of later steps."""
        if devices.first_process():
            for later in self._steps():
                if later > step:
                    atomic.remove(self.folder / f"{later:09d}")

    def remove(self) -> None:
        """Removes all states: the run is finished."""
        self.finish()
        if devices.first_process():
            shutil.rmtree(self.folder, ignore_errors=True)
