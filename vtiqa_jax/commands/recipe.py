"""`--recipe`: the class whose fields are the `--recipe.` options of a training."""

import dataclasses
import functools
import inspect
import typing
from collections.abc import Callable
from typing import Annotated, Any

from cyclopts import App, Parameter

from vtiqa_jax.errors import UserError
from vtiqa_jax.own_code import load_class
from vtiqa_jax.training.finetune import FinetuneRecipe
from vtiqa_jax.training.options import TrainOptions
from vtiqa_jax.training.published import PublishedRecipe
from vtiqa_jax.training.recipe import Recipe

RECIPES: dict[str, type[Recipe]] = {"finetune": FinetuneRecipe, "published": PublishedRecipe}


def offer_recipe(recipe: type[Recipe]) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Decorates a command so that the fields of a recipe are options.

    Args:
        recipe: the class; without these options its defaults hold.

    Returns:
        The decorator, for a function whose `options` are `TrainOptions`.
    """
    field = ("recipe", Annotated[recipe, Parameter(group="Recipe")], recipe())
    chosen = dataclasses.make_dataclass(
        "TrainOptions", [field], bases=(TrainOptions,), frozen=True, namespace={"__module__": __name__}
    )

    def decorate(command: Callable[..., None]) -> Callable[..., None]:
        @functools.wraps(command)
        def with_recipe(*given: Any, **named: Any) -> None:
            command(*given, **named)

        parameters = inspect.signature(command).parameters
        options = parameters["options"].replace(default=chosen())
        signature = inspect.Signature([*(parameters | {"options": options}).values()])
        with_recipe.__annotations__ = command.__annotations__ | {"options": Annotated[chosen, Parameter(name="*")]}
        vars(with_recipe)["__signature__"] = signature
        return with_recipe

    return decorate


def choose_recipe(command: Callable[..., Any], words: list[str]) -> tuple[Callable[..., Any], list[str]]:
    """Gives a training the options of the recipe that its words name.

    Args:
        command: any command.
        words: its arguments.

    Returns:
        The command with these options, and the other words.

    Raises:
        UserError: there is no such recipe, or the command is no training.
        CycloptsError: `--recipe` has no value.
    """
    hints = typing.get_type_hints(command)
    if not issubclass(hints.get("options", object), TrainOptions):
        raise UserError(
            "--recipe goes only with vtiqa train manifest, dataset and datasets; its options:"
            " vtiqa train manifest --recipe published --help"
        )

    def pick(*, recipe: str) -> None:
        """Takes the one word."""

    app = App(
        default_command=pick, help_flags=(), version_flags=(), exit_on_error=False, print_error=False,
        default_parameter=Parameter(allow_repeating=True),
    )  # fmt: skip
    _, bound, others, _ = app.parse_known_args(words)
    return offer_recipe(_load_recipe(bound.arguments["recipe"]))(command), others


def _load_recipe(name: str) -> type[Recipe]:
    if name in RECIPES:
        return RECIPES[name]
    if ":" not in name and not name.endswith(".py"):
        raise UserError(f"--recipe takes {', '.join(RECIPES)}, FILE.py:CLASS or MODULE:CLASS, not {name}")
    return load_class(name, Recipe)
