"""Keeps what decoders print away from the terminal: their messages name no file, and our own say it better."""

import os
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

from vtiqa_jax.photos.formats import EXTRAS


@contextmanager
def quiet_decoders() -> Iterator[None]:
    """Holds file descriptor 2 away from the libraries, and Pillow's warnings from everyone; `sys.stderr` still works.

    The descriptor belongs to the whole process: for a command's main thread, around what its threads decode.
    """
    try:
        is_terminal = sys.stderr.fileno() == 2
    except (OSError, ValueError, AttributeError):  # replaced by an object without a descriptor, or closed
        is_terminal = False
    try:
        kept = os.dup(2)
    except OSError:  # closed: nothing to keep quiet
        yield
        return
    usual = sys.stderr
    if is_terminal:
        usual.flush()
        sys.stderr = os.fdopen(
            os.dup(kept), "w", buffering=1, encoding=usual.encoding, errors=usual.errors, newline=usual.newlines
        )
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, 2)
    os.close(null)
    try:
        with warnings.catch_warnings():
            modules = "|".join(["PIL", *(extra.module for extra in EXTRAS)])
            warnings.filterwarnings("ignore", module=rf"({modules})\b")
            yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        if is_terminal:
            sys.stderr.close()
            sys.stderr = usual
