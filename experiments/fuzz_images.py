"""Scores a folder of damaged photos and decompression bombs, and tests that `vtiqa score` survives untrusted files.

For example:

    python experiments/fuzz_images.py --count 2000 --seed 0 --also tests/photos [--keep FOLDER]

Whole photos of every format lie among mutated ones. Mutations flip bits, cut off the end, and repeat, zero, remove or
overwrite blocks. They put extreme numbers into headers, or one format's header before another's data. Some headers
claim a huge picture, and some pictures are huge. The exit status is 1 if anything goes wrong.
"""

import collections
import csv
import dataclasses
import io
import re
import struct
import subprocess
import sys
import tempfile
import time
import zlib
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
from cyclopts import Parameter
from PIL import Image

from vtiqa_jax import cli

ENDINGS = {
    "jpg": ("JPEG", {"quality": 90}),
    "progressive.jpg": ("JPEG", {"progressive": True}),
    "png": ("PNG", {}),
    "gif": ("GIF", {}),
    "bmp": ("BMP", {}),
    "tif": ("TIFF", {"compression": "tiff_adobe_deflate"}),
    "lzw.tif": ("TIFF", {"compression": "tiff_lzw"}),
    "webp": ("WEBP", {"quality": 80}),
    "lossless.webp": ("WEBP", {"lossless": True}),
    "jp2": ("JPEG2000", {}),
    "ppm": ("PPM", {}),
    "avif": ("AVIF", {"speed": 9}),
}
"""Endings of the made files, and how Pillow writes them: nine formats."""
MEMORY_LIMIT = 2_000_000_000
"""Bytes that the command may hold at its peak."""
TIME_LIMIT = 0.5
"""Seconds for each file, and a minute more, before the command counts as hanging."""


def encode(pixels: np.ndarray, ending: str) -> bytes:
    """Encodes a photo in one of the formats."""
    buffer = io.BytesIO()
    kind, options = ENDINGS[ending]
    Image.fromarray(pixels).save(buffer, kind, **options)
    return buffer.getvalue()


# ---- bombs ----


def claim_size(data: bytes, width: int, height: int) -> bytes:
    """Returns the same file with another size in its header."""

    def put(offset: int, value: bytes) -> bytes:
        return data[:offset] + value + data[offset + len(value) :]

    if data.startswith(b"\x89PNG"):
        header = b"IHDR" + struct.pack(">LL", width, height) + data[24:29]
        return put(12, header + struct.pack(">L", zlib.crc32(header)))
    if data.startswith(b"\xff\xd8"):
        found = re.search(b"\xff[\xc0\xc2]\x00\x11\x08", data)
        assert found
        return put(found.end(), struct.pack(">HH", height & 0xFFFF, width & 0xFFFF))
    if data.startswith(b"GIF8"):
        return put(6, struct.pack("<HH", width & 0xFFFF, height & 0xFFFF))
    if data.startswith(b"BM"):
        return put(18, struct.pack("<ll", width, height))
    if data.startswith(b"II*\0"):
        start = struct.unpack_from("<L", data, 4)[0]
        for entry in range(start + 2, start + 2 + 12 * struct.unpack_from("<H", data, start)[0], 12):
            tag = struct.unpack_from("<H", data, entry)[0]
            if tag in (256, 257):
                data = put(entry, struct.pack("<HHLL", tag, 4, 1, (width, height)[tag - 256]))
        return data
    if data.startswith(b"RIFF"):
        sizes = b"".join(((side - 1) & 0xFFFFFF).to_bytes(3, "little") for side in (width, height))
        chunks = b"WEBPVP8X" + struct.pack("<L", 10) + bytes(4) + sizes + data[12:]
        return b"RIFF" + struct.pack("<L", len(chunks)) + chunks
    if data.startswith(b"P6"):
        return re.sub(rb"\A(P6\s)\d+\s\d+", rb"\g<1>%d %d" % (width, height), data)
    if (start := data.find(b"ihdr")) >= 0:  # JPEG 2000; the decoder wants both alike
        data = put(start + 4, struct.pack(">LL", height, width))
        return put(data.find(b"\xff\x4f\xff\x51") + 8, struct.pack(">LL", width, height))
    return re.sub(
        rb"(ispe....)........", lambda found: found[1] + struct.pack(">LL", width, height), data, flags=re.DOTALL
    )


def real_bomb(side: int) -> bytes:
    """Makes a whole black PNG of `side` x `side` pixels, a bit each: 100 KB for 30,000."""
    rows = zlib.compressobj(9)
    line = bytes(1 + (side + 7) // 8)
    packed = b"".join(rows.compress(line) for _ in range(side)) + rows.flush()
    header = struct.pack(">LLBBBBB", side, side, 1, 0, 0, 0, 0)
    chunks = ((b"IHDR", header), (b"IDAT", packed), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">L", len(body)) + name + body + struct.pack(">L", zlib.crc32(name + body)) for name, body in chunks
    )


# ---- mutations ----


def mutate(data: bytes, others: list[bytes], rng: np.random.Generator) -> bytes:
    """Damages one file in one way, drawn at random."""
    content, length = bytearray(data), len(data)

    def place(limit: int = length) -> tuple[int, int]:
        start = int(rng.integers(limit))
        return start, min(length, start + int(rng.integers(1, 1 + max(1, length // 8))))

    def turn_bits(limit: int) -> bytes:
        for position in rng.integers(min(limit, length), size=int(rng.integers(1, 20))):
            content[position] ^= 1 << int(rng.integers(8))
        return bytes(content)

    def cut() -> bytes:
        return bytes(content[: int(rng.integers(length))])

    def zero() -> bytes:
        start, end = place()
        content[start:end] = bytes(end - start)
        return bytes(content)

    def noise() -> bytes:
        start, end = place()
        content[start:end] = rng.bytes(end - start)
        return bytes(content)

    def remove() -> bytes:
        start, end = place()
        return bytes(content[:start] + content[end:])

    def repeat() -> bytes:
        start, end = place()
        return bytes(content[:end] + content[start:])

    def extreme() -> bytes:
        values = (0, 0xFFFFFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFF, 1)
        for start in rng.integers(min(200, length), size=2):
            content[start : start + 4] = int(rng.choice(values)).to_bytes(4, str(rng.choice(["big", "little"])))  # type: ignore[arg-type]
        return bytes(content)

    def splice() -> bytes:
        other = others[int(rng.integers(len(others)))]
        start = int(rng.integers(min(64, length)))
        return bytes(content[:start]) + other[start:]

    def lie() -> bytes:
        side = int(rng.choice([20_000, 30_000, 65_500, 2**31 - 1]))
        return claim_size(data, side, int(rng.choice([1, side])))

    def lie_a_little() -> bytes:
        return claim_size(data, int(rng.integers(1, 5_000)), int(rng.integers(1, 5_000)))

    kinds: list[Callable[[], bytes]] = [
        lambda: turn_bits(100), lambda: turn_bits(length), cut, zero, noise, remove, repeat, extreme, splice, lie,
        lie_a_little,
    ]  # fmt: skip
    return kinds[int(rng.integers(len(kinds)))]()


def photographs() -> list[np.ndarray]:
    """Photographs of scikit-image, 256 pixels wide."""
    from skimage import data

    pictures = [data.astronaut(), data.chelsea(), data.coffee(), data.rocket()]
    return [cv2.resize(picture, (256, 192), interpolation=cv2.INTER_AREA) for picture in pictures]


def fill(folder: Path, count: int, seed: int, also: Path | None = None) -> tuple[list[Path], list[Path]]:
    """Writes whole photos of every format and `count` mutated files, in an order that mixes them.

    Returns:
        The whole photos and the mutated files.
    """
    rng = np.random.default_rng(seed)
    sources = [(ending, encode(picture, ending)) for picture in photographs() for ending in ENDINGS]
    if also is not None:
        sources += [(path.suffix[1:], path.read_bytes()) for path in sorted(also.iterdir())]
    everything = [data for _, data in sources]
    just_below = 8_000 if count >= 500 else 20_000  # pixels a side; decoders do work on the fewer
    damaged = [("png", real_bomb(side)) for side in (just_below, 30_000, 60_000)]
    damaged += [(ending, claim_size(data, just_below, just_below)) for ending, data in sources[: len(ENDINGS)]]
    for number in range(count - len(damaged)):
        ending, data = sources[number % len(sources)]
        damaged.append((ending, mutate(data, everything, rng)))
    named: dict[str, list[Path]] = {"good": [], "damaged": []}
    for kind, files in (("good", sources), ("damaged", damaged)):
        for number, (ending, data) in enumerate(files):
            path = folder / f"{number * count // len(files):05}-{kind}.{ending}"
            path.write_bytes(data)
            named[kind].append(path)
    return named["good"], named["damaged"]


# ---- the command ----


@dataclasses.dataclass(frozen=True)
class Outcome:
    """What a run of the command was like."""

    status: int
    seconds: float
    memory: int
    """Its largest resident size, bytes."""
    output: str
    error: str
    rows: dict[str, dict[str, str]]
    """The CSV, by the file's name."""


def peak_memory(pid: int) -> int:
    """Returns the largest resident size so far of a process, bytes; 0 for one that has ended.

    What `os.wait4` returns counts the process that started it, too.
    """
    status = Path(f"/proc/{pid}/status").read_text()
    return 1024 * sum(map(int, re.findall(r"^VmHWM:\s+(\d+) kB", status, re.MULTILINE)))


def score(folder: Path, csv_file: Path, files: int, model: str) -> Outcome:
    """Runs `vtiqa score` on a folder in a process of its own."""
    program = [sys.executable, "-m", "vtiqa_jax", "score", str(folder), "--out", str(csv_file), "--checkpoint", model]
    begun = time.monotonic()
    with tempfile.TemporaryFile() as output, tempfile.TemporaryFile() as error:
        running = subprocess.Popen(program, stdout=output, stderr=error)
        status, memory = None, 0
        while status is None:
            time.sleep(0.05)
            memory = max(memory, peak_memory(running.pid))
            status = running.poll()
            if status is None and time.monotonic() - begun > 60 + TIME_LIMIT * files:
                running.kill()
                running.wait()
                status = 124
        said = []
        for stream in (output, error):
            stream.seek(0)
            said.append(stream.read().decode(errors="replace"))
    rows = {}
    if csv_file.exists():
        with csv_file.open(newline="") as file:
            rows = {Path(row["image"]).name: row for row in csv.DictReader(file)}
    return Outcome(status, time.monotonic() - begun, memory, said[0], said[1], rows)


def find_faults(outcome: Outcome, expected: dict[str, str], bad: list[Path]) -> list[str]:
    """Lists what went wrong in the run; `expected` has the scores of the whole photos alone."""
    faults = []
    if outcome.status not in (0, 1):
        faults.append(f"exit status {outcome.status}, after {len(outcome.rows)} files: {outcome.error[-500:]}")
    if outcome.memory > MEMORY_LIMIT:
        faults.append(f"{outcome.memory / 1e9:.2f} GB of memory")
    if "Traceback" in outcome.output + outcome.error:
        faults.append(f"a traceback: {outcome.error[-2000:]}")
    if not re.fullmatch(r"(\d+ of \d+ photos could not be read\n)?", outcome.error):
        faults.append(f"words that are not ours: {outcome.error[:500]}")
    if len(outcome.output.splitlines()) != 1 + len(expected) + len(bad):
        faults.append(f"{len(outcome.output.splitlines())} lines for {len(expected) + len(bad)} photos")
    for name, score in expected.items():
        found = outcome.rows.get(name, {}).get("score")
        if not found or abs(float(found) - float(score)) > 1e-4:
            faults.append(f"{name} scored {found} and not {score}")
    for path in bad:
        row = outcome.rows.get(path.name)
        if row is None or bool(row["score"]) == bool(row["error"]):
            faults.append(f"{path.name} has neither score nor reason, or both: {row}")
    return faults


@Parameter(name="*")
@dataclasses.dataclass(frozen=True)
class Arguments:
    """Options."""

    count: int = 2000
    """Number of mutated files."""
    seed: int = 0
    """Seed of the mutations."""
    also: Path | None = None
    """Folder of further files to mutate, of formats that Pillow does not write."""
    checkpoint: str = "default"
    """Model: the folder of a checkpoint, an .npz file, or "default" for the packaged model."""
    keep: Path | None = None
    """Folder to write the files to and leave them in."""


def run(
    folder: Path, count: int, seed: int, checkpoint: str, also: Path | None = None
) -> tuple[Outcome, list[str], list[Path]]:
    """Fills a folder, scores it, and finds what was not borne."""
    photos = folder / "photos"
    alone = folder / "alone"
    for path in (photos, alone):
        path.mkdir(parents=True)
    good, bad = fill(photos, count, seed, also)
    for path in good:
        (alone / path.name).write_bytes(path.read_bytes())
    first = score(alone, folder / "alone.csv", len(good), checkpoint)
    if first.status:
        raise SystemExit(f"the whole photos alone: exit status {first.status}: {first.error}{first.output}")
    outcome = score(photos, folder / "photos.csv", len(good) + len(bad), checkpoint)
    expected = {name: row["score"] for name, row in first.rows.items()}
    return outcome, find_faults(outcome, expected, bad), bad


def outcome_of(row: dict[str, str]) -> str:
    """Says how a file ended, by its row in the CSV."""
    return "refused" if row.get("error") else "warned" if row.get("warning") else "scored"


def main(arguments: Arguments = Arguments()) -> int:
    """Prints the figures."""
    with tempfile.TemporaryDirectory() as temporary:
        folder = arguments.keep or Path(temporary)
        outcome, faults, bad = run(folder, arguments.count, arguments.seed, arguments.checkpoint, arguments.also)
    good = sum("good" in name for name in outcome.rows)
    told = collections.Counter()
    formats: dict[str, collections.Counter[str]] = collections.defaultdict(collections.Counter)
    for path in bad:
        row = outcome.rows.get(path.name, {})
        formats[path.suffix][outcome_of(row)] += 1
        if row.get("error"):
            told[re.sub(r"\d[\d,]*", "N", row["error"])] += 1
    print(f"seed {arguments.seed}, {len(bad)} mutated files among {good} whole ones")
    print(f"exit status {outcome.status}, {outcome.seconds:.0f} s, {outcome.memory / 1e9:.2f} GB at the peak")
    for ending, ends in sorted(formats.items()):
        print(f"{ending:6} " + ", ".join(f"{name} {ends[name]}" for name in ("refused", "warned", "scored")))
    for reason, times in told.most_common():
        print(f"{times:5}  {reason}")
    print("\n".join(f"FAULT: {fault}" for fault in faults[:20]) or "all borne")
    return 1 if faults else 0


if __name__ == "__main__":
    cli.run_script(main, description=__doc__)
