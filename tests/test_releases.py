"""The public data sets' readers, on made-up releases in the real layout, and what they say when something is off.

With VTIQA_ANNOTATIONS naming a folder of real annotation tables, names and scores are compared with those as well.
"""

import csv
import dataclasses
import os
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest

from tests import made_up
from vtiqa_jax import releases
from vtiqa_jax.errors import UserError
from vtiqa_jax.releases import biq2021, cid2013, koniq10k, livew, rbid, spaq

MODULES = {module.CARD.name: module for module in (koniq10k, spaq, livew, rbid, cid2013, biq2021)}


@pytest.fixture(params=releases.NAMES)
def made(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[str, Path, dict]:
    """A made-up release whose size its card is told: everything else is checked as for the real one."""
    name = request.param
    scores = made_up.MAKERS[name](tmp_path / name)
    proper = [score for photo, score in scores.items() if "trainingImages" not in photo]
    card = dataclasses.replace(MODULES[name].CARD, count=len(proper), mean=float(np.mean(proper)))
    monkeypatch.setattr(MODULES[name], "CARD", card)
    return name, tmp_path / name, scores


def test_every_photo_has_its_score(made: tuple) -> None:
    name, folder, scores = made
    release = releases.read(name, folder)
    photos = release.photos
    assert len(photos.names) == len(scores)
    assert dict(zip(photos.names, photos.mos.tolist(), strict=True)) == pytest.approx(scores, abs=1e-4)
    assert all(path.is_file() for path in photos.paths)
    common = release.common()
    assert common.names == photos.names
    low, high = release.card.scale.low, release.card.scale.high
    assert (common.mos >= low - 0.2).all()
    assert (common.mos <= high).all()
    assert np.corrcoef(common.mos, photos.mos)[0, 1] == pytest.approx(1)


def test_what_the_sets_alone_have(made: tuple) -> None:
    name, folder, _ = made
    release = releases.read(name, folder)
    assert release.set_aside == (tuple(range(7)) if name == "livew" else ())
    assert len(release.proper().photos.names) == release.card.count
    assert set(release.official) == {
        "koniq10k": {"train", "val", "test"},
        "biq2021": {"train", "test"},
    }.get(name, set())
    assert set(release.photos.scenes) == ({f"co{i}" for i in range(1, 7)} if name == "cid2013" else set())
    assert set(release.photos.groups) == ({"ss01", "ss02", "ss03"} if name == "biq2021" else set())


def test_a_missing_photo_and_a_missing_table_are_named(made: tuple) -> None:
    name, folder, scores = made
    photos = releases.read(name, folder).photos
    photos.paths[9].unlink()
    with pytest.raises(
        UserError, match=f"1 of {len(scores)} photos of .* are not in .*{re.escape(photos.paths[9].name)}"
    ):
        releases.read(name, folder)
    assert len(releases.read(name, folder, partial=True).photos.names) == len(scores) - 1
    for table in [path for path in folder.rglob("*") if path.suffix in (".csv", ".xlsx", ".mat")]:
        table.unlink()
    with pytest.raises(UserError, match=r"holds no .*; found"):
        releases.read(name, folder)
    with pytest.raises(UserError, match="is not a folder"):
        releases.read(name, folder / "nowhere")


def test_a_table_cut_off_or_of_other_scores_is_noticed(made: tuple, monkeypatch: pytest.MonkeyPatch) -> None:
    name, folder, scores = made
    card = MODULES[name].CARD
    for change, said in (
        ({"count": card.count + 1}, f"lists {card.count} photos, .* has {card.count + 1}"),
        ({"high": card.high + 10 * (card.high - card.low), "mean": card.mean + 5}, "a mean score of"),
        ({"high": (card.low + card.high) / 2}, "scores from .* to .*, where"),
    ):
        monkeypatch.setattr(MODULES[name], "CARD", dataclasses.replace(card, **change))
        with pytest.raises(UserError, match=said):
            releases.read(name, folder)
    assert len(scores) >= card.count


def rows_of(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def edited(path: Path, change: Callable[[str], str]) -> None:
    path.write_text(change(path.read_text()))


@pytest.fixture
def koniq(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    made_up.koniq10k(tmp_path)
    monkeypatch.setattr(koniq10k, "CARD", dataclasses.replace(koniq10k.CARD, count=made_up.COUNT, mean=None))
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
    with pytest.raises(UserError, match="'photo 1' is no Source_ID"):
        cid2013.read(tmp_path / "cid2013", partial=True)


def test_the_common_scale_is_the_releases() -> None:
    """Section 5 of the paper's test scripts, at one score of each set."""
    for name, mos, common in (
        ("koniq10k", 3.2, 3.2),
        ("livew", 50.0, 3.0),
        ("spaq", 25.0, 2.0),
        ("rbid", 2.5, 3.0),
        ("cid2013", 40.0, 3.0),
        ("biq2021", 0.5, 3.0),
    ):
        assert releases.card(name).common(np.array([mos]))[0] == pytest.approx(common)


def test_the_builders_write_and_give_back_the_release(made: tuple, tmp_path: Path) -> None:
    import tensorflow_datasets as tfds

    import vtiqa_jax.releases.builders  # noqa: F401  registers them

    name, folder, scores = made
    builder = tfds.builder(name, data_dir=tmp_path / "tfds", file_format="array_record")
    builder.download_and_prepare(download_config=tfds.download.DownloadConfig(manual_dir=folder))
    release = releases.read(name, folder).proper()
    expected = {photo: (mos, part) for photo, mos, part in zip(
        release.photos.names, release.photos.mos, release.official or ["full"] * len(scores), strict=False
    )}  # fmt: skip
    assert set(builder.info.splits) == {part for _, part in expected.values()}
    seen = set()
    for part in builder.info.splits:
        for example in builder.as_data_source(part):
            photo = example["name"].decode()
            mos, wanted = expected[photo]
            assert (example["mos"], part) == (pytest.approx(mos), wanted)
            assert example["mos_common"] == pytest.approx(release.card.common(np.array([mos]))[0])
            if photo.lower().endswith("bmp"):  # lossless: the stored picture is the file's
                original = cv2.imread(str(release.photos.images / photo))[:, :, ::-1]
                np.testing.assert_array_equal(example["image"], original)
            seen.add(photo)
    assert seen == expected.keys()


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
        wanted = self.listed("liqe_koniq10k_split1.tsv")
        self.photos(tmp_path / "1024x768", list(wanted))
        release = koniq10k.read(tmp_path)
        assert dict(zip(release.photos.names, release.photos.mos.tolist(), strict=True)) == pytest.approx(
            wanted, abs=2e-6
        )
        assert [release.official.count(part) for part in ("train", "val", "test")] == [7058, 1000, 2015]

    def test_rbid(self, tmp_path: Path) -> None:
        shutil.copy(ANNOTATIONS / "BID_DatabaseGrades.original.xls", tmp_path / "DatabaseGrades.xls")
        wanted = self.listed("liqe_bid_split1.tsv")
        self.photos(tmp_path / "ImageDatabase", list(wanted))
        release = rbid.read(tmp_path)
        assert dict(zip(release.photos.names, release.photos.mos.tolist(), strict=True)) == pytest.approx(
            wanted, abs=1e-6
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
        release = livew.read(tmp_path).proper()
        wanted = self.listed("liqe_clive_split1.tsv")
        assert dict(zip(release.photos.names, release.photos.mos.tolist(), strict=True)) == pytest.approx(
            wanted, abs=1e-4
        )

    @pytest.mark.parametrize("name", ["spaq", "cid2013"])
    def test_tables_that_are_rebuilt(self, name: str, tmp_path: Path) -> None:
        """The original Excel files are not at hand: their names and scores, from another project's list."""
        file = {"spaq": "IQA-Dataset_SPAQ.csv", "cid2013": "IQA-Dataset_CID2013.csv"}[name]
        rows = rows_of(ANNOTATIONS / file)
        wanted = {
            row["dis_img_path"].split("/", 1 if name == "cid2013" else 3)[-1]: float(row["score"]) for row in rows
        }
        if name == "spaq":
            table = tmp_path / "Annotations" / "MOS and Image attribute scores.xlsx"
            made_up._excel(table, "Sheet1", [["Image name", "MOS"], *([k, v] for k, v in wanted.items())])
            wanted_paths = [f"TestImage/{photo}" for photo in wanted]
        else:
            table = tmp_path / "CID2013 data - version 12112014.xlsx"
            lines = [[Path(photo).stem, score] for photo, score in wanted.items()]
            made_up._excel(table, "CID2013 MOS", [["Source_ID", "Realigned MOS"], *lines])
            wanted_paths = list(wanted)
        self.photos(tmp_path, wanted_paths)
        release = releases.read(name, tmp_path)  # type: ignore[arg-type]
        assert dict(zip(release.photos.names, release.photos.mos.tolist(), strict=True)) == pytest.approx(
            wanted, abs=1e-4
        )
