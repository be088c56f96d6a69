"""Scoring every day: going on, the cache, choosing photos, and what is said where. One toy model, 24 photos."""

import contextlib
import csv
import errno
import json
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import cv2
import numpy as np
import pytest

from tests.conftest import Command
from vtiqa_jax import __main__ as vtiqa
from vtiqa_jax import atomic
from vtiqa_jax.commands import selection
from vtiqa_jax.commands.display import LONG
from vtiqa_jax.commands.selection import Selection
from vtiqa_jax.models import checkpoint
from vtiqa_jax.photos import decode, transfer
from vtiqa_jax.photos.files import find
from vtiqa_jax.results import score_cache
from vtiqa_jax.results.results import ScoreResult
from vtiqa_jax.scoring.scorer import Scorer

COUNT = 24


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder, rng = tmp_path / "photos", np.random.default_rng(0)
    (folder / "sub").mkdir(parents=True)
    for index in range(COUNT):
        pixels = np.clip(128 + 5 * (index + 1) * rng.standard_normal((40, 50, 3)), 0, 255).astype(np.uint8)
        cv2.imwrite(str(folder / ("sub" if index % 2 else "") / f"p{index:02}.png"), pixels)
    return folder


@pytest.fixture
def scores(folder: Path, model: Path) -> dict[Path, float]:
    photos = [Path(file) for file in find([folder])]
    return dict(zip(photos, Scorer.load(model).score(photos).tolist(), strict=True))


def read(file: Path) -> list[dict[str, str]]:
    with file.open(newline="") as lines:
        return list(csv.DictReader(lines))


def test_a_spread_is_in_every_output(folder: Path, model: Path, tmp_path: Path, command: Command) -> None:
    arguments = ("--checkpoint", model, "--mosaic-samples", 3, "--seed", 1)
    report = ("--report", tmp_path / "report")
    status, said, _ = command(vtiqa.main, "score", folder, *arguments, "--out", tmp_path / "s.jsonl", *report)
    assert status == 0
    for other in ("s.csv", "s.json"):
        assert command(vtiqa.main, "score", folder, *arguments, "--out", tmp_path / other)[:1] == (0,)
    head, *lines = said.splitlines()
    assert head == "score (test scale, 1 to 5, higher is better)  mean ± spread  image"
    rows = [json.loads(line) for line in (tmp_path / "s.jsonl").read_text().splitlines()]
    assert len(rows) == COUNT and min(row["spread"] for row in rows) > 0
    assert json.loads((tmp_path / "s.json").read_text())["scores"] == rows
    assert [float(row["spread"]) for row in read(tmp_path / "s.csv")] == [row["spread"] for row in rows]
    row = rows[0]
    assert lines[0] == f"{row['score']:10.4f}{row['mean']:10.4f} ± {row['spread']:.4f}  {row['image']}"
    page = (tmp_path / "report" / "index.html").read_text()
    assert page.count('"spread":') == COUNT
    other = command(vtiqa.main, "score", folder, "--checkpoint", model, "--mosaic-samples", 3)[1].splitlines()[1]
    assert other[:10] == lines[0][:10] and other != lines[0]  # another seed


def test_photos_are_listed_copied_and_moved_by_score(
    folder: Path, model: Path, scores: dict[Path, float], tmp_path: Path, command: Command
) -> None:
    middle = float(np.median(list(scores.values())))
    better = [photo for photo, score in scores.items() if score >= middle]
    (folder / "bad.png").write_bytes(b"no photo")
    arguments = ("score", folder, "--checkpoint", model, "--min-score", middle)
    status, said, error = command(vtiqa.main, *arguments, "--list")
    assert (status, said.splitlines()) == (1, list(map(str, better)))
    assert error.endswith(f"a format that cannot be read\n1 of {COUNT + 1} photos could not be read\n")
    (folder / "bad.png").unlink()

    picked = folder / "picked"  # inside of what is scored, and never scored itself
    taken = picked / better[1].relative_to(folder)
    taken.parent.mkdir(parents=True)
    taken.write_text("mine")
    status, _, error = command(vtiqa.main, *arguments, "--copy-to", picked)
    assert status == 1
    summary = f"{len(better) - 1} of {len(better)} chosen photos copied to {picked}/"
    assert error == f"{better[1]} is not copied: {taken} exists and is another file\n{summary}\n"
    assert taken.read_text() == "mine"
    taken.unlink()
    assert command(vtiqa.main, *arguments, "--copy-to", picked)[0] == 0
    kept = {path.relative_to(picked): path.read_bytes() for path in picked.rglob("*.png")}
    assert kept == {path.relative_to(folder): path.read_bytes() for path in better}

    moved = tmp_path / "moved"
    below = ("score", folder / "sub", "--checkpoint", model, "--max-score", middle, "--move-to", moved)
    worse = [photo for photo, score in scores.items() if score <= middle and photo.parent.name == "sub"]
    status, _, error = command(vtiqa.main, *below)
    assert (status, error) == (
        0,
        f"{len(worse)} of {COUNT // 2} photos would move to {moved}; add --yes to move them\n",
    )
    assert not moved.exists() and all(photo.exists() for photo in worse)
    assert command(vtiqa.main, *below, "--yes")[0] == 0
    assert sorted(path.name for path in moved.iterdir()) == sorted(photo.name for photo in worse)
    assert not any(photo.exists() for photo in worse)


def test_what_cannot_be_meant_is_told_in_one_line(
    folder: Path, model: Path, tmp_path: Path, command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    for arguments, said in (
        (("--min-score", 3, "--report", tmp_path / "page"), "leave no photo out"),
        (("--top", 3, "--out", "-"), "leave no photo out"),
        (("--top", 3, "--xmp"), "leave no photo out"),
        (("--top", 3, "--quiet"), "leave no photo out"),
        (("--reasons",), "for 3 photos at most"),
        (("--min-score", 3, "--max-score", 2, "--list"), "--min-score 3 is above --max-score 2"),
        (("--min-score", "nan", "--list"), "take numbers"),
        (("--copy-to", "a", "--move-to", "b"), "give one"),
        (("--yes",), "--yes goes only with --move-to"),
        (("--copy-to", tmp_path / "file"), "is a file"),
        (("--out", tmp_path / "s.doc"), "must end in"),
        (("--mosaic-samples", 1), "at least 2 mosaics"),
        (("--cache", folder / "p00.png"), "file is not a database"),
    ):
        status, _, error = command(vtiqa.main, "score", folder, "--checkpoint", model, *arguments)
        assert (status, error.count("\n")) == (2, 1), error
        assert said in error


@pytest.mark.parametrize("reason", [errno.ENOSPC, errno.EDQUOT, errno.ENAMETOOLONG, errno.EACCES, errno.EIO])
def test_a_photo_that_cannot_be_copied_stops_no_other_but_a_full_disk_does(
    folder: Path, model: Path, tmp_path: Path, command: Command, monkeypatch: pytest.MonkeyPatch, reason: int
) -> None:
    photos, attempts = [Path(file) for file in find([folder])], list[Path]()

    def fails(source: Path, target: Path, *, move: bool) -> bool:
        attempts.append(source)
        if source in photos[1:3]:
            raise OSError(reason, os.strerror(reason))
        return transfer.transfer(source, target, move=move)

    monkeypatch.setattr(selection, "transfer", fails)
    status, _, error = command(vtiqa.main, "score", folder, "--checkpoint", model, "--copy-to", tmp_path / "c")
    said = f"{photos[1]} cannot be copied to {tmp_path / 'c' / photos[1].relative_to(folder)}: {os.strerror(reason)}"
    if reason in (errno.ENOSPC, errno.EDQUOT):
        assert (status, attempts) == (2, photos[:2])
        rest = f"1 of {COUNT} photos are copied; make room and give the same command again"
        assert error == f"vtiqa: {said}; {rest}\n"
        monkeypatch.undo()
    else:
        assert (status, attempts) == (1, photos)
        first, second, summary = error.splitlines()
        assert first == said and second.startswith(f"{photos[2]} cannot be copied")
        assert summary == f"{COUNT - 2} of {COUNT} photos copied to {tmp_path / 'c'}{os.sep}"
        return
    assert command(vtiqa.main, "score", folder, "--checkpoint", model, "--copy-to", tmp_path / "c")[0] == 0


@pytest.mark.skipif(os.name != "posix", reason="no devices by name on Windows")
@pytest.mark.parametrize("name", ["-", "/dev/fd/1", "photos/stdout"])
def test_scores_go_to_standard_output_and_nothing_else_does(
    folder: Path, model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str],
    name: str,
) -> None:  # fmt: skip
    """A link of ours stands for /dev/stdout, which a mistake of root's would destroy."""
    monkeypatch.chdir(tmp_path)
    (folder / "stdout").symlink_to("/proc/self/fd/1" if Path("/proc/self/fd").exists() else "/dev/fd/1")

    def score(*arguments: object) -> tuple[int, str, str]:
        monkeypatch.setattr(
            sys, "argv", ["vtiqa", "score", str(folder), "--checkpoint", str(model), *map(str, arguments)]
        )
        with pytest.raises(SystemExit) as ended:
            vtiqa.main()
        return int(ended.value.code or 0), *capfd.readouterr()

    assert score("--out", "s.csv", "--quiet") == (0, "", "")
    expected = Path("s.csv").read_bytes().decode()
    assert score("--out", name) == (0, expected, "")
    assert score("--out", name, "--report", "report") == (0, expected, "")
    status, written, error = score("--out", name, "--list")
    assert (status, written, error.count("\n")) == (2, "", 1)
    assert "both go to standard output" in error
    assert sorted(path.name for path in tmp_path.iterdir()) == ["photos", "report", "s.csv"]


@pytest.mark.skipif(os.name != "posix", reason="no devices by name on Windows")
@pytest.mark.parametrize("ending", ["", ".jsonl", ".log"])
def test_scores_go_through_a_pipe_to_whoever_reads(
    folder: Path, model: Path, tmp_path: Path, command: Command, ending: str
) -> None:
    pipe, received = tmp_path / f"pipe{ending}", list[str]()
    os.mkfifo(pipe)
    reader = threading.Thread(target=lambda: received.append(pipe.read_text()))
    reader.start()
    status, said, _ = command(vtiqa.main, "score", folder, "--checkpoint", model, "--out", pipe)
    reader.join()
    assert status == 0 and len(said.splitlines()) == COUNT + 1
    assert len(received[0].splitlines()) == COUNT + (ending != ".jsonl")
    assert pipe.is_fifo() and sorted(path.name for path in tmp_path.iterdir()) == ["photos", pipe.name]


def test_a_photo_is_not_written_over_by_its_score(folder: Path, model: Path, tmp_path: Path, command: Command) -> None:
    photo = folder / "p00.png"
    before = photo.read_bytes()
    (tmp_path / "link.csv").symlink_to(photo)
    (tmp_path / "hard.csv").hardlink_to(photo)
    for out in (tmp_path / "link.csv", tmp_path / "hard.csv", folder / "sub" / ".." / ".." / "link.csv"):
        status, _, error = command(vtiqa.main, "score", folder, "--checkpoint", model, "--out", out)
        assert (status, error.count("\n")) == (2, 1)
        assert "is one of the photos" in error
    assert photo.read_bytes() == before


def test_an_output_in_a_folder_that_takes_nothing_new_is_written_over(
    folder: Path, model: Path, tmp_path: Path, command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    """There is no place for an interrupted run's rows then."""
    output, real = tmp_path / "s.csv", atomic.require_new_files
    output.write_text("old")
    number = output.stat().st_ino

    def refuse(place: Path) -> None:
        if place == tmp_path:
            raise OSError(errno.EROFS, os.strerror(errno.EROFS))
        real(place)

    monkeypatch.setattr(atomic, "require_new_files", refuse)
    arguments = ("score", folder, "--checkpoint", model, "--quiet", "--out")
    assert command(vtiqa.main, *arguments, output) == (0, "", "")
    assert len(read(output)) == COUNT and output.stat().st_ino == number
    status, _, error = command(vtiqa.main, *arguments, tmp_path / "new.csv")
    assert (status, error) == (2, f"vtiqa: {tmp_path / 'new.csv'} cannot be written: Read-only file system\n")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["photos", "s.csv"]


def test_folders_that_are_loops_of_links_are_told_in_one_line(
    folder: Path, model: Path, tmp_path: Path, command: Command
) -> None:
    loop = tmp_path / "loop"
    loop.symlink_to("loop")
    for option in ("--out", "--report", "--copy-to"):
        for place in (loop, loop / "x.csv"):
            status, said, error = command(vtiqa.main, "score", folder, "--checkpoint", model, option, place)
            assert (status, said, error.count("\n")) == (2, "", 1), (option, place, error)
            assert "symbolic links" in error or "must end in" in error


def test_a_cache_reads_what_changed_alone(
    folder: Path, model: Path, tmp_path: Path, command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(score_cache, "SETTLED_SECONDS", 0.0)
    decoded: list[int] = []
    real = decode.decode
    monkeypatch.setattr(
        decode, "decode", lambda name, data, **rest: decoded.append(len(data)) or real(name, data, **rest)
    )
    arguments = ("--checkpoint", model, "--cache", tmp_path / "c.sqlite")
    first = command(vtiqa.main, "score", folder, *arguments, "--mosaic-samples", 2, "--out", tmp_path / "1.csv")[:2]
    assert len(decoded) == COUNT
    again = command(vtiqa.main, "score", folder, *arguments, "--mosaic-samples", 2, "--out", tmp_path / "2.csv")[:2]
    assert again == first and len(decoded) == COUNT
    assert (tmp_path / "2.csv").read_bytes() == (tmp_path / "1.csv").read_bytes()
    (folder / "p00.png").write_bytes((folder / "p02.png").read_bytes())  # of known content
    (folder / "p04.png").write_bytes((folder / "p04.png").read_bytes() + b" ")
    command(vtiqa.main, "score", folder, *arguments, "--mosaic-samples", 2)
    assert len(decoded) == COUNT + 1
    command(vtiqa.main, "score", folder, *arguments)  # without a spread: other results
    assert len(decoded) == 2 * COUNT + 1
    report = command(vtiqa.main, "score", folder, *arguments, "--report", tmp_path / "report")
    assert report[0] == 0 and len(list((tmp_path / "report" / "thumbnails").iterdir())) == COUNT


@pytest.mark.skipif(os.name != "posix", reason="no pipes by name on Windows")
def test_a_photo_from_a_pipe_is_scored_with_a_cache_and_an_output(
    folder: Path, model: Path, scores: dict[Path, float], tmp_path: Path, command: Command
) -> None:
    """`vtiqa score <(curl ...)`: it can be read once."""
    photo, pipe = folder / "p02.png", tmp_path / "photo"
    os.mkfifo(pipe)
    for arguments in (("--cache", tmp_path / "c.sqlite"), ("--out", tmp_path / "s.csv")):
        writer = threading.Thread(target=lambda: pipe.write_bytes(photo.read_bytes()))
        writer.start()
        status, said, error = command(vtiqa.main, "score", pipe, "--checkpoint", model, *arguments)
        writer.join()
        assert (status, error) == (0, "")
        assert said.splitlines()[1].split()[0] == f"{scores[photo]:.4f}"


def test_a_long_run_on_a_terminal_ends_with_a_summary(
    folder: Path, model: Path, scores: dict[Path, float], command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    arguments = ("score", folder, "--checkpoint", model)
    assert command(vtiqa.main, *arguments, "--quiet") == (0, "", "")
    for number in range(7):
        (folder / f"x{number}.png").write_bytes(b"no photo")
    monkeypatch.setattr("_pytest.capture.CaptureIO.isatty", lambda _: True)
    monkeypatch.setattr("tqdm.std.tqdm.display", lambda *_, **__: None)
    status, said, _ = command(vtiqa.main, *arguments)
    assert status == 1
    lines = said.splitlines()
    assert lines[0] == f"{COUNT + 7} photos, 7 failed; test scale, 1 to 5, higher is better"
    assert lines[1].startswith(f"mean {np.mean(list(scores.values())):.4f}, median")
    ordered = sorted(scores, key=lambda photo: -scores[photo])
    shown = [line.split()[-1] for line in lines if line.endswith(".png")]
    assert shown == list(map(str, [*ordered[:5], *ordered[:-6:-1]]))
    assert lines[4].startswith("score (test scale") and any(line.startswith("all of them: --out") for line in lines)
    assert lines[-1] == "and 2 more; --out FILE.csv has the reasons of all" and lines[-2].startswith("    failed  ")
    told = command(vtiqa.main, *arguments, "--out", folder.parent / "all.csv")[1]
    assert "--out" not in told and told.splitlines()[-1] == "and 2 more", "where everything is written it need not say"
    few = command(vtiqa.main, "score", folder / "sub", folder / "x0.png", "--checkpoint", model)[1].splitlines()
    below = [photo for photo in ordered if photo.parent.name == "sub"]
    assert [line.split()[-1] for line in few[1 : 1 + len(below)]] == list(map(str, below)), "few photos: the best first"
    assert few[-2] == "failed:" and "x0.png" in few[-1]


def test_lines_come_in_the_order_that_is_asked_for(
    model: Path, scores: dict[Path, float], tmp_path: Path, command: Command
) -> None:
    orders = {
        "best": sorted(scores, key=lambda photo: -scores[photo]),
        "worst": sorted(scores, key=lambda photo: scores[photo]),
        "name": sorted(scores, key=str),
    }
    for order, expected in orders.items():
        said = command(vtiqa.main, "score", *reversed(list(scores)), "--checkpoint", model, "--sort", order)[1]
        assert [line.split()[-1] for line in said.splitlines()[1:]] == list(map(str, expected)), order
        command(vtiqa.main, "score", *scores, "--checkpoint", model, "--sort", order, "--out", tmp_path / "s.csv")
        rows = csv.DictReader((tmp_path / "s.csv").read_text().splitlines())
        assert [row["image"] for row in rows] == list(map(str, expected)), order
    said = command(vtiqa.main, "score", *reversed(list(scores)), "--checkpoint", model)[1]
    assert [line.split()[-1] for line in said.splitlines()[1:]] == list(map(str, reversed(list(scores)))), "as given"


def test_the_best_few_are_chosen(folder: Path, model: Path, scores: dict[Path, float], command: Command) -> None:
    ordered = sorted(scores, key=lambda photo: -scores[photo])
    arguments = ("score", folder, "--checkpoint", model, "--list")
    for top in (1, 3, len(scores) + 5):
        assert command(vtiqa.main, *arguments, "--top", top)[1].splitlines() == list(map(str, ordered[:top]))
    worst_first = command(vtiqa.main, *arguments, "--top", 3, "--sort", "worst")[1].splitlines()
    assert worst_first == list(map(str, reversed(ordered[-3:])))
    by_name = command(vtiqa.main, *arguments, "--top", 3, "--sort", "name")[1].splitlines()
    assert by_name == sorted(map(str, ordered[:3])), "the best three, in the order that is asked for"
    below = command(vtiqa.main, *arguments, "--top", 2, "--max-score", scores[ordered[1]] + 1e-5)[1].splitlines()
    assert below == list(map(str, ordered[1:3])), "of those that the other options choose"
    status, _, error = command(vtiqa.main, *arguments, "--top", 0)
    assert (status, error) == (2, "vtiqa: --top must be at least 1, not 0\n")
    status, _, error = command(vtiqa.main, "score", folder, "--checkpoint", model, "--top", 2, "--move-to", "there")
    assert status == 2 and "the next run would move the best of the photos left" in error


def test_chosen_photos_are_printed_and_no_others(
    folder: Path, model: Path, scores: dict[Path, float], tmp_path: Path, command: Command,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    ordered = sorted(scores, key=lambda photo: -scores[photo])
    (folder / "x.png").write_bytes(b"no photo")
    best = tmp_path / "best"

    def printed(*arguments: object) -> tuple[list[str], list[str]]:
        _, said, error = command(vtiqa.main, "score", folder, "--checkpoint", model, "--copy-to", best, *arguments)
        return [line.split()[-1] for line in said.splitlines()[1:]], error.splitlines()

    shown, told = printed("--top", 3)
    assert shown == list(map(str, ordered[:3]))
    assert told[0].startswith(f"{folder / 'x.png'}: ") and told[1] == f"1 of {COUNT + 1} photos could not be read"
    assert told[2:] == [f"3 of {COUNT + 1} photos copied to {best}{os.sep}"]
    assert printed("--min-score", scores[ordered[1]] - 1e-5)[0] == [
        str(photo) for photo in scores if photo in ordered[:2]
    ]
    assert printed("--min-score", 1e6) == ([], [*told[:2], f"0 of {COUNT + 1} photos copied to {best}{os.sep}"])
    _, said, error = command(vtiqa.main, "score", folder, "--checkpoint", model, "--top", 3)
    assert [line.split()[-1] for line in said.splitlines()[2 if "by rank" in said else 1 :]] == shown, "only shown"
    assert error.splitlines() == [*told[:2], f"3 of {COUNT + 1} photos shown"]
    assert len(printed()[0]) == COUNT + 1, "nothing is chosen: all are copied and printed"
    monkeypatch.setattr("_pytest.capture.CaptureIO.isatty", lambda _: True)
    monkeypatch.setattr("tqdm.std.tqdm.display", lambda *_, **__: None)
    assert printed("--top", COUNT - 1)[0] == list(map(str, ordered[:-1])), "no summary of what was counted out"
    assert printed("--min-score", scores[ordered[4]] - 1e-5)[0] == list(map(str, ordered[:5]))
    said = command(vtiqa.main, "score", folder, "--checkpoint", model, "--min-score", scores[ordered[-2]] - 1e-5)[1]
    assert said.count(".png") == COUNT - 1 > LONG, "all that were asked for"


def test_where_lower_is_better_the_lowest_are_chosen() -> None:
    results = [ScoreResult(Path(name), score) for name, score in (("a", 3.0), ("b", 1.0), ("c", 2.0), ("d", None))]
    names = [result.image.name for result in Selection(top=2, paths_only=True).choose(results, higher_is_better=False)]
    assert names == ["b", "c"]


def test_a_bracket_counts_as_one_among_the_best() -> None:
    bracket = [
        ScoreResult(Path(f"bracket{number}"), score, stack=7, stack_kind="exposure bracket", best=True)
        for number, score in enumerate((1.0, 4.0, 2.0))
    ]
    others = [ScoreResult(Path(name), score, best=True) for name, score in (("good", 5.0), ("fair", 3.0))]
    chosen = Selection(top=2, best_of_stacks=True, paths_only=True).choose([others[1], *bracket, others[0]])
    assert [result.image.name for result in chosen] == ["bracket0", "bracket1", "bracket2", "good"]
    split = Selection(top=2, paths_only=True).choose([others[1], *bracket, others[0]])
    assert [result.image.name for result in split] == ["bracket1", "good"], "without --best-of-stacks photos count"


def test_compare_says_which_and_how_sure(
    folder: Path, model: Path, scores: dict[Path, float], command: Command
) -> None:
    best, worst = max(scores, key=lambda photo: scores[photo]), min(scores, key=lambda photo: scores[photo])
    said = [command(vtiqa.main, "compare", *pair, "--checkpoint", model)[1] for pair in ((best, worst), (worst, best))]
    for text in said:
        assert f"{best} is almost certainly better than {worst}, by " in text
    assert said[0].splitlines()[-1] == said[1].splitlines()[-1]
    status, same, _ = command(vtiqa.main, "compare", best, best, "--checkpoint", model)
    assert status == 0 and "as good as each other: 0.0000 ± 0.0000 apart" in same
    status, _, error = command(vtiqa.main, "compare", best, folder / "none.png", "--checkpoint", model)
    assert (status, error) == (2, f"vtiqa: {folder / 'none.png'}: No such file or directory\n")


def test_compare_knows_scales_on_which_low_is_good(
    folder: Path, model: Path, scores: dict[Path, float], tmp_path: Path, command: Command
) -> None:
    import dataclasses

    made = checkpoint.load(model)
    assert made.scale is not None
    reverse = dataclasses.replace(made, scale=dataclasses.replace(made.scale, higher_is_better=False))
    checkpoint.save(tmp_path / "reverse", reverse)
    best, worst = max(scores, key=lambda photo: scores[photo]), min(scores, key=lambda photo: scores[photo])
    said = command(vtiqa.main, "compare", best, worst, "--checkpoint", tmp_path / "reverse")[1]
    assert f"{worst} is almost certainly better than {best}, by " in said


# What a shell starts in its background, the tests perhaps, is deaf to SIGINT, and so is all that it starts.
INTERRUPTIBLE = """
import runpy, signal
signal.signal(signal.SIGINT, signal.default_int_handler)
runpy.run_module("vtiqa_jax", run_name="__main__", alter_sys=True)
"""


def count_stored(part: Path) -> int:
    """The scores in a part, by its copy: the run that writes it lets nobody else in."""
    with tempfile.TemporaryDirectory() as folder:
        for file in part.parent.glob(f"{part.name}*"):
            with contextlib.suppress(FileNotFoundError):
                shutil.copy(file, folder)
        with contextlib.closing(sqlite3.connect(Path(folder, part.name))) as database:
            try:
                return database.execute("SELECT count(*) FROM scores").fetchone()[0]
            except sqlite3.Error:  # not yet there, or copied while it was written
                return 0


@pytest.mark.slow
@pytest.mark.skipif(os.name != "posix", reason="no such signals on Windows")
@pytest.mark.parametrize("number", [getattr(signal, name, 0) for name in ("SIGKILL", "SIGTERM", "SIGINT")])
def test_a_killed_run_goes_on_and_ends_with_the_same_bytes(
    folder: Path, model: Path, tmp_path: Path, number: signal.Signals
) -> None:
    """In processes of their own. A photo that is a pipe holds the run up until it is killed."""
    program = [sys.executable, "-c", INTERRUPTIBLE, "score", folder, "--checkpoint", model, "--batch-size", "4"]
    expected = tmp_path / "expected.csv"
    subprocess.run([*program, "--out", expected], check=True, capture_output=True)
    stopped = sorted(folder.glob("sub/*.png"))[-1]
    pixels = stopped.read_bytes()
    stopped.unlink()
    os.mkfifo(stopped)
    # A folder is searched for plain files, so the pipe is named.
    arguments = [
        *program[:4],
        *find([folder]),
        stopped,
        *program[5:],
        "--out",
        tmp_path / "s.csv",
    ]
    part = tmp_path / "s.csv.part"
    with subprocess.Popen(arguments, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True) as running:
        while count_stored(part) < 8:
            assert running.poll() is None
            time.sleep(0.05)
        running.send_signal(number)
        while running.poll() is None:  # lets a thread that reads the pipe end
            with contextlib.suppress(OSError):
                os.close(os.open(stopped, os.O_WRONLY | os.O_NONBLOCK))
            time.sleep(0.05)
        assert running.stderr is not None
        said = running.stderr.read()
        assert running.wait() == {signal.SIGKILL: -9, signal.SIGTERM: 143, signal.SIGINT: 130}[number]
    if number != signal.SIGKILL:
        assert "give the same command again to continue" in said
    assert 8 <= count_stored(part) < COUNT and not (tmp_path / "s.csv").exists()
    stopped.unlink()
    stopped.write_bytes(pixels)
    ended = subprocess.run(arguments, check=True, capture_output=True, text=True)
    assert len(ended.stdout.splitlines()) == COUNT + 1
    assert (tmp_path / "s.csv").read_bytes() == expected.read_bytes()
    assert not part.exists()


@pytest.mark.parametrize("given", [[], ["nowhere"], ["empty"], ["nowhere", "neither.jpg"]])
def test_without_a_photo_one_line_says_what_to_do(
    given: list[str], model: Path, tmp_path: Path, command: Command
) -> None:
    (tmp_path / "empty").mkdir()
    paths = [tmp_path / name for name in given]
    outputs = ("--out", tmp_path / "s.csv", "--report", tmp_path / "report", "--cache", tmp_path / "cache.sqlite")
    status, said, error = command(vtiqa.main, "score", *paths, "--checkpoint", model, *outputs)
    assert (status, said) == (2, "")
    assert error.count("\n") == 1 and "`vtiqa demo`" in error
    assert [path.name for path in tmp_path.iterdir()] == ["empty"]


def test_nothing_is_written_when_nothing_was_scored(model: Path, tmp_path: Path, command: Command) -> None:
    broken = tmp_path / "broken.jpg"
    broken.write_bytes(b"no photo")
    (tmp_path / "s.csv").write_text("of before")
    outputs = ("--out", tmp_path / "s.csv", "--report", tmp_path / "report")
    status, said, error = command(vtiqa.main, "score", broken, "--checkpoint", model, *outputs)
    assert status == 1 and "failed" in said and "report:" not in said
    assert f"no photo was scored, so {tmp_path / 's.csv'} and {tmp_path / 'report'} are not written" in error
    assert (tmp_path / "s.csv").read_text() == "of before"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["broken.jpg", "s.csv"]


def test_outputs_have_places_of_their_own(folder: Path, model: Path, tmp_path: Path, command: Command) -> None:
    table, part, report = tmp_path / "s.csv", tmp_path / "s.csv.part", tmp_path / "report"
    report.mkdir()
    for outputs, said in (
        (("--out", table, "--cache", table), "both write"),
        (("--out", table, "--cache", part), "both write"),
        (("--report", report, "--out", report / "s.csv"), "lies in the report's folder"),
        (("--report", report, "--cache", report / "c.sqlite"), "lies in the report's folder"),
    ):
        status, _, error = command(vtiqa.main, "score", folder, "--checkpoint", model, *outputs)
        assert status == 2 and said in error and error.count("\n") == 1
        assert not list(report.iterdir()) and not table.exists() and not part.exists()
