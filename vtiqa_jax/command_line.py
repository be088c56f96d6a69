"""A command line's words: to a command with its arguments, to help, or to a mistake told in one line."""

import dataclasses
import difflib
import functools
import importlib.metadata
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal, get_args

from cyclopts import (
    App,
    Argument,
    ArgumentCollection,
    CoercionError,
    CycloptsError,
    MissingArgumentError,
    Parameter,
    UnusedCliTokensError,
)
from cyclopts import Group as Section

from vtiqa_jax.errors import UserError
from vtiqa_jax.help_page import HelpPage

OPTIONS = Section.create_default_parameters("Options")
"""Group in the help of options that have no other."""


@dataclasses.dataclass(frozen=True)
class Command:
    """A function whose parameters are options."""

    function: Callable[..., int | None] | str
    """The function, or "module:function", which is imported when it is wanted."""
    summary: str
    """Its line in the list of commands; when empty, that of its docstring."""


@dataclasses.dataclass(frozen=True)
class Group:
    """The commands behind one word, `vtiqa train` say."""

    commands: "Mapping[str, Command | Group]"
    """Commands and groups by name."""
    summary: str
    """Its line in the list of commands."""
    default: str = ""
    """The command that runs when none is named."""


def parse(asked: Command | Group, program: str, arguments: Sequence[str]) -> functools.partial[Any]:
    """Returns the call that a command line asks for: a command with its arguments, or the printing of help.

    Args:
        asked: the command, or those to choose from.
        program: how the program is called.
        arguments: the command line.

    Raises:
        UserError: a mistake on the command line.
    """
    app = _make_app(asked, program)
    if "" in arguments:
        raise UserError("an argument is empty; is a variable of the shell not set?")
    names, apps, rest = app.parse_commands(arguments)
    named, depth = _find(asked, names)
    path, chosen = " ".join([program, *names[:depth]]), apps[depth]
    if isinstance(named, Group) and depth == len(names):
        if named.default and (not rest or rest[0].startswith("-")):
            return parse(asked, program, [*names, named.default, *rest])
        raise UserError(_say_unnamed(list(chosen), rest, path))
    try:
        if depth and isinstance(named, Command):
            chosen.help = None  # the function's docstring says more than the summary
        if chosen.default_command and any(word.partition("=")[0] == "--recipe" for word in rest):
            from vtiqa_jax.commands.recipe import choose_recipe  # imports JAX, which help does without

            chosen.default_command, rest = choose_recipe(chosen.default_command, rest)
        function, bound, _ = app.parse_args([*names, *rest], exit_on_error=False, print_error=False)
    except (CycloptsError, ValueError) as error:  # ValueError: of a recipe of one's own, that refuses its options
        raise UserError(f"{_say(error)} See {path} --help.") from None
    bound.apply_defaults()
    return functools.partial(function, *bound.args, **bound.kwargs)


def _find(asked: Command | Group, names: Sequence[str]) -> tuple[Command | Group, int]:
    """Finds the command or group that words name, and how many words; the others are --help and the like."""
    found = asked
    for depth, name in enumerate(names):
        if not isinstance(found, Group) or name not in found.commands:
            return found, depth
        found = found.commands[name]
    return found, len(names)


# ---- what Cyclopts is given ----


def _make_app(asked: Command | Group, program: str) -> App:
    """Makes a program of Cyclopts."""
    app = App(
        program,
        help=asked.summary,
        help_format="plaintext",
        help_formatter=HelpPage(),
        group_parameters=OPTIONS,
        version=lambda: f"vtiqa-jax {importlib.metadata.version('vtiqa-jax')}",
        config=_refuse_fractions,
        # A repeated option has its last value, as where a shell's alias gives another one before.
        default_parameter=Parameter(
            allow_repeating=True, consume_multiple=(1, None), negative_bool=(), negative_iterable=()
        ),
    )

    def print_completion(shell: Literal["bash", "zsh", "fish", "powershell"], /) -> None:
        print(app.generate_completion(shell=shell))

    if program.isidentifier():  # not `python -m convert`: the script would complete all of Python
        app.command(print_completion, name="--print-completion", help="Print a script that completes command lines.")
    for name in app:
        app[name].group = OPTIONS
    if isinstance(asked, Group):
        _add_commands(app, asked)
    elif callable(asked.function):
        app.default(asked.function)
    return app


def _add_commands(app: App, group: Group) -> None:
    for place, (name, command) in enumerate(group.commands.items()):
        if isinstance(command, Group):
            below = App(name, help=command.summary, sort_key=place)
            app.command(below)
            _add_commands(below, command)
        else:
            app.command(command.function, name=name, help=command.summary or None, sort_key=place)


# ---- mistakes ----


def _refuse_fractions(app: App, commands: tuple[str, ...], arguments: ArgumentCollection) -> None:
    """Refuses 1.5 as a whole number, which Cyclopts would round."""
    for argument in arguments:
        for token in argument.tokens:
            if int in (argument.hint, *get_args(argument.hint)) and not re.fullmatch(r"[+-]?\d+", token.value):
                raise CoercionError(f"{argument.name} takes a whole number, not {token.value}.")


def _say_unnamed(commands: Sequence[str], words: Sequence[str], path: str) -> str:
    """Says that no command is named, or one that is not there."""
    if not words:
        return f"Name a command: {', '.join(name for name in commands if name[0] != '-')}. See {path} --help."
    near = difflib.get_close_matches(words[0], commands, 1)
    kind = "option" if words[0].startswith("-") else "command"
    return f"Unknown {kind}: {words[0]}.{f' Did you mean {near[0]}?' if near else ''} See {path} --help."


def _say(error: Exception) -> str:
    """Says what is wrong with the arguments of a command."""
    match error:
        case MissingArgumentError(argument=Argument(name=name), keyword=None):
            unknown = [word for word in error.unused_tokens or () if word.startswith("-")]
            return f"{name} is required{f', and {unknown[0]} is unknown' if unknown else ''}."
        case MissingArgumentError(argument=Argument() as argument):
            count, _ = argument.token_count()
            return f"{error.keyword} needs {'a value' if count == 1 else f'{count} values'}."
        case UnusedCliTokensError(unused_tokens=[word, *_]):
            return f"{word} is one argument too many."
        case CycloptsError():
            error.verbose = False
    return str(error)
