"""A short version of experiments/fuzz_images.py: damaged photos among whole ones, in the program itself."""

from pathlib import Path

import fuzz_images
import numpy as np
import pytest
from PIL import Image

from tests.photo_files import (
    PQ_HEIC,
    SECOND_HEIC,
    as_dng,
    encoded,
    exif,
    icc_profile,
    oriented,
    smooth,
    tiff,
    with_chunk,
)
from vtiqa_jax.errors import ImageError
from vtiqa_jax.models import checkpoint
from vtiqa_jax.models.checkpoint import Checkpoint
from vtiqa_jax.models.config import LabelScale, ModelConfig
from vtiqa_jax.models.params import Params
from vtiqa_jax.photos.decode import decode, open_photo


@pytest.mark.parametrize("ending", fuzz_images.ENDINGS)
def test_a_damaged_file_has_pixels_or_a_reason(ending: str, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 256, (48, 64, 3), np.uint8)
    others = [fuzz_images.encode(pixels, other) for other in fuzz_images.ENDINGS]
    whole, path, refused = fuzz_images.encode(pixels, ending), tmp_path / f"a.{ending}", 0
    for _ in range(60):
        path.write_bytes(fuzz_images.mutate(whole, others, rng))
        try:
            assert open_photo(path, max_pixels=30_000_000).pixels.size
        except ImageError as error:
            assert "\n" not in str(error) and "OpenCV(" not in str(error)
            refused += 1
    assert refused > 10
    assert decode("", whole).pixels.shape == pixels.shape


PHOTO = smooth(48, 64)
P3 = icc_profile(np.array([[0.5151, 0.2920, 0.1571], [0.2412, 0.6922, 0.0666], [-0.0011, 0.0419, 0.7841]]), 2.2)
RICH = {
    "RAW with a preview": as_dng(PHOTO[:, :, 0].astype(np.uint16) * 200, orientation=6, preview=PHOTO[::4, ::4]),
    "TIFF with a preview": tiff((PHOTO[::4, ::4], {"subfiletype": 1, "subifds": 1}), (PHOTO, {"compression": "zlib"})),
    "big TIFF": tiff((PHOTO, {"extratags": oriented(6)}), bigtiff=True, byteorder=">"),
    "transparent TIFF": tiff((np.dstack([PHOTO, PHOTO[:, :, :1]]), {"extrasamples": ["unassalpha"]})),
    "JPEG of a phone": encoded(Image.fromarray(PHOTO), "JPEG", exif=exif(6), icc_profile=P3),
    "TIFF with a profile": encoded(Image.fromarray(PHOTO), "TIFF", icc_profile=P3),
    "HDR PNG": with_chunk(encoded(Image.fromarray(PHOTO), "PNG", exif=exif(6)), b"cICP", bytes((9, 16, 0, 1))),
    "HDR HEIC": PQ_HEIC.read_bytes(),
    "HEIC of two": SECOND_HEIC.read_bytes(),
    "animation": encoded(Image.fromarray(PHOTO), "WEBP", save_all=True, append_images=[Image.new("RGB", (64, 48))]),
}
"""What decoders of pixels alone do not read."""


@pytest.mark.parametrize("kind", RICH)
def test_a_damaged_file_with_more_than_pixels_has_pixels_or_a_reason(kind: str) -> None:
    """Turned bits in the first kilobyte, where directories and boxes lie, and every other damage."""
    rng, whole, outcomes = np.random.default_rng(0), RICH[kind], set()
    assert decode("", whole).warning is None
    for number in range(80):
        if number % 2:
            data = fuzz_images.mutate(whole, list(RICH.values()), rng)
        else:
            damaged = bytearray(whole)
            for place in rng.integers(min(1000, len(whole)), size=3):
                damaged[place] ^= 1 << int(rng.integers(8))
            data = bytes(damaged)
        try:
            outcomes.add(decode("", data, max_pixels=30_000_000).pixels.dtype == np.uint8)
        except ImageError as error:
            assert "\n" not in str(error)
            outcomes.add("refused")
    assert outcomes == {True, "refused"}


@pytest.mark.slow
def test_a_folder_of_damaged_photos(config: ModelConfig, weights: Params, scale: LabelScale, tmp_path: Path) -> None:
    checkpoint.save(tmp_path / "model", Checkpoint(config, weights, scale, {}))
    outcome, faults, bad = fuzz_images.run(tmp_path / "files", 100, 0, str(tmp_path / "model"))
    assert faults == []
    ends = [outcome.rows[path.name] for path in bad]
    assert {"refused", "warned", "scored"} == {fuzz_images.outcome_of(row) for row in ends}
    # The judge itself is not blind.
    expected = {name: row["score"] for name, row in outcome.rows.items() if "good" in name}
    said = fuzz_images.dataclasses.replace(outcome, status=-11, memory=3 * 10**9, error="libpng error: IDAT\n")
    assert len(fuzz_images.find_faults(said, expected, bad)) == 3
    missing = fuzz_images.dataclasses.replace(outcome, rows={})
    assert len(fuzz_images.find_faults(missing, expected, bad)) == len(expected) + len(bad)
