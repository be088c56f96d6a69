"""The contents of a result: its photos, those that failed, and whether any is left to score."""

import pyarrow as pa
from pyarrow import dataset, fs

from vtiqa_jax.bulk import sources
from vtiqa_jax.bulk.pipeline import Job
from vtiqa_jax.results.columns import arrow_schema, bulk_columns


def _open(job: Job) -> dataset.Dataset:
    schema = arrow_schema(bulk_columns(reasons=job.reasons))
    return dataset.dataset(job.out, schema=schema, filesystem=job.system, format="parquet")


def count_rows(job: Job) -> tuple[int, int]:
    """Returns the number of rows of the result, and of those that have no score."""
    rows = _open(job)
    return rows.count_rows(), rows.count_rows(filter=dataset.field("error").is_valid())


def list_failed(job: Job, most: int) -> list[tuple[str, str]]:
    """Returns paths of photos that have no score, and why: the first `most`."""
    failed = _open(job).head(most, columns=["path", "error"], filter=dataset.field("error").is_valid())
    return [(row["path"], row["error"]) for row in failed.to_pylist()]


def is_finished(job: Job) -> bool:
    """Tells whether nothing is left to score, as far as unpacked files show."""
    if any(file.lower().endswith(sources.PACKED) for file in job.files):
        return False
    notes = job.system.get_file_info(fs.FileSelector(job.done, allow_not_found=True))
    if any(note.path.endswith(".pending.parquet") for note in notes):  # a file that may not be whole
        return False
    try:
        scored = _open(job).to_table(columns=["path"])["path"].to_pylist()
    except (OSError, pa.ArrowInvalid):  # nothing was begun, or a file is not whole
        return False
    return {sources.as_text(file) for file in job.files} <= set(scored)
