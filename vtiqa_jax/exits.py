"""The end of every command: the status that it returns, or a mistake in one line and the status that stands for it."""

import errno
import os
import sys
from collections.abc import Callable
from typing import NoReturn

from vtiqa_jax.errors import Terminated, UserError
from vtiqa_jax.terminal import visible

DISK = {errno.ENOSPC, errno.EFBIG, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EPERM, errno.ENOTDIR, errno.EEXIST,
        errno.EISDIR, errno.ELOOP, errno.ENAMETOOLONG, errno.EBUSY}  # fmt: skip
"""Errors of a person's disk or folder, not of the program."""


def run(command: Callable[[], int | None], program: str) -> NoReturn:
    """Calls a command and exits.

    The exit status is what it returns (None is 0); 2 for a `UserError`, which is printed as one line, as is a full or
    forbidden disk; 130 when interrupted; 141 when nobody reads on; 143 when terminated.

    Args:
        command: what is to be done.
        program: how the program is called.

    Raises:
        SystemExit: always.
    """
    try:
        status, told = command() or 0, ""
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
        print(f"{program}: {visible(told)}", file=sys.stderr)
    sys.exit(status)
