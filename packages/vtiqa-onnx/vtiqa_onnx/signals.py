"""Stopping between two photos."""

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

from vtiqa_jax.errors import Terminated


@contextmanager
def stop_between_photos() -> Iterator[Callable[[], None]]:
    """Yields what is called after each photo: it raises when Ctrl-C or SIGTERM has come.

    An exception that comes anywhere can leave a lock of a pool of threads taken, and the pool waits for it for ever.
    Who asks twice is obeyed at once. The main thread alone can use it.
    """
    received: list[int] = []

    def note(number: int, _: FrameType | None) -> None:
        if received:
            raise KeyboardInterrupt
        received.append(number)

    def check() -> None:
        if signal.SIGTERM in received:
            raise Terminated("terminated")
        if received:
            raise KeyboardInterrupt

    before = {signal.SIGTERM: signal.signal(signal.SIGTERM, note)}
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:  # a shell's background job is deaf to it
        before[signal.SIGINT] = signal.signal(signal.SIGINT, note)
    try:
        yield check
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
