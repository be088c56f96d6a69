"""Splits: complete, apart, the authors' own, kept in files, and read from other projects' files."""

import json
import pickle
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vtiqa_jax.data import split_files, splits
from vtiqa_jax.data.splits import Split
from vtiqa_jax.errors import UserError


def parts(split: Split) -> list[list[int]]:
    return [split.train.tolist(), split.val.tolist(), split.test.tolist()]


def test_a_clean_split_covers_every_row_once() -> None:
    in_order = splits.random_split(10, test_fraction=0.2, val_fraction=0.25, in_order=True, seed=0)
    assert parts(in_order) == [[0, 1, 2, 3, 4, 5], [6, 7], [8, 9]]
    assert in_order.selection.tolist() == [6, 7]
    shuffled = [splits.random_split(100, test_fraction=0.2, val_fraction=0.1, seed=seed) for seed in (1, 1, 2)]
    for split in shuffled:
        assert sorted(row for rows in parts(split) for row in rows) == list(range(100))
        assert list(map(len, parts(split))) == [72, 8, 20]
    assert parts(shuffled[0]) == parts(shuffled[1])
    assert parts(shuffled[0]) != parts(shuffled[2])
    for test, val, said in (
        (1.0, 0.1, "--test-fraction"),
        (0.2, -0.1, "--val-fraction"),
        (0.8, 0.5, "1 would be left to train on"),
        (0.5, 0.2, "1 would be left to validate on"),
    ):
        with pytest.raises(UserError, match=said):
            splits.random_split(10, test_fraction=test, val_fraction=val, in_order=True, seed=0)


@given(st.lists(st.integers(0, 12), min_size=60, max_size=200), st.integers(0, 5))
def test_no_scene_is_in_two_parts(scenes: list[int], seed: int) -> None:
    names = [str(scene) for scene in [*scenes, *range(13)]]
    try:
        split = splits.random_split(len(names), test_fraction=0.2, val_fraction=0.2, seed=seed, scenes=names)
    except UserError as error:
        assert "would be left" in str(error)  # one scene may be too large for any part
        return
    assert sorted(row for rows in parts(split) for row in rows) == list(range(len(names)))
    train, val, test = ({names[row] for row in rows} for rows in parts(split))
    assert not (train & val or train & test or val & test)
    assert len(split.test) < 0.6 * len(names)


def test_scenes_and_the_files_order_exclude_each_other() -> None:
    with pytest.raises(UserError, match="leave out --in-order"):
        splits.random_split(9, test_fraction=0.3, val_fraction=0.3, seed=0, in_order=True, scenes=["a", "b", "c"] * 3)


def authors(names: list[str], repetition: int) -> tuple[set[str], set[str]]:
    """Section by section what the release's scripts do, on whole arrays, with the global generator."""
    stored = np.array(sorted(names))
    np.random.seed(0)
    order = np.arange(len(stored))
    np.random.shuffle(order)
    stored = stored[order]
    cut = int(len(stored) * 0.8)
    train, test = stored[:cut], stored[cut:]
    for i in range(repetition + 1):
        both = np.concatenate((train, test))
        order = np.arange(len(both))
        np.random.seed(i)
        np.random.shuffle(order)
        train, test = both[order[:cut]], both[order[cut:]]
    return set(train), set(test)


def test_the_authors_splits_of_koniq() -> None:
    names = [f"{number}.jpg" for number in np.random.default_rng(3).permutation(10**6)[:10073]]
    released = splits.authors_split("koniq10k", names)
    assert (len(released.train), len(released.test)) == (8058, 2015)
    assert released.select_on_test
    assert released.selection is released.test
    assert "TEST" in released.note
    assert "assum" not in released.note
    found = []
    for index in range(10):
        split = splits.authors_split("koniq10k", names, index)
        train, test = ({names[row] for row in rows} for rows in (split.train, split.test))
        assert (train, test) == authors(names, index)
        found.append(test)
    assert {names[row] for row in released.test} == found[0], "the weights' split is the first one"
    assert len({frozenset(test) for test in found}) == 10


def test_assumed_splits_say_so_and_keep_the_releases_seed() -> None:
    names = [f"{number}.bmp" for number in range(1169)][::-1]
    split = splits.authors_split("livew", names)
    assert "assumption" in split.note
    order = np.random.RandomState(0).permutation(1169)[np.random.RandomState(4).permutation(1169)]
    assert split.test.tolist() == sorted(order[935:])
    with pytest.raises(UserError, match="the paper did not use biq2021"):
        splits.authors_split("biq2021", names)


NAMES = [f"folder/{number:02d}.jpg" for number in range(20)]


def test_our_file_gives_the_split_back(tmp_path: Path) -> None:
    path = tmp_path / "split.json"
    for split in (
        splits.random_split(20, test_fraction=0.2, val_fraction=0.2, seed=3),
        splits.authors_split("koniq10k", NAMES),
        splits.random_split(20, test_fraction=0.2, val_fraction=0.0, seed=3),
    ):
        path.write_text(json.dumps(splits.to_json(split, NAMES)))
        again = split_files.load(path, NAMES[::-1], val_fraction=0.0, seed=0)
        assert [[19 - row for row in rows][::-1] for rows in parts(again)] == parts(split)
        assert again.select_on_test == split.select_on_test
    content = json.loads(path.read_text())
    swapped = {
        "train": [content["test"][0], *content["train"][1:]],
        "test": [content["train"][0], *content["test"][1:]],
    }
    for changed in (swapped, {"select_on_test": True}):
        path.write_text(json.dumps(content | changed))
        with pytest.raises(UserError, match="its hash does not fit"):
            split_files.load(path, NAMES, val_fraction=0.1, seed=0)


def test_a_file_keeps_scenes_together_or_is_refused(tmp_path: Path) -> None:
    scenes = [str(row // 4) for row in range(20)]
    path = tmp_path / "official.csv"
    lines = [f"{name},{'test' if row >= 16 else 'train'}" for row, name in enumerate(NAMES)]
    path.write_text("\n".join(["img_name,official_split", *lines]))
    split = split_files.load(path, NAMES, val_fraction=0.25, seed=0, scenes=scenes)
    assert len({scenes[row] for row in split.val}) == 1
    assert len(split.val) == 4
    with pytest.raises(UserError, match="puts photos of the scene 4 into test and train"):
        split_files.load(path, NAMES, val_fraction=0.0, seed=0, scenes=["4"] * 20)


def test_other_projects_files_are_read(tmp_path: Path) -> None:
    labels = ["train"] * 12 + ["val"] * 3 + ["test"] * 5
    expected = [list(range(12)), [12, 13, 14], [15, 16, 17, 18, 19]]
    short = [name.split("/")[1] for name in NAMES]
    # pyiqa's meta information
    meta = tmp_path / "meta_info.csv"
    rows = [f"{name},{index},1.0,{label}" for index, (name, label) in enumerate(zip(short, labels, strict=True))]
    meta.write_text("\n".join(["img_name,mos,std,ratio802_seed123_split_01", *rows]))
    given = {"val_fraction": 0.2, "seed": 0}
    assert parts(split_files.load(meta, NAMES, column="ratio802_seed123_split_01", **given)) == expected
    with pytest.raises(UserError, match=r"no column `official_split` \(found: img_name, mos"):
        split_files.load(meta, NAMES, **given)
    # pyiqa's pickles of row numbers
    pickled = tmp_path / "split.pkl"
    with pickled.open("wb") as file:
        pickle.dump({1: {}, 2: dict(zip(("train", "val", "test"), expected, strict=True))}, file)
    assert parts(split_files.load(pickled, NAMES, column="2", meta=meta, **given)) == expected
    with pytest.raises(UserError, match="--split-names"):
        split_files.load(pickled, NAMES, column="2", **given)
    # LIQE's lists
    folder = tmp_path / "1"
    folder.mkdir()
    for part, numbers in zip(("train", "val", "test"), expected, strict=True):
        lines = [f"ImageDatabase/{short[number]}\t{number}.5" for number in numbers]
        (folder / f"bid_{part}.txt").write_text("\n".join(lines) + "\n")
    assert parts(split_files.load(folder, NAMES, **given)) == expected
    # Without validation photos some of the training photos are drawn.
    (folder / "bid_val.txt").unlink()
    drawn = split_files.load(folder, NAMES, **given)
    assert (len(drawn.train), len(drawn.val), drawn.test.tolist()) == (10, 2, expected[2])
    assert "drawn" in drawn.note


class Evil:
    def __reduce__(self) -> tuple:
        return (Path.touch, (Path("/tmp/never-made"),))


@pytest.mark.parametrize(
    "content,said",
    [
        (pickle.dumps({1: Evil()}), "it carries code"),
        (b"no pickle", "cannot be read as a split"),
        (pickle.dumps({3: {}}), "1 is missing in it"),
        (pickle.dumps({1: {"train": [99]}}), "cannot be read as a split"),
    ],
)
def test_pickles_are_not_trusted(content: bytes, said: str, tmp_path: Path) -> None:
    (tmp_path / "meta.csv").write_text("img_name,mos\na,1\n")
    (tmp_path / "split.pkl").write_bytes(content)
    with pytest.raises(UserError, match=said):
        split_files.load(tmp_path / "split.pkl", NAMES, meta=tmp_path / "meta.csv", val_fraction=0.0, seed=0)


def test_a_split_of_other_photos_is_refused(tmp_path: Path) -> None:
    split = splits.random_split(20, test_fraction=0.2, val_fraction=0.2, seed=3)
    path = tmp_path / "split.json"
    path.write_text(json.dumps(splits.to_json(split, NAMES)))
    with pytest.raises(UserError, match="which is not among the 19 photos"):
        split_files.load(path, NAMES[1:], val_fraction=0.1, seed=0)
    assert len(split_files.load(path, NAMES[1:], val_fraction=0.1, seed=0, partial=True).train) >= 12
    meta = tmp_path / "twice.csv"
    meta.write_text("img_name,official_split\n00.jpg,train\n00.jpg,test\n")
    with pytest.raises(UserError, match=r"lists 00\.jpg in train and in test"):
        split_files.load(meta, NAMES, val_fraction=0.1, seed=0)
    with pytest.raises(UserError, match="its kind is not known"):
        split_files.load(tmp_path / "split.yaml", NAMES, val_fraction=0.1, seed=0)


def test_a_part_of_the_photos_is_divided_as_the_whole_is() -> None:
    listed = [f"{number:05d}.jpg" for number in range(1000)]
    whole = splits.authors_split("koniq10k", listed)
    there = listed[::-7]  # in another order
    split = splits.restrict_to(whole, listed, there)
    for part in ("train", "test"):
        kept = {listed[row] for row in getattr(whole, part)} & set(there)
        assert {there[row] for row in getattr(split, part)} == kept
    assert "857 of its 1000 photos are not there" in split.note
    assert split.select_on_test
    with pytest.raises(UserError, match="only 0 of its training and 0 of its test photos are there"):
        splits.restrict_to(whole, listed, ["other.jpg"])


def test_names_in_another_case_are_matched_where_that_is_unambiguous(tmp_path: Path) -> None:
    listed = ["b.jpg", "B.JPG", "c.jpg", "d.jpg", "e.jpg"]
    none = np.empty(0, np.int64)
    split = Split(np.array([0, 2]), none, np.array([1, 3, 4]))
    part = splits.restrict_to(split, listed, ["e.JPG", "D.jpg", "C.JPG", "B.JPG", "b.jpg"])
    assert parts(part) == [[2, 4], [], [0, 1, 3]]
    # A photo that is not there is not taken for another one.
    assert parts(splits.restrict_to(split, [*listed[:4], "a.jpg"], ["b.jpg", "c.jpg", "D.jpg", "A.jpg"]))[2] == [2, 3]
    path = tmp_path / "official.csv"
    path.write_text("img_name,official_split\nA.JPG,train\nb.jpg,train\nC.jpg,test\nd.jpg,test\n")
    given = {"val_fraction": 0.0, "seed": 0}
    assert parts(split_files.load(path, ["x/d.JPG", "x/c.jpg", "x/b.jpg", "x/a.jpg"], **given)) == [[2, 3], [], [0, 1]]
    assert parts(split_files.load(path, ["d.jpg", "C.jpg", "c.jpg", "b.jpg", "A.JPG"], **given)) == [[3, 4], [], [0, 1]]
    with pytest.raises(UserError, match=r"official\.csv: C\.jpg could be C\.JPG or c\.jpg, which differ"):
        split_files.load(path, ["d.jpg", "C.JPG", "c.jpg", "b.jpg", "A.JPG"], **given)
    path.write_text("img_name,official_split\nA.JPG,train\na.jpg,test\n")
    with pytest.raises(UserError, match=r"a\.JPG could be A\.JPG or a\.jpg"):
        split_files.load(path, ["a.JPG", "b.jpg"], **given)


def test_a_table_cut_off_does_not_give_the_authors_split() -> None:
    names = [f"{number:05d}.jpg" for number in range(100)]
    assert "so NOT the authors' split" in splits.authors_split("koniq10k", names, complete=False).note
    assert "NOT" not in splits.authors_split("koniq10k", names).note
