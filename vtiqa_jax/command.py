"""What every command line of the project shares: subcommands from typed functions, errors as one line."""

import sys
import warnings
from collections.abc import Callable
from typing import Any

import tyro

from vtiqa_jax.errors import UserError


def run(subcommands: dict[str, Callable[..., Any]], program: str, description: str | None, default: str = "") -> None:
    """Runs the subcommand that the command line names and exits.

    Exit status: the function's return value (None is 0); 2 for bad arguments and for a `UserError`, which is printed
    as one line; 130 when interrupted. `default` is the subcommand of an empty command line.
    """
    arguments = sys.argv[1:] or ([default] if default else [])
    app = tyro.extras.SubcommandApp()
    for name, function in subcommands.items():
        app.command(name=name)(function)
    # JAX says so on every machine with a GPU it cannot use; a person who wants one sees it in the device's name.
    warnings.filterwarnings("ignore", message=".*falling back to cpu.*")
    try:
        config = (tyro.conf.FlagCreatePairsOff,)
        status = app.cli(prog=program, description=description, args=arguments, config=config)
    except UserError as error:
        print(f"{program}: {error}", file=sys.stderr)
        sys.exit(2)
    except KeyboardInterrupt:
        print(f"{program}: interrupted", file=sys.stderr)
        sys.exit(130)
    sys.exit(status or 0)
