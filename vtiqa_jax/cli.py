"""Programs of the command line: a command is run, and how it ends is an exit status and at most one line."""

import logging
import os
import sys
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from types import MethodType
from typing import NoReturn

from vtiqa_jax import compile_cache, exits, terminal
from vtiqa_jax.command_line import Command, Group, parse
from vtiqa_jax.cpus import available_cpus


def run(group: Group, program: str, arguments: Sequence[str] | None = None) -> NoReturn:
    """Runs the command that the command line names and exits, see `exits.run`; 2 for bad arguments.

    Args:
        group: the commands to choose from.
        program: how the program is called.
        arguments: the command line; that of this process when not given.

    Raises:
        SystemExit: always.
    """

    def call() -> int | None:
        asked = parse(group, program, sys.argv[1:] if arguments is None else arguments)
        if not isinstance(asked.func, MethodType):  # as what prints help, or the version, is
            _prepare_jax()
        return asked()

    terminal.accept_any_text()
    # Without a home, matplotlib keeps its list of fonts in a temporary folder, and says so at length.
    logging.getLogger("matplotlib").setLevel(logging.ERROR)
    exits.run(call, program)


def run_script(*functions: Callable[..., int | None], description: str | None) -> NoReturn:
    """Runs a function with the options of the command line, and exits as `run` does; JAX stays as it is by itself.

    Args:
        functions: one, or several of which the first word names one.
        description: what they do.

    Raises:
        SystemExit: always.
    """
    command: Command | Group = Command(functions[0], description or "")
    if len(functions) > 1:
        command = Group({function.__name__: Command(function, "") for function in functions}, description or "")
    program = Path(sys.argv[0]).name
    terminal.accept_any_text()
    exits.run(lambda: parse(command, program, sys.argv[1:])(), program)


def _prepare_jax() -> None:
    """Fits JAX to this machine."""
    compile_cache.keep_compiled()
    # XLA's threads, read when JAX first computes: by itself it sees the affinity, and not a container's share.
    os.environ.setdefault("NPROC", str(available_cpus()))
    # JAX says so on every machine with a GPU it cannot use; a person who wants one sees it in the device's name.
    warnings.filterwarnings("ignore", message=".*falling back to cpu.*")
