"""`vtiqa score` and stacks: the columns, what is chosen, what is printed, the cache and the page."""

import csv
import json
import os
import sys
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from PIL import Image
from PIL.ExifTags import IFD, Base
from PIL.TiffImagePlugin import IFDRational

from tests.conftest import Command
from tests.scenes import exposed, scene, shaken
from vtiqa_jax import __main__ as vtiqa
from vtiqa_jax.photos import decode
from vtiqa_jax.photos.resize import Rgb

STACKS = {
    "burst": {"a0.jpg", "a1.jpg", "a2.jpg"},
    "exposure bracket": {"b0.jpg", "b1.jpg", "b2.jpg"},
    "copies": {"c.jpg", "c-small.png"},
}
ALONE = {"d.jpg", "e.jpg"}


def save(file: Path, pixels: Rgb, second: float | None = None, bias: float = 0.0) -> None:
    exif = Image.Exif()
    if second is not None:
        exif[Base.Make], exif[Base.Model] = "Maker", "Camera"
        exif.get_ifd(IFD.Exif).update(
            {
                Base.DateTimeOriginal: f"2024:05:17 18:00:{int(second):02}",
                Base.SubsecTimeOriginal: f"{round(second % 1 * 100):02}",
                Base.ExposureBiasValue: IFDRational(int(bias), 1),
            }
        )
    Image.fromarray(pixels).save(file, exif=exif.tobytes())


@pytest.fixture(scope="module")
def card(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a stack of three kinds, two lone photos and what is none."""
    folder = tmp_path_factory.mktemp("card")
    for number in range(3):
        save(folder / f"a{number}.jpg", shaken(scene("china.jpg"), number), number / 4)
        save(folder / f"b{number}.jpg", exposed(scene("coffee.png"), number - 1), 20 + number / 4, number - 1)
    save(folder / "c.jpg", scene("astronaut.png"), 30)
    small = cv2.resize(scene("astronaut.png"), (400, 400), interpolation=cv2.INTER_AREA)
    save(folder / "c-small.png", small)
    save(folder / "d.jpg", scene("chelsea.png"), 50)
    save(folder / "e.jpg", scene("flower.jpg"))
    (folder / "broken.jpg").write_bytes(b"no photo")
    return folder


def rows(card: Path, model: Path, out: Path, command: Command, *more: Any) -> dict[str, dict[str, Any]]:
    status, _, error = command(vtiqa.main, "score", card, "--checkpoint", model, "--out", out, "--quiet", *more)
    assert status == 1, error
    if out.suffix == ".csv":
        with out.open(newline="") as file:
            return {Path(row["image"]).name: row for row in csv.DictReader(file)}
    if out.suffix == ".jsonl":
        found = [json.loads(line) for line in out.read_text().splitlines()]
    else:
        found = pytest.importorskip("pyarrow.parquet").read_table(out).to_pylist()
    return {Path(row["image"]).name: row for row in found}


def test_every_format_has_the_columns(card: Path, model: Path, tmp_path: Path, command: Command) -> None:
    found = rows(card, model, tmp_path / "s.jsonl", command)
    assert rows(card, model, tmp_path / "s.parquet", command) == found
    for kind, names in STACKS.items():
        assert {found[name]["stack_kind"] for name in names} == {kind}
        assert len({found[name]["stack"] for name in names}) == 1
        kept = {name for name in names if found[name]["best"]}
        assert kept == (names if kind == "exposure bracket" else {max(names, key=lambda name: found[name]["rank"])})
    assert all((found[name]["stack"], found[name]["best"]) == (None, True) for name in ALONE)
    assert (found["broken.jpg"]["stack"], found["broken.jpg"]["best"]) == (None, None)
    numbers = [row["stack"] for row in found.values() if row["stack"]]
    assert list(dict.fromkeys(numbers)) == [1, 2, 3], "in the photos' order"
    text = rows(card, model, tmp_path / "s.csv", command)
    assert {name: row["best"] for name, row in text.items()} == {
        name: {True: "true", False: "false", None: ""}[row["best"]] for name, row in found.items()
    }


def test_the_best_and_the_rejects_are_all_photos(card: Path, model: Path, tmp_path: Path, command: Command) -> None:
    """Each once, nothing else on standard output, and none of a bracket among the rejects."""
    found = rows(card, model, tmp_path / "s.jsonl", command)
    arguments = ("score", card, "--checkpoint", model)
    status, best, _ = command(vtiqa.main, *arguments, "--best-of-stacks", "--list")
    assert status == 1  # of the broken photo
    _, rejects, _ = command(vtiqa.main, *arguments, "--list-rejects")
    _, separated, _ = command(vtiqa.main, *arguments, "--list-rejects", "--print0")
    assert separated == rejects.replace("\n", "\0")
    chosen, others = ([Path(line).name for line in said.splitlines()] for said in (best, rejects))
    assert sorted(chosen + others) == sorted(found.keys() - {"broken.jpg"})
    assert {name for name, row in found.items() if row["best"] is False} == set(others)
    assert len(others) == 3 and not STACKS["exposure bracket"] & set(others)

    bracket = STACKS["exposure bracket"]
    for least in sorted(found[name]["score"] + 1e-4 for name in chosen)[:-1]:
        _, above, _ = command(vtiqa.main, *arguments, "--best-of-stacks", "--min-score", least, "--list")
        good = {name for name in chosen if found[name]["score"] > least}
        expected = good | (bracket if good & bracket else set())
        assert [Path(line).name for line in above.splitlines()] == [name for name in chosen if name in expected]

    command(vtiqa.main, *arguments, "--best-of-stacks", "--copy-to", tmp_path / "best")
    assert {path.name for path in (tmp_path / "best").iterdir()} == set(chosen)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--best-of-stacks", "--out", "s.csv"], "leave no photo out"),
        (["--list-rejects", "--best-of-stacks", "--list"], "goes only with --print0"),
        (["--list-rejects", "--list"], "goes only with --print0"),
        (["--list-rejects", "--copy-to", "there"], "goes only with --print0"),
        (["--list-rejects", "--min-score", "3"], "goes only with --print0"),
        (["--list-rejects", "--out", "-"], "both go to standard output"),
        (["--best-of-stacks", "--move-to", "there", "--yes"], "the next run would move the best of the photos left"),
    ],
)
def test_what_cannot_be_meant_is_told_in_one_line(
    arguments: list[str], said: str, card: Path, model: Path, command: Command
) -> None:
    status, out, error = command(vtiqa.main, "score", card, "--checkpoint", model, *arguments)
    assert (status, out, error.count("\n")) == (2, "", 1)
    assert said in error


def test_a_cached_run_finds_the_same_stacks_and_decodes_nothing(
    card: Path, model: Path, tmp_path: Path, command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache = ("--cache", tmp_path / "c.sqlite")
    first = rows(card, model, tmp_path / "1.csv", command, *cache)
    (tmp_path / "other").mkdir()
    for photo in card.iterdir():  # elsewhere, too: what is kept belongs to the content
        os.link(photo, tmp_path / "other" / photo.name)

    def refuse(name: Any, data: bytes, **_: Any) -> None:
        assert data == b"no photo"
        raise decode.ImageError("broken")

    monkeypatch.setattr(decode, "decode", refuse)
    again = rows(tmp_path / "other", model, tmp_path / "2.csv", command, *cache)
    columns = ("score", "stack", "stack_kind", "best")
    assert [[row[name] for name in columns] for row in again.values()] == [
        [row[name] for name in columns] for row in first.values()
    ]
    assert (tmp_path / "c.sqlite").stat().st_size < 12 * 20_000


def test_the_page_has_the_same_stacks(card: Path, model: Path, tmp_path: Path, command: Command) -> None:
    found = rows(card, model, tmp_path / "s.jsonl", command, "--report", tmp_path / "report")
    page = (tmp_path / "report" / "index.html").read_text()
    data = json.loads(page.split('id="data">', 1)[1].split("</script>", 1)[0])
    for photo in data["photos"]:
        row = found[photo["name"]]
        assert [photo.get(name) for name in ("stack", "stack_kind", "best")] == [
            row[name] for name in ("stack", "stack_kind", "best")
        ]
    assert data["kept_whole"] == ["exposure bracket", "focus stack", "panorama"]


def test_a_terminal_says_how_many_stacks_there_are(
    card: Path, model: Path, command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, piped, _ = command(vtiqa.main, "score", card, "--checkpoint", model)
    assert "stacks:" not in piped and len(piped.splitlines()) == 1 + 11
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    _, said, _ = command(vtiqa.main, "score", card, "--checkpoint", model)
    assert "stacks: 1 burst, 1 exposure bracket, 1 of copies; 3 photos are not the best of theirs" in said
    (line,) = (line for line in said.splitlines() if line.endswith(": best of burst 1"))
    assert Path(line.split("  ")[-1].split(":")[0]).name in STACKS["burst"]


def test_links_and_names_given_twice_lose_nothing(model: Path, tmp_path: Path, command: Command) -> None:
    """The rejects of a folder with links never hold the only file."""
    save(tmp_path / "z.jpg", np.ascontiguousarray(scene("chelsea.png")), 5)
    (tmp_path / "a.jpg").symlink_to(tmp_path / "z.jpg")
    arguments = ("score", tmp_path, tmp_path / "z.jpg", "--checkpoint", model, "--list-rejects")
    assert command(vtiqa.main, *arguments)[1] == f"{tmp_path / 'a.jpg'}\n"
