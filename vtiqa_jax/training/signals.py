"""Stopping a run from outside."""

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import jax
from jax.experimental import multihost_utils

from vtiqa_jax.errors import Terminated


@contextmanager
def stop_on_sigterm() -> Iterator[Callable[[int], bool]]:
    """Yields `should_stop(step)`: whether the run is to stop after this step, for all processes the same."""
    if jax.process_count() > 1:
        yield multihost_utils.reached_preemption_sync_point
        return
    received: list[int] = []
    before = signal.signal(signal.SIGTERM, lambda number, _: received.append(number))
    try:
        yield lambda _: bool(received)
    finally:
        signal.signal(signal.SIGTERM, before)


def stopped_after(step: int) -> Terminated:
    """Returns the exception to raise when the state of a step is saved and the run is to stop."""
    return Terminated(f"stopped after step {step} and saved; the same command goes on from there")
