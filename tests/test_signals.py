"""Stopping a training from outside: what a person is told, and when."""

import contextlib
import ctypes
import os
import signal
import sys
import threading
from collections.abc import Iterator
from io import StringIO

import pytest

from vtiqa_jax.training.signals import stop_on_sigterm


@pytest.fixture
def hears_ctrl_c() -> Iterator[None]:
    """What a shell starts in its background, the tests perhaps, is deaf to it."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def test_after_sigterm_a_run_is_to_stop(capsys: pytest.CaptureFixture[str]) -> None:
    before = signal.getsignal(signal.SIGTERM)
    with stop_on_sigterm(lambda: True) as should_stop:
        assert not should_stop(1)
        os.kill(os.getpid(), signal.SIGTERM)
        assert should_stop(2)
    assert capsys.readouterr().err.startswith("Stopping after this step and saving; ")
    assert signal.getsignal(signal.SIGTERM) == before and signal.set_wakeup_fd(-1) == -1


@pytest.mark.usefixtures("hears_ctrl_c")
@pytest.mark.parametrize(
    ("has_state", "said"),
    [
        (True, "Stopping; the same command continues from the state saved last.\n"),
        (False, "Stopping before a state is saved; the same command trains from the start, with what is prepared."),
    ],
    ids=["in a run", "before its first state"],
)
def test_ctrl_c_interrupts(has_state: bool, said: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(KeyboardInterrupt), stop_on_sigterm(lambda: has_state):
        signal.raise_signal(signal.SIGINT)
    assert capsys.readouterr().err.startswith(said)
    assert signal.set_wakeup_fd(-1) == -1
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


@pytest.mark.usefixtures("hears_ctrl_c")
def test_ctrl_c_that_was_swallowed_stops_after_the_step() -> None:
    """JAX's callback of the garbage collector, in which no exception gets out, stands behind it."""
    with stop_on_sigterm(lambda: True) as should_stop:
        with contextlib.suppress(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
        with pytest.raises(KeyboardInterrupt):
            should_stop(1)


@pytest.mark.skipif(os.name != "posix", reason="a shell's background jobs")
def test_who_is_deaf_to_ctrl_c_stays_so() -> None:
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        with stop_on_sigterm(lambda: True) as should_stop:
            signal.raise_signal(signal.SIGINT)
            assert not should_stop(1)
    finally:
        signal.signal(signal.SIGINT, before)


@pytest.mark.skipif(os.name != "posix", reason="no pipes for C's read on Windows")
def test_a_signal_is_told_while_the_device_computes(monkeypatch: pytest.MonkeyPatch) -> None:
    """C's read stands for it: no handler in Python runs before it returns, and it returns when the line is printed."""
    reading, writing = os.pipe()

    class Console(StringIO):
        def write(self, text: str) -> int:
            return os.write(writing, b"t")

    monkeypatch.setattr(sys, "stderr", Console())
    late = threading.Timer(60, os.write, (writing, b"late"))
    late.start()
    byte = ctypes.create_string_buffer(1)
    with stop_on_sigterm(lambda: True) as should_stop:
        threading.Thread(target=signal.raise_signal, args=[signal.SIGTERM]).start()
        assert ctypes.CDLL(None).read(reading, byte, 1) == 1
        late.cancel()
        assert should_stop(1)
    assert byte.raw == b"t"
