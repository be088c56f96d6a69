"""Several data sets in one training."""

import json
import re
import shutil
from pathlib import Path

import numpy as np
import pytest

from tests import made_up
from tests.conftest import Command
from vtiqa_jax import __main__ as program
from vtiqa_jax.data import datasets, joint, split_files
from vtiqa_jax.data.manifest import ImageFolder, Manifest
from vtiqa_jax.data.splits import Split
from vtiqa_jax.errors import UserError
from vtiqa_jax.models import checkpoint, params
from vtiqa_jax.models.config import ModelConfig

pytestmark = pytest.mark.usefixtures("usual_promotion")


def small_set(folder: Path, low: float, high: float, count: int) -> tuple[Manifest, Split]:
    folder.mkdir()
    names = tuple(f"{number}.png" for number in range(count))
    for name in names:
        (folder / name).write_text(f"{folder.name} {name}")
    rows = np.random.default_rng(count).permutation(count)
    mos = np.linspace(low, high, count).astype(np.float32)
    return Manifest(names, mos, ImageFolder(folder)), Split(rows[:-4], rows[-4:-2], rows[-2:], note=f"{count} photos")


def test_each_set_keeps_its_split_and_its_own_scale(tmp_path: Path) -> None:
    sets = {"b": small_set(tmp_path / "b", 0, 100, 12), "a": small_set(tmp_path / "a", 1, 5, 9)}
    photos, split, scale = joint.join(sets)
    assert photos.groups == ("a",) * 9 + ("b",) * 12
    assert (scale.low, scale.high, scale.higher_is_better) == (-3, 3, True)
    for name, (manifest, own) in sets.items():
        for part in ("train", "val", "test"):
            rows = [row for row in getattr(split, part) if photos.groups[row] == name]
            assert [photos.names[row] for row in rows] == [
                f"{name}/{manifest.names[row]}" for row in getattr(own, part)
            ]
        rows = [row for row in split.train if photos.groups[row] == name]
        assert photos.mos[rows].mean() == pytest.approx(0, abs=1e-6)
        assert photos.mos[rows].std() == pytest.approx(1, abs=1e-6)
        for row, photo in enumerate(photos.names):
            if photos.groups[row] == name:
                assert photos.images.read(photo).decode() == photo.replace("/", " ")
    turned, other, _ = joint.join(dict(reversed(sets.items())))
    assert turned.names == photos.names
    np.testing.assert_array_equal(turned.mos, photos.mos)
    np.testing.assert_array_equal(other.train, split.train)
    constant = Manifest(sets["a"][0].names, np.ones(9, np.float32), sets["a"][0].images)
    with pytest.raises(UserError, match="a: all 5 training photos have the same score"):
        joint.join({"a": (constant, sets["a"][1]), "b": sets["b"]})


@pytest.fixture(scope="module")
def releases(tmp_path_factory: pytest.TempPathFactory, config: ModelConfig) -> Path:
    folder = tmp_path_factory.mktemp("releases")
    made_up.koniq10k(folder / "koniq10k", 16)
    made_up.cid2013(folder / "cid2013", 30)
    scores = made_up.biq2021(folder / "unpacked", 12)
    shutil.copytree(folder / "unpacked" / "Images", folder / "mine")
    lines = ["image,mos", *(f"{name},{7 * score}" for name, score in scores.items())]
    (folder / "mine" / "scores.csv").write_text("\n".join(lines) + "\n")
    init = checkpoint.Checkpoint(config, params.init_params(config, 0), None, {})
    checkpoint.save(folder / "init", init)
    return folder


def test_the_order_of_the_names_changes_no_bit(releases: Path, tmp_path: Path, command: Command) -> None:
    for number, names in enumerate(("koniq10k,mine,cid2013", "cid2013, koniq10k,mine")):
        status, said, error = command(
            program.main, "train", "datasets", names, "--releases", releases, "--partial",
            "--checkpoint", releases / "init",
            "--workdir", tmp_path / str(number), "--image-cache", tmp_path / "cache", "--val-fraction", 0.25,
            "--recipe.epochs", 2, "--recipe.batch-size", 8, "--no-plots",
        )  # fmt: skip
        assert status == 0, error
        results = json.loads((tmp_path / str(number) / "result.json").read_text())
        assert set(results["within"]) == {"cid2013", "koniq10k", "mine"}
        assert all(f"\n{name} " in said for name in results["within"])
    file, trained = tmp_path / "0" / "split.json", tmp_path / "0" / "checkpoint"
    given = ("bench", releases, "--only", "cid2013", "--partial", "--checkpoint", trained, "--out", tmp_path / "b.json")
    status, _, error = command(program.main, *given)
    assert status == 2 and "the model was trained on photos of this set" in error
    status, said, error = command(program.main, *given, "--split-files", f"cid2013={file}")
    assert status == 0 and "test of split.json *" in said
    names = datasets.read("cid2013", releases / "cid2013", partial=True).photos.names
    split = json.loads(file.read_text())
    loaded = split_files.load(file, names, val_fraction=0.0, seed=0, data_set="cid2013")
    for part in ("train", "val", "test"):
        own = {photo.removeprefix("cid2013/") for photo in split[part] if photo.startswith("cid2013/")}
        assert {names[row] for row in getattr(loaded, part)} == own
    assert json.loads((tmp_path / "b.json").read_text())["datasets"]["cid2013"]["photos"] == len(loaded.test)
    with pytest.raises(UserError, match="which is not among the"):
        split_files.load(file, names, val_fraction=0.0, seed=0)
    models = [checkpoint.load(tmp_path / str(number) / "checkpoint") for number in (0, 1)]
    assert str(models[0].scale).startswith("standard deviations of cid2013, koniq10k, mine scale, -3 to 3")
    for name, array in models[0].params.items():
        np.testing.assert_array_equal(array, models[1].params[name])


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["koniq10k"], "name at least two data sets, with a comma between them, not 'koniq10k'"),
        (["koniq10k,koniq10k"], "name at least two data sets"),
        (["koniq10k,nowhere"], "'nowhere' is neither one of koniq10k, spaq, .* nor a folder with a scores.csv in"),
        (["koniq10k,mine", "--splits", "3"], "several data sets are trained on one split of each"),
    ],
)
def test_what_cannot_be_joined_is_said_in_one_line(
    releases: Path, arguments: list[str], said: str, tmp_path: Path, command: Command
) -> None:
    status, _, error = command(
        program.main, "train", "datasets", *arguments, "--releases", releases, "--partial", "--workdir", tmp_path / "x"
    )
    assert status == 2
    assert error.count("\n") == 1

    assert re.search(said, error)
    assert not (tmp_path / "x").exists()
