"""The results of one evaluation: printed, and as predictions.csv and scatter.png."""

import csv
import dataclasses
import io
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float, Int

from vtiqa_jax import atomic, metrics, plots
from vtiqa_jax.config import LabelScale
from vtiqa_jax.errors import UserError
from vtiqa_jax.manifest import Manifest


def table(figures: dict[str, Any]) -> str:
    """The figures of `write` as lines: all photos, and each group; of a run without test photos none."""
    if "plcc" not in figures:
        return "no test photos"
    lines = [f"{'':<12}{'photos':>7}{'PLCC':>9}{'SRCC':>9}{'KRCC':>9}{'RMSE':>10}"]
    for name, row in {"all": figures, **figures.get("within", {})}.items():
        values = "".join(
            f"{'-' if row[key] is None else format(row[key], '.4f'):>9}" for key in ("plcc", "srcc", "krcc")
        )
        lines.append(f"{name:<12}{row['n']:>7}{values}{row['rmse']:>10.4g}")
    return "\n".join(lines)


def _json(figures: dict[str, Any]) -> dict[str, Any]:
    """JSON has no NaN: a correlation that does not exist is null."""
    return {name: None if np.isnan(value) else value for name, value in figures.items()}


def write(
    folder: Path, photos: Manifest, rows: Int[np.ndarray, " n"], scores: Float[np.ndarray, " n"], scale: LabelScale
) -> dict[str, Any]:
    """Compares the scores of the given rows with their MOS; the figures, as JSON, for `result.json`.

    Errors: UserError for fewer than two photos.
    """
    if len(rows) < 2:
        raise UserError(f"a correlation needs at least 2 photos, not {len(rows)}")
    mos = photos.mos[rows]
    total = metrics.correlations(scores, mos)
    groups = [photos.groups[row] for row in rows] if photos.groups else []
    within = metrics.within_groups(scores, mos, groups)
    lines = io.StringIO()
    writer = csv.writer(lines)
    columns = [(name, values) for name, values in (("group", photos.groups), ("scene", photos.scenes)) if values]
    writer.writerow(["image", "mos", "score", *(name for name, _ in columns)])
    for row, wanted, score in zip(rows, mos, scores, strict=True):
        also = (values[row] for _, values in columns)
        writer.writerow([photos.names[row], f"{wanted:.6g}", f"{score:.6g}", *also])
    atomic.write_text(folder / "predictions.csv", lines.getvalue())
    plots.scatter(folder / "scatter.png", scores, mos, total, scale)
    result = _json(dataclasses.asdict(total))
    if within:
        result |= _json({"within_mean_srcc": float(np.mean([group.srcc for group in within.values()]))})
        result["within"] = {name: _json(dataclasses.asdict(group)) for name, group in within.items()}
    print(table(result))
    return result
