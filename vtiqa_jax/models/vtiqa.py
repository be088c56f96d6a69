"""VT-IQA as released: one vision transformer sees both views, a small head regresses their class tokens to a score.

Source: Li et al., IEEE TCSVT 32(12), 2022, and the authors' release (esnthere/VT-IQA), whose vision transformer is
timm's DeiT-S/16.

    model = VTIQA(ModelConfig(), rngs=nnx.Rngs(0))
    scores = model(global_view, mosaic)                              # inference
    scores = model(global_view, mosaic, rngs=nnx.Rngs(dropout=1))    # training: dropout acts

The head and the parts beside it are float32, whatever the transformer multiplies in.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from flax import nnx
from jax.nn.initializers import Initializer
from jaxtyping import Array, Float, UInt8

from vtiqa_jax.models import views
from vtiqa_jax.models.compute_dtype import ComputeDtype
from vtiqa_jax.models.config import ModelConfig
from vtiqa_jax.models.detail import (
    SOFTNESS,
    DetailHead,
    add_causes,
    find_holding_scale,
    find_softer_subject,
    see_subject,
    sum_losses,
    summarize,
)
from vtiqa_jax.models.ends import SoftEnds
from vtiqa_jax.models.intervals import Intervals, Sureness
from vtiqa_jax.models.novelty import Novelty
from vtiqa_jax.models.pixels import cut_squares
from vtiqa_jax.models.reasons import ReasonsHead, measure_tones
from vtiqa_jax.models.subject import SubjectHead
from vtiqa_jax.models.taste import Taste
from vtiqa_jax.models.vit import Implementation, VisionTransformer, linear

HEAD_WIDTH = 64
HEAD_DROPOUT = 0.5


def balanced_lecun_normal() -> Initializer:
    """Returns LeCun's normal initialiser with rows of alternating sign.

    Units behind a ReLU that can only add to the score leave bad photos no room; a draw of mostly one sign cost .1 of
    SRCC among them.
    """
    base = nnx.initializers.lecun_normal()

    def init(key: Array, shape: Any, dtype: Any = jnp.float32, out_sharding: Any = None) -> Array:
        signs = jnp.where(jnp.arange(shape[0]) % 2, -1, 1).astype(dtype)
        return jnp.abs(base(key, shape, dtype, out_sharding)) * signs.reshape(-1, 1)

    return init


class NativeReadings(NamedTuple):
    """What a model reads of photos at their own pixels."""

    octaves: Float[Array, "batch scales readings"]
    """Octaves that are lost at each scale by each cause, see `DetailHead`; NaN where a photo shows no structure, or is
    too small."""
    softer: Float[Array, " batch"] | None
    """Octaves by which the subject is softer, see `see_subject`; None by a model that does not find it."""
    summaries: Float[Array, "batch scales summary"]
    """What `ReasonsHead.see_places` says of the first view at each scale; nothing without reasons."""


class QualityHead(nnx.Module):
    """Features to one score: dropout, then two hidden layers with ReLU (the release's `head`). Always float32."""

    def __init__(
        self, in_features: int, hidden_dim: int = HEAD_WIDTH, *, dropout: float = HEAD_DROPOUT, rngs: nnx.Rngs
    ) -> None:
        # Unit gain: timm's 0.02 would leave three narrow layers in a row almost without a gradient.
        unit_gain = nnx.initializers.lecun_normal()
        self.dropout = nnx.Dropout(dropout)
        self.fc1 = linear(in_features, hidden_dim, "float32", "xla", kernel_init=unit_gain, rngs=rngs)
        self.fc2 = linear(hidden_dim, 8, "float32", "xla", kernel_init=unit_gain, rngs=rngs)
        self.fc3 = linear(8, 1, "float32", "xla", kernel_init=balanced_lecun_normal(), rngs=rngs)

    def __call__(
        self, features: Float[Array, "batch features"], *, rngs: nnx.Rngs | None = None
    ) -> Float[Array, " batch"]:
        x = self.dropout(features, deterministic=rngs is None, rngs=rngs)
        return self.fc3(jax.nn.relu(self.fc2(jax.nn.relu(self.fc1(x)))))[:, 0]

    def rescale(self, slope: float, intercept: float) -> None:
        """Changes the last layer so that every score s becomes slope * s + intercept."""
        kernel, bias = self.fc3.kernel[...], self.fc3.bias[...]  # type: ignore[index]
        self.fc3.kernel[...] = kernel * jnp.float32(slope)
        self.fc3.bias[...] = bias * jnp.float32(slope) + jnp.float32(intercept)  # type: ignore[index]


def encode_views(
    backbone: VisionTransformer,
    global_view: Float[Array, "batch size size 3"],
    mosaic: Float[Array, "batch size size 3"],
    rngs: nnx.Rngs | None = None,
) -> tuple[Float[Array, "batch features"], Float[Array, "batch features"]]:
    """Returns the features of both views, in one pass through the backbone."""
    features = backbone(jnp.concatenate([global_view, mosaic]), rngs=rngs)
    batch = global_view.shape[0]  # not `len`: `vtiqa export` leaves the batch open
    return features[:batch], features[batch:]


class VTIQA(nnx.Module):
    """The released model."""

    def __init__(
        self,
        config: ModelConfig,
        *,
        dtype: ComputeDtype = "float32",
        implementation: Implementation = "xla",
        drop_path: float = 0.0,
        head_dropout: float = HEAD_DROPOUT,
        rngs: nnx.Rngs,
    ) -> None:
        """Draws the parameters.

        Args:
            config: the sizes.
            dtype: what the transformer multiplies in.
            implementation: what computes a block; `select_implementation` knows the fastest one for a device.
            drop_path: rate at which the last block's branches are skipped in training; the others' rise to it evenly.
            head_dropout: rate at which the head's inputs are dropped in training; 0.5 as released.
            rngs: the stream `params` draws the parameters.
        """
        self.config = config
        self.backbone = config.make_backbone(dtype=dtype, implementation=implementation, drop_path=drop_path, rngs=rngs)
        self.head = QualityHead(2 * config.feature_dim, dropout=head_dropout, rngs=rngs)
        place, scales = len(config.native_blocks) * config.embed_dim, len(config.native_factors)
        self.detail = DetailHead(place, rngs=rngs) if config.native else None
        self.ends = SoftEnds() if config.soft_ends else None
        self.novelty = Novelty(2 * config.feature_dim) if config.novelty else None
        self.reasons = ReasonsHead(place, scales, config.feature_dim, rngs=rngs) if config.reasons else None
        self.intervals = Intervals(2 * config.feature_dim, opinions=config.opinions) if config.intervals else None
        self.taste = Taste(2 * config.feature_dim) if config.taste else None
        self.subject = SubjectHead(place, rngs=rngs) if config.subject else None

    def __call__(
        self,
        global_view: Float[Array, "batch size size 3"],
        mosaic: Float[Array, "batch size size 3"],
        *,
        rngs: nnx.Rngs | None = None,
    ) -> Float[Array, " batch"]:
        """Scores a batch of photos.

        Args:
            global_view: the photos, shrunk, normalised by `views.normalize`.
            mosaic: small patches from all over each photo, side by side, normalised.
            rngs: makes it the training pass; the stream `dropout` draws dropout and stochastic depth.

        Returns:
            Scores on the label scale that the model was trained on.
        """
        features = jnp.concatenate(encode_views(self.backbone, global_view, mosaic, rngs), axis=1)
        return self._finish(self.head(features, rngs=rngs), features)

    def _finish(self, scores: Float[Array, " batch"], features: Float[Array, "batch both"]) -> Float[Array, " batch"]:
        """Makes of the head's scores what is told: by the person's taste, within the scale."""
        scores = self.taste(scores, features) if self.taste else scores
        return self.ends(scores) if self.ends else scores

    def rescale(self, slope: float, intercept: float) -> None:
        """Changes the head, and the ends of the scale, so that every score s becomes slope * s + intercept."""
        for part in filter(None, (self.head, self.ends, self.intervals, self.taste)):
            part.rescale(slope, intercept)

    def encode_views(self, images: Sequence[UInt8[Array, "batch size size 3"]]) -> Float[Array, "views batch features"]:
        """Features of photos by what `config.eval_cuts` keeps of them: of the global view, then of each mosaic."""
        features = self.backbone(views.normalize(jnp.concatenate(images)))
        return features.reshape(len(images), -1, self.config.feature_dim)

    def see_views(
        self, images: Sequence[UInt8[Array, "batch size size 3"]]
    ) -> tuple[Float[Array, "views batch features"], Float[Array, "batch places"] | None]:
        """Returns what `encode_views` does and, of the same pass, what `find_subject` says; None without a subject."""
        if self.subject is None:
            return self.encode_views(images), None
        joined, config = views.normalize(jnp.concatenate(images)), self.config
        features, whole = self.backbone.read_both(joined, len(images), config.native_blocks, config.mosaic_patch)
        return features.reshape(len(images), -1, config.feature_dim), self.subject(whole)

    def cut_views(
        self,
        global_images: UInt8[Array, "batch small small 3"],
        local_images: UInt8[Array, "batch large large 3"],
    ) -> list[UInt8[Array, "batch size size 3"]]:
        """Cuts the views of stored photos that `score` sees: the global view, then each mosaic."""
        first, *others = self.config.eval_cuts
        return [views.keep(global_images, first), *(views.keep(local_images, cut) for cut in others)]

    def encode(
        self,
        global_images: UInt8[Array, "batch small small 3"],
        local_images: UInt8[Array, "batch large large 3"],
    ) -> Float[Array, "views batch features"]:
        """Features of stored photos, as `score` sees them: of the global view, then of each mosaic."""
        return self.encode_views(self.cut_views(global_images, local_images))

    def score_features(
        self, global_features: Float[Array, "batch features"], local_features: Float[Array, "batch features"]
    ) -> Float[Array, " batch"]:
        """Scores photos by the features of both views."""
        features = jnp.concatenate([global_features, local_features], axis=1)
        return self._finish(self.head(features), features)

    def judge_novelty(
        self, global_features: Float[Array, "batch features"], local_features: Float[Array, "batch features"]
    ) -> Float[Array, " batch"]:
        """Returns how unlike photographs pictures are, by the features of both views; see `Novelty`."""
        assert self.novelty is not None
        return self.novelty(jnp.concatenate([global_features, local_features], axis=1))

    def judge_intervals(
        self,
        scores: Float[Array, " batch"],
        global_features: Float[Array, "batch features"],
        local_features: Float[Array, "batch features"],
    ) -> Sureness:
        """Returns how sure scores are, by the features of both views; see `Intervals`."""
        assert self.intervals is not None
        return self.intervals(scores, jnp.concatenate([global_features, local_features], axis=1))

    def read_places(self, native_views: UInt8[Array, "batch size size 3"]) -> Float[Array, "batch places features"]:
        """Reads what the heads see of each place of native views."""
        blocks, patch = self.config.native_blocks, self.config.mosaic_patch
        return self.backbone.read_places(views.normalize(native_views), blocks, patch)

    def find_subject(self, global_view: UInt8[Array, "batch size size 3"]) -> Float[Array, "batch places"]:
        """Returns how much each place of photos shows what they are about, by their global view; see `SubjectHead`."""
        assert self.subject is not None
        return self.subject(self.read_places(global_view))

    def read_native(
        self,
        native_views: UInt8[Array, "batch views size size 3"],
        structure: Float[Array, "batch views places"],
        subject: Float[Array, "batch places"] | None,
    ) -> NativeReadings:
        """Reads all that the heads see of a photo's own pixels.

        Args:
            native_views: of `config.native`.
            structure: of their places.
            subject: of `see_views`, or of `find_subject`, which takes a pass of its own. It says where softness counts.
        """
        detail, reasons, native = self.detail, self.reasons, self.config.native
        assert detail is not None and native is not None

        def see(view: tuple[Array, Array]) -> tuple[Array, ...]:
            images, levels = view
            tokens = self.read_places(images)
            summary = reasons.see_places(tokens, levels) if reasons else jnp.zeros((*levels.shape[:1], 0))
            softness = jnp.zeros(levels.shape)
            if self.subject and subject is not None:
                softness = self.subject.pixels(cut_squares(images, self.config.mosaic_grid))
            return *detail(tokens), softness, levels, summary

        # A view at a time: all of them would leave a CPU's caches.
        *places, summaries = jax.lax.map(see, (native_views.swapaxes(0, 1), structure.swapaxes(0, 1)))
        lost, softer = [], []
        for span in native.spans:
            octaves, logits, softness, levels = (jnp.concatenate(values[span], axis=1) for values in places)
            lost.append(summarize(octaves, logits, levels))
            if subject is not None:
                softer.append(find_softer_subject(softness, jnp.tile(subject, span.stop - span.start), levels))
        found = jnp.stack(lost, axis=1)
        return NativeReadings(
            found,
            see_subject(found, jnp.stack(softer, axis=1), native.factors) if softer else None,
            jnp.stack([summaries[span.start] for span in native.spans], axis=1),
        )

    def judge_places(
        self, native_views: UInt8[Array, "batch size size 3"]
    ) -> tuple[Float[Array, "batch places"], Float[Array, "batch places"], Float[Array, "batch places"] | None]:
        """Judges each place of native views.

        Returns:
            The octaves lost there by all causes together, as tokens tell, which know of the other places; how much the
            place counts, as a logit, the mean over causes; see `DetailHead`. And, by a model that finds the
            subject, the octaves lost by blur, as the place's own pixels tell.
        """
        assert self.detail is not None
        octaves, logits = self.detail(self.read_places(native_views))
        squares = cut_squares(native_views, self.config.mosaic_grid)
        softness = self.subject.pixels(squares) if self.subject else None
        return add_causes(octaves), logits[..., :SOFTNESS].mean(-1), softness

    def judge_detail(self, readings: NativeReadings) -> tuple[Float[Array, " batch"], Float[Array, " batch"]]:
        """Judges photos at their own pixels.

        Returns:
            On the score's scale, what they show at 100 %; and the largest scale at which they hold, see
            `find_holding_scale`.
        """
        assert self.detail is not None
        holds = find_holding_scale(readings.octaves, self.config.native_factors, readings.softer)
        return self.detail.on_scale(sum_losses(readings.octaves, readings.softer)), holds

    def judge_reasons(
        self,
        summaries: Float[Array, "batch scales summary"],
        global_features: Float[Array, "batch features"],
        global_view: UInt8[Array, "batch size size 3"],
    ) -> tuple[Float[Array, "batch faults"], Float[Array, "batch faults"]]:
        """Judges which of `faults.FAULTS` photos have.

        Args:
            summaries: of `read_native`.
            global_features: of the global view.
            global_view: as it is seen, not normalised.

        Returns:
            The strength of each fault, and the probability that a judge calls it plain.
        """
        assert self.reasons is not None
        return self.reasons(summaries, global_features, measure_tones(global_view))

    def score(
        self,
        global_images: UInt8[Array, "batch small small 3"],
        local_images: UInt8[Array, "batch large large 3"],
    ) -> Float[Array, " batch"]:
        """Scores stored photos, seen as the release's test scripts see them when `config.eval_mosaics` is 1.

        Args:
            global_images: the photos at `config.global_resize`, uint8 RGB.
            local_images: the photos at `config.local_resize`, uint8 RGB.
        """
        features = self.encode(global_images, local_images)
        return self.score_features(features[0], features[1:].mean(0))

    def explain(
        self,
        global_images: UInt8[Array, "batch small small 3"],
        local_images: UInt8[Array, "batch large large 3"],
        regions: int,
    ) -> Float[Array, "batch regions regions"]:
        """Scores stored photos whose local view is one region alone, not a mosaic from all over the photo.

        The global view is the whole photo each time: what differs is where the details come from.

        Args:
            global_images: see `score`.
            local_images: see `score`.
            regions: along a side, at least 2; see `views.region_views`.
        """
        batch, size = global_images.shape[0], self.config.view_size
        whole = self.backbone(views.normalize(views.center_crop(global_images, size)))

        def score_row(row: UInt8[Array, "regions batch size size 3"]) -> Float[Array, "regions batch"]:
            local = self.backbone(views.normalize(row.reshape(-1, size, size, 3)))
            return self.score_features(jnp.tile(whole, (regions, 1)), local).reshape(regions, batch)

        # A row at a time: all of them would leave a CPU's caches.
        rows = views.region_views(local_images, size, regions).reshape(regions, regions, batch, size, size, 3)
        return jax.lax.map(score_row, rows).transpose(2, 0, 1)
