"""Names of photos in tables and on disks: composed and decomposed letters, case, slashes, spaces."""

import unicodedata
from pathlib import Path

import numpy as np
import pytest

from vtiqa_jax.data import names as names_module
from vtiqa_jax.data.judged import read_judged
from vtiqa_jax.data.manifest import read_csv
from vtiqa_jax.data.names import find_names, list_files, match_names
from vtiqa_jax.data.subjects import read_subjects
from vtiqa_jax.errors import UserError
from vtiqa_jax.models.faults import FAULTS
from vtiqa_jax.tuning.marks import read_marks

COMPOSED = "caf\u00e9.jpg"
DECOMPOSED = unicodedata.normalize("NFD", COMPOSED)
SPELLINGS = [
    (COMPOSED, DECOMPOSED),
    (DECOMPOSED, COMPOSED),
    ("\ud30c\uc77c.jpg", unicodedata.normalize("NFD", "\ud30c\uc77c.jpg")),
    ("IMG_1.JPG", "img_1.jpg"),
    ("sub\\a.jpg", "sub/a.jpg"),
    ("Sub/A.jpg", "sub/a.JPG"),
    ("./a.jpg", "a.jpg"),
    ("sub//./a.jpg", "sub/a.jpg"),
    (" a.jpg ", "a.jpg"),
    ("a.jpg", " a.jpg"),
    ("\u00c9T\u00c9\\" + COMPOSED, unicodedata.normalize("NFD", "\u00e9t\u00e9/" + COMPOSED.upper())),
]


@pytest.mark.parametrize(("listed", "file"), SPELLINGS)
def test_a_name_is_found_however_it_is_written(tmp_path: Path, listed: str, file: str) -> None:
    """By the one rule of releases and own CSVs."""
    assert match_names([listed, "none.jpg"], ["other.jpg", file], "here") == {listed: 1}
    for name in (file, "other.jpg"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"x")
    (tmp_path / "s.csv").write_text(f'image,mos\nother.jpg,1\n"{listed}",2\n', encoding="utf-8")
    photos = read_csv(tmp_path / "s.csv", tmp_path)
    # What is there by its exact name keeps it, as `./a.jpg` does.
    assert photos.names[1] in (file, listed, listed.strip())
    assert photos.images.read(photos.names[1]) == b"x"


@pytest.mark.parametrize(("listed", "file"), [(COMPOSED, DECOMPOSED), ("sub\\a.JPG", "sub/a.jpg")])
def test_marked_and_judged_photos_are_found_by_the_same_rule(tmp_path: Path, listed: str, file: str) -> None:
    photo = tmp_path / file
    photo.parent.mkdir(exist_ok=True)
    photo.write_bytes(b"x")
    (tmp_path / "plain.jpg").write_bytes(b"x")
    for header, row in (("image,stars", f"{listed},4"), ("better,worse", f"plain.jpg,{listed}")):
        table = tmp_path / "marks.csv"
        table.write_text(f"{header}\n{row}\n", encoding="utf-8")
        assert photo in read_marks(table, tmp_path).photos
        assert photo in read_marks(table).photos, "in the table's own folder"
    (tmp_path / "judged.csv").write_text(f"image,{','.join(FAULTS)}\n{listed}{',0' * len(FAULTS)}\n", encoding="utf-8")
    assert read_judged(tmp_path / "judged.csv").paths == (photo,)
    (tmp_path / "subjects.csv").write_text(f"image,subject\n{listed},all\n", encoding="utf-8")
    assert read_subjects(tmp_path / "subjects.csv").paths == (photo,)


def test_a_marked_photo_that_could_be_either_of_two_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "tables").mkdir()
    table = tmp_path / "tables" / "marks.csv"
    table.write_text("image,stars\na.jpg,4\n")
    monkeypatch.chdir(tmp_path)
    for name in ("A.jpg", "a.JPG"):
        (tmp_path / name).write_bytes(b"x")
    with pytest.raises(UserError, match=r"line 2: a\.jpg could be A\.jpg or a\.JPG"):
        read_marks(table)
    (tmp_path / "tables" / "a.jpg").write_bytes(b"x")  # by its exact name, though elsewhere
    assert read_marks(table).photos == (tmp_path / "tables" / "a.jpg",)


@pytest.mark.parametrize(
    ("listed", "files", "said"),
    [
        (["a.jpg"], ["A.jpg", "a.JPG"], "line 2: a.jpg could be A.jpg or a.JPG, which differ in upper and lower case"),
        (["CAF\u00c9.jpg"], [COMPOSED, DECOMPOSED], "line 2: CAF\u00c9.jpg could be"),
        (["a.jpg", "A.JPG"], ["A.jpg"], "line 3: A.jpg could be a.jpg or A.JPG"),
        (["a.jpg", "./a.jpg"], ["a.jpg"], "line 3: image listed twice: ./a.jpg"),
        (["a.jpg", " a.jpg"], ["a.jpg"], "line 3: image listed twice: a.jpg"),
        (["none.jpg", "none.jpg"], ["a.jpg"], "line 3: image listed twice: none.jpg"),
        (["a.jpg", "A.JPG"], ["a.jpg"], "line 3: .*A.JPG;"),
    ],
)
def test_what_is_ambiguous_is_said_with_its_line(
    tmp_path: Path, listed: list[str], files: list[str], said: str
) -> None:
    for name in files:
        (tmp_path / name).write_bytes(b"x")
    rows = [f"{name},{row}" for row, name in enumerate([*listed, *["more.jpg"] * (len(listed) < 2)])]
    (tmp_path / "more.jpg").write_bytes(b"x")
    (tmp_path / "s.csv").write_text("\n".join(["image,mos", *rows]), encoding="utf-8")
    with pytest.raises(UserError, match=said):
        read_csv(tmp_path / "s.csv", tmp_path)


def test_absolute_paths_and_those_outside_are_taken_as_they_are(tmp_path: Path) -> None:
    """But nothing outside of the folder is matched by a name that is nearly right."""
    photos = tmp_path / "photos"
    photos.mkdir()
    for path in (photos / "a.jpg", photos / "B.jpg", tmp_path / "c.jpg", tmp_path / "D.jpg"):
        path.write_bytes(path.name.encode())
    table = tmp_path / "s.csv"
    table.write_text(f"image,mos\n{photos / 'a.jpg'},1\n{photos / 'b.jpg'},2\n../c.jpg,3\n")
    found = read_csv(table, photos)
    assert [found.images.read(name) for name in found.names] == [b"a.jpg", b"B.jpg", b"c.jpg"]
    table.write_text(f"image,mos\n{photos / 'a.jpg'},1\na.jpg,2\n")
    with pytest.raises(UserError, match=r"line 3: image listed twice: a\.jpg"):
        read_csv(table, photos)
    for outside in ("../d.jpg", str(tmp_path / "d.jpg"), "../PHOTOS/a.jpg"):
        table.write_text(f"image,mos\n{outside},1\na.jpg,2\n")
        with pytest.raises(UserError, match=r"do not exist: line 2: "):
            read_csv(table, photos)


def test_cells_that_can_be_no_names_do_not_exist(tmp_path: Path) -> None:
    """Too long for a file, or a file taken for a folder."""
    (tmp_path / "a.jpg").write_bytes(b"x")
    (tmp_path / "s.csv").write_text(f"image,mos\n{'x' * 5000},1\na.jpg/b.jpg,2\na.jpg,3\n")
    with pytest.raises(UserError, match=r"2 of 3 photos do not exist: line 2: .*line 3: "):
        read_csv(tmp_path / "s.csv", tmp_path)


def test_a_line_end_in_a_name_is_told_on_one_line(tmp_path: Path) -> None:
    (tmp_path / "s.csv").write_text('image,mos\n"a\nb.jpg",1\n"a\nb.jpg",2\n"c\rd.jpg",3\n')
    with pytest.raises(UserError, match=r"line 4: image listed twice: a\\nb\.jpg"):
        read_csv(tmp_path / "s.csv", tmp_path)
    (tmp_path / "s.csv").write_text('image,mos\n"a\nb.jpg",1\n"c\rd.jpg",3\n', newline="")
    with pytest.raises(UserError, match=r"line 2: .*a\\nb\.jpg; line 4: .*c\\rd\.jpg;"):
        read_csv(tmp_path / "s.csv", tmp_path)


def test_a_folder_is_listed_once_and_only_in_need(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for folder in ("one", "two", "three"):
        (tmp_path / folder).mkdir()
        for row in range(20):
            (tmp_path / folder / f"{row}.jpg").write_bytes(b"x")
    visited: list[str] = []
    real = names_module.os.scandir

    def counted(path: Path) -> object:
        visited.append(Path(path).name)
        return real(path)

    monkeypatch.setattr(names_module.os, "scandir", counted)
    table = tmp_path / "s.csv"
    rows = [f"{folder}/{row}.jpg,{row}" for folder in ("one", "two") for row in range(20)]
    table.write_text("\n".join(["image,mos", *rows]))
    read_csv(table, tmp_path)
    assert visited == []
    table.write_text("\n".join(["image,mos", *rows]).replace("one/", "ONE/"))
    assert read_csv(table, tmp_path).names[0] == "one/0.jpg"
    assert sorted(visited) == sorted([tmp_path.name, "one"])


def test_listing_follows_the_names_and_passes_over_what_it_may_not_see(tmp_path: Path) -> None:
    for path in ("A/b/1.jpg", "A/2.jpg", "other/3.jpg", "4.jpg"):
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_bytes(b"x")
    assert list_files(tmp_path, ["a\\B\\x.jpg"]) == ["4.jpg", "A/2.jpg", "A/b/1.jpg"]
    assert list_files(tmp_path, ["x.jpg"]) == ["4.jpg"]
    assert list_files(tmp_path / "none", ["x.jpg"]) == []


def test_no_two_listed_names_get_one_file(rng: np.random.Generator) -> None:
    """Whatever is listed, and whatever is there: each match is exact or nearly so, and each file is given once."""
    letters = ["a", "A", "\u00e9", "e\u0301", "/", "\\", " "]
    for _ in range(300):
        listed, there = (["".join(rng.choice(letters, 3)) for _ in range(6)] for _ in range(2))
        there = list(dict.fromkeys(there))
        matched, problems = find_names(listed, there)
        assert len(set(matched.values())) == len(matched)
        assert not matched.keys() & problems.keys()
        for name, row in matched.items():
            assert names_module.name_key(name) == names_module.name_key(there[row])
            assert there[row] == name or (there[row] not in listed and name not in there)
