"""pyiqa: `pip install plugins/vtiqa-pyiqa`, and `pytest -n 0 -W default tests/adapters/pyiqa_metric.py`."""

import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pyiqa
import pytest
import torch
import vtiqa_pyiqa  # noqa: F401
from PIL import Image

import vtiqa_jax
from tests.adapters.conftest import TOLERANCE, Snippet
from vtiqa_jax.results.results import ScoreResult

SAME_PIXELS = ("a.jpg", "b.png", "rgba.png", "la.png", "palette.png")
"""Photos that Pillow, as pyiqa uses it, turns into the pixels that `vtiqa score` sees."""
AFTER_ANOTHER = """
import pyiqa
try:
    pyiqa.create_metric("vtiqa", device="cpu")
except AssertionError:
    print("unknown")
pyiqa.create_metric("psnr")
print(pyiqa.create_metric("vtiqa", device="cpu").net.__class__)
"""


@pytest.fixture(scope="module")
def metric() -> Any:
    return pyiqa.create_metric("vtiqa", device=torch.device("cpu"))


def as_tensor(path: Path, mode: str = "RGB") -> torch.Tensor:
    pixels = np.asarray(Image.open(path).convert(mode), np.float32)
    return torch.from_numpy(pixels.reshape(*pixels.shape[:2], -1)).permute(2, 0, 1)[None] / 255


def test_files_and_tensors_score_as_by_vtiqa(metric: Any, scored: dict[Path, ScoreResult]) -> None:
    files = {path: result.score for path, result in scored.items() if path.name in SAME_PIXELS}
    assert len(files) == len(SAME_PIXELS)
    by_file = torch.cat([metric(str(path)) for path in files])
    together = metric(torch.cat([as_tensor(path) for path in files]))
    expected = np.array(list(files.values()))[:, None]
    assert together.dtype == torch.float32
    np.testing.assert_allclose(by_file.numpy(), expected, rtol=0, atol=TOLERANCE)
    np.testing.assert_allclose(together.numpy(), expected, rtol=0, atol=TOLERANCE)


def test_one_channel_is_grey(metric: Any, photos: list[Path]) -> None:
    grey = as_tensor(photos[0], "L")
    expected = vtiqa_jax.load().score(np.asarray(Image.open(photos[0]).convert("L")))
    np.testing.assert_allclose(metric(grey).numpy()[0], expected, rtol=0, atol=TOLERANCE)


def test_pyiqa_knows_what_it_is(metric: Any) -> None:
    assert "vtiqa" in pyiqa.list_models("NR")
    assert not metric.lower_better


def test_a_gradient_is_refused(photos: list[Path]) -> None:
    loss = pyiqa.create_metric("vtiqa", as_loss=True, device=torch.device("cpu"))
    with pytest.raises(vtiqa_jax.UserError, match="no gradient"):
        loss(as_tensor(photos[0]).requires_grad_())


def test_a_model_that_is_not_there_is_named() -> None:
    with pytest.raises(vtiqa_jax.UserError, match=r"nowhere\.npz"):
        pyiqa.create_metric("vtiqa", model="nowhere.npz")


def test_pyiqa_finds_the_plug_in_when_it_builds_a_network() -> None:
    done = subprocess.run([sys.executable, "-c", AFTER_ANOTHER], capture_output=True, text=True, timeout=300)
    assert done.stdout.split("\n")[:2] == ["unknown", "<class 'vtiqa_pyiqa.VTIQA'>"], done.stderr


def test_its_command_scores_a_folder(photos: list[Path], scored: dict[Path, ScoreResult], tmp_path: Path) -> None:
    shutil.copy(photos[0], tmp_path)
    command = [sys.executable, "-m", "vtiqa_pyiqa", "vtiqa", "-t", str(tmp_path), "--device", "cpu"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    (score,) = re.findall(r"'mean': (?:np\.float64\()?(\d\.\d+)", done.stdout)
    assert float(score) == pytest.approx(scored[photos[0]].score, abs=TOLERANCE), done.stderr


def test_the_document_runs(
    snippet: Snippet, photos: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "photos").mkdir()
    shutil.copy(photos[0], tmp_path / "photos")
    exec(snippet("create_metric"), {})
