"""Two processes train one model: the same results as one process, each reading its own share of the photos."""

import json
import os
import socket
import subprocess
import sys
import textwrap
from pathlib import Path

import cv2
import jax
import numpy as np
import pytest

from tests import made_up
from vtiqa_jax import sharding
from vtiqa_jax.models import checkpoint, params
from vtiqa_jax.models.config import ModelConfig

REPOSITORY = Path(__file__).parents[1]


def test_a_process_provides_its_own_devices_rows() -> None:
    mesh = sharding.data_mesh(jax.devices()[:4])
    assert sharding.local_slice(8, mesh) == slice(0, 8)


def started(arguments: list[object], count: int) -> subprocess.Popen[str]:
    environment = {
        **os.environ, "JAX_PLATFORMS": "cpu", "JAX_NUM_CPU_DEVICES": str(count), "PYTHONPATH": str(REPOSITORY),
        "COLUMNS": "1000",
    }  # fmt: skip
    return subprocess.Popen(
        [sys.executable, *map(str, arguments)], cwd=REPOSITORY, env=environment, text=True, stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )  # fmt: skip


def port() -> int:
    with socket.socket() as chosen:
        chosen.bind(("127.0.0.1", 0))
        return chosen.getsockname()[1]


def ended(running: list[subprocess.Popen[str]]) -> list[str]:
    said = [process.communicate(timeout=400) for process in running]
    for process, (out, error) in zip(running, said, strict=True):
        assert process.returncode == 0, out + error
    return [out for out, _ in said]


@pytest.mark.slow
def test_two_processes_are_as_one(config: ModelConfig, tmp_path: Path) -> None:
    made_up.koniq10k(tmp_path / "koniq10k")
    checkpoint.save(tmp_path / "init", checkpoint.Checkpoint(config, params.init_params(config, 0), None, {}))

    def arguments(workdir: str) -> list[object]:
        return [
            "train.py", "dataset", "koniq10k", "--release", tmp_path / "koniq10k", "--partial", "--checkpoint",
            tmp_path / "init", "--workdir", tmp_path / workdir, "--recipe.epochs", 2, "--recipe.batch-size", 8,
            "--recipe.compute-dtype", "float32", "--save-every", 2, "--val-fraction", 0.3, "--no-plots",
        ]  # fmt: skip

    one = [started(arguments("one"), 4)]
    address = f"127.0.0.1:{port()}"
    joined = ["--coordinator", address, "--processes", 2, "--process-id"]
    two = [started([*arguments("two"), *joined, number], 2) for number in (0, 1)]
    ended(one)
    said = ended(two)
    assert "4 x cpu" in said[0]
    assert "SRCC" in said[0]
    # The second process keeps quiet, but for what the collectives' library says itself.
    assert not [line for line in said[1].splitlines() if line and "peer ranks" not in line]
    results = [json.loads((tmp_path / name / "result.json").read_text()) for name in ("one", "two")]
    for figure in ("plcc", "srcc", "rmse"):
        assert results[1][figure] == pytest.approx(results[0][figure], rel=1e-4)
    histories = [
        [json.loads(line) for line in (tmp_path / name / "metrics.jsonl").read_text().splitlines()]
        for name in ("one", "two")
    ]
    np.testing.assert_allclose(*([entry["loss"] for entry in history] for history in histories), rtol=1e-5)
    assert checkpoint.load(tmp_path / "two" / "checkpoint").config == config.replace(eval_mosaics=3)


READS = """
import sys
import jax, numpy as np
jax.distributed.initialize(sys.argv[1], 2, int(sys.argv[2]))
from vtiqa_jax import sharding
from vtiqa_jax.data import loader
from vtiqa_jax.data.image_cache import ImageCache

class Noted(np.ndarray):
    def __getitem__(self, rows):
        print("read", *np.asarray(rows).tolist())
        return np.asarray(self)[rows]

pixels = np.arange(24, dtype=np.uint8).reshape(24, 1, 1, 1)
mesh = sharding.data_mesh()
chosen = [np.arange(8), np.arange(8, 14)]
noted = ImageCache(pixels.view(Noted), pixels)
store = loader.ImageStore(noted, mesh)
assert not store.on_device
for batch in loader.load_batches(store, {"labels": np.arange(24, dtype=np.float32)}, chosen, 8):
    labels = batch["labels"]
    print("sum", int(labels.sum()), "photos", int(batch["mask"].sum()), "shape", labels.shape[0])
assert sharding.broadcast_from_main(5 + jax.process_index()) == 5
"""


def test_each_process_reads_its_share_only(tmp_path: Path) -> None:
    (tmp_path / "reads.py").write_text(textwrap.dedent(READS))
    address = f"127.0.0.1:{port()}"
    said = ended([started([tmp_path / "reads.py", address, number], 2) for number in (0, 1)])
    lines = [[line for line in out.splitlines() if line.startswith(("read", "sum"))] for out in said]
    assert [line for line in lines[0] if "read" in line] == ["read 0 1 2 3", "read 8 9 10 11"]
    assert [line for line in lines[1] if "read" in line] == ["read 4 5 6 7", "read 12 13 8 8"]
    for process in lines:
        assert [line for line in process if "sum" in line] == ["sum 28 photos 8 shape 8", "sum 79 photos 6 shape 8"]


BUILDS = """
import sys
from pathlib import Path
import jax
jax.distributed.initialize(sys.argv[1], 2, int(sys.argv[2]))
from vtiqa_jax.data import image_cache, manifest
from vtiqa_jax.errors import UserError
from vtiqa_jax.models.config import tiny_config

folder = Path(sys.argv[3])
photos = manifest.read_csv(folder / "scores.csv", folder)
for _ in range(2):  # a note of the first time must not end the second
    try:
        image_cache.build_image_cache(photos, folder / "cache", tiny_config())
        print("built")
    except UserError as error:
        print("told:", error)
    jax.experimental.multihost_utils.sync_global_devices("told")
    if jax.process_index() == 0:
        (folder / "a.png").write_bytes((folder / "b.png").read_bytes())
    jax.experimental.multihost_utils.sync_global_devices("mended")
"""


def test_processes_that_wait_for_photos_end_when_the_main_one_fails(tmp_path: Path, rng: np.random.Generator) -> None:
    (tmp_path / "builds.py").write_text(textwrap.dedent(BUILDS))
    (tmp_path / "a.png").write_bytes(b"no photo")
    cv2.imwrite(str(tmp_path / "b.png"), rng.integers(0, 256, (40, 50, 3), np.uint8))
    (tmp_path / "scores.csv").write_text("image,mos\na.png,1\nb.png,2\n")
    address = f"127.0.0.1:{port()}"
    said = ended([started([tmp_path / "builds.py", address, number, tmp_path], 1) for number in (0, 1)])
    told = [[line for line in out.splitlines() if line.startswith(("told", "built"))] for out in said]
    assert told[0][0].startswith("told: 1 of 2 photos cannot be read") and "a.png: not an image" in told[0][0]
    assert told[1][0] == "told: the main process could not prepare the photos; it says why"
    assert [lines[1:] for lines in told] == [["built"], ["built"]]


@pytest.mark.slow
def test_processes_that_cannot_be_joined_say_so() -> None:
    for arguments, said in (
        (["--coordinator", "auto"], "--coordinator auto: the processes of this run cannot be joined"),
        (["--processes", 2], "need --coordinator"),
    ):
        running = started(["train.py", "manifest", "--scores", "none", "--images", "none", *arguments], 1)
        _, error = running.communicate(timeout=100)
        assert running.returncode == 2
        assert said in error
        assert error.count("\n") == 1
