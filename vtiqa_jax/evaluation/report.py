"""The results of one evaluation: printed, and as predictions.csv and scatter.png."""

import csv
import io
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float, Int

from vtiqa_jax import atomic
from vtiqa_jax.data.manifest import Manifest
from vtiqa_jax.errors import UserError
from vtiqa_jax.evaluation import metrics, plots
from vtiqa_jax.evaluation.metrics import METRICS
from vtiqa_jax.models.config import LabelScale

BEFORE = "before training"
"""The row of the model that a training began with."""
FEW = 20
"""Photos below which a warning is told: a correlation of n photos is off by about 1 / sqrt(n - 1), of two always."""


def format_table(results: dict[str, Any]) -> str:
    """Returns the results of `write_report` as lines: all photos, the same before the training, then each group."""
    if "plcc" not in results:
        return "no test photos"
    before = {BEFORE: results["before"]} if "before" in results else {}
    rows = {"all": results, **before, **results.get("within", {})}
    width = max([12, *(len(name) + 1 for name in before)])
    lines = [f"{'':<{width}}{'photos':>7}{''.join(metric.show_name() for metric in METRICS.values())}"]
    for name, row in rows.items():
        values = "".join(metric.show(row.get(key)) for key, metric in METRICS.items())
        lines.append(f"{name:<{width}}{row['n']:>7}{values}")
    if results["n"] < FEW:
        lines.append(f"correlations of fewer than {FEW} photos are mostly chance")
    return "\n".join(lines)


def _without_nan(values: dict[str, Any]) -> dict[str, Any]:
    """Replaces NaN by None: JSON has none, and a correlation that does not exist is null."""
    return {name: None if np.isnan(value) else value for name, value in values.items()}


def write_report(
    folder: Path,
    photos: Manifest,
    rows: Int[np.ndarray, " n"],
    scores: Float[np.ndarray, " n"],
    scale: LabelScale,
    *,
    before: Float[np.ndarray, " n"] | None = None,
    opposite: bool = False,
) -> dict[str, Any]:
    """Compares scores with MOS: prints a table, writes predictions.csv and scatter.png.

    Args:
        folder: where they go.
        photos: all photos.
        rows: those that were scored.
        scores: their scores.
        scale: what the scores mean.
        before: scores by the model that a training began with, on the same scale.
        opposite: whether lower ones are better of either the scores or the MOS: the scores are negated for the
            correlations, and there is no RMSE.

    Returns:
        The metrics, as JSON, for `result.json`.

    Raises:
        UserError: there are fewer than two photos.
    """
    if len(rows) < 2:
        raise UserError(f"a correlation needs at least 2 photos, not {len(rows)}")
    mos = photos.mos[rows]
    compared = -scores if opposite else scores
    total = metrics.correlations(compared, mos)
    groups = [photos.groups[row] for row in rows] if photos.groups else []
    within = metrics.within_groups(compared, mos, groups)
    if opposite:
        total = metrics.on_other_scale(total)
        within = {name: metrics.on_other_scale(group) for name, group in within.items()}
    lines = io.StringIO()
    writer = csv.writer(lines)
    columns = [(name, values) for name, values in (("group", photos.groups), ("scene", photos.scenes)) if values]
    writer.writerow(["image", "mos", "score", *(name for name, _ in columns)])
    for row, label, score in zip(rows, mos, scores, strict=True):
        writer.writerow([photos.names[row], f"{label:.6g}", f"{score:.6g}", *(values[row] for _, values in columns)])
    atomic.write_text(folder / "predictions.csv", lines.getvalue())
    plots.scatter(folder / "scatter.png", scores, mos, total, scale)
    result = _without_nan(vars(total))
    if before is not None and np.isfinite(before).all():
        result["before"] = _without_nan(vars(metrics.correlations(before, mos)))
    if within:
        result |= _without_nan({"within_mean_srcc": float(np.mean([group.srcc for group in within.values()]))})
        result["within"] = {name: _without_nan(vars(group)) for name, group in within.items()}
    print(format_table(result))
    return result


def write_splits_summary(folder: Path, results: Sequence[dict[str, Any]]) -> None:
    """Prints and writes the results of several splits, their median and interquartile range."""
    values = {name: np.array([result[name] for result in results], float) for name in METRICS}
    quartiles = {name: np.nanpercentile(array, [25, 50, 75]).tolist() for name, array in values.items()}
    table = io.StringIO()
    writer = csv.writer(table)
    writer.writerow(["split", *METRICS])
    writer.writerows([index, *(result[name] for name in METRICS)] for index, result in enumerate(results))
    atomic.write_text(folder / "splits.csv", table.getvalue())
    selected_on = results[0]["selected_on"]
    kept = f"best epoch selected on {selected_on} photos" if selected_on else "the last epoch of each"
    summary = {name: dict(zip(("q25", "median", "q75"), three, strict=True)) for name, three in quartiles.items()}
    content = {"selected_on": selected_on, "splits": len(results)} | summary
    atomic.write_text(folder / "splits.json", json.dumps(content, indent=2) + "\n")
    print(f"{len(results)} splits, {kept}: median (interquartile range)")
    for metric in metrics.logged_metrics():
        low, median, high = quartiles[metric.name]
        print(f"{metric.name.upper():>6} {median:.4f} ({low:.4f} to {high:.4f})")
