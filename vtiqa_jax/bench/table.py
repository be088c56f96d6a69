"""The figures of all data sets as a table for people."""

import re
from collections.abc import Mapping

from vtiqa_jax.bench.baselines import BASELINES
from vtiqa_jax.bench.rows import Row

HEADS = ("", "photos", "part", "SRCC", "PLCC", "KRCC", *BASELINES)


def format_table(rows: Mapping[str, Row]) -> str:
    """Formats the table, and what a person must know to read it.

    Args:
        rows: of each data set, by its name.
    """
    lines = [HEADS, *(_cells(name, row) for name, row in rows.items())]
    widths = [max(len(line[column]) for line in lines) for column in range(len(HEADS))]
    table = ["  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() for line in lines]
    notes = [f"95 % bootstrap intervals; PLCC after a logistic fit; {', '.join(BASELINES)}: the SRCC of that alone"]
    if any(row["trained_on"] for row in rows.values()):
        notes.append("* other photos of this set trained the model; ! perhaps these did, too")
    return "\n".join([*table, *notes])


def _cells(name: str, row: Row) -> tuple[str, ...]:
    mark = " !" if row["may_have_seen"] else " *" if row["trained_on"] else ""
    figures = (_interval(row, "srcc"), _interval(row, "plcc_logistic"), _number(row["krcc"]))
    return (name, str(row["photos"]), row["part"] + mark, *figures, *map(_number, row["baselines"].values()))


def _interval(row: Row, name: str) -> str:
    return f"{_number(row[name])} [{_number(row[f'{name}_low'])}, {_number(row[f'{name}_high'])}]"


def _number(value: float | None) -> str:
    return "-" if value is None else re.sub(r"^(-?)0\.", r"\1.", f"{value:.3f}")
