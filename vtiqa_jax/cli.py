"""Programs of the command line: a command is run, and how it ends is an exit status and at most one line."""

import errno
import logging
import os
import sys
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from types import MethodType
from typing import NoReturn

from vtiqa_jax import compile_cache, terminal
from vtiqa_jax.command_line import Command, Group, parse
from vtiqa_jax.cpus import available_cpus
from vtiqa_jax.errors import Terminated, UserError

DISK = {errno.ENOSPC, errno.EFBIG, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EPERM, errno.ENOTDIR, errno.EEXIST,
        errno.EISDIR, errno.ELOOP, errno.ENAMETOOLONG, errno.EBUSY}  # fmt: skip
"""What is wrong with a person's disk or folder, not with the program."""


def run(group: Group, program: str, arguments: Sequence[str] | None = None) -> NoReturn:
    """Runs the command that the command line names and exits.

    The exit status is what the function returns (None is 0); 2 for bad arguments and for a `UserError`, which is
    printed as one line, as is a full or forbidden disk; 130 when interrupted; 141 when nobody reads on; 143 when
    terminated.

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

    # Without a home, matplotlib keeps its list of fonts in a temporary folder, and says so at length.
    logging.getLogger("matplotlib").setLevel(logging.ERROR)
    _exit_with(call, program)


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
    _exit_with(lambda: parse(command, program, sys.argv[1:])(), program)


def _exit_with(call: Callable[[], int | None], program: str) -> NoReturn:
    """Exits with the status of a call."""
    terminal.accept_any_text()
    try:
        status, told = call() or 0, ""
        sys.stdout.flush()
    except BrokenPipeError:  # whoever read the output, `head` say, has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        status, told = 141, ""
    except OSError as error:
        if error.errno not in DISK:
            raise
        status, told = 2, f"{error.filename or 'the disk'}: {error.strerror}"
    except (UserError, Terminated) as error:
        status, told = 2 if isinstance(error, UserError) else 143, str(error)
    except KeyboardInterrupt:
        status, told = 130, "interrupted"
    if told:
        print(f"{program}: {told}", file=sys.stderr)
    sys.exit(status)


def _prepare_jax() -> None:
    """Fits JAX to this machine."""
    compile_cache.keep_compiled()
    # XLA's threads, read when JAX first computes: by itself it sees the affinity, and not a container's share.
    os.environ.setdefault("NPROC", str(available_cpus()))
    # JAX says so on every machine with a GPU it cannot use; a person who wants one sees it in the device's name.
    warnings.filterwarnings("ignore", message=".*falling back to cpu.*")
