"""Splits from files: ours, pyiqa's and LIQE's. They are untrusted: nothing in them is executed."""

import dataclasses
import json
import pickle
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from vtiqa_jax.data.csv_table import read_table
from vtiqa_jax.data.names import match_names
from vtiqa_jax.data.splits import FORMAT, PARTS, Split, from_parts, hash_parts
from vtiqa_jax.errors import UserError


class _PlainUnpickler(pickle.Unpickler):
    """Reads pickles of dicts, lists, numbers and text; one that would call anything is refused."""

    def find_class(self, module: str, name: str) -> Any:
        raise pickle.UnpicklingError(f"it carries code ({module}.{name})")


def _read_liqe_list(folder: Path, part: str) -> list[str]:
    """Reads the names in the file of a folder whose name ends in the part: a path and a score to a line (LIQE)."""
    files = [file for file in sorted(folder.iterdir()) if file.stem.endswith(part)]
    if len(files) > 1:
        raise UserError(f"{folder} holds more than one split: {', '.join(file.name for file in files)}")
    if not files:
        return []
    return [line.split("\t")[0].strip() for line in files[0].read_text(encoding="utf-8").splitlines() if line.strip()]


def _read_parts(path: Path, column: str, meta: Path | None) -> tuple[dict[str, list[str]], bool]:
    """Returns the names in each part, and whether the test photos select the best epoch."""
    if path.is_dir():
        return {part: _read_liqe_list(path, part) for part in PARTS}, False
    if path.suffix == ".json":
        content = json.loads(path.read_text(encoding="utf-8"))
        parts = {part: [str(name) for name in content[part]] for part in PARTS}
        select_on_test = bool(content["select_on_test"])
        if content["format"] != FORMAT or content["sha256"] != hash_parts(parts, select_on_test):
            raise ValueError("its hash does not fit: it was changed or cut off")
        return parts, select_on_test
    if path.suffix == ".csv":
        table = read_table(path, ())
        if column not in table.header:
            raise ValueError(f"no column `{column}` (found: {', '.join(table.header)}); name one with --split-column")
        part_column = [cell.strip() for cell in table.column(column)]
        return {
            p: [row[0] for row, part in zip(table.rows, part_column, strict=True) if part == p] for p in PARTS
        }, False
    if path.suffix == ".pkl":
        if meta is None:
            raise ValueError("it holds row numbers of pyiqa's meta information; give that CSV with --split-names")
        with path.open("rb") as file:
            content = _PlainUnpickler(file).load()
        key = int(column) if column.isdigit() else 1
        names = [row[0] for row in read_table(meta, ()).rows]  # pyiqa's first column
        rows = {part: list(content[key].get(part, [])) for part in PARTS}
        if min((row for part in PARTS for row in rows[part]), default=0) < 0:
            raise ValueError("a row number below 0")
        return {part: [names[row] for row in rows[part]] for part in PARTS}, False
    raise ValueError("its kind is not known: .json of this project, .csv or .pkl of pyiqa, or a folder of LIQE's lists")


_MALFORMED = (ValueError, KeyError, TypeError, IndexError, AttributeError, pickle.UnpicklingError)
"""Exceptions that reading a file of another form raises."""


def load(
    path: Path,
    names: Sequence[str],
    *,
    column: str = "official_split",
    meta: Path | None = None,
    val_fraction: float,
    seed: int,
    partial: bool = False,
    scenes: Sequence[str] = (),
    data_set: str = "",
) -> Split:
    """Reads a split.

    Photos are matched by name, or by the last component of it where those are unique, as `names.match_names` does.

    Args:
        path: our own .json, pyiqa's .csv or .pkl, or a folder with LIQE's lists.
        names: all photos; the split has rows of these.
        column: in pyiqa's .csv the column with the part; of its .pkl the number of the split, 1 when it is no number.
        meta: pyiqa's .csv that the row numbers in its .pkl refer to.
        val_fraction: see `splits.from_parts`.
        seed: see `splits.from_parts`.
        partial: passes over photos that are not in `names`.
        scenes: one for each photo; none may be in two parts.
        data_set: of the split of a joint training, whose photos are named `data_set/photo`, this one's are taken.

    Raises:
        UserError: the file cannot be read, names unknown photos or one in two spellings, or puts a photo or a scene
            into two parts.
    """
    try:
        parts, select_on_test = _read_parts(path, column, meta)
    except (OSError, EOFError, ArithmeticError, MemoryError, RecursionError, *_MALFORMED) as error:
        reason = f"{error} is missing in it" if isinstance(error, KeyError) else error or "it is damaged"
        raise UserError(f"{path} cannot be read as a split: {reason}") from error

    if data_set and any(name.startswith(f"{data_set}/") for part in PARTS for name in parts[part]):
        own = f"{data_set}/"
        parts = {part: [name.removeprefix(own) for name in parts[part] if name.startswith(own)] for part in PARTS}

    def key(name: str) -> str:
        return name.replace("\\", "/").rsplit("/", 1)[-1] if by_last else name

    by_last = len({Path(name).name for name in names}) == len(names)
    listed = [key(name) for part in PARTS for name in parts[part]]
    rows = match_names(listed, [key(name) for name in names], str(path))
    labels = [""] * len(names)
    for part in PARTS:
        for name in parts[part]:
            row = rows.get(key(name))
            if row is None:
                if partial:
                    continue
                raise UserError(f"{path} lists {name}, which is not among the {len(names)} photos")
            if labels[row] and labels[row] != part:
                raise UserError(f"{path} lists {name} in {labels[row]} and in {part}")
            labels[row] = part
    fraction = 0.0 if select_on_test else val_fraction
    split = from_parts(labels, val_fraction=fraction, seed=seed, note=f"from {path.name}", scenes=scenes)
    if scenes:
        parts_of: dict[str, set[str]] = {}
        for part in PARTS:
            for row in getattr(split, part):
                parts_of.setdefault(scenes[int(row)], set()).add(part)
        for scene, in_parts in sorted(parts_of.items()):
            if len(in_parts) > 1:
                raise UserError(f"{path} puts photos of the scene {scene} into {' and '.join(sorted(in_parts))}")
    return dataclasses.replace(split, select_on_test=select_on_test)
