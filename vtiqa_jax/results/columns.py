"""The columns of scores, in one table: files, `vtiqa bulk`, the page, the terminal and the notebook are made from it.

A new column is one entry here and one field, or property, of `ScoreResult`.
"""

import dataclasses
import functools
import re
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Literal

from vtiqa_jax.results.reasons import WORDS, say_reasons
from vtiqa_jax.results.words import LONGEST, LONGEST_INTERVAL, say_interval, say_scale

if TYPE_CHECKING:
    import pyarrow

    from vtiqa_jax.results.results import ScoreResult

Value = str | float | int | bool | None


@dataclasses.dataclass(frozen=True)
class Column:
    """A column, and how its values are written."""

    name: str
    """Also the name of the field or property of `ScoreResult`, unless `read` is given."""
    type: type[str] | type[float] | type[int] | type[bool]
    text: str
    """Description for people."""
    where: Literal["all", "score", "mosaics", "reasons", "bulk"] = "all"
    """Outputs that have it: all, those of `vtiqa score`, only those with sampled mosaics, all that were asked for the
    probabilities of reasons, or those of `vtiqa bulk`."""
    decimals: int = 6
    """Decimals of a float in files."""
    heading: str = ""
    """Above it on a terminal and in a notebook, with the spaces before it. Without one it is not shown there."""
    shown: str = ""
    """The format of its values there, with the spaces before them."""
    words: "Callable[[ScoreResult], str] | None" = None
    """Text that is shown there instead of the value itself, as a string."""
    read: "Callable[[ScoreResult], Value] | None" = None
    """Finds the value, where it is no field or property."""
    placed: bool = False
    """Whether the page has a place for it; else it is listed among an open photo's facts."""

    def value(self, result: "ScoreResult") -> Value:
        """Returns what a result has in this column, rounded as files have it."""
        value = self.read(result) if self.read else getattr(result, self.name)
        if value is None:
            return None
        return round(float(value), self.decimals) if self.type is float else self.type(value)

    def cell(self, value: Value) -> str:
        """Returns a value as text for CSV; what there is not is empty."""
        if value is None:
            return ""
        if self.type is float:
            return f"{value:.{self.decimals}f}"
        return str(value).lower() if self.type is bool else str(value)

    def show(self, result: "ScoreResult") -> str:
        """Returns a value for people, and as many spaces where there is none."""
        value = getattr(result, self.name)
        if value is None:
            return " " * len(self.shown.format("" if self.words else 0))
        return self.shown.format(self.words(result) if self.words else value)


def _reasons(result: "ScoreResult") -> str | None:
    return say_reasons(result.reasons) if result.faults else None


def _probability(name: str, result: "ScoreResult") -> float | None:
    return next((fault.probability for fault in result.faults if fault.name == name), None)


COLUMNS = (
    Column("image", str, "the photo's path, as it was given", where="score"),
    Column("path", str, "the photo's path or address, and its place within a tar or Parquet file", where="bulk"),
    Column("key", str, "the photo's key in its tar, or in a column of its Parquet file", where="bulk"),
    Column(
        "score", float, "on the model's scale; empty where there is an error", heading="score", shown="{:10.4f}",
        placed=True,
    ),
    Column(
        "low", float, "the mean of thirty people is between this and `high` nine times in ten",
        heading="  people say   ", shown=f"  {{:<{LONGEST_INTERVAL}}}", words=say_interval,
        placed=True,
    ),
    Column("high", float, "see `low`", placed=True),
    Column("opinion_spread", float, "standard deviation of single people's opinions", placed=True),
    Column(
        "percentile", float, "share of the training photos that score worse, percent", decimals=1,
        heading="  better than (of training photos)", shown="{:5.0f} %", placed=True,
    ),
    Column("out_of_range", str, "`below` or `above`: beyond the scores of all training photos", placed=True),
    Column(
        "detail", float, "what the photo shows at 100 %, on the same scale; empty where nothing in it has structure",
        heading="  detail", shown="{:8.4f}", placed=True,
    ),
    Column(
        "detail_percentile", float,
        "share of photos of 4 megapixels and more, as cameras made them, that show less detail, percent; empty for"
        " smaller photos", decimals=1, placed=True,
    ),
    Column(
        "holds", float, "the largest scale at which it is sharp, clean and real, percent of its width", decimals=1,
        heading="  holds up to", shown=f"  {{:<{LONGEST}}}", words=say_scale,
        placed=True,
    ),
    Column("rank", float, "by which photos are ordered: the score, and detail for a tenth", placed=True),
    Column(
        "stack", int, "the number of its stack; empty for a photo like no other", where="score", placed=True,
    ),
    Column(
        "stack_kind", str, "`burst`, `copies`, `exposure bracket`, `focus stack` or `panorama`", where="score",
        placed=True,
    ),
    Column(
        "best", bool, "whether to keep it: the best of its stack, one of a stack kept whole, or like no other",
        where="score", placed=True,
    ),
    Column(
        "mean", float, "mean of the scores by sampled mosaics", where="mosaics", heading="  mean", shown="{:10.4f}",
        placed=True,
    ),
    Column(
        "spread", float, "standard deviation of the scores by sampled mosaics", where="mosaics",
        heading=" ± spread", shown=" ± {:.4f}", placed=True,
    ),
    Column("reasons", str, "what is wrong with it, the strongest first, with `; ` between", read=_reasons, placed=True),
    *(
        Column(
            f"p_{name}", float, f"probability that a judge calls it plain: {plain}", where="reasons", decimals=4,
            read=functools.partial(_probability, name), placed=True,
        )
        for name, (_, plain, _) in WORDS.items()
    ),
    Column("error", str, "why the photo has no score", placed=True),
    Column(
        "warning", str, "what is wrong with the file of a photo that was scored nevertheless, or with judging it",
        placed=True,
    ),
    Column("width", int, "pixels, as the photo is looked at", placed=True),
    Column("height", int, "pixels, as the photo is looked at", placed=True),
    Column("model", str, "the model's fingerprint; `vtiqa info` prints that of float32", where="bulk"),
)  # fmt: skip


def replace_undecodable(text: str) -> str:
    """Returns text that UTF-8 can hold: undecodable bytes of a file's name become U+FFFD."""
    return re.sub("[\ud800-\udfff]", "\ufffd", text)


def score_columns(*, mosaics: bool, reasons: bool = False) -> tuple[Column, ...]:
    """Returns the columns of `vtiqa score`, with or without those of sampled mosaics and reasons."""
    wanted = {"all", "score"} | ({"mosaics"} if mosaics else set()) | ({"reasons"} if reasons else set())
    return tuple(column for column in COLUMNS if column.where in wanted)


def bulk_columns(*, reasons: bool = False) -> tuple[Column, ...]:
    """Returns the columns of `vtiqa bulk`, with the probabilities of reasons or without."""
    wanted = {"all", "bulk"} | ({"reasons"} if reasons else set())
    return tuple(column for column in COLUMNS if column.where in wanted)


def arrow_schema(columns: Sequence[Column], metadata: dict[str, str] | None = None) -> "pyarrow.Schema":
    """Returns the columns as Parquet has them."""
    import pyarrow

    types: dict[Any, Any] = {
        str: pyarrow.string(), float: pyarrow.float64(), int: pyarrow.int32(), bool: pyarrow.bool_(),
    }  # fmt: skip
    return pyarrow.schema([(column.name, types[column.type]) for column in columns], metadata=metadata)
