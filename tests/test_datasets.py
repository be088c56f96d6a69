"""The public data sets' readers, on made-up copies in the real layout, and what they say when something is off.

With VTIQA_ANNOTATIONS naming a folder of real annotation tables, names and scores are compared with those as well.
"""

import csv
import dataclasses
import os
import re
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest

from tests import made_up
from vtiqa_jax.data import datasets, splits
from vtiqa_jax.data.datasets import (
    agiqa3k,
    biq2021,
    cid2013,
    csiq,
    flive,
    kadid10k,
    koniq10k,
    livew,
    rbid,
    spaq,
    tid2013,
    uhdiqa,
)
from vtiqa_jax.data.datasets.info import Dataset, find_file, validate
from vtiqa_jax.data.image_cache import build_image_cache
from vtiqa_jax.errors import UserError
from vtiqa_jax.models.config import ModelConfig

MODULES = datasets.READERS


@pytest.fixture(params=list(datasets.READERS))
def made(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[str, Path, dict]:
    """A made-up release whose size its facts are told: everything else is checked as for the real one."""
    name = request.param
    scores = made_up.MAKERS[name](tmp_path / name)
    proper = [score for photo, score in scores.items() if "trainingImages" not in photo]
    info = dataclasses.replace(MODULES[name].INFO, count=len(proper), mean=float(np.mean(proper)), width=None)
    monkeypatch.setattr(MODULES[name], "INFO", info)
    return name, tmp_path / name, scores


def test_every_photo_has_its_score(made: tuple) -> None:
    name, folder, scores = made
    dataset = datasets.read(name, folder)
    photos = dataset.photos
    assert len(photos.names) == len(scores)
    assert dict(zip(photos.names, photos.mos.tolist(), strict=True)) == pytest.approx(scores, abs=1e-4)
    assert all(photos.images.path(photo).is_file() for photo in photos.names)
    common = dataset.on_common_scale()
    assert common.names == photos.names
    low, high = dataset.info.scale.low, dataset.info.scale.high
    assert (common.mos >= low - 0.2).all()
    assert (common.mos <= high).all()
    direction = -1 if name == "csiq" else 1  # the one DMOS; what KADID-10k calls so is none
    assert np.corrcoef(common.mos, photos.mos)[0, 1] == pytest.approx(direction)


def test_what_the_sets_alone_have(made: tuple) -> None:
    name, folder, _ = made
    dataset = datasets.read(name, folder)
    assert dataset.practice_rows == (tuple(range(7)) if name == "livew" else ())
    assert len(dataset.without_practice().photos.names) == dataset.info.count
    assert set(dataset.official) == {
        "koniq10k": {"train", "val", "test"},
        "biq2021": {"train", "test"},
        "flive": {"train", "val", "test"},
        "uhdiqa": {"train", "val", "test"},
    }.get(name, set())
    assert set(dataset.photos.scenes) == {
        "cid2013": {f"co{number}" for number in range(1, 7)},
        "kadid10k": {f"I{number:02d}" for number in range(1, 6)},
        "tid2013": {f"i{number:02d}" for number in range(1, 6)},
        "csiq": {"1600", *(f"reference_{number}" for number in range(2, 6))},
        "agiqa3k": {f"a house, {number} floors high" for number in range(10)},
    }.get(name, set())
    assert set(dataset.photos.groups) == {
        "biq2021": {"ss01", "ss02", "ss03"},
        "flive": {"AVA", "EMOTIC", "blur_dataset"},
        "kadid10k": {"01", "02"},
        "tid2013": {"01", "02"},
        "csiq": {"noise", "jpeg 2000"},
        "agiqa3k": {"AttnGAN", "glide", "sd1.5"},
    }.get(name, set())


def test_a_missing_photo_and_a_missing_table_are_named(made: tuple) -> None:
    name, folder, scores = made
    photos = datasets.read(name, folder).photos
    path = photos.images.path(photos.names[9])
    path.unlink()
    with pytest.raises(UserError, match=f"1 of {len(scores)} photos of .* are not in .*{re.escape(path.name)}"):
        datasets.read(name, folder)
    assert len(datasets.read(name, folder, partial=True).photos.names) == len(scores) - 1
    for table in [path for path in folder.rglob("*") if path.suffix in (".csv", ".xlsx", ".mat", ".txt")]:
        table.unlink()
    with pytest.raises(UserError, match=r"holds no .*; it holds"):
        datasets.read(name, folder)
    with pytest.raises(UserError, match="is not a folder"):
        datasets.read(name, folder / "nowhere")


def test_a_table_cut_off_or_of_other_scores_is_noticed(made: tuple, monkeypatch: pytest.MonkeyPatch) -> None:
    name, folder, scores = made
    info = MODULES[name].INFO
    for change, said in (
        ({"count": info.count + 1}, f"lists {info.count} photos, .* has {info.count + 1}"),
        ({"high": info.high + 10 * (info.high - info.low), "mean": info.mean + 5}, "a mean score of"),
        ({"high": (info.low + info.high) / 2}, "scores from .* to .*, where"),
    ):
        monkeypatch.setattr(MODULES[name], "INFO", dataclasses.replace(info, **change))
        with pytest.raises(UserError, match=said):
            datasets.read(name, folder)
    assert len(scores) >= info.count


def rows_of(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def edited(path: Path, change: Callable[[str], str]) -> None:
    path.write_text(change(path.read_text()))


@pytest.fixture
def koniq(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    made_up.koniq10k(tmp_path)
    monkeypatch.setattr(
        koniq10k, "INFO", dataclasses.replace(koniq10k.INFO, count=made_up.COUNT, mean=None, width=None)
    )
    return tmp_path


def test_koniq_knows_its_two_tables_apart(koniq: Path) -> None:
    both = koniq10k.read(koniq)
    # The shares of the answers give the same scores, to a millionth.
    (koniq / koniq10k.SCORES).unlink()
    sets = koniq10k.read(koniq)
    np.testing.assert_allclose(sets.photos.mos, both.photos.mos, atol=2e-6)
    assert sets.official == both.official
    # The z-scores under the other table's name.
    shutil.copy(koniq / koniq10k.SETS, koniq / koniq10k.SCORES)
    with pytest.raises(UserError, match=r"scores from .* where KonIQ-10k has 1\.096 to 4\.31; .*z-score scale"):
        koniq10k.read(koniq)
    (koniq / koniq10k.SETS).unlink()
    edited(koniq / koniq10k.SCORES, lambda text: text.replace(",set\n", ",part\n"))
    with pytest.raises(UserError, match="z-score scale"):
        koniq10k.read(koniq)


def test_koniq_without_its_second_table_has_no_official_split(koniq: Path) -> None:
    (koniq / koniq10k.SETS).unlink()
    assert koniq10k.read(koniq).official == ()


def test_shrunken_copies_are_refused(koniq: Path, tmp_path: Path) -> None:
    (koniq / "koniq10k_1024x768" / "1024x768").rename(koniq / "512x384")
    with pytest.raises(UserError, match="512x384 holds shrunken copies"):
        koniq10k.read(koniq)
    made_up.spaq(tmp_path / "spaq")
    for path in (tmp_path / "spaq" / "TestImage").iterdir():
        path.rename(path.with_suffix(".png"))
    with pytest.raises(UserError, match=r"\.png files: shrunken copies"):
        spaq.read(tmp_path / "spaq", partial=True)


DISTORTED = ("kadid10k", "tid2013", "csiq")


def turn_round(folder: Path, name: str, scores: dict[str, float]) -> None:
    """Writes a table of the release anew with its scores the other way round, within their range."""
    low, high = min(scores.values()), max(scores.values())
    turned = {photo: round(low + high - score, 6) for photo, score in scores.items()}
    if name == "kadid10k":
        lines = [[photo, f"{photo[:3]}.png", score, 0.5] for photo, score in turned.items()]
        made_up._csv(folder / "dmos.csv", [["dist_img", "ref_img", "dmos", "var"], *lines])
    elif name == "tid2013":
        (folder / "mos_with_names.txt").write_text("".join(f"{score} {photo}\n" for photo, score in turned.items()))
    else:
        kinds = {"awgn": "noise", "jpeg2000": "jpeg 2000"}
        rows: list[list[object]] = [["image", "dst_type", "dst_lev", "dmos"]]
        for photo, score in turned.items():
            scene, _, level = photo.split("/")[1].removesuffix(".png").rsplit(".", 2)
            rows.append([scene, kinds[photo.split("/")[0]], int(level), score])
        made_up._excel(folder / "csiq.DMOS.xlsx", "all_by_image", rows)


@pytest.mark.parametrize("made", DISTORTED, indirect=True)
@pytest.mark.parametrize("partial", [False, True])
def test_scores_turned_round_are_refused(made: tuple, partial: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """Count, range and here even the mean are right: the levels alone give it away."""
    name, folder, scores = made
    monkeypatch.setattr(MODULES[name], "INFO", dataclasses.replace(MODULES[name].INFO, mean=None))
    datasets.read(name, folder, partial=partial)
    turn_round(folder, name, scores)
    better = "lower" if name == "csiq" else "higher"
    with pytest.raises(UserError, match=f"strongest distortions have the better scores .* {better} ones are better"):
        datasets.read(name, folder, partial=partial)


@pytest.mark.parametrize("made", DISTORTED, indirect=True)
def test_a_reference_is_in_one_part_of_a_split(made: tuple) -> None:
    name, folder, _ = made
    photos = datasets.read(name, folder).photos
    split = splits.random_split(len(photos.names), test_fraction=0.3, val_fraction=0.3, seed=1, scenes=photos.scenes)
    parts = [{photos.scenes[row] for row in rows} for rows in (split.train, split.val, split.test)]
    assert all(parts) and sum(map(len, parts)) == 5


def test_resized_copies_are_refused_whatever_their_folder_is_called(
    koniq: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    koniq10k.read(koniq)
    monkeypatch.setattr(koniq10k, "INFO", dataclasses.replace(koniq10k.INFO, width=64))
    koniq10k.read(koniq)
    monkeypatch.setattr(koniq10k, "INFO", dataclasses.replace(koniq10k.INFO, width=1024))
    with pytest.raises(UserError, match=r"holds photos 64 pixels wide, those of KonIQ-10k are 1024: resized copies"):
        koniq10k.read(koniq)
    next((koniq / "koniq10k_1024x768").rglob("*.jpg")).write_bytes(b"no picture")
    with pytest.raises(UserError, match="64 pixels wide"):
        koniq10k.read(koniq)
    assert len(koniq10k.read(koniq, partial=True).photos.names) == made_up.COUNT


def test_what_is_no_name_of_a_distorted_picture(tmp_path: Path) -> None:
    made_up.kadid10k(tmp_path / "kadid")
    edited(tmp_path / "kadid" / "dmos.csv", lambda text: text.replace("I02_01_03.png,", "reference 2.png,"))
    with pytest.raises(UserError, match=r"'reference 2\.png' is not a picture like I01_01_01\.png"):
        kadid10k.read(tmp_path / "kadid", partial=True)
    made_up.tid2013(tmp_path / "tid")
    table = tmp_path / "tid" / "mos_with_names.txt"
    edited(table, lambda text: text.replace("i02_01_3.bmp", "i02_01_3.bmp 5"))
    with pytest.raises(UserError, match="line 9: 3 words, where each line has 2"):
        tid2013.read(tmp_path / "tid", partial=True)
    table.write_text("4.5 i01_01_1.bmp\n" * tid2013.COUNT_OF_TID2008)
    with pytest.raises(UserError, match="lists 1700 pictures: this is TID2008"):
        tid2013.read(tmp_path / "tid", partial=True)
    made_up.csiq(tmp_path / "csiq")
    made_up._excel(
        tmp_path / "csiq" / "csiq.DMOS.xlsx",
        "all_by_image",
        [["image", "dst_type", "dst_lev", "dmos"], ["elk", "rain", 1, 0.5]],
    )
    with pytest.raises(UserError, match="a distortion 'rain', not one of noise, blur"):
        csiq.read(tmp_path / "csiq", partial=True)


def test_flive_without_its_second_table_has_no_official_split(tmp_path: Path) -> None:
    made_up.flive(tmp_path)
    whole = flive.read(tmp_path, partial=True)
    (tmp_path / "database" / flive.OTHERS).unlink()
    fewer = flive.read(tmp_path, partial=True)
    assert [part == "test" for part in fewer.official] == [part == "test" for part in whole.official]
    assert set(fewer.official) == {"train", "test"}
    edited(tmp_path / "database" / flive.TEST, lambda text: text.replace("AVA__1.jpg", "AVA__100.jpg"))
    with pytest.raises(UserError, match=r"labels640\.csv lists voc_emotic_ava/AVA__100\.jpg, which labels_image\.csv"):
        flive.read(tmp_path, partial=True)
    (tmp_path / "database" / flive.TEST).unlink()
    assert flive.read(tmp_path, partial=True).official == ()


def test_wrong_cells_are_named(koniq: Path) -> None:
    first = rows_of(koniq / koniq10k.SCORES)[0]
    edited(koniq / koniq10k.SCORES, lambda text: text.replace(f",{first['MOS']},", ",n/a,"))
    with pytest.raises(UserError, match=f"the score of {first['image_name']} is 'n/a', not a number"):
        koniq10k.read(koniq)
    edited(koniq / koniq10k.SCORES, lambda text: text.replace("MOS,", "Mean,", 1))
    with pytest.raises(UserError, match=r"has no column `MOS` \(found: image_name"):
        koniq10k.read(koniq)


def test_a_table_that_is_no_table(tmp_path: Path) -> None:
    made_up.rbid(tmp_path / "rbid")
    (tmp_path / "rbid" / "DatabaseGrades.xlsx").write_bytes(b"<html>not found</html>")
    with pytest.raises(UserError, match="cannot be read as an Excel file"):
        rbid.read(tmp_path / "rbid", partial=True)
    made_up.livew(tmp_path / "livew")
    (tmp_path / "livew" / "Data" / "AllMOS_release.mat").write_bytes(b"nothing")
    with pytest.raises(UserError, match="cannot be read as a MATLAB file"):
        livew.read(tmp_path / "livew", partial=True)
    made_up.cid2013(tmp_path / "cid2013")
    made_up._excel(
        tmp_path / "cid2013" / "CID2013 data - version 12112014.xlsx",
        "CID2013 MOS",
        [["Source_ID", "Realigned MOS"], ["photo 1", 3.0]],
    )
    with pytest.raises(UserError, match="'photo 1' is not a Source_ID"):
        cid2013.read(tmp_path / "cid2013", partial=True)


def test_the_common_scale_is_the_releases() -> None:
    """Section 5 of the paper's test scripts, and alike for other sets, at one score of each; of a DMOS 0 is best."""
    for name, mos, common in (
        ("koniq10k", 3.2, 3.2),
        ("livew", 50.0, 3.0),
        ("spaq", 25.0, 2.0),
        ("rbid", 2.5, 3.0),
        ("cid2013", 40.0, 3.0),
        ("biq2021", 0.5, 3.0),
        ("flive", 75.0, 4.0),
        ("uhdiqa", 0.25, 2.0),
        ("kadid10k", 3.2, 3.2),
        ("tid2013", 4.5, 3.0),
        ("csiq", 0.25, 4.0),
        ("agiqa3k", 2.5, 3.0),
    ):
        assert datasets.dataset_info(name).on_common_scale(np.array([mos]))[0] == pytest.approx(common)


def test_the_builders_write_and_give_back_the_data_set(made: tuple, tmp_path: Path) -> None:
    import tensorflow_datasets as tfds

    import vtiqa_jax.data.datasets.tfds  # noqa: F401  registers them

    name, folder, scores = made
    builder = tfds.builder(name, data_dir=tmp_path / "tfds", file_format="array_record")
    builder.download_and_prepare(download_config=tfds.download.DownloadConfig(manual_dir=folder))
    dataset = datasets.read(name, folder).without_practice()
    expected = {photo: (mos, part) for photo, mos, part in zip(
        dataset.photos.names, dataset.photos.mos, dataset.official or ["full"] * len(scores), strict=False
    )}  # fmt: skip
    assert set(builder.info.splits) == {part for _, part in expected.values()}
    seen = set()
    for part in builder.info.splits:
        for example in builder.as_data_source(part):
            photo = example["name"].decode()
            mos, official = expected[photo]
            assert (example["mos"], part) == (pytest.approx(mos), official)
            assert example["mos_common"] == pytest.approx(dataset.info.on_common_scale(np.array([mos]))[0])
            if photo.lower().endswith("bmp"):  # lossless: the stored picture is the file's
                original = cv2.imread(str(dataset.photos.images.path(photo)))[:, :, ::-1]
                np.testing.assert_array_equal(example["image"], original)
            seen.add(photo)
    assert seen == expected.keys()


def prepare(name: str, folder: Path, data_dir: Path) -> None:
    """What the head of `datasets/tfds.py` says."""
    import tensorflow_datasets as tfds

    import vtiqa_jax.data.datasets.tfds  # noqa: F401  registers the builders

    builder = tfds.builder(name, data_dir=data_dir, file_format="array_record")
    builder.download_and_prepare(download_config=tfds.download.DownloadConfig(manual_dir=folder))


@pytest.mark.parametrize("made", ["koniq10k", "cid2013", "biq2021", "livew"], indirect=True)
def test_a_prepared_data_set_is_the_one_in_the_folder(made: tuple, tmp_path: Path, config: ModelConfig) -> None:
    from vtiqa_jax.data.datasets.tfds import read_prepared

    name, folder, _ = made
    prepare(name, folder, tmp_path / "tfds")
    there, found = datasets.read(name, folder).without_practice(), read_prepared(name, tmp_path / "tfds")
    assert len(found.photos.names) == len(there.photos.names)
    assert found.photos.names == there.photos.names == found.all_names  # the order that random splits are drawn from
    assert list(found.photos.names) != sorted(found.photos.names)
    np.testing.assert_array_equal(found.photos.mos, there.photos.mos)
    np.testing.assert_array_equal(found.on_common_scale().mos, there.on_common_scale().mos)
    assert found.photos.scenes == there.photos.scenes
    assert found.photos.groups == there.photos.groups
    assert found.official == there.official
    assert bool(there.official) == (name in ("koniq10k", "biq2021"))
    assert bool(there.photos.scenes) == (name == "cid2013")
    assert found.complete
    assert found.practice_rows == ()
    for photo in there.photos.names:
        assert found.photos.images.read(photo) == there.photos.images.path(photo).read_bytes()
    cached = build_image_cache(found.photos, tmp_path / "cache", config)
    expected = build_image_cache(there.photos, tmp_path / "cache", config)
    np.testing.assert_array_equal(cached.global_images, expected.global_images)
    np.testing.assert_array_equal(cached.local_images[:], expected.local_images[:])
    assert expected.local_images[:].any(axis=(1, 2, 3)).all()


def test_what_is_not_prepared_is_said_in_one_line(koniq: Path, tmp_path: Path) -> None:
    from vtiqa_jax.data.datasets.tfds import read_prepared

    data_dir = tmp_path / "tfds"
    with pytest.raises(UserError, match=r"tfds holds no prepared KonIQ-10k \(no .*; the head of .* says how"):
        read_prepared("koniq10k", data_dir)
    assert not data_dir.exists(), "reading made a folder"
    data_dir.mkdir()
    with pytest.raises(UserError, match="holds no prepared KonIQ-10k"):
        read_prepared("koniq10k", data_dir)
    with pytest.raises(UserError, match=r"'koniq1k' is not a data set; did you mean koniq10k\?"):
        read_prepared("koniq1k", data_dir)
    with pytest.raises(UserError, match=r"'ava' is not a data set; they are koniq10k, spaq, "):
        read_prepared("ava", data_dir)
    with pytest.raises(UserError, match=r"did you mean koniq10k\?"):
        datasets.read("koniq", koniq)
    prepare("koniq10k", koniq, data_dir)
    with pytest.raises(UserError, match="holds no prepared SPAQ"):
        read_prepared("spaq", data_dir)
    assert len(read_prepared("koniq10k", data_dir).photos.names) == made_up.COUNT
    stored = next(data_dir.rglob("*train.array_record*"))
    described = next(data_dir.rglob("dataset_info.json"))
    whole = {path: path.read_bytes() for path in (stored, described)}
    for path, content in (
        (stored, whole[stored][: len(whole[stored]) // 2]),
        (stored, b""),
        (described, whole[described][:50]),
        (stored, None),
        (described, None),
    ):
        if content is None:
            path.unlink()
        else:
            path.write_bytes(content)
        with pytest.raises(UserError, match="holds no prepared KonIQ-10k") as caught:
            read_prepared("koniq10k", data_dir)
        assert "\n" not in str(caught.value)
        path.write_bytes(whole[path])
    assert len(read_prepared("koniq10k", data_dir).photos.names) == made_up.COUNT


def respell(path: Path) -> Path:
    """Renames a file or folder to its name in the other case."""
    return path.rename(path.with_name(path.name.swapcase()))


def test_names_in_another_case_are_found(made: tuple) -> None:
    """Every file, and every folder of photos, on disk in the other case than in the table."""
    name, folder, scores = made
    before = datasets.read(name, folder)
    for path in sorted(folder.rglob("*"), reverse=True):
        respell(path)
    dataset = datasets.read(name, folder)
    photos = dataset.photos
    assert [photo.casefold() for photo in photos.names] == [photo.casefold() for photo in before.photos.names]
    assert photos.names == tuple(photo.swapcase() for photo in before.photos.names), "the names are those on disk"
    assert dataset.all_names == before.all_names, "the table's"
    assert set(dataset.all_names) == set(scores)
    np.testing.assert_array_equal(photos.mos, before.photos.mos)
    assert (dataset.official, dataset.practice_rows) == (before.official, before.practice_rows)
    assert (photos.groups, photos.scenes) == (before.photos.groups, before.photos.scenes)
    assert all(photos.images.read(photo) for photo in photos.names)
    photos.images.path(photos.names[9]).unlink()
    with pytest.raises(UserError, match=re.escape(f"({before.photos.names[9]})")):
        datasets.read(name, folder)
    fewer = datasets.read(name, folder, partial=True).photos
    assert fewer.names == photos.select(np.delete(np.arange(len(scores)), 9)).names


def small(folder: Path, names: list[str], *, partial: bool = False) -> Dataset:
    """A data set of these photos, whose scores count from 0."""
    info = dataclasses.replace(biq2021.INFO, count=len(names), low=0.0, high=1e6)
    mos = [float(row) for row in range(len(names))]
    return validate(info, folder / "table.csv", folder, names, mos, partial=partial)


def touch(folder: Path, *names: str) -> Path:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()
    return folder


def is_case_sensitive(folder: Path) -> bool:
    return not (touch(folder, "probe") / "PROBE").exists()


def test_two_photos_that_differ_in_case_only_are_not_mixed_up(tmp_path: Path) -> None:
    if not is_case_sensitive(tmp_path):
        pytest.skip("this file system does not tell them apart")
    both = touch(tmp_path / "both", "a.jpg", "A.JPG", "b.jpg")
    assert small(both, ["a.jpg", "b.jpg"]).photos.names == ("a.jpg", "b.jpg"), "the exact name goes first"
    assert small(both, ["A.JPG", "a.jpg"]).photos.names == ("A.JPG", "a.jpg")
    assert small(both, ["A.jpg", "a.jpg"]).photos.names == ("A.JPG", "a.jpg"), "one is left"
    for partial in (False, True):
        with pytest.raises(UserError, match=r"both: A\.jpg could be A\.JPG or a\.jpg, which differ in upper and lower"):
            small(both, ["b.jpg", "A.jpg"], partial=partial)
    one = touch(tmp_path / "one", "a.JPG", "b.jpg")
    for partial in (False, True):
        with pytest.raises(UserError, match=r"one: a\.JPG could be a\.jpg or A\.jpg, which differ"):
            small(one, ["a.jpg", "b.jpg", "A.jpg"], partial=partial)
    # The file of one photo is not taken for another one that is missing.
    assert small(one, ["a.jpg", "a.JPG", "b.jpg"], partial=True).photos.mos.tolist() == [1, 2]
    with pytest.raises(UserError, match=r"1 of 3 photos .*\(a\.jpg\)"):
        small(one, ["a.jpg", "a.JPG", "b.jpg"])
    folders = touch(tmp_path / "folders", "IS1/x.jpg", "is1/y.jpg", "is1/deep/z.jpg", "other/w.jpg")
    assert small(folders, ["Is1/x.jpg", "Is1/Y.jpg"]).photos.names == ("IS1/x.jpg", "is1/y.jpg")
    touch(folders, "is1/x.jpg")
    with pytest.raises(UserError, match=r"Is1/x\.jpg could be IS1/x\.jpg or is1/x\.jpg"):
        small(folders, ["Is1/x.jpg", "Is1/Y.jpg"])


def test_two_tables_that_differ_in_case_only_are_named(tmp_path: Path) -> None:
    if not is_case_sensitive(tmp_path):
        pytest.skip("this file system does not tell them apart")
    touch(tmp_path, "deep/SCORES.csv", "deep/Scores.csv", "__MACOSX/scores.CSV")
    with pytest.raises(UserError, match=r"deep: scores\.csv could be SCORES\.csv or Scores\.csv, which differ"):
        find_file(tmp_path, ("scores.csv", "other.csv"), "the scores")
    touch(tmp_path, "deep/scores.csv")
    assert find_file(tmp_path, ("scores.csv",), "the scores") == tmp_path / "deep" / "scores.csv"
    touch(tmp_path, "nearer.csv", "deep/further/Nearer.CSV")
    assert find_file(tmp_path, ("NEARER.csv",), "the scores") == tmp_path / "nearer.csv"


def test_photos_behind_links_are_found(tmp_path: Path) -> None:
    touch(tmp_path, "elsewhere/co1/A.jpg", "elsewhere/b.jpg", "photos/c.jpg")
    (tmp_path / "photos" / "IS1").symlink_to(tmp_path / "elsewhere", target_is_directory=True)
    (tmp_path / "photos" / "b.jpg").symlink_to(tmp_path / "elsewhere" / "b.jpg")
    (tmp_path / "photos" / "d.jpg").symlink_to(tmp_path / "elsewhere" / "nothing.jpg")
    found = small(tmp_path / "photos", ["IS1/co1/a.jpg", "b.jpg", "c.jpg", "d.jpg"], partial=True)
    assert found.photos.names == ("IS1/co1/A.jpg", "b.jpg", "c.jpg")


def test_the_authors_split_does_not_depend_on_case(tmp_path: Path) -> None:
    """By their names on disk the photos would be sorted, and so divided, otherwise."""
    names = [f"{letter}{number:02d}.jpg" for number in range(20) for letter in "ab"]
    on_disk = [name.upper() if row % 3 == 0 else name for row, name in enumerate(names)]
    assert sorted(names) != [name.lower() for name in sorted(on_disk)]
    dataset = small(touch(tmp_path, *on_disk[:-5]), names, partial=True)
    assert dataset.photos.names == tuple(on_disk[:-5])
    whole = splits.authors_split("koniq10k", dataset.all_names)
    exact = splits.authors_split("koniq10k", names)
    split = splits.restrict_to(whole, dataset.all_names, dataset.photos.names)
    expected = splits.restrict_to(exact, names, names[:-5])
    np.testing.assert_array_equal(split.train, expected.train)
    np.testing.assert_array_equal(split.test, expected.test)
    assert "5 of its 40 photos are not there" in split.note
    assert len(split.train) + len(split.test) == 35


def test_each_folder_is_listed_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """So that 12,000 photos are found fast."""
    names = [f"IS{row % 3}/co{row % 2}/{row}.jpg" for row in range(300)]
    touch(tmp_path, *(name.replace(".jpg", ".JPG") if row % 10 == 0 else name for row, name in enumerate(names)))
    touch(tmp_path, "not asked for/1.jpg", "IS1/not asked for/1.jpg")
    listings: list[str] = []
    scandir = os.scandir

    def counted(path: Path) -> Iterator[os.DirEntry]:
        listings.append(str(Path(path).relative_to(tmp_path)))
        return scandir(path)

    monkeypatch.setattr(os, "scandir", counted)
    monkeypatch.delattr(Path, "is_file")
    assert len(small(tmp_path, names).photos.names) == 300
    folders = [f"IS{number}/{scene}".rstrip("/") for number in range(3) for scene in ("", "co0", "co1")]
    assert sorted(listings) == [".", *folders]


ANNOTATIONS = Path(os.environ.get("VTIQA_ANNOTATIONS", ""))


@pytest.mark.skipif("VTIQA_ANNOTATIONS" not in os.environ, reason="VTIQA_ANNOTATIONS names no annotation tables")
class TestRealTables:
    """The readers on the real tables, with an empty file for each photo."""

    def listed(self, name: str) -> dict[str, float]:
        lines = (ANNOTATIONS / name).read_text().splitlines()
        return {line.split("\t")[0].rsplit("/", 1)[-1]: float(line.split("\t")[1]) for line in lines if line}

    def photos(self, folder: Path, names: list[str]) -> None:
        for name in names:
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).touch()

    def test_koniq(self, tmp_path: Path) -> None:
        shutil.copy(ANNOTATIONS / "koniq10k_distributions_sets.original.csv", tmp_path / koniq10k.SETS)
        expected = self.listed("liqe_koniq10k_split1.tsv")
        self.photos(tmp_path / "1024x768", list(expected))
        dataset = koniq10k.read(tmp_path)
        assert dict(zip(dataset.photos.names, dataset.photos.mos.tolist(), strict=True)) == pytest.approx(
            expected, abs=2e-6
        )
        assert [dataset.official.count(part) for part in ("train", "val", "test")] == [7058, 1000, 2015]

    def test_rbid(self, tmp_path: Path) -> None:
        shutil.copy(ANNOTATIONS / "BID_DatabaseGrades.original.xls", tmp_path / "DatabaseGrades.xls")
        expected = self.listed("liqe_bid_split1.tsv")
        self.photos(tmp_path / "ImageDatabase", list(expected))
        dataset = rbid.read(tmp_path)
        assert dict(zip(dataset.photos.names, dataset.photos.mos.tolist(), strict=True)) == pytest.approx(
            expected, abs=1e-6
        )

    def test_livew(self, tmp_path: Path) -> None:
        """From another project's list, written as the release's .mat files."""
        import scipy.io

        rows = rows_of(ANNOTATIONS / "pyiqa_meta_info_LIVEChallengeDataset.csv")
        cells = np.empty((len(rows), 1), object)
        cells[:, 0] = [row["img_name"] for row in rows]
        (tmp_path / "Data").mkdir()
        scipy.io.savemat(tmp_path / "Data" / "AllImages_release.mat", {"AllImages_release": cells})
        mos = np.array([[float(row["mos"]) for row in rows]])
        scipy.io.savemat(tmp_path / "Data" / "AllMOS_release.mat", {"AllMOS_release": mos})
        names = [row["img_name"] for row in rows]
        placed = [f"trainingImages/{name}" if name in livew.PRACTICE else name for name in names]
        self.photos(tmp_path / "Images", placed)
        dataset = livew.read(tmp_path).without_practice()
        expected = self.listed("liqe_clive_split1.tsv")
        assert dict(zip(dataset.photos.names, dataset.photos.mos.tolist(), strict=True)) == pytest.approx(
            expected, abs=1e-4
        )

    def original(self, *names: str) -> None:
        if missing := [name for name in names if not (ANNOTATIONS / name).exists()]:
            pytest.skip(f"no {' and '.join(missing)} among the tables")

    def test_flive(self, tmp_path: Path) -> None:
        self.original("labels_image.csv", "labels640.csv")
        for name in ("labels_image.csv", "labels640.csv"):
            shutil.copy(ANNOTATIONS / name, tmp_path / name)
        expected = {row["name"]: float(row["mos"]) for row in rows_of(ANNOTATIONS / "labels_image.csv")}
        self.photos(tmp_path / "database", list(expected))
        dataset = flive.read(tmp_path)
        assert dict(zip(dataset.photos.names, dataset.photos.mos.tolist(), strict=True)) == pytest.approx(expected)
        assert [dataset.official.count(part) for part in ("train", "val", "test")] == [37983, 0, 1827]

    def test_uhdiqa(self, tmp_path: Path) -> None:
        self.original("uhd-iqa-metadata.csv")
        shutil.copy(ANNOTATIONS / "uhd-iqa-metadata.csv", tmp_path)
        rows = rows_of(ANNOTATIONS / "uhd-iqa-metadata.csv")
        self.photos(tmp_path, [f"{row['set']}/{row['image_name']}" for row in rows])
        dataset = uhdiqa.read(tmp_path)
        assert [dataset.official.count(part) for part in ("train", "val", "test")] == [4269, 904, 900]

    def test_agiqa3k(self, tmp_path: Path) -> None:
        self.original("agiqa_data.csv")
        shutil.copy(ANNOTATIONS / "agiqa_data.csv", tmp_path / "data.csv")
        self.photos(tmp_path / "AGIQA-3K", [row["name"] for row in rows_of(tmp_path / "data.csv")])
        dataset = agiqa3k.read(tmp_path)
        assert set(dataset.photos.groups) == {"AttnGAN", "DALLE2", "glide", "midjourney", "sd1.5", "xl2.2"}
        assert len(set(dataset.photos.scenes)) > 290

    @pytest.mark.parametrize(
        ("name", "file", "table"),
        [
            ("kadid10k", "IQA-Dataset_KADID-10k.csv", "dmos.csv"),
            ("tid2013", "IQA-Dataset_TID2013.csv", "mos_with_names.txt"),
            ("csiq", "IQA-Dataset_CSIQ.csv", "csiq.DMOS.xlsx"),
        ],
    )
    def test_distorted_pictures(self, name: str, file: str, table: str, tmp_path: Path) -> None:
        """Their names and scores from another project's list, written as the release's table."""
        self.original(file)
        rows = [(Path(row["dis_img_path"]), float(row["score"])) for row in rows_of(ANNOTATIONS / file)]
        if name == "kadid10k":
            lines = [[path.name, f"{path.name[:3]}.png", score, 0.5] for path, score in rows]
            made_up._csv(tmp_path / table, [["dist_img", "ref_img", "dmos", "var"], *lines])
            self.photos(tmp_path / "images", [path.name for path, _ in rows])
        elif name == "tid2013":
            (tmp_path / table).write_text("".join(f"{score} {path.name}\n" for path, score in rows))
            self.photos(tmp_path / "distorted_images", [path.name for path, _ in rows])
        else:
            told = {place.casefold(): kind for kind, (place, _) in csiq.PLACES.items()}
            parts = [(path.parent.name.casefold(), *path.stem.rsplit(".", 2), score) for path, score in rows]
            lines = [[scene, told[place], int(level), score] for place, scene, _, level, score in parts]
            made_up._excel(tmp_path / table, "all_by_image", [["image", "dst_type", "dst_lev", "dmos"], *lines])
            self.photos(tmp_path / "dst_imgs", [f"{path.parent.name}/{path.name}" for path, _ in rows])
        dataset = datasets.read(name, tmp_path)
        assert dataset.photos.mos.tolist() == pytest.approx([score for _, score in rows])
        assert [Path(photo).name for photo in dataset.photos.names] == [path.name for path, _ in rows]
        assert len(set(dataset.photos.scenes)) == {"kadid10k": 81, "tid2013": 25, "csiq": 30}[name]
        assert len(set(dataset.photos.groups)) == {"kadid10k": 25, "tid2013": 24, "csiq": 6}[name]

    @pytest.mark.parametrize("name", ["spaq", "cid2013"])
    def test_tables_that_are_rebuilt(self, name: str, tmp_path: Path) -> None:
        """The original Excel files are not at hand: their names and scores, from another project's list."""
        file = {"spaq": "IQA-Dataset_SPAQ.csv", "cid2013": "IQA-Dataset_CID2013.csv"}[name]
        rows = rows_of(ANNOTATIONS / file)
        expected = {
            row["dis_img_path"].split("/", 1 if name == "cid2013" else 3)[-1]: float(row["score"]) for row in rows
        }
        if name == "spaq":
            table = tmp_path / "Annotations" / "MOS and Image attribute scores.xlsx"
            made_up._excel(table, "Sheet1", [["Image name", "MOS"], *([k, v] for k, v in expected.items())])
            paths = [f"TestImage/{photo}" for photo in expected]
        else:
            table = tmp_path / "CID2013 data - version 12112014.xlsx"
            lines = [[Path(photo).stem, score] for photo, score in expected.items()]
            made_up._excel(table, "CID2013 MOS", [["Source_ID", "Realigned MOS"], *lines])
            paths = list(expected)
        self.photos(tmp_path, paths)
        dataset = datasets.read(name, tmp_path)
        assert dict(zip(dataset.photos.names, dataset.photos.mos.tolist(), strict=True)) == pytest.approx(
            expected, abs=1e-4
        )
