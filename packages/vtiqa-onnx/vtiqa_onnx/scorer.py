"""Scoring by ONNX Runtime: the next photos are decoded while the session computes."""

import dataclasses
import json
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
from jaxtyping import Float

from vtiqa_jax.cpus import available_cpus
from vtiqa_jax.errors import ImageError, UserError
from vtiqa_jax.models.config import LabelScale, ModelConfig
from vtiqa_jax.models.false_alarms import DEFAULT_RATE, choose_thresholds
from vtiqa_jax.photos import decode
from vtiqa_jax.results.interpreter import Interpreter
from vtiqa_jax.results.results import ScoreResult, collect_scores

PACKAGED = Path(__file__).with_name("model.onnx")
BATCH = 4
"""Photos that are computed together when no other number is given: more leave a CPU's caches."""
PROVIDERS: dict[str, tuple[str, dict[str, str]]] = {
    "cuda": ("CUDAExecutionProvider", {"use_tf32": "0"}),  # TF32 would change scores by thousandths
    "cpu": ("CPUExecutionProvider", {}),
}
"""ONNX Runtime's names and options of devices, the preferred one first."""

Prepared = list[np.ndarray]
"""Inputs of the session for a photo: its views; and of a model with detail its native views and their structure."""


@dataclasses.dataclass(frozen=True)
class _Loaded:
    """A photo on its way."""

    photo: Any
    result: ScoreResult
    """Without a score; with the reason where the photo cannot be read."""
    prepared: Prepared | None
    shape: tuple[int, int] = (0, 0)
    """Height and width of a photo that could be read, in pixels."""


def _open_session(model: Path, threads: int | None, device: str) -> onnxruntime.InferenceSession:
    """Opens a model on a device.

    Raises:
        UserError: there is no such file, device or number of threads, or ONNX Runtime does not read it.
    """
    if threads is not None and threads < 1:
        raise UserError(f"the threads must be at least 1, not {threads}")
    available = onnxruntime.get_available_providers()
    wanted = [provider for name, provider in PROVIDERS.items() if device in ("auto", name) and provider[0] in available]
    if not wanted:
        raise UserError(f'there is no device "{device}" here; ONNX Runtime has {", ".join(available)}')
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = available_cpus() if threads is None else threads
    # Beside other work, or the decoding of photos, threads that spin, and blocks that wait for the slowest, lose time.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.add_session_config_entry("session.dynamic_block_base", "4")
    options.log_severity_level = 4  # what is wrong is told by the exception
    try:
        # Its bytes, not its name: then it cannot refer to other files.
        session = onnxruntime.InferenceSession(model.read_bytes(), options, providers=wanted)
    except OSError as error:
        raise UserError(f"{model} cannot be read: {error.strerror or error}") from error
    except Exception as error:  # ONNX Runtime's own, which have no common class
        raise UserError(f"{model} is no model that ONNX Runtime {onnxruntime.__version__} reads") from error
    if device != "auto" and PROVIDERS[device][0] not in session.get_providers():
        raise UserError(f"ONNX Runtime cannot use {device} here: a library that it needs is missing")
    return session


class Scorer:
    """A model that is ready to score photos."""

    def __init__(
        self, model: Path, *, threads: int | None = None, device: str = "auto", false_alarms: float = DEFAULT_RATE
    ) -> None:
        """Reads a model.

        Args:
            model: what `vtiqa export SOURCE model.onnx --inputs prepared` wrote.
            threads: that compute; as many as this process has CPUs when not given.
            device: "cpu", "cuda", or "auto" for CUDA where onnxruntime-gpu has it.
            false_alarms: share of good photos of which any reason is named, 0.005 to 0.1.

        Raises:
            UserError: it is no such file, there is no such device, or that rate of false alarms is not known.
        """
        self._session = _open_session(model, threads, device)
        card = self._session.get_modelmeta().custom_metadata_map
        try:
            metadata = json.loads(card["metadata"])
            self.config = ModelConfig.from_json(metadata["config"])
            scale, provenance = LabelScale(**metadata["scale"]), metadata["source"]
        except (KeyError, TypeError, ValueError) as error:
            raise UserError(f"{model} was not written by `vtiqa export`: its metadata is missing") from error
        self._inputs = [value.name for value in self._session.get_inputs()]
        if self._inputs[0] != "views":
            raise UserError(f"{model} takes whole photos; write it with: vtiqa export ... --inputs prepared")
        self.scale: LabelScale = scale
        thresholds: dict[str, float] = {}
        if self.config.reasons:
            known = json.loads(card["reasons"])["thresholds"]
            thresholds = choose_thresholds(np.array(list(known.values())), false_alarms)
        self._interpreter = Interpreter.of(self.config, scale, provenance, thresholds)

    @property
    def unknown(self) -> frozenset[str]:
        """Fields of `ScoreResult` that this model never fills."""
        return self._interpreter.unknown

    @property
    def device(self) -> str:
        """What computes: "cpu" or "cuda"."""
        return next(name for name, (provider, _) in PROVIDERS.items() if provider in self._session.get_providers())

    def __repr__(self) -> str:
        return f"Scorer({self.config.depth} blocks of width {self.config.embed_dim}; {self.scale}; {self.device})"

    def score(self, photos: Any, *, batch_size: int = BATCH) -> Float[np.ndarray, " n"]:
        """Scores photos: paths, uint8 arrays [height, width, 3] in RGB, or Pillow images; one or several of them.

        Returns:
            float32 scores, one for each photo; of a single photo an array of length 1.

        Raises:
            ImageError: names the first photo that cannot be read; `stream` goes on instead.
            ImageError: what is given is neither a photo nor a list of photos.
        """
        return collect_scores(self.stream(photos, batch_size=batch_size))

    def stream(
        self, photos: Any, *, batch_size: int = BATCH, max_pixels: int = decode.MAX_PIXELS
    ) -> Iterator[ScoreResult]:
        """Scores photos in their order, the next batch decoded meanwhile; memory does not grow with their number.

        Args:
            photos: one or several, see `score`.
            batch_size: photos computed together.
            max_pixels: a file of more pixels is not decoded, and has that for its reason.

        Returns:
            A result for each photo, as it is found. One that cannot be read has its reason and stops no other.

        Raises:
            ImageError: what is given is neither a photo nor a list of photos.
            UserError: the batch size is below 1.
        """
        if batch_size < 1:
            raise UserError(f"the batch size must be at least 1, not {batch_size}")
        return self._stream(decode.list_photos(photos), batch_size, max_pixels)

    def _stream(self, listed: Sequence[Any], batch_size: int, max_pixels: int) -> Iterator[ScoreResult]:
        pool = ThreadPoolExecutor(available_cpus())
        waiting = deque(pool.submit(self._load, photo, max_pixels) for photo in listed[: 2 * batch_size])
        try:
            for start in range(0, len(listed), batch_size):
                loaded = [waiting.popleft().result() for _ in listed[start : start + batch_size]]
                ahead = listed[start + 2 * batch_size : start + 3 * batch_size]
                waiting.extend(pool.submit(self._load, photo, max_pixels) for photo in ahead)
                yield from self._judge(loaded)
        finally:
            pool.shutdown(cancel_futures=True)

    def _load(self, photo: Any, max_pixels: int) -> _Loaded:
        """Decodes a photo and makes of it what the model sees."""
        try:
            opened = decode.open_photo(photo, max_pixels=max_pixels)
        except ImageError as error:
            return _Loaded(photo, ScoreResult(photo, None, str(error)), None)
        found = ScoreResult(photo, None, warning=opened.warning)
        arrays, count = self.config.preparation.make(opened.pixels), 1 + self.config.eval_mosaics
        return _Loaded(photo, found, [np.stack(arrays[:count]), *arrays[count:]], opened.pixels.shape[:2])

    def _judge(self, photos: Sequence[_Loaded]) -> Iterator[ScoreResult]:
        """Yields the results of a batch."""
        judged = self._run([photo.prepared for photo in photos if photo.prepared])
        for photo in photos:
            if photo.prepared is None:
                yield photo.result
                continue
            result = self._interpreter.with_size(next(judged).warned(photo.result.warning), *photo.shape)
            yield dataclasses.replace(result, image=photo.photo)

    def _run(self, prepared: Sequence[Prepared]) -> Iterator[ScoreResult]:
        if not prepared:
            return
        fed = (np.stack(same, axis=1) for same in zip(*prepared, strict=True))
        names = [value.name for value in self._session.get_outputs()]
        found = self._session.run(names, dict(zip(self._inputs, fed, strict=True)))
        yield from self._interpreter.results(dict(zip(names, found, strict=True)))


def load(
    model: str | Path | None = None,
    *,
    threads: int | None = None,
    device: str = "auto",
    false_alarms: float = DEFAULT_RATE,
) -> Scorer:
    """Loads a model: the packaged one, or a file. See `Scorer` for the arguments and what it raises."""
    return Scorer(PACKAGED if model is None else Path(model), threads=threads, device=device, false_alarms=false_alarms)
