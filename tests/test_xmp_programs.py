"""Stars among other programs: what they made of ours, and what they read of it."""

import json
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.test_xmp_jpeg import photo
from vtiqa_jax.xmp import packet, splice
from vtiqa_jax.xmp.packet import Stars
from vtiqa_jax.xmp.sidecars import Sidecars
from vtiqa_jax.xmp.write import write_stars

SIDECARS = Path(__file__).parent / "xmp"
STARS = Stars(4, ("vtiqa: too dark",))


def sidecar(name: str) -> bytes:
    return (SIDECARS / f"{name}.xmp").read_bytes()


@pytest.mark.parametrize("program", ["darktable", "digikam"])
def test_ours_is_known_again_in_what_a_program_wrote(program: str) -> None:
    data = sidecar(f"{program}_ours")
    found = packet.read(data)
    assert found.ours == STARS and not found.is_rated_by_people
    back = splice.take_out(data)
    for trace in (b"vtiqa", b"Rating", b"rating", b"too dark"):  # also of the copies that the program made
        assert trace not in back
    others = splice.add(back, Stars(2))
    assert packet.read(others).ours == Stars(2) and b'"75"' not in others


@pytest.mark.parametrize("program", ["darktable", "digikam"])
def test_a_rating_changed_in_a_program_is_a_persons(program: str) -> None:
    data = sidecar(f"{program}_changed")
    assert packet.read(data).ours == Stars(5) and packet.read(data).is_rated_by_people
    back = splice.take_out(data)
    assert packet.read(back).rating == packet.read(data).rating
    assert packet.read(back).ours is None and packet.read(back).is_rated_by_people


EXIFTOOL = shutil.which("exiftool")


@pytest.mark.skipif(EXIFTOOL is None, reason="needs exiftool, which CI has")
def test_exiftool_reads_what_was_written(tmp_path: Path) -> None:
    (tmp_path / "a.jpg").write_bytes(photo())
    (tmp_path / "b.jpg").write_bytes(photo())
    (tmp_path / "b.jpg.xmp").write_bytes(sidecar("darktable_unrated"))
    (tmp_path / "c.jpg").write_bytes(photo())
    (tmp_path / "d.nef").touch()
    (tmp_path / "d.xmp").write_bytes(sidecar("lightroom_unrated"))
    for name in ("a.jpg", "b.jpg", "c.jpg", "d.nef"):
        write_stars(tmp_path / name, STARS, Sidecars(), embed=name == "c.jpg")
    assert EXIFTOOL is not None
    names = ("a.jpg", "a.jpg.xmp", "b.jpg.xmp", "c.jpg", "d.xmp")
    options = ["-json", "-Rating", "-XMP-dc:Subject", "-validate", "-error"]
    command = [EXIFTOOL, *options, *(str(tmp_path / name) for name in names)]
    said = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    untouched, *others = said
    for found in others:
        assert found["Rating"] == 4 and "Error" not in found
        assert "vtiqa: too dark" in found["Subject"]
    assert others[0]["Validate"] == "OK"  # a sidecar of ours alone
    assert others[2]["Validate"] == untouched["Validate"]  # a JPEG has no more warnings than it had
