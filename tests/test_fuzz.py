"""A short version of experiments/fuzz_images.py: damaged photos among whole ones, in the program itself."""

from pathlib import Path

import fuzz_images
import numpy as np
import pytest

from vtiqa_jax.errors import ImageError
from vtiqa_jax.models import checkpoint
from vtiqa_jax.models.checkpoint import Checkpoint, LabelScale
from vtiqa_jax.models.params import Params
from vtiqa_jax.models.vtiqa import ModelConfig
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
