"""The saved states of a run: Orbax writes, names, keeps and deletes them; the hashes that tell a whole one are ours."""

import asyncio
import dataclasses
import json
import shutil
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, TypeVar

import jax
from filelock import FileLock, Timeout
from orbax.checkpoint import v1 as ocp

from vtiqa_jax import atomic, sharding
from vtiqa_jax.errors import UserError
from vtiqa_jax.models.checkpoint import HASHES, file_hashes

PyTree = TypeVar("PyTree")

KEPT = 2
"""Newest states kept: should the last one be damaged, there is one before it."""
MARGIN = 1 << 20
"""Bytes that the files around the arrays may take."""


@contextmanager
def lock_workdir(folder: Path) -> Iterator[None]:
    """Makes a folder and keeps other runs out of it until it is left. A killed run keeps nobody out.

    Args:
        folder: the run's folder.

    Raises:
        UserError: another run is in it.
    """
    if not sharding.is_main_process():
        yield
        return
    atomic.make_folder(folder)
    try:
        with FileLock(folder / ".lock", blocking=False):
            yield
    except Timeout as error:
        raise UserError(f"another run works in {folder}; wait for it, or name another --workdir") from error


@dataclasses.dataclass(frozen=True)
class SavedState:
    """What is known of a saved state without its arrays."""

    step: int
    """The step it was taken after; -1 when no state is whole."""
    metadata: dict[str, Any]
    """The JSON saved with it."""
    problems: list[str]
    """Defects of newer states, a line for each."""


def _leaves(tree: Any) -> dict[str, tuple[tuple[int, ...], str]]:
    """Returns shape and type of each array in a tree, by path; Orbax describes a named tuple as a dict."""
    leaves = jax.tree_util.tree_flatten_with_path(tree)[0]
    return {
        jax.tree_util.keystr(path, simple=True, separator="/"): (tuple(leaf.shape), str(leaf.dtype))
        for path, leaf in leaves
    }


class RunCheckpointer:
    """The saved states of one run, in one folder that all its processes see. All processes call every method."""

    def __init__(self, folder: Path) -> None:
        """Opens the folder, makes it if need be, and removes what a killed run had not finished.

        Args:
            folder: where the states are, each in a folder named by its step.
        """
        self.folder = atomic.resolve(folder)  # a link could not be deleted as a folder
        if sharding.is_main_process():
            atomic.make_folder(self.folder)
        self._checkpointer = ocp.training.Checkpointer(
            str(self.folder),
            # Orbax's default skips a state while the one before is being written.
            save_decision_policy=ocp.training.save_decision_policies.FixedIntervalPolicy(1),  # type: ignore[arg-type]
            preservation_policy=ocp.training.preservation_policies.LatestN(KEPT),  # type: ignore[arg-type]
            cleanup_tmp_directories=True,
        )
        self._context = ocp.Context()
        # One replica writes: to divide small arrays among eight devices takes longer than to write them.
        self._context.array.saving.use_replica_parallel = False
        self._hasher = ThreadPoolExecutor(1)
        self._saving: Future[None] | None = None

    def save(self, step: int, state: Any, metadata: dict[str, Any]) -> None:
        """Starts to write a state, once the one before is written. The arrays may be donated as soon as this returns.

        Args:
            step: the step it was taken after, later than that of every state before.
            state: a tree of jax.Arrays.
            metadata: JSON saved with it.

        Raises:
            UserError: this state, or the one before, cannot be written.
        """
        self.wait()
        # Asked before: on a full disk Orbax's threads print their tracebacks.
        if sharding.is_main_process():
            with self._explain_write_errors(OSError):
                atomic.check_disk_space(self.folder, sum(leaf.nbytes for leaf in jax.tree.leaves(state)) + MARGIN)
        with self._context:
            response = self._checkpointer.save_async(step, state, custom_metadata=metadata)
        if response is None:
            raise RuntimeError(f"Orbax skipped the state of step {step}")
        self._saving = self._hasher.submit(self._add_hashes, response, step)

    def _path(self, step: int) -> Path:
        return self.folder / str(step)

    def _add_hashes(self, response: Any, step: int) -> None:
        """Writes the hashes of a state's files once Orbax has committed it; without them it does not count as whole.

        Orbax has no hook between its last file and the renaming that commits a state.
        """
        response.result()  # also ends the thread that Orbax started for it
        try:
            if sharding.is_main_process():
                path = self._path(step)
                (path / HASHES).write_text(json.dumps(file_hashes(path)))
        finally:  # the other processes wait for the hashes too
            asyncio.run(ocp.multihost.sync_global_processes("vtiqa-jax hashes", operation_id=str(step)))

    @contextmanager
    def _explain_write_errors(self, *kinds: type[Exception]) -> Iterator[None]:
        try:
            yield
        except kinds as error:
            reason = error.strerror if isinstance(error, OSError) else None
            reason = reason or (str(error).splitlines() or [repr(error)])[0]
            raise UserError(
                f"{self.folder}: the run's state could not be written ({reason[:200]}); make room and give the same"
                " command again: it continues from the state before"
            ) from error

    def wait(self) -> None:
        """Waits until all states are on disk.

        Raises:
            UserError: one could not be written.
        """
        if self._saving is None:
            return
        saving, self._saving = self._saving, None
        # TensorStore reports a full disk as a ValueError. Mistakes of ours raise in `save` already, on this thread.
        with self._explain_write_errors(OSError, ValueError):
            saving.result()

    def has_state(self) -> bool:
        """Tells whether a state is written to its end. Does not read it, so it may be damaged."""
        return any(self.folder.glob(f"[0-9]*/{HASHES}"))

    def latest_valid(self) -> SavedState | None:
        """Looks for the newest state whose files all have their hashes.

        Returns:
            That state, with step -1 when states are there but none is whole. None when there are no states.

        Raises:
            UserError: the disk cannot be read, which says nothing about the states.
        """
        self.wait()
        problems: list[str] = []
        for checkpoint in reversed(self._checkpointer.checkpoints):
            path = self._path(checkpoint.step)
            try:
                if not (path / HASHES).exists():
                    raise ValueError(f"{HASHES} is missing, as when a run is killed before it is written")
                if json.loads((path / HASHES).read_text()) != file_hashes(path):
                    raise ValueError("a file is missing, cut off or changed")
            except (FileNotFoundError, IsADirectoryError, NotADirectoryError, ValueError) as error:
                problems.append(f"{path} is damaged and passed over: {error}")
            except OSError as error:
                raise UserError(f"{path} cannot be read now ({error.strerror}); give the same command again") from error
            else:
                metadata: Any = self._checkpointer.metadata(checkpoint.step).custom_metadata
                return SavedState(checkpoint.step, metadata or {}, problems)
        return SavedState(-1, {}, problems) if problems else None

    def restore(self, step: int, like: PyTree) -> PyTree:
        """Reads the arrays of a state that `latest_valid` found whole.

        Args:
            step: the state's step.
            like: a tree of arrays with the shapes, types and shardings wanted; other devices than it was saved from
                will do.

        Returns:
            The same tree with the state's values.

        Raises:
            UserError: the state has other arrays.
        """
        self.wait()
        # Orbax converts a type silently, and says nothing of use about a shape.
        saved, expected = _leaves(self._checkpointer.metadata(step).metadata), _leaves(like)
        if saved != expected:
            key = min(key for key in saved.keys() | expected if saved.get(key) != expected.get(key))
            raise UserError(
                f"{self._path(step)} is not a state of this run: {key} is {saved.get(key, 'missing')}, not"
                f" {expected.get(key, 'nothing')}; remove {self.folder}"
            )
        abstract = jax.tree.map(lambda leaf: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=leaf.sharding), like)
        return self._checkpointer.load(step, abstract)

    def delete_after(self, step: int) -> None:
        """Deletes the states of later steps: damaged ones would push whole ones out of the newest.

        Args:
            step: the last step whose state stays; -1 deletes all.
        """
        self.wait()
        for checkpoint in self._checkpointer.checkpoints:
            if checkpoint.step > step:
                self._checkpointer.delete(checkpoint.step, missing_ok=True)

    def delete_all(self) -> None:
        """Deletes all states and their folder: the run is finished. Nothing can be saved afterwards."""
        self.wait()
        if sharding.is_main_process():
            shutil.rmtree(self.folder, ignore_errors=True)

    def __enter__(self) -> "RunCheckpointer":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        """Waits until all is on disk, however the run ends, and closes what was opened.

        Raises:
            UserError: a state could not be written.
        """
        try:
            self.wait()
        finally:
            self._hasher.shutdown()
            with self._explain_write_errors(OSError, ValueError):  # Orbax raises the last save's error once more
                self._checkpointer.close()
