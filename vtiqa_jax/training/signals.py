"""Stopping a run from outside."""

import signal
import socket
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import jax
from jax.experimental import multihost_utils
from tqdm import tqdm

from vtiqa_jax.errors import Terminated

ON_SIGTERM = "Stopping after this step and saving; the same command continues from there."
ON_CTRL_C = "Stopping; the same command continues from the state saved last."
ON_EARLY_CTRL_C = "Stopping before a state is saved; the same command trains from the start, with what is prepared."


@contextmanager
def stop_on_sigterm(has_state: Callable[[], bool]) -> Iterator[Callable[[int], bool]]:
    """Yields `should_stop(step)`: whether the run is to stop after this step, for all processes the same.

    Ctrl-C interrupts the block, as always. If a callback of JAX swallows the exception, `should_stop` raises it. Of one
    process, both are told as soon as they come.

    Args:
        has_state: whether a state is saved from which the run can continue; is called from another thread.
    """
    if jax.process_count() > 1:
        yield multihost_utils.reached_preemption_sync_point
        return
    received: set[int] = set()

    def interrupt(number: int, _: object) -> None:
        received.add(number)
        raise KeyboardInterrupt

    def should_stop(_: int) -> bool:
        if signal.SIGINT in received:
            raise KeyboardInterrupt
        return signal.SIGTERM in received

    before = {signal.SIGTERM: signal.signal(signal.SIGTERM, lambda number, _: received.add(number))}
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:  # a shell's background job is deaf to it
        before[signal.SIGINT] = signal.signal(signal.SIGINT, interrupt)
    try:
        with _tell_signals(has_state):
            yield should_stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def _tell_signals(has_state: Callable[[], bool]) -> Iterator[None]:
    """Tells of signals from a thread: a handler in Python waits until the device has finished what it computes."""
    numbers, arriving = socket.socketpair()
    arriving.setblocking(False)

    def tell() -> None:
        while number := numbers.recv(1):
            if number[0] == signal.SIGTERM:
                tqdm.write(ON_SIGTERM, file=sys.stderr)
            elif number[0] == signal.SIGINT:
                tqdm.write(ON_CTRL_C if has_state() else ON_EARLY_CTRL_C, file=sys.stderr)

    thread = threading.Thread(target=tell)
    before = signal.set_wakeup_fd(arriving.fileno(), warn_on_full_buffer=False)
    thread.start()
    try:
        yield
    finally:
        signal.set_wakeup_fd(before)
        arriving.close()  # ends the thread
        thread.join()
        numbers.close()


def stopped_after(step: int) -> Terminated:
    """Returns the exception to raise when the state of a step is saved and the run is to stop."""
    return Terminated(f"stopped after step {step} and saved; the same command continues from there")
