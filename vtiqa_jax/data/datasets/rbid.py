"""RBID (BID): 586 photographs with real blur, rated in a laboratory."""

from pathlib import Path

from vtiqa_jax.data.datasets import tables
from vtiqa_jax.data.datasets.info import Dataset, DatasetInfo, find_file, validate

INFO = DatasetInfo(
    name="rbid",
    title="RBID",
    count=586,
    low=0.1638,
    high=4.9198,
    mean=2.9527,
    slope=0.8,
    intercept=1.0,
    terms="for research; see its page",
    homepage="www02.smt.ufrj.br/~eduardo/ImageDatabase.htm",
    citation="A. Ciancio, A. L. N. T. da Costa, E. A. B. da Silva, A. Said, R. Samadani, P. Obrador, No-reference blur"
    " assessment of digital pictures based on multifeature classifiers, IEEE TIP 20(1):64-75, 2011",
    layout="ImageDatabase/DatabaseImage0001.JPG ...; DatabaseGrades.xlsx or .xls",
    marks=("DatabaseGrades.xlsx", "DatabaseGrades.xls"),
)


def read(folder: Path, *, partial: bool = False) -> Dataset:
    """Returns the release below `folder`."""
    table = find_file(folder, ("DatabaseGrades.xlsx", "DatabaseGrades.xls"), "the table of scores")
    rows = tables.read_excel(table, "Plan1", ("Image Number", "Average Subjective Grade"))
    names = [f"DatabaseImage{int(tables.number(table, 'a photo', row['Image Number'])):04d}.JPG" for row in rows]
    # The archive unpacks into one folder, two, or none.
    photos = find_file(folder, ("DatabaseImage0001.JPG", "DatabaseImage*.JPG"), "the photos, in ImageDatabase/").parent
    mos = [tables.number(table, name, row["Average Subjective Grade"]) for name, row in zip(names, rows, strict=True)]
    return validate(INFO, table, photos, names, mos, partial=partial)
