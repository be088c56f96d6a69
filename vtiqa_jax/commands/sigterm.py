"""SIGTERM as an exception, so that what is open is closed."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from vtiqa_jax.errors import Terminated


@contextmanager
def raise_on_sigterm() -> Iterator[None]:
    """Makes SIGTERM raise `Terminated` within the block.

    Raises:
        Terminated: SIGTERM came.
    """

    def stop(number: int, frame: FrameType | None) -> None:
        raise Terminated("terminated")

    if threading.current_thread() is not threading.main_thread():  # signals are the main thread's
        yield
        return
    before = signal.signal(signal.SIGTERM, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
