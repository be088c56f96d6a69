"""What every command line shares: subcommands from typed functions, quiet help texts, mistakes told in one line."""

import contextlib
import dataclasses
import difflib
import functools
import importlib.metadata
import inspect
import io
import logging
import os
import pkgutil
import re
import sys
import typing
import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import Annotated, Any, Literal, NoReturn

import tyro
from tyro.constructors import ConstructorRegistry, StructConstructorSpec, StructTypeInfo

from vtiqa_jax import compile_cache, exits, terminal
from vtiqa_jax.cpus import available_cpus
from vtiqa_jax.errors import UserError
from vtiqa_jax.own_code import load_class

OPEN_CHOICES = {"recipe": "vtiqa_jax.training.recipe:Recipe"}
"""Options that also take a class of a person's own, and what it must be a subclass of."""
OWN = "own"
"""What tyro calls it."""

TOLD = {
    r"Missing value for argument '(.*?)'": "{0} needs a value{see}",
    r"invalid choice ('.*?') for argument '(.*?)'\. Expected one of \((.*?),?\)\.": "{1} takes one of {2}, not {0}",
    r"Error parsing (\S+): .*?(?:base 10:|float:|arguments:) \[?('[^\]\n]*').* helptext:\s+\S+ (.*?) *\n": (
        "{0} takes {2}, not {1}"
    ),
    r"(?:Unrecognized|misplaced) options:\s+([^\s,]+)": "unexpected {0}{see}",
    r"---\s+(?:Error parsing )?(.*?)\.?\s*(?:---|\n\s*\n|$)": "{0}{see}",
}
"""What tyro says of a mistake, which it has no public way to ask for, and how it is told here."""


@dataclasses.dataclass(frozen=True)
class Group:
    """The subcommands behind one word, `vtiqa train` say."""

    subcommands: "Mapping[str, Callable[..., Any] | str | Group]"
    """By name: a typed function, "module:function" for one that is imported when it is wanted, or a group."""
    description: str
    default: str = ""
    """The subcommand that runs when none is named."""


def run(
    subcommands: Mapping[str, Callable[..., Any] | str | Group],
    program: str,
    description: str | None,
    default: str = "",
    arguments: Sequence[str] | None = None,
) -> NoReturn:
    """Runs the subcommand that the command line names and exits, see `exits.run`; 2 for bad arguments.

    Args:
        subcommands: as in a `Group`.
        program: how the program is called.
        description: what it does.
        default: the subcommand that runs when none is named.
        arguments: the command line; that of this process when not given.

    Raises:
        SystemExit: always.
    """
    terminal.accept_any_text()
    # Without a home, matplotlib keeps its list of fonts in a temporary folder, and says so at length.
    logging.getLogger("matplotlib").setLevel(logging.ERROR)
    words = sys.argv[1:] if arguments is None else list(arguments)
    exits.run(lambda: parse(Group(subcommands, description or "", default), program, words)(), program)


def parse(group: Group, program: str, words: list[str]) -> Callable[[], int | None]:
    """What a command line asks for, ready to be called.

    Args:
        group: the subcommands to choose from.
        program: how the program is called.
        words: the command line.

    Raises:
        UserError: a mistake on the command line.
    """
    options = ["--version", "--print-completion"][: 1 + program.isidentifier()]  # none for `python -m`: all of Python
    option = words[0] if words and words[0] in options else ""
    if option == "--version":
        return lambda: print(f"vtiqa-jax {importlib.metadata.version('vtiqa-jax')}")
    if option == "--print-completion":
        whole = functools.partial(_app(group, whole=True).cli, **_settings())
        script = _completion(whole, program, "".join(words[1:]))
        return lambda: print(script)
    command, path = group, program
    while isinstance(command, Group):
        word = words[0] if words else ""
        if word in ("-h", "--help"):
            notes = f"See `{path} NAME --help` for the options of one. Other options: {', '.join(options)}"
            about = f"{command.description}\n\n{notes.removesuffix(' Other options: ')}"
            return functools.partial(_app(command, whole=False).cli, prog=path, description=about, args=["--help"])
        if word in command.subcommands:
            words = words[1:]
        elif command.default and (not word or word.startswith("-")):
            word = command.default
        elif word:
            raise UserError(_unknown(word, ["--help", *options, *command.subcommands], path))
        else:
            raise UserError(f"name one of {', '.join(command.subcommands)}; see {path} --help")
        command, path, options = command.subcommands[word], f"{path} {word}", []
    words, own = _own_classes(words)
    return _parsed(functools.partial(tyro.cli, _deferred(command), **_settings(own)), path, _ordered(words))


def _own_classes(words: list[str]) -> tuple[list[str], dict[str, type]]:
    """The words with `recipe:own` for a class of a person's own, `--recipe FILE.py:CLASS` say; and those classes.

    Raises:
        UserError: there is no such class, or no value.
    """
    own: dict[str, type] = {}
    left: list[str] = []
    given = iter(words)
    for word in given:
        option, equals, value = word.partition("=")
        name, colon, choice = word.partition(":")
        if option.removeprefix("--") in OPEN_CHOICES and option.startswith("--"):
            name, choice = option.removeprefix("--"), value if equals else next(given, "")
            if not choice or choice.startswith("-"):
                raise UserError(f"{option} needs a value, FILE.py:CLASS say")
        elif not colon or name not in OPEN_CHOICES:
            left.append(word)
            continue
        if ":" in choice or choice.endswith(".py"):
            own[name] = load_class(choice, pkgutil.resolve_name(OPEN_CHOICES[name]))
            choice = OWN
        left.append(f"{name}:{choice}")
    return left, own


def _parsed(cli: Callable[..., Any], path: str, words: list[str]) -> Callable[[], int | None]:
    """A function with its arguments, and JAX prepared for it. Errors: UserError for a mistake."""
    said = io.StringIO()
    try:
        with contextlib.redirect_stderr(said):
            call = cli(prog=path, args=words)
    except SystemExit as ended:
        if not ended.code:
            return lambda: 0  # its help is printed
        raise UserError(_mistake(cli, words, path)) from None
    sys.stderr.write(said.getvalue())  # a warning to a developer
    _prepare_jax()
    return call


def _ordered(words: list[str]) -> list[str]:
    """`recipe:published` before the first `--recipe.` option, where tyro wants it."""
    for at, word in enumerate(words):
        name, colon, _ = word.partition(":")
        early = [bool(colon) and option.startswith(f"--{name}.") for option in words[:at]]
        if any(early):
            first = early.index(True)
            return [*words[:first], word, *words[first:at], *words[at + 1 :]]
    return words


def _prepare_jax() -> None:
    """Fits JAX to this machine."""
    compile_cache.keep_compiled()
    # XLA's threads, read when JAX first computes: by itself it sees the affinity, and not a container's share.
    os.environ.setdefault("NPROC", str(available_cpus()))
    # JAX says so on every machine with a GPU it cannot use; a person who wants one sees it in the device's name.
    warnings.filterwarnings("ignore", message=".*falling back to cpu.*")


# ---- what tyro is given ----


def _deferred(command: Callable[..., Any] | str) -> Callable[..., Any]:
    """A function that returns the call of a command instead of making it, with the same options."""
    function = pkgutil.resolve_name(command) if isinstance(command, str) else command

    def deferred(*given: Any, **named: Any) -> Callable[[], Any]:
        return functools.partial(function, *given, **named)

    hints = typing.get_type_hints(function, include_extras=True)
    deferred.__doc__ = inspect.getdoc(function) or ""
    deferred.__annotations__ = {name: _shown(hint) for name, hint in hints.items() if name != "return"}
    vars(deferred)["__signature__"] = inspect.signature(function)
    vars(deferred).pop("__wrapped__", None)  # a type checker's, in which tyro would look for the options
    return deferred


def _shown(hint: Any) -> Any:
    """The type of an option, with what its help text is to show."""
    bare = hint
    while typing.get_origin(bare) is Annotated:
        bare = typing.get_args(bare)[0]
    notes = [tyro.conf.arg(help_behavior_hint=_default)]
    if bare is bool:  # of a pair of flags only the first; `bool | None` has both
        notes.append(tyro.conf.FlagCreatePairsOff)
    if typing.get_origin(bare) is not Literal:
        notes.append(tyro.conf.PositionalMetavarFromFieldName)
    return Annotated[hint, *notes]


def _default(label: str) -> str:
    return "" if label in ("", "None", "False") else f"(default: {label})"


def _settings(own: Mapping[str, type] = MappingProxyType({})) -> dict[str, Any]:
    """How tyro makes options; the fields of dataclasses are shown as the parameters of functions are.

    Args:
        own: a further choice of the fields of these names.
    """

    def opened(name: str, hint: Any) -> Any:
        return hint | Annotated[own[name], tyro.conf.subcommand(OWN)] if name in own else hint

    registry, is_inside = ConstructorRegistry(), False

    @registry.struct_rule
    def fields(info: StructTypeInfo) -> StructConstructorSpec | None:
        nonlocal is_inside
        if is_inside or not dataclasses.is_dataclass(info.type):
            return None
        is_inside = True  # what tyro's own rule makes of it
        spec = registry.get_struct_spec(info)
        is_inside = False
        assert isinstance(spec, StructConstructorSpec)
        shown = tuple(dataclasses.replace(field, type=_shown(opened(field.name, field.type))) for field in spec.fields)
        return dataclasses.replace(spec, fields=shown)

    return {"config": (tyro.conf.DisallowNone, tyro.conf.CascadeSubcommandArgs), "registry": registry}


def _app(group: Group, *, whole: bool) -> tyro.extras.SubcommandApp:
    """A group for tyro: with everything below it, or without what is in further groups."""

    def entry() -> None:
        """Stands for a group."""

    app = tyro.extras.SubcommandApp()
    for name, command in group.subcommands.items():
        if isinstance(command, Group):
            target, text = _app(command, whole=True) if whole else entry, command.description
        else:
            target = _deferred(command)
            text = target.__doc__ or ""
        app.command(target, name=name, help=text.split("\n\n")[0], is_default=name == group.default)  # pyright: ignore[reportCallIssue, reportArgumentType]
    return app


def _printed(cli: Callable[..., Any], program: str, words: Sequence[str]) -> str:
    """What tyro prints, without colours, frames and line breaks."""
    text, width = io.StringIO(), os.environ.get("COLUMNS")
    os.environ["COLUMNS"] = "10000"
    try:
        with contextlib.redirect_stdout(text), contextlib.redirect_stderr(text), contextlib.suppress(SystemExit):
            cli(prog=program, args=words)
    finally:
        os.environ.pop("COLUMNS")
        os.environ.update({"COLUMNS": width} if width else {})
    return text.getvalue()


def _completion(cli: Callable[..., Any], program: str, shell: str) -> str:
    """The script that completes a command line. Errors: UserError for a shell that cannot be served."""
    if shell not in ("bash", "zsh", "fish", "tcsh"):
        raise UserError("--print-completion takes bash, zsh, fish or tcsh")
    try:
        return _printed(cli, program, ["--tyro-write-completion", shell, "-"])
    except ImportError as error:
        raise UserError(f"completion for {shell} needs the package shtab") from error


# ---- mistakes ----


def _mistake(cli: Callable[..., Any], words: Sequence[str], path: str) -> str:
    """The first mistake on a command line that tyro refused."""
    flags = re.findall(r"'flags': \[(.*?)\]", _completion(cli, "x", "bash"))
    options, see = re.findall("'(.*?)'", ",".join(flags)), f"; see {path} --help"
    for word in words[: words.index("--")] if "--" in words else words:
        name = word.partition("=")[0]
        if options and re.match(r"--[A-Za-z]|-[A-Za-z]$", name) and name.replace("_", "-") not in options:
            return _unknown(name, options, path)
    said = _printed(cli, path, words).partition("For full helptext")[0]
    if "Missing from" in said:
        *others, last = re.findall(r"^ {6}(\S+)", said, re.MULTILINE)
        return (f"{', '.join(others)} and {last} are" if others else f"{last} is") + f" required{see}"
    found = ((re.search(pattern, said, re.DOTALL), line) for pattern, line in TOLD.items())
    return next((line.format(*match.groups(), see=see) for match, line in found if match), said)


def _unknown(word: str, known: Iterable[str], path: str) -> str:
    kind, near = "option" if word.startswith("-") else "subcommand", difflib.get_close_matches(word, list(known), 1)
    return f"unknown {kind} {word}; " + (f"did you mean {near[0]}?" if near else f"see {path} --help")
