"""Quality as columns of a Hugging Face data set."""

from importlib.metadata import version
from pathlib import Path
from typing import Any

import pyarrow as pa

import vtiqa_jax
from vtiqa_jax.adapters.scoring import COLUMNS_BY_NAME, Load, load_scorer
from vtiqa_jax.errors import UserError
from vtiqa_jax.photos.decode import PhotoFile
from vtiqa_jax.results.columns import arrow_schema


class ScorePhotos:
    """A function for `Dataset.map(..., batched=True)` that adds the columns of a score."""

    def __init__(self, column: str = "image", *, model: str | Path = "default", load: Load = vtiqa_jax.load) -> None:
        """Loads nothing yet: each process that scores does.

        Args:
            column: of photos, a feature `Image`, or of paths.
            model: see `vtiqa_jax.load`.
            load: makes a scorer of it.
        """
        self.column, self.model, self.load = column, model, load
        self.version = version("vtiqa-jax")
        """`datasets` keeps what a function returned for as long as it is pickled to the same bytes."""

    def __call__(self, batch: Any) -> pa.Table:
        """Adds the columns to rows of a data set, or replaces them. A photo that cannot be read has its reason.

        Args:
            batch: a table, or the rows as `map` hands them; the photos in them are not decoded yet.

        Raises:
            UserError: the rows are in another format, or have no such column; or there is no such model.
        """
        table = batch if isinstance(batch, pa.Table) else getattr(batch, "pa_table", None)
        if table is None:
            raise UserError('the rows are decoded already; score dataset.with_format("arrow")')
        if self.column not in table.column_names:
            raise UserError(f"there is no column {self.column!r}; there are {', '.join(table.column_names)}")
        photos = [_undecoded(value) for value in table[self.column].to_pylist()]
        results = list(load_scorer(self.load, self.model).stream(photos))
        for name, field in zip(COLUMNS_BY_NAME, arrow_schema(tuple(COLUMNS_BY_NAME.values())), strict=True):
            values = pa.array([COLUMNS_BY_NAME[name].value(result) for result in results], field.type)
            if name in table.column_names:
                table = table.set_column(table.column_names.index(name), name, values)
            else:
                table = table.append_column(name, values)
        return table


def _undecoded(value: Any) -> Any:
    """Returns a photo as `Scorer.stream` takes it, of what a feature `Image` stores."""
    if isinstance(value, dict) and value.get("bytes") is not None:
        return PhotoFile(value["bytes"], value.get("path") or "")
    if isinstance(value, bytes):
        return PhotoFile(value)
    return value["path"] if isinstance(value, dict) else value
