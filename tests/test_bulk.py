"""`vtiqa bulk`: every photo once, with the score of `vtiqa score`, whatever it lies in and whatever is killed."""

import dataclasses
import gzip
import io
import json
import os
import signal
import socket
import subprocess
import sys
import tarfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest

pytest.importorskip("ray", reason='needs Ray Data: pip install "vtiqa-jax[bulk]"')

import pyarrow as pa
import pyarrow.parquet as pq
import ray
from PIL import Image
from pyarrow import fs

import vtiqa_jax
from tests.conftest import Command
from tests.reasoned import draw_weights
from vtiqa_jax import __main__
from vtiqa_jax.bulk import decoding, pipeline, sources
from vtiqa_jax.commands import bulk as bulk_command
from vtiqa_jax.errors import UserError
from vtiqa_jax.models import checkpoint
from vtiqa_jax.models.checkpoint import Checkpoint
from vtiqa_jax.models.config import LabelScale, ModelConfig, tiny_config
from vtiqa_jax.models.fingerprint import identify
from vtiqa_jax.models.params import Params
from vtiqa_jax.photos import files, formats
from vtiqa_jax.photos.decode import decode
from vtiqa_jax.photos.preparation import Preparation
from vtiqa_jax.results import columns, interpreter
from vtiqa_jax.results.results import ScoreResult
from vtiqa_jax.scoring import scorer

REPOSITORY = Path(__file__).parents[1]
TWO_NODES = """
import ray.cluster_utils, sys
cluster = ray.cluster_utils.Cluster(True, False, {"num_cpus": 2, "include_dashboard": False})
cluster.add_node(num_cpus=2)
cluster.wait_for_nodes()
print(cluster.address, flush=True)
sys.stdin.read()
cluster.shutdown()
"""


@pytest.fixture(scope="session")
def model(tmp_path_factory: pytest.TempPathFactory, config: ModelConfig, weights: Params, scale: LabelScale) -> Path:
    path = tmp_path_factory.mktemp("bulk") / "model"
    percentiles = {"scores": np.linspace(1, 5, 101).tolist()}
    checkpoint.save(path, Checkpoint(config, weights, scale, {"trained": {"percentiles": percentiles}}))
    return path


def photo(seed: int, width: int = 40, height: int = 30, kind: str = "PNG") -> bytes:
    pixels = np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, kind)
    return file.getvalue()


def tar(path: Path, members: list[tuple[str, bytes]]) -> bytes:
    with tarfile.open(path, "w") as archive:
        for name, data in members:
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return path.read_bytes()


def start(*arguments: object, **settings: str) -> subprocess.Popen[str]:
    """`vtiqa bulk` in a process of its own, as its driver is killed; one device, as a person has it."""
    environment = {**os.environ, "JAX_PLATFORMS": "cpu", "PYTHONPATH": str(REPOSITORY), **settings}
    words = [sys.executable, "-m", "vtiqa_jax", "bulk", *map(str, arguments)]
    return subprocess.Popen(
        words, cwd=REPOSITORY, env=environment, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )


def finish(process: subprocess.Popen[str]) -> tuple[int, str, str]:
    said, error = process.communicate(timeout=300)
    return process.returncode, said, error


def table(out: Path) -> dict[str, dict[str, Any]]:
    """The rows by path, of which there is one each."""
    rows = pq.read_table(out).to_pylist()
    found = {row.pop("path"): row for row in rows}
    assert len(found) == len(rows), "a photo is there twice"
    return found


# ---- on Ray ----


@pytest.fixture(scope="module")
def two_nodes() -> Iterator[str]:
    """The address of a cluster of two nodes on this machine."""
    words = [sys.executable, "-c", TWO_NODES]
    with subprocess.Popen(words, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        lines = iter(process.stdout.readline, "")
        yield next(line.strip() for line in lines if line.strip()[-1:].isdigit() and ":" in line)
        process.communicate()


def test_an_address_at_which_nothing_answers_is_told_at_once() -> None:
    """Ray would try for minutes, deaf to SIGTERM."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        place = f"127.0.0.1:{server.getsockname()[1]}"
        for address in (place, f"ray://{place}"):
            bulk_command.check_address(address)
    for address in (place, f"ray://{place}", "127.0.0.1:x", "127.0.0.1", "ray://"):
        with pytest.raises(UserError, match=f"--address {address}: no Ray cluster answers there; start one"):
            bulk_command.check_address(address)


@pytest.mark.slow
def test_scores_are_those_of_vtiqa_score_wherever_a_photo_lies(two_nodes: str, model: Path, tmp_path: Path) -> None:
    source, apart = tmp_path / "source", tmp_path / "apart"
    (source / "deep").mkdir(parents=True)
    apart.mkdir()
    photos = {f"{seed}.png": photo(seed, 30 + seed, 70 - seed) for seed in range(14)}
    for name, data in photos.items():
        (apart / name).write_bytes(data)
    names = list(photos)
    expected = {}
    for name in names[:5]:
        (source / "deep" / name).write_bytes(photos[name])
        expected[str(source / "deep" / name)] = name
    tar(source / "shard.tar", [("notes.txt", b"hello"), *[(name, photos[name]) for name in names[5:9]]])
    expected |= {f"{source}/shard.tar/{name}": name for name in names[5:9]}
    keys = {f"{source}/shard.tar/{name}": name.removesuffix(".png") for name in names[5:9]}
    rows = [{"bytes": photos[name], "path": name} for name in names[9:]]
    uids = [f"u{row}" for row in range(6)]
    pq.write_table(pa.table({"image": [*rows, None], "uid": uids}), source / "train.parquet")
    expected |= {f"{source}/train.parquet#{row}": name for row, name in enumerate(names[9:])}
    keys |= {f"{source}/train.parquet#{row}": uid for row, uid in enumerate(uids)}
    (source / "broken.jpg").write_bytes(photo(0, kind="JPEG")[:500])
    (source / "empty.png").write_bytes(b"")
    (apart / "broken.jpg").write_bytes((source / "broken.jpg").read_bytes())
    (apart / "empty.png").write_bytes(b"")

    status, said, error = finish(start(source, tmp_path / "out", "--checkpoint", model, "--address", two_nodes))
    assert status == 1, error
    assert said.splitlines()[-1].endswith("17 photos, 3 of them could not be read")
    begun, *named = error.splitlines()
    assert " files in " in begun, error
    assert sorted(line.partition(": ")[0] for line in named) == [
        f"{source}/broken.jpg", f"{source}/empty.png", f"{source}/train.parquet#5"
    ]  # fmt: skip
    found = table(tmp_path / "out")
    assert {path: row["key"] for path, row in found.items() if row["key"]} == keys
    files = sorted(apart.iterdir())
    loaded = vtiqa_jax.load(model)
    single = {Path(result.image).name: result for result in loaded.stream(files)}
    for path, name in expected.items():
        row = found.pop(path)
        assert row["score"] == pytest.approx(single[name].score, abs=1e-5)
        assert row["percentile"] == pytest.approx(single[name].percentile, abs=0.051)
        seed = int(name.split(".")[0])
        assert (row["width"], row["height"], row["error"]) == (30 + seed, 70 - seed, None)
        assert row["model"] == loaded.fingerprint
    assert np.std([result.score for result in single.values() if result.score]) > 0.01  # else any would do
    assert found.pop(f"{source}/train.parquet#5")["error"] == "the row has no bytes"
    assert {Path(path).name: row["error"] for path, row in found.items()} == {
        name: single[name].error for name in ("broken.jpg", "empty.png")
    }
    assert all(row["score"] is row["percentile"] is row["width"] is None for row in found.values())


@pytest.mark.slow
def test_a_killed_run_goes_on_with_nothing_missing_or_double(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source, out = tmp_path / "source", tmp_path / "out"
    source.mkdir()
    data = [photo(seed) for seed in range(4)]
    for number in range(1500):
        (source / f"{number:04}.png").write_bytes(data[number % 4])
    arguments = (source, out, "--checkpoint", model, "--rows-per-file", 50)
    done = Path(f"{out}.progress", "done")

    first = start(*arguments)
    while first.poll() is None and not (done.exists() and any("pending" not in file.name for file in done.iterdir())):
        time.sleep(0.02)
    first.send_signal(signal.SIGKILL)
    _, error = first.communicate(timeout=60)
    assert first.returncode == -signal.SIGKILL, error
    kept = {file.name for file in done.iterdir() if "pending" not in file.name}
    stamps = {file.name: file.stat().st_mtime_ns for file in out.glob("*.parquet")}

    (source / "new.png").write_bytes(data[0])
    second = start(*arguments)
    assert second.stderr is not None
    assert second.stderr.readline().startswith("1,501 files in ")  # Ray has started
    second.terminate()
    status, _, error = finish(second)
    assert (status, error) == (143, "vtiqa: terminated\n")

    status, said, error = finish(start(*arguments))
    assert status == 0, error
    assert said.splitlines()[-1].endswith("1,501 photos, 0 of them could not be read")
    monkeypatch.setattr(bulk_command, "_ray", None)  # nothing is left to do: Ray need not start
    assert bulk_command.bulk(str(source), str(out), checkpoint=str(model), rows_per_file=50) == 0
    assert table(out).keys() == {str(path) for path in source.iterdir()}
    of_kept = {name: stamp for name, stamp in stamps.items() if f"{name.rpartition('-')[0]}.parquet" in kept}
    assert of_kept  # what was done was not done again
    assert {file.name: file.stat().st_mtime_ns for file in out.glob("*.parquet") if file.name in of_kept} == of_kept


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # Ray warns of its own defaults
def test_blocks_are_whole_passes(two_nodes: str, tmp_path: Path, config: ModelConfig) -> None:
    for number in range(40):
        (tmp_path / f"{number}.png").write_bytes(photo(0))
    ray.init(address=two_nodes, log_to_driver=False, logging_level="ERROR")
    try:
        decoded = pipeline.decode_photos(sources.find(str(tmp_path)), None, config.preparation, 16)
        blocks = [block.num_rows for bundle in decoded.iter_internal_ref_bundles() for block in bundle.metadata]
    finally:
        ray.shutdown()
    assert blocks == [16, 16, 8]


def answers(port: int) -> bool:
    with socket.socket() as tried:
        return tried.connect_ex(("127.0.0.1", port)) == 0


@pytest.mark.slow
def test_a_bucket(model: Path, tmp_path: Path) -> None:
    """On a server that speaks S3; listing, reading, writing and going on are pyarrow's there."""
    pytest.importorskip("moto.server", reason='needs a server that speaks S3: pip install "moto[server]"')
    with socket.socket() as chosen:
        chosen.bind(("127.0.0.1", 0))
        port = chosen.getsockname()[1]
    words = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]
    account = {"AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "b", "AWS_REGION": "us-east-1"}
    account["AWS_ENDPOINT_URL"] = f"http://127.0.0.1:{port}"
    bucket = fs.S3FileSystem(
        access_key="a", secret_key="b", endpoint_override=f"127.0.0.1:{port}", scheme="http", region="us-east-1",
        allow_bucket_creation=True, retry_strategy=fs.AwsStandardS3RetryStrategy(max_attempts=20),
    )  # fmt: skip
    with subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as server:
        try:
            while server.poll() is None and not answers(port):
                time.sleep(0.1)
            bucket.create_dir("photos")
            for name, data in {"deep/a b#1%20.png": photo(1), "empty.png": b""}.items():
                with bucket.open_output_stream(f"photos/{name}") as file:
                    file.write(data)
            bucket.create_dir("results")
            arguments = ("s3://photos", "s3://results/scores", "--checkpoint", model)
            for lines in (2, 1):  # the second time all is done
                status, said, error = finish(start(*arguments, **account))
                assert status == 1, error
                assert error.splitlines()[lines - 1 :] == ["s3://photos/empty.png: the file is empty"]
                assert said.splitlines()[-1].endswith("2 photos, 1 of them could not be read")
            rows = pq.read_table("results/scores", filesystem=bucket).to_pylist()
        finally:
            server.terminate()
    found = {row["path"]: (row["score"], row["error"]) for row in rows}
    (tmp_path / "a.png").write_bytes(photo(1))
    (score,) = vtiqa_jax.load(model).score([tmp_path / "a.png"])
    assert found == {
        "s3://photos/deep/a b#1%20.png": (pytest.approx(score, abs=1e-5), None),
        "s3://photos/empty.png": (None, "the file is empty"),
    }


@pytest.mark.parametrize("cores", [*range(2, 12), 96, 128], ids=str)
def test_cores_have_an_actor_each_and_leave_room_for_what_feeds_them(cores: int) -> None:
    machine = {"CPU": float(cores), "memory": 1e15}
    count, rows, given = pipeline.plan_actors([machine], None)
    assert (count, rows) == (cores, pipeline.CORE_ROWS)
    # Beside them Ray's own actor, with a CPU, and a task; on larger machines a task for every four cores or so.
    tasks = (cores - count * given["num_cpus"] - 1) / pipeline.DECODING["num_cpus"]
    assert tasks >= max(1, cores / 2 - 2)
    assert pipeline.plan_actors([machine, {"memory": 1e12}, machine], None)[0] == 2 * cores


def test_smaller_machines_have_fewer_actors() -> None:
    machines = [{"CPU": float(cores), "memory": 1e12} for cores in (64, 8, 2, 1)]
    count, _, given = pipeline.plan_actors(machines, None)
    assert (count, given["num_cpus"]) == (64 + 8, 0.75)  # with half a CPU left, the third has none
    machines[0]["memory"] = 16.5 * 2**30
    assert pipeline.plan_actors(machines, None)[0] == 15 + 8


def test_gpus_have_an_actor_each_and_are_handed_whole_passes() -> None:
    large, small = {"CPU": 64.0, "GPU": 8.0}, {"CPU": 2.0, "GPU": 1.0}
    assert pipeline.plan_actors([large], None) == (8, pipeline.GPU_ROWS, {"num_gpus": 1, "num_cpus": 1})
    assert pipeline.plan_actors([large, small], 96) == (9, 96, {"num_gpus": 1, "num_cpus": 0.5})


@pytest.mark.parametrize(
    "machine", [{}, {"CPU": 1.0, "memory": 1e12}, {"CPU": 8.0, "memory": 2.0**30}, {"CPU": 1.0, "GPU": 1.0}], ids=str
)
def test_a_cluster_that_would_wait_for_ever_is_refused(machine: dict[str, float]) -> None:
    with pytest.raises(UserError, match="start a worker with"):
        pipeline.plan_actors([machine, machine], None)


def test_what_was_written_twice_and_not_finished_is_written_again(tmp_path: Path) -> None:
    done = tmp_path / "done"
    done.mkdir()
    for name in ("a.parquet", "b.parquet", "b.pending.parquet", "c.pending.parquet"):
        (done / name).touch()
    pipeline.drop_half_written_checkpoints(fs.LocalFileSystem(), str(done))
    assert {file.name for file in done.iterdir()} == {"a.parquet", "b.pending.parquet", "c.pending.parquet"}


# ---- the result's columns ----


def test_an_actor_s_rows_are_those_of_the_table_of_columns(
    tmp_path: Path, model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without Ray, and with a column that comes later."""

    @dataclasses.dataclass(frozen=True)
    class LaterResult(ScoreResult):
        is_sharp: bool = True

    later = columns.Column("is_sharp", bool, "whether edges are steep")
    monkeypatch.setattr(columns, "COLUMNS", (*columns.COLUMNS, later))
    for module in (interpreter, scorer, pipeline):
        monkeypatch.setattr(module, "ScoreResult", LaterResult)
    monkeypatch.setattr(ray, "get", lambda shared: shared)
    monkeypatch.setattr(ray, "get_gpu_ids", lambda: [0])
    whole = photo(2, kind="JPEG")
    middle = whole.find(b"\xff\xda") + 50
    damaged = whole[:middle] + b"\xff\xd0" + whole[middle:]
    members = [("a/1.v2.png", photo(1)), ("broken.png", b"broken"), ("2.jpg", damaged)]
    tar(tmp_path / "a.tar", members)
    (block,) = sources.read_blocks([f"{tmp_path}/a.tar"])
    loaded = checkpoint.load(model)
    cache = jax.config.jax_compilation_cache_dir  # type: ignore[attr-defined]
    actor = pipeline.ScorePhotos(loaded, "a fingerprint", "float32", 8, cache, 0.02, columns.bulk_columns())
    rows = actor(decoding.decode_rows(block, loaded.config.preparation))
    assert rows.schema.equals(columns.arrow_schema(columns.bulk_columns()))
    first, second, third = rows.to_pylist()
    (result,) = vtiqa_jax.load(model).stream([Image.open(io.BytesIO(members[0][1]))])
    assert first == {
        "path": f"{tmp_path}/a.tar/a/1.v2.png", "key": "a/1", "score": pytest.approx(result.score, abs=1e-5),
        "percentile": result.percentile, "out_of_range": "below",
        "low": None, "high": None, "opinion_spread": None,
        "detail": None, "detail_percentile": None, "holds": None, "rank": pytest.approx(result.score, abs=1e-5),
        "reasons": None, "error": None, "warning": None, "width": 40, "height": 30,
        "model": "a fingerprint", "is_sharp": True,
    }  # fmt: skip
    assert second["key"] == "broken" and second["score"] is None and second["error"]
    assert third["score"] and third["warning"]


def test_detail_and_reasons_are_those_of_vtiqa_score(
    tmp_path: Path, scale: LabelScale, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ray, "get", lambda shared: shared)
    monkeypatch.setattr(ray, "get_gpu_ids", lambda: [0])
    config = tiny_config(native_factors=(1, 2), native_blocks=(1,), reasons=True)
    model = Checkpoint(config, draw_weights(config), scale, {})
    pictures = [
        *(np.asarray(Image.open(io.BytesIO(photo(seed)))) for seed in range(2)),
        np.full((30, 40, 3), 9, np.uint8),
    ]
    for number, pixels in enumerate(pictures):
        Image.fromarray(pixels).save(tmp_path / f"{number}.png")
    (block,) = sources.read_blocks([f"{tmp_path}/{number}.png" for number in range(3)])
    cache = jax.config.jax_compilation_cache_dir  # type: ignore[attr-defined]
    actor = pipeline.ScorePhotos(model, "", "float32", 8, cache, 0.1, columns.bulk_columns(reasons=True))
    rows = actor(decoding.decode_rows(block, config.preparation))
    judge = scorer.Scorer(config, model.params, scale, false_alarms=0.1, devices=jax.devices()[:1])
    results = list(judge.stream(pictures))
    for row, result in zip(rows.to_pylist(), results, strict=True):
        assert row["detail"] == pytest.approx(result.detail, abs=1e-5)
        assert row["holds"] == pytest.approx(result.holds, abs=0.06)  # to a tenth of a percent
        assert row["warning"] == result.warning
        assert row["reasons"] == "; ".join(map(str, result.reasons))
        chance = [row[f"p_{fault.name}"] for fault in result.faults]
        assert chance == pytest.approx([fault.probability for fault in result.faults], abs=1.01e-4)
    assert any(result.reasons for result in results)
    assert [row["detail"] is None for row in rows.to_pylist()] == [False, False, True]


@pytest.mark.parametrize(
    ("column", "asked", "keys"),
    [
        ({"label": ["a", "b", "c"]}, None, ["0", "1", "2"]),
        ({"label": ["a", None, "c"]}, "label", ["a", None, "c"]),
        ({"url": ["u", "v", "w"], "id": [7, 8, 9], "key": ["000", "001", "002"]}, None, ["7", "8", "9"]),
        ({"id": [1, 2, 3], "uid": ["x", "y", "z"]}, None, ["x", "y", "z"]),
        ({"id": [1, 2, 3], "uid": ["x", "y", "z"]}, "id", ["1", "2", "3"]),
        ({"uid": [[1], [2], [3]], "__key__": ["x", "y", "z"]}, None, ["x", "y", "z"]),
        ({"key": pa.array(["x", "y", "x"]).dictionary_encode()}, None, ["x", "y", "x"]),
        ({"id": pa.array([2**63 + 1, 0, 1], pa.uint64())}, None, [str(2**63 + 1), "0", "1"]),
    ],
    ids=["none", "asked", "id", "uid", "id asked", "uid is a list", "dictionary", "uint64"],
)
@pytest.mark.parametrize("nested", [False, True])
def test_the_key_of_a_row_is_its_sources(
    tmp_path: Path, column: dict[str, Any], asked: str | None, keys: list[str | None], nested: bool
) -> None:
    data = [photo(1), None, photo(2)]
    images = [{"path": None, "bytes": one} for one in data] if nested else pa.array(data, pa.binary())
    pq.write_table(pa.table({**column, "image": images}), tmp_path / "a.parquet")
    (block,) = sources.read_blocks([f"{tmp_path}/a.parquet"], asked)
    assert block["key"].to_pylist() == keys
    assert [value is not None for value in block["data"].to_pylist()] == [True, False, True]


def test_row_numbers_go_on_from_block_to_block(tmp_path: Path) -> None:
    pq.write_table(pa.table({"image": [b"x"] * (sources.BLOCK_ROWS + 2)}), tmp_path / "a.parquet")
    keys = [key for block in sources.read_blocks([f"{tmp_path}/a.parquet"]) for key in block["key"].to_pylist()]
    assert keys == list(map(str, range(sources.BLOCK_ROWS + 2)))


@pytest.mark.parametrize(
    ("member", "key"),
    [
        ("000123.jpg", "000123"), ("a/000123.seg.jpg", "a/000123"), ("a.b/c.d/1.png", "a.b/c.d/1"), ("./1.jpg", "./1"),
        ("a/.jpg", "a/.jpg"), ("plain", "plain"),
    ],
)  # fmt: skip
def test_the_key_of_a_member_is_webdataset_s(member: str, key: str) -> None:
    assert sources.sample_key(member) == key


# ---- sources ----


def photos_of(*files: object) -> list[tuple[str, bool, str | None]]:
    """Name within the file, whether there are bytes, reason."""
    rows = [row for block in sources.read_blocks(list(map(str, files))) for row in block.to_pylist()]
    return [(Path(row["path"]).name, row["data"] is not None, row["error"]) for row in rows]


def test_globs_and_lists(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("a/1.jpg", "a/2.JPG", "a/b/3.jpg", "a/note.md", "a/[x].jpg", "a/4.png"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    monkeypatch.chdir(tmp_path)
    assert [Path(file).name for file in sources.find("a")] == ["1.jpg", "2.JPG", "4.png", "[x].jpg", "3.jpg"]
    assert [Path(file).name for file in sources.find("a/*.jpg")] == ["1.jpg", "[x].jpg"]
    assert sources.find(f"{tmp_path}/*/*/*") == [f"{tmp_path}/a/b/3.jpg"]
    assert [Path(file).name for file in sources.find("a/[x].jpg")] == ["[x].jpg"]
    (tmp_path / "list.txt").write_text("\ufeffa/1.jpg\r\n\n  a/1.jpg\nmissing.jpg\ns3://bucket/key 1.jpg\n")
    expected = [f"{tmp_path}/a/1.jpg", f"{tmp_path}/missing.jpg", "s3://bucket/key 1.jpg"]
    assert sources.find("list.txt") == expected


@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"], ids=["plain", "byte order mark"])
@pytest.mark.parametrize("end", [b"\n", b"\r\n", b"\0"], ids=["lines", "of Windows", "NUL"])
def test_lists_hold_names_of_any_bytes(tmp_path: Path, mark: bytes, end: bytes) -> None:
    names = [b"/a b.jpg", b"/caf\xe9.jpg", "/\u2028line.jpg".encode(), b"/form\x0cfeed.jpg"]
    (tmp_path / "list.txt").write_bytes(mark + end.join(names) + end)
    assert sources.find(f"{tmp_path}/list.txt") == [os.fsdecode(name) for name in names]
    (tmp_path / "wide.txt").write_text("/é.jpg\r\n/b.jpg\r\n", encoding="utf-16")  # of PowerShell
    assert sources.find(f"{tmp_path}/wide.txt") == ["/é.jpg", "/b.jpg"]


@pytest.mark.parametrize(
    "name", ["/a.jpg", "/ä b%20#1.jpg", "/caf\udce9.jpg", "/\udcff\udcfe/%ff\\xff.dng", "s3://b/a%20.jpg"]
)
def test_a_name_in_the_result_leads_back_to_the_file(name: str) -> None:
    text = sources.as_text(name)
    assert text.encode()
    assert sources.normalize_uri(text) == name
    assert text == name or text.startswith("file:///")  # which no absolute path is


def test_photos_whose_names_are_not_utf8_are_read(tmp_path: Path, config: ModelConfig) -> None:
    for name, seed in ((b"caf\xe8.png", 1), (b"caf\xe9.png", 2), (b"caf%E9.png", 3), ("caf\ufffd.png".encode(), 4)):
        Path(os.fsdecode(os.fsencode(tmp_path) + b"/" + name)).write_bytes(photo(seed, 30 + seed))
    packed = os.fsdecode(os.fsencode(tmp_path) + b"/\xe9.tar")
    tar(Path(packed), [(os.fsdecode(b"caf\xe9.png"), photo(5, 35)), ("caf%E9.png", photo(6, 36))])
    pq.write_table(pa.table({"image": [photo(7, 37)]}), tmp_path / "a.parquet")
    (tmp_path / "a.parquet").rename(os.fsdecode(os.fsencode(tmp_path) + b"/\xe9.parquet"))
    blocks = list(sources.read_blocks(sources.find(str(tmp_path))))
    rows = [row for block in blocks for row in decoding.decode_rows(block, config.preparation).to_pylist()]
    assert sorted((row["width"], row["error"]) for row in rows) == [(width, None) for width in range(31, 38)]
    assert len({row["path"] for row in rows}) == 7


def test_the_same_photos_as_vtiqa_score(tmp_path: Path) -> None:
    """Of a folder, of a bucket by the same names, and told apart from what is left out."""
    names = (
        "a.jpg", "b.JFIF", "c.dng", "d.heic", "e.jxl", "._a.jpg", "@eaDir/a.jpg", ".trash/a.jpg", "sub/f.avif", "g.mp4",
        "sub/.t.tar", "IMG_1", "notes.txt", "out/0.parquet", "out.progress/run.json", "out.progress/done/1.parquet",
    )  # fmt: skip
    for name in names:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(photo(0))
    here, there = files.LeftOut(), files.LeftOut()
    found = sources.find(str(tmp_path), here)
    assert found == files.find([tmp_path])
    assert sources._in_bucket(fs.LocalFileSystem(), str(tmp_path), there) == found
    assert [os.path.relpath(file, tmp_path) for file in found] == ["a.jpg", "b.JFIF", "c.dng", "d.heic", "sub/f.avif"]
    assert here.counts.keys() == there.counts.keys() == {
        files.HIDDEN, files.FOREIGN, files.OWN, files.NO_ENDING, "videos", ".jxl that cannot be read"
    }  # fmt: skip
    (tmp_path / "shard.tar").touch()
    assert sources.find(str(tmp_path)) == [*found[:4], f"{tmp_path}/shard.tar", found[4]]
    assert sources.find(f"{tmp_path}/*.[jJ]*") == found[:2]


def test_links_in_circles_end(tmp_path: Path) -> None:
    (tmp_path / "a.jpg").touch()
    for number in range(2):
        (tmp_path / f"loop{number}").symlink_to(".")
    assert sources.find(str(tmp_path)) == [f"{tmp_path}/a.jpg"]
    assert sources.find(f"{tmp_path}/*/*.jpg") == [f"{tmp_path}/loop0/a.jpg"]


def test_a_missing_photo_of_a_list_is_a_row_with_the_reason(tmp_path: Path, config: ModelConfig) -> None:
    (block,) = sources.read_blocks([f"{tmp_path}/missing.jpg"])
    (row,) = decoding.decode_rows(block, config.preparation).to_pylist()
    assert (row["error"], row["width"]) == ("No such file or directory", None)


def test_decoded_photos_come_out_of_any_piece_of_a_table(tmp_path: Path, config: ModelConfig) -> None:
    """Ray cuts tables and puts them together again."""
    for number in range(5):
        (tmp_path / f"{number}.png").write_bytes(photo(number))
    (tmp_path / "3.png").write_bytes(b"broken")
    (block,) = sources.read_blocks([f"{tmp_path}/{number}.png" for number in range(5)])
    preparation = config.preparation
    table = decoding.decode_rows(block, preparation)
    again = pa.concat_tables([table.slice(3), table.slice(1, 2)])
    assert again["error"].is_valid().to_pylist() == [True, False, False, False]
    for number, found in zip((3, 4, 1, 2), decoding.unpack(again, preparation), strict=True):
        for array, expected in zip(found, preparation.make(decode("", photo(number)).pixels), strict=True):
            assert array.dtype == expected.dtype
            assert np.array_equal(array, expected if number != 3 else 0 * expected), number
    assert list(decoding.unpack(decoding.decode_rows(block.slice(0, 0), preparation), preparation)) == []


def test_a_process_that_decodes_needs_no_jax() -> None:
    """Its start would take three seconds longer."""
    code = "import sys; import vtiqa_jax.bulk.decoding; sys.exit('jax' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_tars_packed_cut_off_and_with_a_name_twice(tmp_path: Path) -> None:
    whole = tar(tmp_path / "a.tar", [("x/1.png", photo(1)), ("x/1.png", photo(2)), ("x/1.json", b"{}")])
    (tmp_path / "b.tgz").write_bytes(gzip.compress(whole))
    for name in ("a.tar", "b.tgz"):
        assert photos_of(tmp_path / name) == [("1.png", True, None), ("1.png#2", True, None)]
    (tmp_path / "c.tar").write_bytes(whole[: whole.index(photo(2)) + 100])
    assert photos_of(tmp_path / "c.tar") == [
        ("1.png", True, None),
        ("c.tar", False, "the file breaks off: unexpected end of data"),
    ]


def test_what_a_photo_is_packed_as_tells_its_format(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    members = ["a.dng", "a.dng", "b.HEIC", "c.jxl", "__MACOSX/._a.dng", ".a.png", "@eaDir/t.png", "a.json", "a.mp4"]
    tar(tmp_path / "a.tar", [(name, b"x") for name in members])
    pictures = [{"bytes": b"x", "path": "d.cr3"}, {"bytes": b"x", "path": None}, None]
    pq.write_table(pa.table({"image": pictures}), tmp_path / "a.parquet")
    monkeypatch.setattr(formats, "find_spec", lambda module: None)  # members that need an extra are rows, too
    blocks = sources.read_blocks([f"{tmp_path}/a.tar", f"{tmp_path}/a.parquet"])
    assert [(row["name"], row["path"].rpartition("/")[2]) for block in blocks for row in block.to_pylist()] == [
        (b"a.dng", "a.dng"), (b"a.dng", "a.dng#2"), (b"b.HEIC", "b.HEIC"), (b"c.jxl", "c.jxl"),
        (b"d.cr3", "a.parquet#0"), (b"", "a.parquet#1"), (b"", "a.parquet#2"),
    ]  # fmt: skip
    (block,) = sources.read_blocks([f"{tmp_path}/a.tar"])
    *_, second, _, _ = decoding.decode_rows(block, Preparation(None, (), None)).to_pylist()
    assert second["error"].endswith('pip install "vtiqa-jax[raw]"')


def test_a_damaged_parquet_file_stops_no_other(tmp_path: Path) -> None:
    pq.write_table(pa.table({"image": [photo(1), photo(2)]}), tmp_path / "a.parquet")
    (tmp_path / "b.parquet").write_bytes((tmp_path / "a.parquet").read_bytes()[:-10])
    first, second, third = photos_of(tmp_path / "b.parquet", tmp_path / "a.parquet")
    assert first[:2] == ("b.parquet", False)
    assert str(first[2]).startswith("the file breaks off: ")
    assert (second, third) == (("a.parquet#0", True, None), ("a.parquet#1", True, None))


def test_blocks_are_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sources, "BLOCK_BYTES", 3 * len(photo(0)))
    pq.write_table(pa.table({"image": [photo(0)] * 10}), tmp_path / "a.parquet")
    assert [block.num_rows for block in sources.read_blocks([f"{tmp_path}/a.parquet"])] == [3, 3, 3, 1]


# ---- mistakes ----


def test_mistakes_are_told_in_one_line(model: Path, tmp_path: Path, command: Command) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "a.png").write_bytes(photo(0))
    (tmp_path / "notes.md").touch()
    pq.write_table(pa.table({"image": ["a.jpg"]}), tmp_path / "names.parquet")
    (tmp_path / "foreign").mkdir()
    (tmp_path / "foreign" / "mine.csv").touch()
    rows = tmp_path / "rows.parquet"
    pq.write_table(pa.table({"image": [b"x"], "uid": [[1]], "id": [1], "url": ["u"]}), rows)
    loaded = checkpoint.load(model)
    asked = {"key": None, "reasons": False, "false_alarms": 0.02}
    note = {**identify(loaded, "float32"), "decoders": formats.decoder_versions(), **asked}
    mosaics = dataclasses.replace(loaded.config, eval_mosaics=5)
    assert loaded.scale is not None
    scale = dataclasses.replace(loaded.scale, low=0.0)
    others = {
        "weights": note | {"weights": "another"},
        "config.eval_mosaics": note | identify(dataclasses.replace(loaded, config=mosaics), "float32"),
        "scale.low": note | identify(dataclasses.replace(loaded, scale=scale), "float32"),
        "compute_dtype": note | identify(loaded, "bfloat16"),
        "decoders.pillow": note | {"decoders": note["decoders"] | {"pillow": "1.0"}},
        "key": note | {"key": "uid"},
        "reasons": note | {"reasons": True},
        "false_alarms": note | {"false_alarms": 0.01},
    }
    for name, other in others.items():
        Path(tmp_path, f"{name}.progress").mkdir()
        Path(tmp_path, f"{name}.progress", "run.json").write_text(json.dumps(other))
    out, photos = tmp_path / "out", tmp_path / "photos"
    for arguments, expected in {
        (tmp_path / "none", out): "there is no such file, folder or glob",
        (tmp_path / "*.webp", out): "no photos, tars or Parquet files in",
        (tmp_path / "empty", out): "no photos, tars or Parquet files in",
        (photos, os.fsdecode(os.fsencode(tmp_path) + b"/caf\xe9")): "/caf%E9 is not a name in UTF-8",
        (tmp_path / "notes.md", out): "the name of a list of paths must end in .txt",
        (tmp_path / "names.parquet", out): "no column `image` of bytes",
        ("ftp://example.org/photos", out): "cannot be reached",
        (photos, tmp_path / "foreign"): "exists already and was not written by vtiqa bulk",
        **{
            (photos, tmp_path / name): f"was begun with another model or other settings ({name}); choose another name"
            for name in others
        },
        (photos, out, "--key", "uid"): "--key uid names a column of Parquet files, but",
        (rows, out, "--key", "name"): "--key name is not a column of text or whole numbers; choose from: id, url",
        (rows, out, "--key", "uid"): "choose from: id, url",
        (photos, out, "--rows-per-file", 0): "must be at least 1",
        (photos, out, "--batch-size", 0): "must be at least 1",
        (photos, out, "--checkpoint", tmp_path / "no"): "is not a checkpoint",
        (photos, out, "--reasons"): f"--reasons: {model} cannot name faults",
    }.items():
        words = arguments if "--checkpoint" in arguments else (*arguments, "--checkpoint", model)
        status, _, error = command(__main__.main, "bulk", *words)
        assert (status, error.count("\n")) == (2, 1), error
        assert expected in error
    assert not out.exists()
    assert not Path(f"{out}.progress").exists()


def test_ray_that_is_not_installed_is_told(command: Command, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(bulk_command.importlib.util, "find_spec", lambda name: None)
    status, _, error = command(__main__.main, "bulk", tmp_path, tmp_path / "out")
    assert (status, error) == (2, 'vtiqa: vtiqa bulk needs Ray Data: pip install "vtiqa-jax[bulk]"\n')


def test_a_result_has_one_writer(tmp_path: Path) -> None:
    with (
        bulk_command.only_run(str(tmp_path / "out")),
        pytest.raises(UserError, match="another process is writing"),
        bulk_command.only_run(str(tmp_path / "out")),
    ):
        pass
