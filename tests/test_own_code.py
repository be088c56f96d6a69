"""A person's own file on the command line: it is found, or one line says why not."""

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.conftest import Command
from vtiqa_jax import __main__
from vtiqa_jax.command_line import parse
from vtiqa_jax.data.manifest import ImageFolder, Manifest
from vtiqa_jax.data.splits import Split
from vtiqa_jax.errors import UserError
from vtiqa_jax.models.config import LabelScale, ModelConfig
from vtiqa_jax.own_code import load_class, load_module
from vtiqa_jax.training.finetune import FinetuneRecipe
from vtiqa_jax.training.options import TrainOptions
from vtiqa_jax.training.published import PublishedRecipe
from vtiqa_jax.training.recipe import Recipe
from vtiqa_jax.training.run_state import diff_settings, run_identity

RECIPE = '''
import dataclasses
from vtiqa_jax.training.finetune import FinetuneRecipe
from vtiqa_jax.training.recipe import Recipe
import beside

@dataclasses.dataclass(frozen=True)
class Mine(FinetuneRecipe):
    """Mine."""
    strength: float = beside.STRENGTH
    """How strong."""

class Half(Recipe):
    """Lacks everything."""

@dataclasses.dataclass(frozen=True, kw_only=True)
class Bare(FinetuneRecipe):
    """Has no default."""
    bits: int

class Alone:
    """No recipe."""
'''


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "mine.py").write_text(RECIPE)
    (tmp_path / "beside.py").write_text("STRENGTH = 0.25\n")
    monkeypatch.chdir(tmp_path)
    for name in ("mine", "beside", "own_mine"):  # of another test
        monkeypatch.delitem(sys.modules, name, raising=False)
    return tmp_path


def asked(*words: str) -> TrainOptions:
    """The options that a training would get."""
    call = parse(__main__.TRAIN, "vtiqa train", ["manifest", "--scores", "S", "--images", "I", *words])
    return call.keywords["options"]


@pytest.mark.parametrize("where", ["mine.py:Mine", "mine:Mine", "./mine.py:Mine"])
def test_a_recipe_of_ones_own_has_its_options(folder: Path, where: str) -> None:
    before = list(sys.path)
    recipe = asked("--recipe.strength", "2", "--recipe", where, "--recipe.epochs", "3", "--keep-head").recipe
    assert (type(recipe).__name__, recipe.strength, recipe.epochs) == ("Mine", 2.0, 3)  # type: ignore[attr-defined]
    assert asked(f"--recipe={where}").recipe.strength == 0.25  # type: ignore[attr-defined]
    assert sys.path == before


def test_the_packages_recipes_are_chosen_alike() -> None:
    for words in (["--recipe", "published"], ["--recipe=published"]):
        assert asked(*words, "--recipe.max-epochs", "5").recipe == PublishedRecipe(max_epochs=5)
    assert asked("--recipe", "finetune", "--recipe", "published").recipe == PublishedRecipe()
    assert asked("--recipe.epochs", "5").recipe == asked("--recipe", "finetune", "--recipe.epochs", "5").recipe
    assert asked().recipe == FinetuneRecipe()


@pytest.mark.parametrize(
    ("where", "said"),
    [
        ("none.py:Mine", "none.py: no such file"),
        ("--keep-head", "--recipe needs a value."),
        ("publishd", "--recipe takes finetune, published, FILE.py:CLASS or MODULE:CLASS, not publishd"),
        ("mine.py", "mine.py: name a class as FILE.py:CLASS or MODULE:CLASS"),
        ("mine.py:", "name a class as FILE.py:CLASS"),
        ("mine.py:Other", "mine.py has no Other; it has Mine, Half, Bare"),
        ("mine.py:Bare", "Bare in mine.py: bits needs a default"),
        ("mine.py:beside", "beside in mine.py is not a subclass of vtiqa_jax.training.recipe.Recipe"),
        ("mine.py:Alone", "Alone in mine.py is not a subclass of vtiqa_jax.training.recipe.Recipe"),
        ("mine.py:Half", "Half in mine.py lacks augment, learning_rate, loss, optimizer, update_schedule"),
        ("broken.py:Mine", "broken.py cannot be imported: ZeroDivisionError: division by zero"),
        ("wrong.py:Mine", "wrong.py cannot be imported: SyntaxError"),
        ("no_such_module:Mine", "no_such_module cannot be imported: ModuleNotFoundError"),
    ],
)
def test_what_is_wrong_with_it_is_one_line(folder: Path, command: Command, where: str, said: str) -> None:
    (folder / "broken.py").write_text("1 / 0\n")
    (folder / "wrong.py").write_text("class Mine(\n")
    words = ("train", "manifest", "--scores", "S", "--images", "I", "--recipe", *where.split())
    status, _, error = command(__main__.main, *words)
    assert (status, error.count("\n")) == (2, 1)
    assert said in error


def test_its_options_are_in_the_help_and_misspelt_ones_are_told(folder: Path, command: Command) -> None:
    words = ("train", "manifest", "--recipe", "mine.py:Mine")
    _, shown, _ = command(__main__.main, *words, "--help")
    assert "--recipe.strength" in shown and "How strong" in shown
    status, _, error = command(__main__.main, *words, "--scores", "S", "--images", "I", "--recipe.strenght", "1")
    assert (status, "Did you mean --recipe.strength?" in error) == (2, True)


@pytest.mark.parametrize("decorator", ["", "@dataclasses.dataclass"])
def test_a_class_that_is_no_frozen_dataclass_is_told_so(folder: Path, decorator: str) -> None:
    (folder / "bare.py").write_text(f"import dataclasses\n{decorator}\nclass Bare:\n    pass\n")
    with pytest.raises(UserError, match=r"Bare in bare.py is not a frozen dataclass; put @dataclasses"):
        load_class("bare.py:Bare", object)


def test_two_files_of_one_name_are_two_modules(folder: Path) -> None:
    first = load_class("mine.py:Mine", Recipe)
    (folder / "other").mkdir()
    (folder / "other" / "mine.py").write_text(RECIPE.replace("strength: float", "weight: float"))
    second = load_class("other/mine.py:Mine", Recipe)
    assert (hasattr(first, "strength"), hasattr(second, "strength")) == (True, False)


def test_a_file_that_leaves_the_program_is_a_mistake_too(folder: Path) -> None:
    (folder / "leaves.py").write_text("import sys\nsys.exit(3)\n")
    with pytest.raises(UserError, match=r"leaves.py cannot be imported: SystemExit: 3"):
        load_module("leaves.py")


def test_a_run_is_not_gone_on_with_after_its_file_has_changed(folder: Path, config: ModelConfig) -> None:
    photos = Manifest(("a", "b"), np.float32([1, 2]), ImageFolder(folder))
    for name in photos.names:
        (folder / name).touch()
    split, scale = Split(np.arange(2), np.arange(0), np.arange(0)), LabelScale("test", 1.0, 5.0)

    def identity(recipe: Recipe) -> dict[str, Any]:
        return run_identity(recipe, config, {}, photos, split, scale, keep_head=False)

    first, again = (identity(load_class("mine.py:Mine", Recipe)()) for _ in range(2))
    (folder / "mine.py").write_text(RECIPE + "# another loss\n")
    other = identity(load_class("mine.py:Mine", Recipe)())
    assert first == again
    assert diff_settings(first, other) == "the recipe's file"
    assert "code of the recipe" not in identity(FinetuneRecipe())


def test_what_differs_between_runs_is_named_as_it_is_typed() -> None:
    before = {
        "recipe": "FinetuneRecipe", "recipe.batch_size": 32, "init": "a", "keep head": False, "selected on": "test",
        "split": "b", "model.depth": 2, "model.view_size": 224,
    }  # fmt: skip

    def differing(*changes: tuple[str, Any]) -> str:
        return diff_settings(before, before | dict(changes))

    assert differing(("recipe.batch_size", 8)) == "--recipe.batch-size"
    assert differing(("recipe.batch_size", 8), ("recipe", "PublishedRecipe")) == "--recipe", "its settings follow"
    assert differing(("init", "c")) == differing(("init", "c"), ("model.depth", 3)) == "--checkpoint"
    assert differing(("init", "c"), ("keep head", True)) == "--keep-head", "the weights that it keeps follow"
    assert differing(("init", "c"), ("model.view_size", 96), ("split", "d")) == "--view-size, the split"
    assert differing(("selected on", "nothing")) == "the validation photos"
