"""Photos judged by eye: which faults they have, and how strong."""

import dataclasses
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Float

from vtiqa_jax.data.csv_table import read_table, refuse
from vtiqa_jax.data.names import locate_photos
from vtiqa_jax.errors import UserError
from vtiqa_jax.models.faults import FAULTS
from vtiqa_jax.models.reasons import LEVELS


@dataclasses.dataclass(frozen=True)
class JudgedPhotos:
    """Photos and their faults."""

    paths: tuple[Path, ...]
    strengths: Float[np.ndarray, "photos faults"]
    """0 for none, 1 slight, 2 plain, 3 severe; means of several people's."""
    weights: Float[np.ndarray, " photos"]
    """Number of photos that each stands for: rare faults are found by looking where they are likely."""
    sources: tuple[str, ...]
    """The folder that each is listed in, a photographer's say; of one that is in none, its own name."""


def join_judged(tables: Sequence[JudgedPhotos]) -> JudgedPhotos:
    """Joins tables. In each a photo stands for one in the mean."""
    return JudgedPhotos(
        tuple(path for table in tables for path in table.paths),
        np.concatenate([table.strengths for table in tables]),
        np.concatenate([table.weights / table.weights.mean() for table in tables]),
        tuple(f"{number}/{source}" for number, table in enumerate(tables) for source in table.sources),
    )


def read_judged(table: Path, images: Path | None = None) -> JudgedPhotos:
    """Reads a CSV with the columns `image` and, of each fault, a strength; and `weight` if it has that.

    Args:
        table: the CSV.
        images: the folder that photos are named relative to; the table's own when not given.

    Raises:
        UserError: a photo is missing, a column too, or a cell is no number or none that can be; with the lines. Or
            there is no photo.
    """
    cells = read_table(table, ("image", *FAULTS))
    if not cells.lines:
        raise UserError(f"{table} lists no photos")
    columns, problems = {}, []
    for name in (*FAULTS, *(("weight",) if "weight" in cells.header else ())):
        columns[name], wrong = cells.numbers(name)
        problems += wrong
        what, most = ("weight", np.inf) if name == "weight" else ("strength", LEVELS[-1])
        problems += [
            f"line {line}: {name} is {value:g}, which is no {what}"
            for line, value in zip(cells.lines, columns[name], strict=True)
            if not np.isnan(value) and not (0 <= value <= most and (value or name != "weight"))
        ]
    listed = cells.column("image")
    names = [Path(name.strip()) for name in listed]
    paths, missing = locate_photos(listed, cells.lines, images or table.parent)
    problems += missing
    refuse(table, problems)
    strengths = np.array([columns[fault] for fault in FAULTS]).T.reshape(-1, len(FAULTS))
    sources = tuple(str(name if name.parent == Path() else name.parent) for name in names)
    return JudgedPhotos(paths, strengths, np.array(columns.get("weight", [1.0] * len(paths))), sources)
