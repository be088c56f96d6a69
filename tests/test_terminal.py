"""Text on streams of any encoding: what they lack, names that are no text, and streams that are closed."""

import io
import sys
from pathlib import Path

import pytest

from vtiqa_jax import __main__ as vtiqa
from vtiqa_jax import cli, terminal
from vtiqa_jax.command_line import Command, Group
from vtiqa_jax.commands.photos import find_photos
from vtiqa_jax.results.lines import say_line, shown_columns
from vtiqa_jax.results.results import ScoreResult

TEXT = "1.5 ± 0.2  café ネコ 📷 • \udce9 \ud800"


def printed(monkeypatch: pytest.MonkeyPatch, encoding: str, *texts: str, name: str = "stdout") -> bytes:
    data = io.BytesIO()
    monkeypatch.setattr(sys, name, io.TextIOWrapper(data, encoding, errors="strict", newline=""))
    terminal.accept_any_text()
    print(*texts, file=getattr(sys, name), end="", flush=True)
    return data.getvalue()


@pytest.mark.parametrize("name", ["stdout", "stderr"])
@pytest.mark.parametrize(
    ("encoding", "shown"),
    [
        ("ascii", b"1.5 +- 0.2  caf\\xe9 \\u30cd\\u30b3 \\U0001f4f7 * \xe9 \\ud800"),
        ("latin-1", b"1.5 \xb1 0.2  caf\xe9 \\u30cd\\u30b3 \\U0001f4f7 * \xe9 \\ud800"),
        ("cp1252", b"1.5 \xb1 0.2  caf\xe9 \\u30cd\\u30b3 \\U0001f4f7 \x95 \xe9 \\ud800"),
        ("shift_jis", b"1.5 \x81} 0.2  caf\\xe9 \x83l\x83R \\U0001f4f7 * \xe9 \\ud800"),
        ("utf-8", TEXT[:-1].encode("utf-8", "surrogateescape") + b"\\ud800"),
    ],
)
def test_every_character_has_something_in_its_place(
    monkeypatch: pytest.MonkeyPatch, encoding: str, shown: bytes, name: str
) -> None:
    assert printed(monkeypatch, encoding, TEXT, name=name) == shown


@pytest.mark.parametrize("encoding", ["ascii", "utf-8", "cp1252", "latin-1"])
def test_bytes_of_a_name_stay_what_they_are(monkeypatch: pytest.MonkeyPatch, encoding: str) -> None:
    name = bytes(range(128, 256))
    assert printed(monkeypatch, encoding, name.decode("ascii", "surrogateescape")) == name


def test_a_name_acts_on_no_terminal_and_ends_no_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert terminal.visible("a\nb\x1b[31m\u202egnp.jpg") == r"a\nb\x1b[31m\u202egnp.jpg"
    assert terminal.visible("café ネコ \\ \udce9") == "café ネコ \\ \udce9"
    result = ScoreResult(tmp_path / "new\nline.jpg", None, error="no photo")
    assert "\n" not in say_line(result, shown_columns(()))
    (tmp_path / ".new\nline.jpg").write_bytes(b"x")
    (tmp_path / "a.jpg").write_bytes(b"x")
    assert find_photos([tmp_path]) == [tmp_path / "a.jpg"]
    assert len(capsys.readouterr().err.splitlines()) == 1
    monkeypatch.setenv("JAX_COMPILATION_CACHE_DIR", "unused")
    with pytest.raises(SystemExit):
        cli.run(vtiqa.VTIQA, "vtiqa", ["score", "no\nsuch\x1b.jpg"])
    assert capsys.readouterr().err.startswith(r"vtiqa: no\nsuch\x1b.jpg: there is no such file")


def test_a_closed_stream_leads_nowhere(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("stdout", "stderr"):
        monkeypatch.setattr(sys, name, None)

    def say() -> None:
        """Says something."""
        print("words ±", sys.stdout.encoding)
        print("words", file=sys.stderr)
        sys.stdout.buffer.write(b"\xe9")

    monkeypatch.setenv("JAX_COMPILATION_CACHE_DIR", "unused")
    with pytest.raises(SystemExit) as ended:
        cli.run(Group({"say": Command(say, "")}, ""), "vtiqa", ["say"])
    assert ended.value.code == 0
    for stream in (sys.stdout, sys.stderr):
        stream.close()


def test_a_stream_of_a_notebook_is_left_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    stream = io.StringIO()
    monkeypatch.setattr(sys, "stdout", stream)
    terminal.accept_any_text()
    assert sys.stdout is stream


def commands(group: Group, *above: str) -> list[list[str]]:
    """The words that name every command, and every group."""
    found = [list(above)]
    for name, command in group.commands.items():
        found += commands(command, *above, name) if isinstance(command, Group) else [[*above, name]]
    return found


@pytest.mark.parametrize("words", commands(vtiqa.VTIQA), ids=" ".join)
def test_every_help_text_is_printed_in_ascii(monkeypatch: pytest.MonkeyPatch, words: list[str]) -> None:
    status, out, error = run_in_ascii(monkeypatch, [*words, "--help"])
    assert (status, error) == (0, b"")
    assert b"Usage: vtiqa" in out


def test_a_mistake_is_told_in_ascii(monkeypatch: pytest.MonkeyPatch) -> None:
    told = run_in_ascii(monkeypatch, ["scöre-\udce9"])
    assert told == (2, b"", b"vtiqa: Unknown command: sc\\xf6re-\xe9. Did you mean score? See vtiqa --help.\n")


def run_in_ascii(monkeypatch: pytest.MonkeyPatch, words: list[str]) -> tuple[object, bytes, bytes]:
    """The command's exit status, standard output and standard error, on streams for ASCII alone."""
    streams = io.BytesIO(), io.BytesIO()
    for name, data in zip(("stdout", "stderr"), streams, strict=True):
        monkeypatch.setattr(sys, name, io.TextIOWrapper(data, "ascii", errors="strict", write_through=True))
    with pytest.raises(SystemExit) as ended:
        cli.run(vtiqa.VTIQA, "vtiqa", words)
    return ended.value.code, streams[0].getvalue(), streams[1].getvalue()
