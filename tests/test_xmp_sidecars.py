"""Which sidecar belongs to which photo."""

from pathlib import Path

import pytest

from vtiqa_jax.xmp.rdf import Refused
from vtiqa_jax.xmp.sidecars import Sidecars

MINE = {
    "a lone JPEG": ("a.jpg", "a.jpg", "a.jpg.xmp"),
    "a HEIC": ("a.HEIC", "a.HEIC", "a.HEIC.xmp"),
    "a RAW": ("a.nef", "a.nef", "a.xmp"),
    "a RAW with a JPEG": ("a.nef", "a.nef a.jpg", "a.xmp"),
    "a JPEG with a RAW": ("a.jpg", "a.nef a.jpg a.xmp", "a.jpg.xmp"),
    "a JPEG with a RAW in capitals": ("A.JPG", "A.NEF A.JPG", "A.JPG.xmp"),
    "a JPEG with one of Adobe's": ("a.jpg", "a.jpg a.xmp", "a.xmp"),
    "a JPEG with both": ("a.jpg", "a.jpg a.xmp a.jpg.xmp", "a.jpg.xmp a.xmp"),
    "a RAW with darktable's": ("a.nef", "a.nef a.nef.xmp", "a.nef.xmp"),
    "a RAW with both": ("a.nef", "a.nef a.nef.xmp a.xmp a.jpg a.jpg.xmp", "a.nef.xmp a.xmp"),
    "two RAWs with darktable's": ("a.nef", "a.nef a.dng a.nef.xmp", "a.nef.xmp"),
    "two photos of one name": ("a.jpg", "a.jpg a.png", "a.jpg.xmp"),
    "points in a name": ("a.b.jpg", "a.jpg a.b.jpg a.xmp", "a.b.jpg.xmp"),
    "capitals": ("a.jpg", "a.jpg a.jpg.XMP", "a.jpg.XMP"),
    "capitals of Adobe's": ("IMG_1.NEF", "IMG_1.NEF img_1.xmp", "img_1.xmp"),
    "a name without an ending": ("scan", "scan scan.jpg", "scan.xmp"),
}


@pytest.mark.parametrize("name", MINE)
def test_a_photo_has_its_sidecars(tmp_path: Path, name: str) -> None:
    photo, there, expected = MINE[name]
    for file in there.split():
        (tmp_path / file).touch()
    assert Sidecars().find(tmp_path / photo, new=True) == [tmp_path / file for file in expected.split()]


CLAIMED = {
    "two RAWs": ("a.nef", "a.nef a.dng", "a.xmp could belong to a.dng or a.nef"),
    "two RAWs, on disks that know no capitals": ("a.nef", "a.nef A.NEF", "a.xmp could belong to A.NEF or a.nef"),
    "two JPEGs, on such disks": ("a.JPG", "a.JPG a.jpg", "a.JPG.xmp could belong to a.JPG or a.jpg"),
    "two RAWs and darktable's of another": ("a.dng", "a.nef a.dng a.nef.xmp", "a.xmp could belong"),
    "one of Adobe's for two": ("a.jpg", "a.jpg a.png a.xmp", "a.xmp could belong to a.jpg or a.png"),
    "one of Adobe's for a film": ("a.jpg", "a.jpg a.mov a.xmp", "a.xmp could belong to a.jpg or a.mov"),
    "a photo that is called as another's sidecar": ("a.jpg", "a.jpg a.jpg.dng", "a.jpg.xmp could belong to"),
    "two sidecars": ("a.jpg", "a.jpg a.jpg.xmp a.jpg.XMP", "a.jpg.xmp is there twice: a.jpg.XMP and a.jpg.xmp"),
}


@pytest.mark.parametrize("name", CLAIMED)
def test_what_may_be_anothers_is_not_written(tmp_path: Path, name: str) -> None:
    photo, there, said = CLAIMED[name]
    for file in there.split():
        (tmp_path / file).touch()
    if len(list(tmp_path.iterdir())) < len(there.split()):
        pytest.skip("this disk knows no capitals")
    with pytest.raises(Refused, match=said):
        Sidecars().find(tmp_path / photo, new=True)


def test_without_a_sidecar_none_is_found_unless_one_is_to_be_made(tmp_path: Path) -> None:
    (tmp_path / "a.jpg").touch()
    assert Sidecars().find(tmp_path / "a.jpg", new=False) == []
    assert Sidecars().list_candidates(tmp_path / "a.jpg") == []
