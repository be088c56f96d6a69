"""`vtiqa score --xmp`: from scores to files that other programs read, and what is said of it."""

import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import vtiqa_jax
from tests import reasoned
from tests.conftest import Command
from vtiqa_jax import __main__ as vtiqa
from vtiqa_jax.commands import stars as stars_command
from vtiqa_jax.commands.stars import Stars
from vtiqa_jax.models import checkpoint
from vtiqa_jax.models.checkpoint import Checkpoint
from vtiqa_jax.models.config import LabelScale
from vtiqa_jax.results.reasons import WORDS, Fault
from vtiqa_jax.results.results import ScoreResult
from vtiqa_jax.scoring.scorer import Scorer
from vtiqa_jax.xmp import packet, splice
from vtiqa_jax.xmp.packet import Packet

COUNT = 6
SCALE = LabelScale("test", 1.0, 5.0)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder, rng = tmp_path / "photos", np.random.default_rng(0)
    folder.mkdir()
    for index in range(COUNT):
        pixels = np.clip(128 + 20 * (index + 1) * rng.standard_normal((40, 50, 3)), 0, 255).astype(np.uint8)
        Image.fromarray(pixels).save(folder / f"p{index}.jpg", quality=95)
    return folder


def said(photo: Path) -> Packet:
    return packet.read(photo.with_name(photo.name + ".xmp").read_bytes())


def test_scores_become_stars_and_go_again(folder: Path, model: Path, command: Command) -> None:
    photos = sorted(folder.iterdir())
    before = {photo.name: photo.read_bytes() for photo in photos}
    arguments = ("score", folder, "--checkpoint", model, "--xmp")
    (folder / "p5.jpg.xmp").write_bytes(splice.make(packet.Stars(5)).replace(b"vtiqa:WrittenRating", b"vtiqa:Other"))
    (folder / "p4.jpg.xmp").write_bytes(b"no XML")
    status, _, error = command(vtiqa.main, *arguments)
    reason = f"{folder / 'p4.jpg.xmp'}: it is not XML: syntax error, line 1"
    assert (status, error) == (1, f"stars: 4 written, 1 kept as people set them, 1 refused: {reason}\n")
    scores = Scorer.load(model).score(photos)
    assert [said(photo).rating for photo in photos[:4]] == np.clip(np.floor(scores[:4] + 0.5), 1, 5).tolist()
    (folder / "p4.jpg.xmp").unlink()
    (folder / "p5.jpg.xmp").unlink()
    assert command(vtiqa.main, *arguments)[2] == "stars: 2 written, 4 as they were\n"
    assert command(vtiqa.main, *arguments)[2] == f"stars: {COUNT} as they were\n"
    assert command(vtiqa.main, *arguments, "--quiet") == (0, "", "")
    assert command(vtiqa.main, *arguments, "--undo")[::2] == (0, f"stars: {COUNT} taken back\n")
    assert command(vtiqa.main, *arguments, "--undo")[::2] == (0, "stars: 0 taken back\n")
    assert {file.name: file.read_bytes() for file in folder.iterdir()} == before


def test_undo_loads_no_model(folder: Path, command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuses(*_: object, **__: object) -> None:
        raise AssertionError("a model is loaded")

    monkeypatch.setattr(vtiqa_jax, "load", refuses)
    assert command(vtiqa.main, "score", folder, "--xmp", "--undo")[0] == 0


@pytest.mark.parametrize("cached", [False, True])
def test_stars_inside_of_a_photo_leave_its_score(
    folder: Path, model: Path, tmp_path: Path, command: Command, cached: bool
) -> None:
    arguments = ("score", folder, "--checkpoint", model, *(("--cache", tmp_path / "cache") if cached else ()))
    first = command(vtiqa.main, *arguments)[1]
    times = [os.stat(photo).st_mtime_ns for photo in sorted(folder.iterdir())]
    status, second, error = command(vtiqa.main, *arguments, "--xmp", "--xmp-embed")
    assert (status, second, error) == (0, first, f"stars: {COUNT} written\n")
    photos = sorted(folder.glob("*.jpg"))
    assert [os.stat(photo).st_mtime_ns for photo in photos] == times
    assert all(b"vtiqa:WrittenRating" in photo.read_bytes() for photo in photos)
    status, third, error = command(vtiqa.main, *arguments, "--xmp", "--xmp-embed")
    assert (status, third, error) == (0, first, f"stars: {COUNT} as they were\n")


def test_reasons_become_keywords(folder: Path, tmp_path: Path, command: Command) -> None:
    checkpoint.save(tmp_path / "m", Checkpoint(reasoned.CONFIG, reasoned.draw_weights(), reasoned.SCALE, {}))
    arguments = ("score", folder, "--checkpoint", tmp_path / "m", "--xmp", "--xmp-reasons")
    assert command(vtiqa.main, *arguments)[0] == 0
    photos = sorted(folder.glob("*.jpg"))
    results = list(vtiqa_jax.load(str(tmp_path / "m")).stream(photos))
    named = [[fault.name for fault in result.reasons if fault.level != "slight"] for result in results]
    assert sum(map(len, named)) > 3
    for photo, faults in zip(photos, named, strict=True):
        assert said(photo).keywords == tuple(f"vtiqa: {WORDS[name][1]}" for name in faults)


def results(photos: list[Path], scores: list[float | None]) -> list[ScoreResult]:
    fault = (Fault("too_dark", 2.0, 0.9, True), Fault("motion", 1.0, 0.6, True), Fault("defocus", 3.0, 0.4, False))
    return [
        ScoreResult(photo, score, None if score is not None else "damaged", faults=fault)
        for photo, score in zip(photos, scores, strict=True)
    ]


@pytest.mark.parametrize(
    ("options", "scale", "expected"),
    [
        (Stars(xmp=True), SCALE, [1, 2, 3, 4, 5]),
        (Stars(xmp=True, stars="folder"), SCALE, [1, 2, 3, 4, 5]),
        (Stars(xmp=True, reject_worse_than=2.5), SCALE, [-1, -1, 3, 4, 5]),
        (Stars(xmp=True, reject_worse_than=2.2), SCALE, [-1, 2, 3, 4, 5]),
        (Stars(xmp=True), LabelScale("test", 1.0, 5.0, higher_is_better=False), [5, 4, 3, 2, 1]),
        (
            Stars(xmp=True, stars="folder", reject_worse_than=4.0),
            LabelScale("test", 0.0, 100.0, higher_is_better=False),
            [5, 4, 3, 2, -1],
        ),
    ],
)
def test_each_photo_that_was_scored_has_its_stars(
    folder: Path, options: Stars, scale: LabelScale, expected: list[int]
) -> None:
    photos = sorted(folder.iterdir())
    assert options.apply(results(photos, [1.2, 2.2, 3.2, 3.9, 4.9, None]), scale)
    assert [said(photo).rating for photo in photos[:5]] == expected
    assert not (folder / "p5.jpg.xmp").exists() and said(photos[0]).keywords == ()


def test_only_reasons_that_are_told_are_written(folder: Path) -> None:
    photos = sorted(folder.iterdir())[:1]
    Stars(xmp=True, xmp_reasons=True).apply(results(photos, [3.0]), SCALE)
    assert said(photos[0]).keywords == ("vtiqa: too dark",)


def test_two_claimants_are_told_in_one_line(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("a.nef", "a.dng"):
        (folder / name).write_bytes(b"II*\0")
    photos = [folder / "a.dng", folder / "a.nef", folder / "p0.jpg"]
    assert not Stars(xmp=True).apply(results(photos, [3.0, 3.0, 3.0]), SCALE)
    reason = f"{folder}: a.xmp could belong to a.dng or a.nef"
    assert capsys.readouterr().err == f"stars: 1 written, 2 refused: {reason}\n"


def test_a_full_disk_stops_and_says_what_is_done(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    photos = sorted(folder.iterdir())
    write = stars_command.write_stars

    def full(photo: Path, *arguments: object, **options: object) -> object:
        if photo == photos[2]:
            raise OSError(28, "No space left on device")
        return write(photo, *arguments, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(stars_command, "write_stars", full)
    with pytest.raises(vtiqa_jax.errors.UserError, match=r"p2.jpg: No space left on device; 2 written; make room"):
        Stars(xmp=True).apply(results(photos, [3.0] * COUNT), SCALE)
    assert said(photos[1]).rating == 3 and not (folder / "p3.jpg.xmp").exists()


def test_what_cannot_be_meant_is_told_in_one_line(
    folder: Path, model: Path, command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    for arguments, reason in (
        (("--undo",), "--undo needs --xmp; add it"),
        (("--xmp-embed",), "--xmp-embed needs --xmp"),
        (("--stars", "folder"), "--stars needs --xmp"),
        (("--reject-worse-than", 2), "--reject-worse-than needs --xmp"),
        (("--xmp", "--reject-worse-than", "nan"), "takes a number"),
        (("--xmp", "--move-to", "x"), "sidecars would stay behind"),
        (("--xmp", "--undo", "--copy-to", "x"), "--undo takes back stars and does nothing else"),
        (("--xmp", "--xmp-reasons"), "cannot name faults"),
    ):
        status, _, error = command(vtiqa.main, "score", folder, "--checkpoint", model, *arguments)
        assert (status, error.count("\n")) == (2, 1), error
        assert reason in error
    monkeypatch.setattr(stars_command.atomic, "takes_files", lambda _: False)
    status, _, error = command(vtiqa.main, "score", folder, "--checkpoint", model, "--xmp")
    assert status == 2 and f"{folder}: sidecars cannot be written there" in error
    assert not list(folder.glob("*.xmp"))
