"""Scoring: photos are decoded in threads while the devices compute, every batch in one shape."""

import dataclasses
import functools
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import jax
import numpy as np
from jaxtyping import Array, Float, Int

from vtiqa_jax import sharding
from vtiqa_jax.cpus import available_cpus
from vtiqa_jax.data.loader import ImageStore
from vtiqa_jax.errors import ImageError, UserError
from vtiqa_jax.models import catalog
from vtiqa_jax.models.checkpoint import Checkpoint
from vtiqa_jax.models.compute_dtype import ComputeDtype
from vtiqa_jax.models.config import LabelScale, ModelConfig
from vtiqa_jax.models.false_alarms import DEFAULT_RATE, choose_thresholds
from vtiqa_jax.models.fingerprint import fingerprint, identify
from vtiqa_jax.models.params import Params
from vtiqa_jax.padding import stack_padded
from vtiqa_jax.photos import decode, formats
from vtiqa_jax.photos.capture import Capture
from vtiqa_jax.photos.place_grid import Arrangement, Region
from vtiqa_jax.photos.resize import Resized, Rgb, prepare, shrink
from vtiqa_jax.photos.sketch import make_sketch
from vtiqa_jax.results.interpreter import Interpreter
from vtiqa_jax.results.reasons import find_fault, name_faults
from vtiqa_jax.results.results import ScoreResult, collect_scores, name_photo
from vtiqa_jax.results.score_table import ScoreTable, thumbnail
from vtiqa_jax.scoring.detail_map import ZOOM_TILES, DetailMap, check_point, make_detail_map
from vtiqa_jax.scoring.fault_map import FaultMap, make_fault_map
from vtiqa_jax.scoring.mosaic_sampling import MosaicSampling
from vtiqa_jax.scoring.quality_map import QualityMap, make_quality_map
from vtiqa_jax.scoring.steps import (
    Judgements,
    JudgeStep,
    make_feature_step,
    make_judge_step,
    make_score_step,
    pass_size,
    round_weights,
    score_store,
)

Prepared = Sequence[np.ndarray]
"""Inputs of a model for one photo, see `photos.preparation`."""


@dataclasses.dataclass(frozen=True)
class _Loaded:
    """What a thread found out about a photo: its result, if it was known, or what the model is to see of it."""

    result: ScoreResult | None
    prepared: Prepared | None
    size: tuple[int, int] | None = None
    """Height and width of a photo that could be read, pixels."""
    warning: str | None = None
    inspected: Any = None
    capture: Capture | None = None
    sketch: bytes | None = None


class Scorer:
    """A trained model ready to score photos, the batch sharded over all devices of this machine or the given ones."""

    def __init__(
        self,
        config: ModelConfig,
        params: Params,
        scale: LabelScale,
        *,
        provenance: dict[str, Any] | None = None,
        compute_dtype: ComputeDtype = "float32",
        false_alarms: float = DEFAULT_RATE,
        devices: Sequence[jax.Device] | None = None,
    ) -> None:
        """Puts the model on the devices.

        Args:
            config: the model's sizes.
            params: its parameters by name.
            scale: what its scores mean.
            provenance: what the model was made from.
            compute_dtype: "bfloat16" is faster where the hardware multiplies it, and less exact.
            false_alarms: share of good photos of which any reason is named, 0.005 to 0.1.
            devices: all of this machine when not given.

        Raises:
            UserError: that rate of false alarms is not known.
        """
        self.config = config
        self.scale = scale
        self.provenance = provenance or {}
        self._model = Checkpoint(config, params, scale, self.provenance)
        self.compute_dtype: ComputeDtype = compute_dtype
        self.false_alarms = false_alarms
        """Share of good photos of which any reason is named."""
        thresholds = choose_thresholds(np.asarray(params["reasons.thresholds"]), false_alarms) if config.reasons else {}
        self._interpreter = Interpreter.of(config, scale, self.provenance, thresholds)
        self.percentiles = self._interpreter.percentiles
        """Percentiles of the scores of training photos; None for a model that was not trained here."""
        self.mesh = sharding.data_mesh(devices)
        self._params = round_weights(sharding.replicate(params, self.mesh), compute_dtype)
        self._step = make_judge_step(config, compute_dtype, self.mesh)

    @classmethod
    def load(
        cls,
        path: str | Path = "default",
        *,
        compute_dtype: ComputeDtype = "float32",
        false_alarms: float = DEFAULT_RATE,
    ) -> "Scorer":
        """Returns a model read from disk, see `vtiqa_jax.load`.

        Raises:
            UserError: `path` is no checkpoint, or a backbone without a head; or the rate of false alarms is not known.
        """
        model = catalog.load(path)
        if model.scale is None:
            raise UserError(
                f"{path} is a backbone without a head; train one with: vtiqa train manifest ... --checkpoint {path}"
            )
        return cls(
            model.config,
            model.params,
            model.scale,
            provenance=model.provenance,
            compute_dtype=compute_dtype,
            false_alarms=false_alarms,
        )

    @functools.cached_property
    def fingerprint(self) -> str:
        """Stands for all that a photo's score depends on but its decoded pixels, see `models.fingerprint`."""
        return fingerprint(identify(self._model, self.compute_dtype))

    @property
    def unknown(self) -> frozenset[str]:
        """Fields of `ScoreResult` that this model never fills."""
        return self._interpreter.unknown

    def settings(self, sampling: MosaicSampling | None = None) -> dict[str, Any]:
        """Returns all that a photo's result depends on but the photo, as JSON: equal settings give equal results.

        The rate of false alarms is none of it: which faults are named follows from their strengths.
        """
        return {
            **identify(self._model, self.compute_dtype),
            "mosaic sampling": dataclasses.asdict(sampling) if sampling else None,
            "decoders": formats.decoder_versions(),
        }

    def __getstate__(self) -> dict[str, Any]:
        """Returns the arguments by which another process makes the same scorer, on the devices that it has."""
        return {
            "config": self.config,
            "params": jax.device_get(self._model.params),
            "scale": self.scale,
            "provenance": self.provenance,
            "compute_dtype": self.compute_dtype,
            "false_alarms": self.false_alarms,
        }

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Makes the scorer anew."""
        self.__init__(**state)

    def __repr__(self) -> str:
        devices = {device.device_kind for device in self.mesh.devices.flat}
        return (
            f"Scorer({self.config.kind}, {self.config.depth} blocks of width {self.config.embed_dim}; {self.scale};"
            f" {self.compute_dtype} on {self.mesh.size} x {', '.join(sorted(devices))})"
        )

    def _dispatch(self, step: JudgeStep, photos: Sequence[Prepared], size: int) -> Judgements:
        """Starts one batch, padded to `size` by repeating the last photo; its result comes when it is ready."""
        images = stack_padded(photos, size)
        return step(self._params, *(sharding.shard_batch(image, self.mesh) for image in images))

    def score_prepared(
        self, photos: Sequence[Prepared], shapes: Sequence[tuple[int, int]], size: int
    ) -> Iterator[ScoreResult]:
        """Scores photos by what `config.preparation` makes of them.

        Args:
            photos: what was made.
            shapes: height and width of each photo, in pixels.
            size: photos computed together, see `pass_size`.

        Yields:
            A result for each, whose `image` is its position.
        """
        started = deque(self._dispatch(self._step, photos[at : at + size], size) for at in range(0, len(photos), size))
        results = (result for judgements in started for result in self._interpreter.results(judgements))
        for position, (shape, result) in enumerate(zip(shapes, results, strict=False)):
            yield dataclasses.replace(self._interpreter.with_size(result, *shape), image=position)

    def stream(
        self,
        photos: Any,
        *,
        batch_size: int | None = None,
        inspect: Callable[[Rgb, Resized], Any] | None = None,
        sampling: MosaicSampling | None = None,
        cached: Callable[[Any], ScoreResult | None] | None = None,
        max_pixels: int = decode.MAX_PIXELS,
    ) -> Iterator[ScoreResult]:
        """Scores photos in their order, two batches decoded ahead; memory does not grow with their number.

        Args:
            photos: one or several, see `score`.
            batch_size: photos computed together, see `pass_size`.
            inspect: called, in the threads that decode, with each photo's pixels as they are and as the model's screen
                shows them (`photos.resize.shrink`); the result has what it returned.
            sampling: mosaics to score each photo by, too.
            cached: called with each photo in these threads; the result of a photo that need not be scored, or None.
            max_pixels: a file of more pixels is not decoded, and has that for its reason.

        Yields:
            A result for each photo. One that cannot be read has its reason and stops no other.

        Raises:
            ImageError: what is given is neither a photo nor a list of photos.
            UserError: the batch size is below 1, or the model draws no mosaics.
        """
        photos = decode.list_photos(photos)
        step, preparation = self._step, self.config.preparation
        if sampling:
            step = make_judge_step(self.config, self.compute_dtype, self.mesh, sampling)
            preparation = dataclasses.replace(preparation, cuts=self.config.stored_cuts)
        if not photos:
            return
        size = pass_size(self.mesh, len(photos), batch_size)
        running: deque[tuple[list[tuple[Any, _Loaded]], Judgements | None]] = deque()
        waiting: deque[Future[_Loaded]] = deque()

        def load(photo: Any) -> _Loaded:
            result = cached(photo) if cached else None
            if result is not None:  # perhaps of a run with another rate of false alarms
                result = dataclasses.replace(result, faults=name_faults(result.faults, self._interpreter.thresholds))
            if result is not None and inspect is None:
                return _Loaded(result, None)
            try:
                opened = decode.open_photo(photo, max_pixels=max_pixels)
            except ImageError as error:
                return _Loaded(ScoreResult(photo, None, str(error)), None)
            screen = shrink(opened.pixels, self.config.screen_side)  # once: of a large photo it takes most of the time
            prepared = None if result else preparation.make(opened.pixels, screen)
            seen = inspect and inspect(opened.pixels, screen)
            sketch = make_sketch(screen).pack()
            return _Loaded(result, prepared, opened.pixels.shape[:2], opened.warning, seen, opened.capture, sketch)

        def finish() -> Iterator[ScoreResult]:
            rows, judgements = running.popleft()
            results = iter(()) if judgements is None else self._interpreter.results(judgements)
            for photo, loaded in rows:
                result = loaded.result or next(results).warned(loaded.warning)
                if loaded.size:
                    height, width = loaded.size
                    result = self._interpreter.with_size(result, height, width)
                    result = dataclasses.replace(result, capture=loaded.capture, sketch=loaded.sketch)
                yield dataclasses.replace(result, image=photo, inspected=loaded.inspected)

        with ThreadPoolExecutor(available_cpus()) as pool:
            position = 0
            try:
                while position < len(photos):
                    ahead = min(len(photos), position + 3 * size)
                    waiting.extend(pool.submit(load, photo) for photo in photos[position + len(waiting) : ahead])
                    rows: list[tuple[Any, _Loaded]] = []
                    ready: list[Prepared] = []
                    while waiting and len(ready) < size:
                        loaded = waiting.popleft().result()
                        rows.append((photos[position], loaded))
                        ready += [loaded.prepared] if loaded.prepared else []
                        position += 1
                    running.append((rows, self._dispatch(step, ready, size) if ready else None))
                    if len(running) > 1:  # the device works on the newest batch while the one before is read back
                        yield from finish()
                while running:
                    yield from finish()
            finally:
                for future in waiting:
                    future.cancel()

    def score(self, photos: Any, *, batch_size: int | None = None) -> Float[np.ndarray, " n"]:
        """Scores photos: paths, uint8 arrays [height, width, 3] in RGB, or Pillow images; one or several of them.

        Returns:
            float32 scores, one for each photo; of a single photo an array of length 1.

        Raises:
            ImageError: names the first photo that cannot be read; `stream` goes on instead.
            ImageError: what is given is neither a photo nor a list of photos.
        """
        return collect_scores(self.stream(photos, batch_size=batch_size))

    def embed(self, photos: Any, *, batch_size: int | None = None) -> Float[np.ndarray, "photos features"]:
        """Computes what the head sees of photos, for heads, searches and selections of one's own.

        Args:
            photos: one or several, see `score`.
            batch_size: photos computed together, see `pass_size`.

        Returns:
            float32. The first half is of the global view, the second of the mosaics, averaged; each half has the class
            tokens, after the last norm, of `config.readout_blocks` one after the other. The packaged model's are of
            blocks 4, 6 and 8, 384 numbers each: 2304.

        Raises:
            ImageError: names the first photo that cannot be read.
            UserError: the model is the paper's, whose head sees something else.
        """
        rows = list(self.stream_features(photos, batch_size=batch_size))
        return np.stack(rows) if rows else np.empty((0, 2 * self.config.feature_dim), np.float32)

    def stream_features(
        self, photos: Any, *, batch_size: int | None = None
    ) -> Iterator[Float[np.ndarray, " features"]]:
        """Computes the same photo by photo, the next batch decoded ahead; memory does not grow with their number.

        Args:
            photos: see `embed`.
            batch_size: see `embed`.

        Yields:
            The features of each photo, in their order.

        Raises:
            ImageError: see `embed`.
            UserError: see `embed`.
        """
        if self.config.kind != "vtiqa":
            raise UserError("the paper's model has no features to give: its head sees regions that a gradient selects")
        listed = decode.list_photos(photos)
        size = pass_size(self.mesh, max(1, len(listed)), batch_size)
        step = make_feature_step(self.config, self.compute_dtype, self.mesh)
        preparation = dataclasses.replace(self.config.preparation, native=None)

        def load(position: int) -> Prepared:
            try:
                pixels = decode.open_photo(listed[position]).pixels
            except ImageError as error:
                raise ImageError(f"{name_photo(listed[position], position)}: {error}") from error
            return preparation.make(pixels, shrink(pixels, self.config.screen_side))

        with ThreadPoolExecutor(available_cpus()) as pool:
            positions = range(len(listed))
            loading = [pool.submit(load, position) for position in positions[:size]]
            computing: deque[Array] = deque()
            for start in positions[::size]:
                ready = [future.result() for future in loading]
                loading = [pool.submit(load, position) for position in positions[start + size : start + 2 * size]]
                computing.append(self._dispatch(step, ready, size)["features"][: len(ready)])
                if len(computing) > 1:  # the device works on the newest batch while the one before is read back
                    yield from np.asarray(computing.popleft())
            for features in computing:
                yield from np.asarray(features)

    def explain(self, photo: Any) -> QualityMap:
        """Maps where a photo is bad: its score with the local view cut from one region alone, region by region.

        Takes as long as two dozen scores.

        Args:
            photo: see `score`.

        Raises:
            ImageError: it cannot be read.
            UserError: the model is the paper's, which selects regions itself.
        """
        pixels = decode.open_photo(photo).pixels
        return dataclasses.replace(self.explain_pixels(pixels), photo=pixels)

    def explain_pixels(self, pixels: Rgb) -> QualityMap:
        """Makes the map of `explain` by a photo's pixels; it does not keep them.

        Raises:
            UserError: the model is the paper's, which selects regions itself.
        """
        if self.config.kind != "vtiqa":
            raise UserError("the paper's model selects its regions itself; maps are made by a VT-IQA as released")
        pair = prepare(pixels, self.config.screen_side, self.config.stored_cuts)
        return make_quality_map(pair, self._params, self.config, self.scale, self.compute_dtype)

    def explain_detail(
        self, photo: Any, *, at: tuple[float, float] | None = None, arrangement: Arrangement = "tiles"
    ) -> DetailMap:
        """Maps where a photo is sharp, clean and real at its own pixels, and where it is not.

        Args:
            photo: see `score`.
            at: a point, as shares of the photo's height and width: the map is of the region around it, at 1:1. When not
                given it is of the whole photo, shrunk by four; a small photo by less.
            arrangement: see `detail_map.make_detail_map`.

        Raises:
            ImageError: it cannot be read.
            UserError: the model has no detail, the photo is smaller than a place, or the point is not in it.
        """
        pixels = decode.open_photo(photo).pixels
        screen = shrink(pixels, self.config.screen_side)
        found = self.explain_detail_pixels(pixels, screen, at=at, arrangement=arrangement)
        return dataclasses.replace(found, photo=pixels)

    def explain_detail_pixels(
        self,
        pixels: Rgb,
        screen: Resized,
        *,
        at: tuple[float, float] | None = None,
        side: int | None = None,
        arrangement: Arrangement = "tiles",
    ) -> DetailMap:
        """Makes the map of `explain_detail` by a photo's pixels; it does not keep them.

        Args:
            pixels: the photo.
            screen: the same as `photos.resize.shrink` leaves it for the model.
            at: see `explain_detail`.
            side: of the square around the point, pixels.
            arrangement: see `explain_detail`.

        Raises:
            UserError: see `explain_detail`.
        """
        region = self._region(pixels, at, side)
        return make_detail_map(
            pixels, screen, self._params, self.config, self.compute_dtype, region=region, arrangement=arrangement
        )

    def explain_reason(self, photo: Any, reason: str, *, at: tuple[float, float] | None = None) -> FaultMap:
        """Maps where in a photo a fault is, at its own pixels.

        Args:
            photo: see `score`.
            reason: the fault, by its name, in words, or as people call it: "noise", "motion blur"; see `find_fault`.
            at: see `explain_detail`.

        Raises:
            ImageError: it cannot be read.
            UserError: the model names no reasons; there is no such fault, or it is of the whole photo, as too little
                light is; the photo is smaller than a place, or the point is not in it.
        """
        pixels = decode.open_photo(photo).pixels
        screen = shrink(pixels, self.config.screen_side)
        return dataclasses.replace(self.explain_reason_pixels(pixels, screen, reason, at=at), photo=pixels)

    def explain_reason_pixels(
        self, pixels: Rgb, screen: Resized, reason: str, *, at: tuple[float, float] | None = None
    ) -> FaultMap:
        """Makes the map of `explain_reason` by a photo's pixels; it does not keep them.

        Args:
            pixels: the photo.
            screen: the same as `photos.resize.shrink` leaves it for the model.
            reason: see `explain_reason`.
            at: see `explain_detail`.

        Raises:
            UserError: see `explain_reason`.
        """
        region = self._region(pixels, at)
        fault = find_fault(reason)
        return make_fault_map(pixels, screen, self._params, self.config, self.compute_dtype, fault, region=region)

    def _region(self, pixels: Rgb, at: tuple[float, float] | None, side: int | None = None) -> Region | None:
        """Returns the square around a point, or nothing where there is no point."""
        if at is None:
            return None
        check_point(at)
        return Region.around(pixels, *at, side or ZOOM_TILES * self.config.view_size)

    def table(self, photos: Any, *, sampling: MosaicSampling | None = None) -> ScoreTable:
        """Scores photos for a notebook, which shows a table with thumbnails; arguments as of `score` and `stream`."""
        return ScoreTable(tuple(self.stream(photos, inspect=thumbnail, sampling=sampling)), self.scale)

    def percentile(self, scores: Float[np.ndarray, " n"]) -> Float[np.ndarray, " n"]:
        """Returns the share of training photos that a photo of this score is better than, in percent.

        Raises:
            UserError: the model does not say how training photos score.
        """
        return self._interpreter.percentile(scores)

    def score_store(
        self, store: ImageStore, rows: Int[np.ndarray, " rows"], *, batch_size: int | None = None
    ) -> Float[np.ndarray, " rows"]:
        """Scores stored photos, see `score_store`; the store has this scorer's devices."""
        step = make_score_step(self.config, self.compute_dtype, self.mesh)
        return score_store(step, self._params, store, rows, batch_size)
