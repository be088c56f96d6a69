"""What every command line of the project shares: subcommands from typed functions, errors as one line."""

import errno
import os
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import tyro

from vtiqa_jax.errors import Terminated, UserError

DISK = {errno.ENOSPC, errno.EFBIG, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EPERM, errno.ENOTDIR, errno.EEXIST}
"""What is wrong with a person's disk or folder, not with the program."""


def _compilation_cache() -> None:
    """Keeps compiled programs in the user's cache folder, so that only the first call on a machine compiles."""
    home = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    if "JAX_COMPILATION_CACHE_DIR" not in os.environ:
        jax.config.update("jax_compilation_cache_dir", str(Path(home) / "vtiqa-jax"))
        jax.config.update("jax_persistent_cache_min_compile_time_secs", 0)


def run(subcommands: dict[str, Callable[..., Any]], program: str, description: str | None, default: str = "") -> None:
    """Runs the subcommand that the command line names and exits.

    Exit status: the function's return value (None is 0); 2 for bad arguments and for a `UserError`, which is printed
    as one line, as is a full or forbidden disk; 130 when interrupted; 141 when nobody reads on; 143 when terminated.
    `default` is the subcommand of an empty command line.
    """
    arguments = sys.argv[1:] or ([default] if default else [])
    _compilation_cache()
    app = tyro.extras.SubcommandApp()
    for name, function in subcommands.items():
        app.command(name=name)(function)
    # JAX says so on every machine with a GPU it cannot use; a person who wants one sees it in the device's name.
    warnings.filterwarnings("ignore", message=".*falling back to cpu.*")
    try:
        # A recipe's options may stand before or after its name.
        config = (tyro.conf.FlagCreatePairsOff, tyro.conf.CascadeSubcommandArgs)
        status = app.cli(prog=program, description=description, args=arguments, config=config)
        sys.stdout.flush()
    except UserError as error:
        print(f"{program}: {error}", file=sys.stderr)
        sys.exit(2)
    except Terminated as stopped:
        print(f"{program}: {stopped}", file=sys.stderr)
        sys.exit(143)
    except BrokenPipeError:  # whoever read the output, `head` say, has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(141)
    except OSError as error:
        if error.errno not in DISK:
            raise
        print(f"{program}: {error.filename or 'the disk'}: {error.strerror}", file=sys.stderr)
        sys.exit(2)
    except KeyboardInterrupt:
        print(f"{program}: interrupted", file=sys.stderr)
        sys.exit(130)
    sys.exit(status or 0)
