"""docs/extending.md: its files are shown whole, and each extends the package from outside."""

import json
import re
import shlex
from pathlib import Path
from typing import Any

import cv2
import jax.numpy as jnp
import numpy as np
import pytest

from tests.conftest import Command
from vtiqa_jax import __main__
from vtiqa_jax.data.distorted import PRISTINE
from vtiqa_jax.data.manifest import ImageFolder, Manifest
from vtiqa_jax.models import checkpoint
from vtiqa_jax.models.checkpoint import Checkpoint
from vtiqa_jax.models.config import LabelScale, ModelConfig, tiny_config
from vtiqa_jax.models.params import init_params
from vtiqa_jax.own_code import load_class, load_module
from vtiqa_jax.photos.decode import decode
from vtiqa_jax.scoring.scorer import Scorer
from vtiqa_jax.training.recipe import Recipe

REPOSITORY = Path(__file__).parents[1]
PAGE = (REPOSITORY / "docs" / "extending.md").read_text()
FILES = sorted((REPOSITORY / "docs" / "extending").glob("*.py"))
WALKS = dict(re.findall(r"^## (.*?)\n(.*?)(?=^## |\Z)", PAGE, re.DOTALL | re.MULTILINE))
SCALE = LabelScale("test", 0.0, 100.0)


def own(name: str, **settings: Any) -> Any:
    """The recipe of one of the files."""
    file, _, found = name.partition(":")
    return load_class(f"{REPOSITORY / 'docs' / 'extending' / file}:{found}", Recipe)(**settings)


@pytest.fixture(scope="module")
def material(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The photos and the backbone that the commands ask for."""
    folder, rng = tmp_path_factory.mktemp("material"), np.random.default_rng(0)
    lines = ["image,mos,std"]
    for row in range(40):
        photo = np.clip(rng.normal(128, 2 + 2 * row, (96, 96, 3)), 0, 255)
        cv2.imwrite(str(folder / f"{row}.png"), photo.astype(np.uint8))
        lines.append(f"{row}.png,{100 - 2 * row},{5 + row % 7}")
    (folder / "scores.csv").write_text("\n".join(lines) + "\n")
    config = tiny_config(kind="backbone")
    checkpoint.save(folder / "init", Checkpoint(config, init_params(config, 0), None, {"from": "random numbers"}))
    return {"PHOTOS": folder, "INIT": folder / "init"}


@pytest.fixture
def photos(material: dict[str, Path]) -> Manifest:
    names = tuple(f"{row}.png" for row in range(40))
    return Manifest(names, np.linspace(100, 0, 40).astype(np.float32), ImageFolder(material["PHOTOS"]))


def test_the_page_shows_every_file_whole() -> None:
    shown = re.findall(r"^```python\n(.*?)^```$", PAGE, re.DOTALL | re.MULTILINE)
    assert sorted(shown) == sorted(file.read_text() for file in FILES)
    assert len(WALKS) == len(FILES) == 7


@pytest.mark.slow
@pytest.mark.usefixtures("usual_promotion")
@pytest.mark.parametrize("title", WALKS)
def test_its_commands_do_what_it_says(
    title: str, material: dict[str, Path], tmp_path: Path, command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    (block,) = re.findall(r"^```bash\n(.*?)^```$", WALKS[title], re.DOTALL | re.MULTILINE)
    for name, path in {**material, "WORKDIR": tmp_path}.items():
        block = block.replace(f"${name}", str(path))
    monkeypatch.chdir(REPOSITORY)
    program, *words = shlex.split(block.replace("\\\n", " "))
    if program == "python":
        load_module(words[0]).main(material["PHOTOS"], tmp_path)
        assert np.load(tmp_path / "features.npy").shape == (40, 2304)
        predicted, mos = np.load(tmp_path / "predictions.npy")[0], np.linspace(100, 22, 40)
        assert np.corrcoef(predicted, mos)[0, 1] > 0.9
        return
    status, _, error = command(__main__.main, *words)
    assert status == 0, error
    last = json.loads((tmp_path / "metrics.jsonl").read_text().splitlines()[-1])
    assert np.isfinite(last["loss"])
    logged = {
        "A loss": "rank",
        "A loss in place of the usual one": "squared",
        "A loss with extra photos": "pairs",
        "A distortion": "ranking",
    }
    assert [name for name in logged.values() if name in last] == [name for name in [logged.get(title)] if name]
    kind = load_module("docs/extending/registers.py").RegisterConfig if title == "A backbone" else ModelConfig
    trained = checkpoint.load(tmp_path / "checkpoint", kind)
    assert trained.scale is not None
    scores = Scorer(trained.config, trained.params, trained.scale).score([material["PHOTOS"] / "1.png"])
    assert np.isfinite(scores).all()


# ---- each file, by what could be wrong with it ----


def test_the_rank_term_wants_the_order_of_the_labels_and_heeds_agreement() -> None:
    recipe = own("rank.py:RankRecipe", plcc_weight=0.0, rank_weight=1.0)
    batch = {
        "labels": jnp.array([1.0, 0.0, 5.0]),
        "mask": jnp.array([1.0, 1.0, 0.0]),
        "std": jnp.array([1.0, 1.0, 0.0]),
    }
    right, wrong = (recipe.loss(jnp.array([a, b, -9.0]), batch)[1]["rank"] for a, b in ((2.0, 0.0), (0.0, 2.0)))
    assert float(right) == pytest.approx(np.log1p(np.exp(-2)), rel=1e-4)
    assert float(wrong) == pytest.approx(np.log1p(np.exp(2)), rel=1e-4)
    three = {name: values.at[2].set(1.0) for name, values in batch.items()} | {"labels": jnp.array([1.0, 0.0, -1.0])}
    sure = recipe.loss(jnp.array([2.0, 0.0, 1.0]), three | {"std": jnp.array([9.0, 1.0, 1.0])})[1]["rank"]
    unsure = recipe.loss(jnp.array([2.0, 0.0, 1.0]), three | {"std": jnp.array([1.0, 9.0, 9.0])})[1]["rank"]
    assert sure > 2 * unsure, "the last two, in the wrong order, weigh most where their observers agree"


def test_the_squared_error_is_the_mean_over_photos_with_labels() -> None:
    batch = {"labels": jnp.array([1.0, 0.0, 5.0]), "mask": jnp.array([1.0, 1.0, 0.0])}
    assert float(own("squared.py:SquaredRecipe").loss(jnp.array([2.0, 3.0, -9.0]), batch)[0]) == pytest.approx(5.0)


@pytest.mark.usefixtures("usual_promotion")
def test_a_column_that_the_loss_misses_is_named(material: dict[str, Path], tmp_path: Path, command: Command) -> None:
    words = (
        "train", "manifest", "--recipe", f"{REPOSITORY / 'docs' / 'extending' / 'rank.py'}:RankRecipe",
        "--scores", material["PHOTOS"] / "scores.csv", "--images", material["PHOTOS"],
        "--checkpoint", material["INIT"], "--workdir", tmp_path, "--no-plots",
    )  # fmt: skip
    status, _, error = command(__main__.main, *words)
    said = "the loss reads the column 'std', which the photos do not have; name it with --target-columns std"
    assert (status, error.splitlines()[-1]) == (2, f"vtiqa: {said}")
    assert "Traceback" not in error


def test_a_copy_is_shown_with_its_photo_and_has_to_score_lower(photos: Manifest) -> None:
    recipe, rows = own("pairs.py:PairsRecipe", pair_margin=1.0), np.array([3, 4, 7])
    found = recipe.auxiliary_photos(photos, rows, SCALE)
    assert found.groups.tolist() == [[3, 40], [4, 41], [7, 42]]
    assert [found.photos.names[row] for row in found.groups[:, 1]] == [
        "compressed 3.png",
        "compressed 4.png",
        "compressed 7.png",
    ]
    assert found.columns["mask"].tolist() == [1] * 40 + [0] * 3
    pixels, copy = (decode("", found.photos.images.read(found.photos.names[row])).pixels for row in (7, 42))
    assert pixels.shape == copy.shape and np.abs(pixels.astype(int) - copy).mean() > 3
    # Photo 3 and its copy, photo 4 without one, photo 3 once more as it pads a batch.
    shown = np.array([3, 40, 4, 3])
    batch = {name: jnp.asarray(values[shown]) for name, values in found.columns.items()}
    batch |= {"mask": batch["mask"].at[3].set(0), "labels": jnp.array([1.0, 0.0, -1.0, 1.0])}
    for better, missing in ((2.0, 0.0), (0.25, 0.75), (-1.0, 2.0)):
        logged = recipe.loss(jnp.array([better, 0.0, 9.0, -50.0]), batch)[1]
        assert float(logged["pairs"]) == pytest.approx(missing, abs=1e-6)


def test_the_series_show_the_new_distortion(photos: Manifest) -> None:
    recipe = own("vignette.py:VignetteRecipe", ladders=200)
    found = recipe.auxiliary_photos(photos, np.arange(40), SCALE)
    ladder = next(rows for rows in found.groups if "|vignette|" in found.photos.names[rows[-1]])
    shown = [decode("", found.photos.images.read(found.photos.names[row])).pixels.astype(int) for row in ladder]
    assert found.photos.names[ladder[0]].split("|")[1] == PRISTINE
    corners = [pixels[:8, :8].mean() for pixels in shown]
    assert sorted(corners, reverse=True) == corners and corners[-1] < 0.2 * corners[0]
    assert all(abs(pixels[44:52, 44:52].mean() - shown[0][44:52, 44:52].mean()) < 3 for pixels in shown)
    other = own("vignette.py:VignetteRecipe", ladders=200, leave_out=("vignette",)).auxiliary_photos(
        photos, np.arange(40), SCALE
    )
    assert not any("|vignette|" in found.photos.names[row] for row in other.groups.ravel())


def test_registers_are_seen_and_the_rest_begins_as_it_was() -> None:
    plain = tiny_config()
    config = own("registers.py:RegisterRecipe", registers=3).model_config(plain)
    weights = init_params(config, 0)
    name = "backbone.patch_embed.reg_token"
    assert weights.keys() - init_params(plain, 0).keys() == {name}
    assert weights[name].shape == (1, 3, plain.embed_dim)
    images = jnp.asarray(
        np.random.default_rng(0).uniform(-1, 1, (2, config.view_size, config.view_size, 3)), jnp.float32
    )
    model, larger = (Checkpoint(config, weights | {name: gain * weights[name]}, SCALE, {}).model() for gain in (1, 50))
    assert model.backbone.embed(images).shape[1] == config.num_tokens + 3
    assert not np.allclose(model(images, images), larger(images, images), rtol=1e-3)


def test_a_data_set_is_read_and_checked(material: dict[str, Path], command: Command) -> None:
    mine = load_module(str(REPOSITORY / "docs" / "extending" / "mine.py"))
    found = mine.read(material["PHOTOS"], partial=True)
    assert found.photos.names[:2] == ("0.png", "1.png")
    assert found.on_common_scale().mos[0] == pytest.approx(5.0)
    file = REPOSITORY / "docs" / "extending" / "mine.py"
    words = ("train", "dataset", file, "--release", material["PHOTOS"])
    status, _, error = command(__main__.main, *words)
    assert (status, error.count("\n")) == (2, 1)
    assert "lists 40 photos, My photographs has 5000" in error
    status, _, error = command(__main__.main, "train", "dataset", REPOSITORY / "train.py", "--release", ".")
    assert status == 2 and "is not a reader of a data set: it needs INFO" in error
