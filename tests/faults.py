"""Plants faults in a copy of the source, one at a time, and shows for each the test that finds it.

    python tests/faults.py [--only NAME ...] [--tree PATH] [--list]

First all named tests must pass in the untouched copy. Then each fault is edited into the copy, its test is run and must
fail, and the file is put back. A test that cannot be collected or set up has found nothing. Prints a Markdown table;
the exit status is 1 when a fault is not found. Progress goes to standard error, with the first line of each failure.

JAX_COMPILATION_CACHE_DIR may name a folder for compiled programs, to be kept; otherwise it is a temporary one.
"""

import dataclasses
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from vtiqa_jax import cli

REPOSITORY = Path(__file__).resolve().parents[1]
COPIED = ("vtiqa_jax", "tests", "experiments", "convert", "packages", "train.py", "eval.py", "pyproject.toml",
          "LICENSE", "NOTICE")  # fmt: skip
LEFT_OUT = ("__pycache__", ".pytest_cache", ".hypothesis", ".ruff_cache")
TIMEOUT = 900
"""Seconds that the test of one fault may take. A test that hangs has found nothing."""
TIMEOUT_ALL = 3600
"""Seconds that all tests may take in the untouched copy, compiling included."""
BROKEN_EDITS = ("NameError", "UnboundLocalError", "ImportError", "ModuleNotFoundError", "SyntaxError")
"""What a careless entry of the list below raises. No test has found anything then."""


@dataclasses.dataclass(frozen=True)
class Fault:
    """A mistake that somebody could make, and the test that finds it."""

    name: str
    """In plain words."""
    file: str
    """Relative to the tree."""
    old: str
    """Source text, exactly once in the file."""
    new: str
    """What the mistake makes of it."""
    test: str
    """The pytest node id."""


FAULTS = (
    # ---- the model ----
    Fault(
        "blocks are read out last to first",
        "vtiqa_jax/models/vit.py",
        "if number in self.readout_blocks]\n        return jnp.concatenate(features, axis=1)",
        "if number in self.readout_blocks]\n        return jnp.concatenate(features[::-1], axis=1)",
        "tests/test_model.py::test_several_blocks_are_read_out_in_their_order_and_several_mosaics_averaged",
    ),
    Fault(
        "of several mosaics the last one counts alone",
        "vtiqa_jax/models/vtiqa.py",
        "local_images)\n        return self.score_features(features[0], features[1:]",
        "local_images)\n        return self.score_features(features[0], features[-1:]",
        "tests/test_model.py::test_several_blocks_are_read_out_in_their_order_and_several_mosaics_averaged",
    ),
    Fault(
        "further mosaics are all the first",
        "vtiqa_jax/photos/cuts.py",
        "(0.5 + number * R2_SEQUENCE)",
        "(0.5 + 0 * number * R2_SEQUENCE)",
        "tests/test_views.py::test_further_mosaics_lie_elsewhere_in_their_cells",
    ),
    Fault(
        "the head alone learns from the first mosaic only",
        "vtiqa_jax/training/features.py",
        "features[:, 1:].mean(1)",
        "features[:, 1]",
        "tests/test_run.py::test_a_head_alone_learns_from_what_the_model_sees[3]",
    ),
    Fault(
        "a group with a broken photo is shown without it",
        "vtiqa_jax/data/batches.py",
        "~np.isin(self.groups, rows).any(axis=1)",
        "~np.isin(self.groups, rows).all(axis=1)",
        "tests/test_distorted.py::test_a_group_is_shown_whole_or_not_at_all",
    ),
    Fault(
        "a run goes on after its recipe was rewritten",
        "vtiqa_jax/training/run_state.py",
        'identity["code of the recipe"] = source_hash(type(recipe))',
        'identity["code of the recipe"] = type(recipe).__module__',
        "tests/test_own_code.py::test_a_run_is_not_gone_on_with_after_its_file_has_changed",
    ),
    Fault(
        "any class is taken for a recipe",
        "vtiqa_jax/own_code.py",
        "if wanted not in own:",
        "if not isinstance(found, type):",
        "tests/test_own_code.py::test_what_is_wrong_with_it_is_one_line",
    ),
    Fault(
        "features are those of the first mosaic",
        "vtiqa_jax/scoring/steps.py",
        "features[1:].mean(0)], axis=1)}",
        "features[1]], axis=1)}",
        "tests/test_embed.py::test_features_are_what_the_head_scores_by",
    ),
    Fault(
        "a metric in units of the MOS is told on another scale",
        "vtiqa_jax/evaluation/metrics.py",
        "for name, metric in METRICS.items() if metric.in_mos})",
        "for name, metric in METRICS.items() if not metric.in_mos})",
        "tests/test_metrics.py::test_a_figure_in_units_of_the_mos_means_nothing_on_another_scale",
    ),
    Fault(
        "distorted versions count as photos with a score of 0",
        "vtiqa_jax/data/distorted.py",
        'columns["mask"][ladders] = 0',
        'columns["mask"][ladders] = 1',
        "tests/test_distorted.py::test_ladders_are_of_good_training_photos_and_change_nothing_else",
    ),
    Fault(
        "test photos are distorted and learned",
        "vtiqa_jax/data/distorted.py",
        "good = rng.permutation(rows[quality >= np.median(quality)])",
        "good = rng.permutation(np.flatnonzero(photos.mos >= np.median(quality)))",
        "tests/test_distorted.py::test_ladders_are_of_good_training_photos_and_change_nothing_else",
    ),
    Fault(
        "the stronger distortion is wanted to score higher",
        "vtiqa_jax/training/ranking.py",
        "margin * steps[one] - (outputs[one] - outputs[other])",
        "margin * steps[one] - (outputs[other] - outputs[one])",
        "tests/test_distorted.py::test_the_ranking_loss_by_hand",
    ),
    Fault(
        "every step of a series has the same margin",
        "vtiqa_jax/training/ranking.py",
        "margin * steps[one] -",
        "margin -",
        "tests/test_distorted.py::test_the_ranking_loss_by_hand",
    ),
    Fault(
        "a score is compared with what people said, not with scores",
        "vtiqa_jax/models/percentiles.py",
        'SCORES = ("trained", "percentiles", "scores")',
        'SCORES = ("trained", "percentiles", "labels")',
        "tests/test_run.py::test_the_best_epochs_model_is_kept",
    ),
    Fault(
        "what is left out is shown all the same",
        "vtiqa_jax/data/distorted.py",
        "ladder_rows[kept]",
        "ladder_rows",
        "tests/test_distorted.py::test_ladders_are_of_good_training_photos_and_change_nothing_else",
    ),
    Fault(
        "small photos are read with height and width exchanged",
        "vtiqa_jax/data/image_cache.py",
        "reshape(height, width, 3)",
        "reshape(width, height, 3)",
        "tests/test_data.py::test_cached_arrays_are_the_resized_photos[40]",
    ),
    Fault(
        "a level line that a fit missed by a hair counts as a curve",
        "vtiqa_jax/evaluation/metrics.py",
        "FLAT = 1e-3",
        "FLAT = 1e-9",
        "tests/test_metrics.py::test_a_logistic_that_is_level_but_for_the_fit_s_own_error_is_none",
    ),
    Fault(
        "a small photo is compared with cameras' photos, too",
        "vtiqa_jax/results/interpreter.py",
        "            and height * width >= LARGE\n",
        "",
        "tests/test_detail_percentiles.py::test_a_small_photo_is_not_compared",
    ),
    Fault(
        "photos of any size are compared with",
        "vtiqa_jax/heads/detail_percentiles.py",
        "if height * width < LARGE:",
        "if False:",
        "tests/test_detail_percentiles.py::test_photos_that_count_are_large_and_as_taken",
    ),
    Fault(
        "shrunk photos are compared with",
        "vtiqa_jax/heads/detail_percentiles.py",
        "if not is_as_taken(",
        "if False and not is_as_taken(",
        "tests/test_detail_percentiles.py::test_photos_that_count_are_large_and_as_taken",
    ),
    Fault(
        "photos of `vtiqa bulk` are not compared",
        "vtiqa_jax/scoring/scorer.py",
        "dataclasses.replace(self._interpreter.with_size(result, *shape), image=position)",
        "dataclasses.replace(result, height=shape[0], width=shape[1], image=position)",
        "tests/test_detail_percentiles.py::test_a_photo_is_compared_with_the_detail_of_others",
    ),
    Fault(
        "a screenshot is compared with photos",
        "vtiqa_jax/results/interpreter.py",
        'and NO_PHOTOGRAPH not in (result.warning or "")',
        "and True",
        "tests/test_detail_percentiles.py::test_what_is_no_photograph_is_not_compared",
    ),
    Fault(
        "percentiles that fall are taken",
        "vtiqa_jax/models/percentiles.py",
        " or (np.diff(percentiles) < 0).any()",
        "",
        "tests/test_detail_percentiles.py::test_percentiles_that_are_damaged_are_told_in_one_line",
    ),
    Fault(
        "a model without detail keeps how much of it others have",
        "vtiqa_jax/models/adapt.py",
        'if name != "detail"}',
        "}",
        "tests/test_detail_percentiles.py::test_a_model_without_detail_or_percentiles_compares_nothing",
    ),
    Fault(
        "scores of a model that compares detail with other photos come from a cache",
        "vtiqa_jax/models/fingerprint.py",
        'identity["detail percentiles"] = _hash(detail.tolist())',
        'identity["detail percentiles"] = None',
        "tests/test_fingerprint.py::test_what_changes_scores_changes_the_fingerprint_and_is_named",
    ),
    Fault(
        "PLCC loses its sign",
        "vtiqa_jax/evaluation/metrics.py",
        'Metric("plcc", _statistic(scipy.stats.pearsonr),',
        'Metric("plcc", lambda x, y: abs(scipy.stats.pearsonr(x, y).statistic),',
        "tests/test_metrics.py::test_rank_figures_ignore_a_monotonic_change_and_plcc_does_not",
    ),
    Fault(
        "q and k are swapped in the textbook attention",
        "vtiqa_jax/models/vit.py",
        "queries, 0], qkv[:, :, 1], qkv[:, :, 2]",
        "queries, 1], qkv[:, :, 0], qkv[:, :, 2]",
        "tests/test_model.py::test_attention_is_softmax_attention[xla]",
    ),
    Fault(
        "the token that makes cuDNN's length even is attended to",
        "vtiqa_jax/models/vit.py",
        "lengths = jnp.full(batch, tokens, jnp.int32)",
        "lengths = jnp.full(batch, tokens + 1, jnp.int32)",
        "tests/test_lowering.py::test_the_token_that_evens_the_length_for_cudnn_changes_nothing",
    ),
    Fault(
        "the regions of a map lie on the other side of the diagonal",
        "vtiqa_jax/models/vtiqa.py",
        "return jax.lax.map(score_row, rows).transpose(2, 0, 1)",
        "return jax.lax.map(score_row, rows).transpose(2, 1, 0)",
        "tests/test_explain.py::test_a_region_takes_the_mosaics_place",
    ),
    Fault(
        "the textbook GELU is the tanh approximation",
        "vtiqa_jax/models/vit.py",
        "jax.nn.gelu(x.astype(jnp.float32), approximate=False)",
        "jax.nn.gelu(x.astype(jnp.float32), approximate=True)",
        "tests/test_parity.py::test_every_layer_of_both_models_is_within_its_tolerance[xla]",
    ),
    Fault(
        "LayerNorm's epsilon is torch's default",
        "vtiqa_jax/models/vit.py",
        "LAYER_NORM_EPSILON = 1e-6",
        "LAYER_NORM_EPSILON = 1e-5",
        "tests/test_parity.py::test_every_layer_of_both_models_is_within_its_tolerance[xla]",
    ),
    Fault(
        "the class token comes after the patches",
        "vtiqa_jax/models/vit.py",
        "jnp.concatenate([cls_token, patches], axis=1)",
        "jnp.concatenate([patches, cls_token], axis=1)",
        "tests/test_parity.py::test_every_layer_of_both_models_is_within_its_tolerance[xla]",
    ),
    Fault(
        "patches are numbered by columns",
        "vtiqa_jax/models/vit.py",
        "channels).transpose(0, 1, 3, 2, 4, 5)",
        "channels).transpose(0, 3, 1, 2, 4, 5)",
        "tests/test_parity.py::test_every_layer_of_both_models_is_within_its_tolerance[xla]",
    ),
    Fault(
        "the last block passes on its input's second token",
        "vtiqa_jax/models/vit.py",
        "x = (x[:, :1] if cls_only else x) + attended",
        "x = (x[:, 1:2] if cls_only else x) + attended",
        "tests/test_model.py::test_the_last_block_computes_what_is_read[xla]",
    ),
    Fault(
        "the head sees the global view twice and the mosaic never",
        "vtiqa_jax/models/vtiqa.py",
        "return features[:batch], features[batch:]",
        "return features[:batch], features[:batch]",
        "tests/test_model.py::test_both_views_go_through_one_backbone_and_are_kept_apart",
    ),
    Fault(
        "the head's dropout never acts",
        "vtiqa_jax/models/vtiqa.py",
        "x = self.dropout(features, deterministic=rngs is None, rngs=rngs)",
        "x = self.dropout(features, deterministic=True, rngs=rngs)",
        "tests/test_model.py::test_dropout_acts_in_training_only",
    ),
    # ---- the kernels for the CPU ----
    Fault(
        "q and k are swapped in attention",
        "vtiqa_jax/models/cpu_kernels.py",
        "q, k, v = jax.lax.optimization_barrier(",
        "k, q, v = jax.lax.optimization_barrier(",
        "tests/test_cpu_kernels.py::test_attention[7-float32-arguments0]",
    ),
    Fault(
        "the scale of attention is missing",
        "vtiqa_jax/models/cpu_kernels.py",
        "scale = np.array([qkv.shape[-1] ** -0.5, 1, 1], np.float32)",
        "scale = np.array([1, 1, 1], np.float32)",
        "tests/test_cpu_kernels.py::test_attention[7-float32-arguments0]",
    ),
    Fault(
        "softmax does not shift its logits, so large ones overflow",
        "vtiqa_jax/models/cpu_kernels.py",
        "jnp.exp(logits - logits.max(-1, keepdims=True))",
        "jnp.exp(logits)",
        "tests/test_cpu_kernels.py::test_attention_of_large_logits",
    ),
    Fault(
        "attention's derivative lacks the term of the softmax's sum",
        "vtiqa_jax/models/cpu_kernels.py",
        ", rounded, v) - (grad_out * out).sum(-1, keepdims=True)",
        ", rounded, v)",
        "tests/test_cpu_kernels.py::test_attention[7-float32-arguments0]",
    ),
    Fault(
        "the last block's attention sums over the wrong axis",
        "vtiqa_jax/models/cpu_kernels.py",
        "(jax.nn.softmax(logits, axis=1) * v).sum(1)",
        "(jax.nn.softmax(logits, axis=2) * v).sum(1)",
        "tests/test_cpu_kernels.py::test_attention_of_the_class_token",
    ),
    Fault(
        "an odd number of rows is not provided for in bfloat16",
        "vtiqa_jax/models/cpu_kernels.py",
        "if x.dtype == jnp.float32 or (x.ndim == 2 and rows % 2):",
        "if x.dtype == jnp.float32:",
        "tests/test_cpu_kernels.py::test_products[matmul-odd inputs-bfloat16]",
    ),
    Fault(
        "the transpose in bfloat16 mixes its rows up",
        "vtiqa_jax/models/cpu_kernels.py",
        "return jnp.moveaxis(x, -1, 0).reshape(columns, -1)",
        "return jnp.moveaxis(x, 0, -1).reshape(columns, -1)",
        "tests/test_cpu_kernels.py::test_products[matmul-even-bfloat16]",
    ),
    Fault(
        "GELU is the tanh approximation",
        "vtiqa_jax/models/cpu_kernels.py",
        "return 0.5 * x * (1 + jax.lax.erf(x * np.float32(0.5**0.5)))",
        "return jax.nn.gelu(x)",
        "tests/test_cpu_kernels.py::test_gelu[32]",
    ),
    Fault(
        "LayerNorm's derivative lacks the mean's",
        "vtiqa_jax/models/cpu_kernels.py",
        "inverse * (scaled - scaled.mean(-1, keepdims=True) - along * normalized)",
        "inverse * (scaled - along * normalized)",
        "tests/test_cpu_kernels.py::test_layer_norm[rows]",
    ),
    # ---- photos and views ----
    Fault(
        "photos are decoded to BGR",
        "vtiqa_jax/photos/opencv.py",
        "cv2.IMREAD_COLOR_RGB | cv2.IMREAD_IGNORE",
        "cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE",
        "tests/test_images.py::test_every_kind_of_pixels_becomes_rgb",
    ),
    Fault(
        "without OpenCV ink is taken from white as Pillow rounds it",
        "vtiqa_jax/photos/pillow.py",
        "            return _from_cmyk(np.asarray(image))",
        "            return copy_rgb(image)",
        "tests/test_stored.py::test_both_decode_to_the_same_pixels[JPEG, CMYK]",
    ),
    Fault(
        "a matrix that was rounded before is rounded by another scale",
        "vtiqa_jax/models/quantized.py",
        "np.where(was_next, following, scales)",
        "scales",
        "tests/test_light.py::test_the_packaged_parameters_stay_as_they_are",
    ),
    Fault(
        "vtiqa-onnx gives results of a batch to photos that could not be read",
        "packages/vtiqa-onnx/vtiqa_onnx/scorer.py",
        "            if photo.prepared is None:\n                yield photo.result\n                continue\n",
        "",
        "tests/test_light.py::test_results_come_in_order_whatever_the_batches",
    ),
    Fault(
        "photos of 16 bits are decoded to BGR",
        "vtiqa_jax/photos/opencv.py",
        "pixels[:, :, ::-1]",
        "pixels",
        "tests/test_colour.py::test_numbers_that_do_not_fill_their_16_bits",
    ),
    Fault(
        "white is 255 in every PNM",
        "vtiqa_jax/photos/opencv.py",
        "white = int(header[1]) if header else 255",
        "white = 255",
        "tests/test_images.py::test_the_white_of_a_pnm_is_the_one_it_names[1023]",
    ),
    Fault(
        "a photo that cannot be removed stays in two places",
        "vtiqa_jax/photos/transfer.py",
        "            if is_new:\n                target.unlink()\n",
        "",
        "tests/test_transfer.py::test_a_photo_that_cannot_be_removed_is_not_left_in_two_places",
    ),
    Fault(
        "EXIF orientation is ignored in files",
        "vtiqa_jax/photos/decode.py",
        "points is None else pixels, known.orientation)",
        "points is None else pixels, 1)",
        "tests/test_images.py::test_exif_orientation_is_applied[6]",
    ),
    Fault(
        "photos are turned the other way",
        "vtiqa_jax/photos/orientation.py",
        "if orientation in (3, 4, 7, 8):",
        "if orientation in (3, 4, 6, 7):",
        "tests/test_which_picture.py::test_the_first_frame_is_turned_all_eight_ways[PNG]",
    ),
    Fault(
        "EXIF orientation is ignored in Pillow images",
        "vtiqa_jax/photos/pillow.py",
        "image = ImageOps.exif_transpose(image)",
        "image = image.copy()",
        "tests/test_images.py::test_arrays_and_pillow_images_are_photos_too",
    ),
    Fault(
        "Pillow images of 16 bits are clipped",
        "vtiqa_jax/photos/pillow.py",
        "(pixels >> 8).astype",
        "np.minimum(pixels, 255).astype",
        "tests/test_images.py::test_pillow_images_of_every_mode",
    ),
    Fault(
        "a truncated JPEG is accepted",
        "vtiqa_jax/photos/damage.py",
        "if _decodes(data + END, strict=True) and _has_all_bits(data):",
        "if True:",
        "tests/test_images.py::test_damaged_files_give_a_reason",
    ),
    Fault(
        "a truncated JPEG is accepted when its thumbnail is whole",
        "vtiqa_jax/photos/damage.py",
        "data.find(END, segments[-1][1]) >= 0",
        "data.find(END) >= 0",
        "tests/test_images.py::test_damaged_files_give_a_reason",
    ),
    Fault(
        "a progressive JPEG without its last scans is accepted",
        "vtiqa_jax/photos/damage.py",
        "strict=True) and _has_all_bits(data)",
        "strict=True)",
        "tests/test_images.py::test_a_jpeg_needs_its_last_number_but_not_its_end_marker",
    ),
    Fault(
        "the width alone is held against the limit of pixels",
        "vtiqa_jax/photos/limits.py",
        "if width * height > max_pixels:",
        "if width > max_pixels:",
        "tests/test_images.py::test_a_photo_with_too_many_pixels_is_refused_by_its_header[png]",
    ),
    Fault(
        "a RAW file is decoded before its size is known",
        "vtiqa_jax/photos/raw.py",
        "limits.check_size(raw.sizes.raw_width, raw.sizes.raw_height, max_pixels)",
        "pass",
        "tests/test_images.py::test_a_photo_with_too_many_pixels_is_refused_by_its_header[dng]",
    ),
    Fault(
        "a JPEG of an unknown kind counts as repaired, a repaired one does not",
        "vtiqa_jax/photos/damage.py",
        "not _decodes(data, strict=True) and _decodes(data, strict=False)",
        "not _decodes(data, strict=False)",
        "tests/test_images.py::test_repaired_files_say_so",
    ),
    Fault(
        "RAW files are told by their names alone",
        "vtiqa_jax/photos/raw.py",
        "pages = tiff.list_pages(data)",
        "pages = tiff.list_pages(data) if has_raw_name else []",
        "tests/test_which_picture.py::test_a_raw_file_is_known_by_its_content",
    ),
    Fault(
        "RAW photos are as bright as LibRaw makes them",
        "vtiqa_jax/photos/raw.py",
        "if preview is None:",
        "if True:",
        "tests/test_which_picture.py::test_a_raw_photo_has_the_light_of_the_cameras_own_picture",
    ),
    Fault(
        "a TIFF's first page counts, though it is a preview",
        "vtiqa_jax/photos/tiff.py",
        "return largest if is_preview else first",
        "return pages[0]",
        "tests/test_which_picture.py::test_the_photo_of_a_tiff_is_read_not_its_preview",
    ),
    Fault(
        "a TIFF's largest page counts",
        "vtiqa_jax/photos/tiff.py",
        "return largest if is_preview else first",
        "return largest",
        "tests/test_which_picture.py::test_the_photo_of_a_tiff_is_read_not_its_preview",
    ),
    Fault(
        "a TIFF's directories are walked in a circle",
        "vtiqa_jax/photos/tiff.py",
        "if offset in seen:",
        "if False:",
        "tests/test_which_picture.py::test_directories_that_lie_end_the_walk",
    ),
    Fault(
        "colour profiles are left aside",
        "vtiqa_jax/photos/colour.py",
        "transform = _transform(profile) if mode in",
        "transform = None if mode in",
        "tests/test_colour.py::test_display_p3_becomes_srgb",
    ),
    Fault(
        "pixels are converted from sRGB to sRGB",
        "vtiqa_jax/photos/colour.py",
        ".max()) <= SAME",
        ".max()) == 0",
        "tests/test_colour.py::test_srgb_and_broken_profiles_change_no_pixel",
    ),
    Fault(
        "a colour photo with a grey profile loses its colours",
        "vtiqa_jax/photos/colour.py",
        '(mode == "L" and not _is_grey(pixels))',
        "False",
        "tests/test_colour.py::test_srgb_and_broken_profiles_change_no_pixel",
    ),
    Fault(
        "HDR light is cut off at white",
        "vtiqa_jax/photos/hdr.py",
        "linear *= _shoulder(brightest) / np.maximum(brightest, 1e-6)",
        "pass",
        "tests/test_colour.py::test_brighter_light_is_never_darker_and_keeps_its_hue",
    ),
    Fault(
        "each colour of HDR light is pressed together alone",
        "vtiqa_jax/photos/hdr.py",
        "brightest = linear.max(-1, keepdims=True)",
        "brightest = linear.copy()",
        "tests/test_colour.py::test_brighter_light_is_never_darker_and_keeps_its_hue",
    ),
    Fault(
        "a gain map tells how the photo is coded",
        "vtiqa_jax/photos/boxes.py",
        "if found == item:",
        "if True:",
        "tests/test_colour.py::test_what_another_picture_of_an_avif_is_coded_like_does_not_count",
    ),
    Fault(
        "decoders are heard on the terminal",
        "vtiqa_jax/photos/stderr.py",
        "os.dup2(null, 2)",
        "os.dup2(kept, 2)",
        "tests/test_images.py::test_decoders_keep_quiet_and_we_do_not",
    ),
    Fault(
        "our own words are lost with those of the decoders",
        "vtiqa_jax/photos/stderr.py",
        'os.dup(kept), "w"',
        'os.open(os.devnull, os.O_WRONLY), "w"',
        "tests/test_images.py::test_decoders_keep_quiet_and_we_do_not",
    ),
    Fault(
        "photos are resized with Pillow's kernel",
        "vtiqa_jax/photos/resize.py",
        "CUBIC_A = -0.75",
        "CUBIC_A = -0.5",
        "tests/test_resize.py::test_the_bicubic_is_the_releases[size0]",
    ),
    Fault(
        "a cut keeps the columns that its rows should",
        "vtiqa_jax/photos/resize.py",
        "(cut.side, cut.side), cut.rows, cut.columns)",
        "(cut.side, cut.side), cut.columns, cut.rows)",
        "tests/test_resize.py::test_a_cut_is_cut_out_of_the_whole",
    ),
    Fault(
        "large photos are shrunk without antialiasing",
        "vtiqa_jax/photos/resize.py",
        "Image.Resampling.BICUBIC)",
        "Image.Resampling.NEAREST)",
        "tests/test_resize.py::test_every_channel_is_shrunk_as_pillow_shrinks_the_photo",
    ),
    Fault(
        "photos of the screen's size are shrunk, too",
        "vtiqa_jax/photos/resize.py",
        "or longer <= screen_side:",
        "or longer < screen_side:",
        "tests/test_resize.py::test_a_photo_up_to_the_screens_size_is_untouched[size0]",
    ),
    Fault(
        "a model's screen size does not get into an .onnx file",
        "vtiqa_jax/export/onnx_vtiqa.py",
        "screen = _shrink(op, config)",
        'screen = "photos"',
        "tests/test_export_detail.py::test_of_a_shrunk_photo_the_same_places_are_seen[size1]",
    ),
    Fault(
        "training stores large photos as they are",
        "vtiqa_jax/data/image_cache.py",
        "pixels = shrink(pixels, config.screen_side)",
        "pixels = shrink(pixels, None)",
        "tests/test_data.py::test_cached_arrays_are_the_resized_photos[40]",
    ),
    Fault(
        "a photo that changed is not prepared anew",
        "vtiqa_jax/data/manifest.py",
        "return file_stamp(self.path(name))",
        "return self.version(name)",
        "tests/test_data.py::test_building_the_cache_goes_on_where_it_stopped_and_notices_changes",
    ),
    Fault(
        "the mosaic is cut one pixel off",
        "vtiqa_jax/photos/cuts.py",
        "int(fraction * (cell - patch))",
        "int(fraction * (cell - patch + 1))",
        "tests/test_views.py::test_the_test_time_mosaic_starts_at_38_in_cells_of_109",
    ),
    Fault(
        "the test-time mosaic's cells are one pixel too wide",
        "vtiqa_jax/photos/cuts.py",
        "cell = side // grid\n",
        "cell = side // grid + 1\n",
        "tests/test_views.py::test_the_test_time_mosaic_starts_at_38_in_cells_of_109",
    ),
    Fault(
        "a training mosaic's cells are one pixel too wide",
        "vtiqa_jax/models/views.py",
        "jnp.arange(grid, dtype=jnp.int32) * (length // grid)",
        "jnp.arange(grid, dtype=jnp.int32) * (length // grid + 1)",
        "tests/test_views.py::test_mosaic_is_the_double_loop",
    ),
    Fault(
        "the global view is cut one pixel off",
        "vtiqa_jax/models/views.py",
        "margin = jnp.int32((images.shape[1] - size) // 2)",
        "margin = jnp.int32((images.shape[1] - size) // 2 + 1)",
        "tests/test_views.py::test_the_test_time_global_view_is_the_middle[244-10]",
    ),
    Fault(
        "only the global view is mirrored",
        "vtiqa_jax/training/finetune.py",
        "return views.flip(global_view, flipped), views.flip(views.mosaic(large, rows, cols, patch), flipped)",
        "return views.flip(global_view, flipped), views.mosaic(large, rows, cols, patch)",
        "tests/test_views.py::test_augmentation_stays_inside_and_reaches_every_offset",
    ),
    Fault(
        "the random crop never reaches the last offset",
        "vtiqa_jax/training/finetune.py",
        "(count, 2), 0, config.global_resize - config.view_size + 1)",
        "(count, 2), 0, config.global_resize - config.view_size)",
        "tests/test_views.py::test_augmentation_stays_inside_and_reaches_every_offset",
    ),
    Fault(
        "pixels are normalised with the means of BGR",
        "vtiqa_jax/models/views.py",
        "IMAGENET_MEAN = np.array([0.485, 0.456, 0.406], np.float32)",
        "IMAGENET_MEAN = np.array([0.406, 0.456, 0.485], np.float32)",
        "tests/test_views.py::test_normalize_is_the_networks_input",
    ),
    # ---- weights in ----
    Fault(
        "the square matrix is not transposed from torch to JAX",
        "vtiqa_jax/convert/table.py",
        '"blocks.{block}.attn.proj.kernel", LINEAR)',
        '"blocks.{block}.attn.proj.kernel", KEEP)',
        "tests/test_convert.py::test_a_backbone_is_read_without_torch[npz]",
    ),
    Fault(
        "the converter passes over a missing key",
        "vtiqa_jax/convert/translate.py",
        '            problems.append(f"missing key {key}")',
        "            continue",
        "tests/test_convert.py::test_all_problems_are_collected",
    ),
    Fault(
        "the converter passes over a key that no model has",
        "vtiqa_jax/convert/translate.py",
        "for key in bare if key not in known and key not in table.extras]",
        "for key in bare if key not in known and key in table.extras]",
        "tests/test_convert.py::test_all_problems_are_collected",
    ),
    Fault(
        "a config.json is believed whatever sizes the weights have",
        "vtiqa_jax/convert/architecture.py",
        "if said is not None and said != found:",
        "if said is not None and said == 0:",
        "tests/test_convert_backbone.py::test_what_contradicts_itself_or_the_weights_is_refused",
    ),
    Fault(
        "MoCo v3's ViT-S gets DeiT-S's heads",
        "vtiqa_jax/convert/architecture.py",
        "(sizes.embed_dim == MOCO_WIDTH and of_moco):",
        "(sizes.embed_dim != MOCO_WIDTH and of_moco):",
        "tests/test_convert_backbone.py::test_heads_are_asked_for",
    ),
    Fault(
        "the first of several ViTs in a file is taken",
        "vtiqa_jax/convert/vit_file.py",
        "if len(whole) > 1:",
        "if len(whole) > 9:",
        "tests/test_convert_backbone.py::test_of_several_vits_one_must_be_named",
    ),
    Fault(
        "DeiT III's class token gets the first patch's position",
        "vtiqa_jax/convert/timm_vit.py",
        "np.zeros_like(embedding[:, :1])",
        "embedding[:, :1]",
        "tests/test_convert_backbone.py::test_a_class_token_without_a_position_gets_one_of_zeros",
    ),
    Fault(
        "bfloat16 is read as float16",
        "vtiqa_jax/convert/files.py",
        '"BF16": jnp.dtype("bfloat16")',
        '"BF16": np.dtype("<f2")',
        "tests/test_convert_backbone.py::test_narrow_numbers_become_float32_exactly",
    ),
    Fault(
        "code in a PyTorch file is run",
        "vtiqa_jax/convert/files.py",
        "weights_only=True",
        "weights_only=False",
        "tests/test_convert.py::test_code_in_a_file_is_refused_by_name_and_not_run",
    ),
    Fault(
        "pickled objects in an .npz file of weights are loaded",
        "vtiqa_jax/convert/files.py",
        "allow_pickle=False",
        "allow_pickle=True",
        "tests/test_convert.py::test_refusals_without_torch",
    ),
    Fault(
        "code in a pickled split is run",
        "vtiqa_jax/data/split_files.py",
        'raise pickle.UnpicklingError(f"it carries code ({module}.{name})")',
        "return super().find_class(module, name)",
        "tests/test_splits.py::test_pickles_are_not_trusted",
    ),
    # ---- models out ----
    Fault(
        "an .onnx file's GELU is the tanh approximation",
        "vtiqa_jax/export/onnx_layers.py",
        'approximate="none"',
        'approximate="tanh"',
        "tests/test_export.py::test_an_onnx_graph_scores_stored_photos",
    ),
    Fault(
        "an .onnx file is written without a parameter of the model",
        "vtiqa_jax/export/onnx_vtiqa.py",
        "if unused := op.unused_params():",
        "if unused := op.unused_params()[:0]:",
        "tests/test_export.py::test_an_onnx_graph_uses_every_parameter",
    ),
    Fault(
        "a model of several mosaics is exported to the published format",
        "vtiqa_jax/commands/convert.py",
        "if value != published[name]",
        'if value != published[name] and name != "eval_mosaics"',
        "tests/test_convert.py::test_models_without_a_published_counterpart_are_not_exported",
    ),
    Fault(
        "an .onnx file resizes without rounding to grey levels",
        "vtiqa_jax/export/onnx_vtiqa.py",
        "op.Clip(op.Round(resized), ",
        "op.Clip(resized, ",
        "tests/test_export.py::test_views_of_photos_of_any_size",
    ),
    Fault(
        "an .onnx file cuts photos' rows where the columns belong",
        "vtiqa_jax/export/onnx_vtiqa.py",
        "op, photos, 1, side, rows), 2, side, cols)",
        "op, photos, 2, side, rows), 1, side, cols)",
        "tests/test_export.py::test_views_of_photos_of_any_size",
    ),
    Fault(
        "an exported page cuts regions' rows where the columns belong",
        "vtiqa_jax/export/onnx_vtiqa.py",
        "for axis in (0, 1))",
        "for axis in (1, 0))",
        "tests/test_export.py::test_scores_of_regions",
    ),
    Fault(
        "an .onnx file overlooks the last pixels of cells",
        "vtiqa_jax/export/onnx_native.py",
        "op.Div(op.Add(length, np.int64(grid - 1)), np.int64(grid))",
        "op.Div(length, np.int64(grid))",
        "tests/test_export_detail.py::test_native_views[right]",
    ),
    Fault(
        "an .onnx file cuts the places of all photos from the first",
        "vtiqa_jax/export/onnx_native.py",
        "np.arange(side)), last_column), photos.first_pixel)",
        "np.arange(side)), last_column), np.int64(0))",
        "tests/test_export_detail.py::test_native_views[right]",
    ),
    Fault(
        "an .onnx file shrinks places without rounding",
        "vtiqa_jax/export/onnx_native.py",
        "np.int32(factor**2 // 2)",
        "np.int32(0)",
        "tests/test_export_detail.py::test_native_views[right]",
    ),
    Fault(
        "an .onnx file judges what a photo is too small for",
        "vtiqa_jax/export/onnx_native.py",
        "structures.append(op.Mul(places.structure, is_large))",
        "structures.append(places.structure)",
        "tests/test_export_detail.py::test_an_onnx_graph_says_what_photos_show_at_their_own_pixels[right]",
    ),
    Fault(
        "an .onnx file holds a share where percent belong",
        "vtiqa_jax/export/onnx_detail.py",
        "np.float32(100)",
        "np.float32(1)",
        "tests/test_export_detail.py::test_an_onnx_graph_says_what_photos_show_at_their_own_pixels[right]",
    ),
    Fault(
        "a page's map judges the photo at its own pixels with every row",
        "vtiqa_jax/export/onnx_vtiqa.py",
        "op.Equal(op.Shape(",
        "op.GreaterOrEqual(op.Shape(",
        "tests/test_export_detail.py::test_the_graph_of_a_page_judges_a_photo_once",
    ),
    Fault(
        "a .stablehlo file holds a share where percent belong",
        "vtiqa_jax/export/stablehlo.py",
        "100 * holds",
        "holds",
        "tests/test_export_detail.py::test_a_stablehlo_program_says_it_too",
    ),
    Fault(
        "a detail head is multiplied in bfloat16",
        "vtiqa_jax/models/params.py",
        '{"head", "detail", "reasons", "subject"} & set(',
        '{"head", "reasons", "subject"} & set(',
        "tests/test_bfloat16.py::test_heads_are_not_rounded",
    ),
    Fault(
        "training keeps the detail of another backbone",
        "vtiqa_jax/training/start.py",
        "adapt.without_soft_ends(adapt.without_detail(start))",
        "adapt.without_soft_ends(start)",
        "tests/test_adapt.py::test_a_training_leaves_the_detail_of_its_start_out[True-intervals]",
    ),
    Fault(
        "training keeps soft ends and what knows photographs",
        "vtiqa_jax/training/start.py",
        "adapt.without_intervals(adapt.without_novelty(adapt.without_soft_ends(adapt.without_detail(start))))",
        "adapt.without_detail(start)",
        "tests/test_adapt.py::test_a_training_leaves_the_detail_of_its_start_out[False-intervals]",
    ),
    Fault(
        "scores may leave the lower end of their scale",
        "vtiqa_jax/models/ends.py",
        "jnp.maximum(jnp.minimum(scores, ceiling), floor)",
        "jnp.minimum(scores, ceiling)",
        "tests/test_ends.py::test_no_two_scores_change_their_order",
    ),
    Fault(
        "scores are clipped at the ends of their scale",
        "vtiqa_jax/models/ends.py",
        "high - reach * (reach / (reach + above))",
        "high - 0 * above",
        "tests/test_ends.py::test_far_scores_are_told_apart",
    ),
    Fault(
        "ends stay where they are on another scale",
        "vtiqa_jax/models/vtiqa.py",
        "(self.head, self.ends, self.intervals, self.taste)",
        "(self.head, self.intervals, self.taste)",
        "tests/test_ends.py::test_the_ends_move_with_the_scale",
    ),
    Fault(
        "the ends of a scale that is turned round are exchanged",
        "vtiqa_jax/models/ends.py",
        "ends if slope > 0 else ends[::-1]",
        "ends",
        "tests/test_ends.py::test_the_ends_move_with_the_scale",
    ),
    Fault(
        "percentiles are of scores without ends",
        "vtiqa_jax/models/adapt.py",
        '["percentiles"]["scores"] = softened.tolist()',
        '["percentiles"]["scores"] = scores.tolist()',
        "tests/test_ends.py::test_percentiles_are_those_of_the_soft_scores",
    ),
    Fault(
        "an .onnx graph leaves the scale",
        "vtiqa_jax/export/onnx_vtiqa.py",
        "_soften_ends(op, scores) if config.soft_ends else scores",
        "scores",
        "tests/test_ends.py::test_an_onnx_graph_ends_as_softly",
    ),
    Fault(
        "drawn scores are without a warning",
        "vtiqa_jax/scoring/steps.py",
        "        if config.novelty:\n",
        "        if config.novelty and not offsets:\n",
        "tests/test_novelty.py::test_what_is_no_photograph_is_scored_with_a_warning",
    ),
    Fault(
        "photographs get the warning",
        "vtiqa_jax/results/interpreter.py",
        "NO_PHOTOGRAPH if novelty > 0 else None",
        "NO_PHOTOGRAPH if novelty < 0 else None",
        "tests/test_novelty.py::test_what_is_no_photograph_is_scored_with_a_warning",
    ),
    Fault(
        "intervals know no kinds of photos",
        "vtiqa_jax/models/intervals.py",
        "return first_kind + second * (second_kind - first_kind)",
        "return first_kind + 0 * (second_kind - first_kind)",
        "tests/test_intervals.py::test_nine_in_ten_of_other_photos_lie_within_of_either_kind_and_at_both_ends",
    ),
    Fault(
        "an interval is no wider for a photo unlike all others",
        "vtiqa_jax/models/intervals.py",
        " * jnp.exp(growth * beyond)",
        "",
        "tests/test_intervals.py::test_far_photos_have_wide_intervals_within_the_scale",
    ),
    Fault(
        "a rescaled model's intervals stay where they were",
        "vtiqa_jax/models/intervals.py",
        "self.ends[...] = jnp.float32(slope) * self.ends[...] + jnp.float32(intercept)",
        "self.ends[...] = self.ends[...] + jnp.float32(intercept)",
        "tests/test_intervals.py::test_intervals_move_with_the_scale",
    ),
    Fault(
        "quantiles are those of the errors that are known",
        "vtiqa_jax/heads/intervals.py",
        "(weights.sum() + np.square(weights).sum() / weights.sum())",
        "weights.sum()",
        "tests/test_intervals.py::test_quantiles_are_those_of_one_more_error",
    ),
    Fault(
        "a preference is sure of the second photo",
        "vtiqa_jax/results/preference.py",
        "math.hypot(a.deviation, b.deviation)",
        "a.deviation",
        "tests/test_intervals.py::test_the_preference_is_as_probable_as_both_are_sure",
    ),
    Fault(
        "a region of a photo has an interval",
        "vtiqa_jax/export/onnx_vtiqa.py",
        "op.Slice(value, zero, judged, zero)",
        "op.Slice(value, zero, np.array([99]), zero)",
        "tests/test_intervals.py::test_onnx_says_the_same[regions]",
    ),
    Fault(
        "the threshold lies among the photographs",
        "vtiqa_jax/training/novelty.py",
        "((photographs - mean) @ direction).max(), np",
        "np.percentile((photographs - mean) @ direction, 99), np",
        "tests/test_novelty.py::test_the_threshold_lies_beyond_every_photograph",
    ),
    Fault(
        "many photographs outvote pictures that are none",
        "vtiqa_jax/training/novelty.py",
        "0.5 / counts]",
        "0 * counts + 1 / counts.sum()]",
        "tests/test_novelty.py::test_many_photographs_do_not_outvote_the_others",
    ),
    Fault(
        "quantizing again changes a quantized matrix",
        "vtiqa_jax/models/quantized.py",
        "127 * scales.astype(np.float32) < greatest",
        "greatest > 0",
        "tests/test_checkpoint.py::test_quantizing_survives_zeros_and_keeps_the_greatest",
    ),
    Fault(
        "the length of an open batch is asked for",
        "vtiqa_jax/models/vtiqa.py",
        "batch = global_view.shape[0]  #",
        "batch = len(global_view)  #",
        "tests/test_export.py::test_a_stablehlo_program_returns_the_same_bits",
    ),
    Fault(
        "Hugging Face's key stands before its query",
        "vtiqa_jax/convert/hugging_face.py",
        '("query", "key", "value")]',
        '("key", "query", "value")]',
        "tests/test_convert.py::test_hugging_faces_names_are_read",
    ),
    # ---- files on disk ----
    Fault(
        "a checkpoint's hashes are not compared",
        "vtiqa_jax/models/checkpoint.py",
        "if json.loads((path / HASHES).read_text()) != file_hashes(path):",
        "if not (path / HASHES).is_file():",
        "tests/test_checkpoint.py::test_what_is_no_whole_checkpoint_is_refused",
    ),
    Fault(
        "the hashes of a run's state are not compared",
        "vtiqa_jax/training/run_checkpointer.py",
        "if json.loads((path / HASHES).read_text()) != file_hashes(path):",
        "if not (path / HASHES).read_text():",
        "tests/test_run.py::test_a_damaged_state_is_passed_over",
    ),
    Fault(
        "the hash of a split's file is not compared",
        "vtiqa_jax/data/split_files.py",
        'if content["format"] != FORMAT or content["sha256"] != hash_parts(parts, select_on_test):',
        'if content["format"] != FORMAT:',
        "tests/test_splits.py::test_our_file_gives_the_split_back",
    ),
    Fault(
        "what is replaced goes before the new data are written",
        "vtiqa_jax/atomic.py",
        "        yield temporary\n        _take_place(temporary, path, old)\n",
        "        remove(path)\n        yield temporary\n        _take_place(temporary, path, old)\n",
        "tests/test_checkpoint.py::test_a_checkpoint_is_replaced_only_when_asked_and_only_by_a_whole_one",
    ),
    Fault(
        "the old folder does not come back when its replacing is interrupted",
        "vtiqa_jax/atomic.py",
        "        if old.exists() and not path.exists():  # interrupted there\n            old.rename(path)\n",
        "",
        "tests/test_run.py::test_interrupted_while_replacing_the_old_one_stays",
    ),
    Fault(
        "a link is replaced by a file",
        "vtiqa_jax/atomic.py",
        "    path = resolve(path)\n    make_folder(path.parent)\n",
        "    make_folder(path.parent)\n",
        "tests/test_atomic.py::test_links_stay_and_what_they_lead_to_is_replaced_again_and_again",
    ),
    Fault(
        "a file that the shell opened is written over from its beginning",
        "vtiqa_jax/atomic.py",
        "    if number is None:\n        return path.open",
        "    if number != 1:\n        return path.open",
        "tests/test_atomic.py::test_an_open_file_is_continued_where_it_stands",
    ),
    Fault(
        "what replaces a file has the mode of a new one",
        "vtiqa_jax/atomic.py",
        "        keep_attributes(path, complete)\n",
        "        pass\n",
        "tests/test_atomic.py::test_the_mode_of_what_is_replaced_is_kept",
    ),
    Fault(
        "a private file can be read by all while it is replaced",
        "vtiqa_jax/atomic.py",
        "os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600",
        "os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666",
        "tests/test_atomic.py::test_a_new_file_obeys_the_umask_and_a_private_one_is_private_while_it_is_written",
    ),
    Fault(
        "what is written over keeps its longer end",
        "vtiqa_jax/atomic.py",
        "        target.truncate()\n",
        "",
        "tests/test_atomic.py::test_what_the_system_will_not_rename_is_written_over",
    ),
    Fault(
        "a file is cut off for which there is no room",
        "vtiqa_jax/atomic.py",
        "    check_disk_space(path, complete.stat().st_size - path.stat().st_size)\n",
        "",
        "tests/test_atomic.py::test_a_disk_without_room_leaves_what_cannot_be_replaced_as_it_is",
    ),
    Fault(
        "a full disk under another output is blamed on the report",
        "vtiqa_jax/gallery/page.py",
        "        yield writer  # what goes wrong in the block is not the report's fault\n",
        "        with _explain_write_errors(folder):\n            yield writer\n",
        "tests/test_gallery.py::test_what_goes_wrong_elsewhere_is_not_told_of_the_report",
    ),
    Fault(
        "a photo is written over by its score",
        "vtiqa_jax/results/score_files.py",
        "photo.exists() and path.samefile(photo)",
        "path == photo",
        "tests/test_score_command.py::test_a_photo_is_not_written_over_by_its_score",
    ),
    Fault(
        "one photo that cannot be copied stops all others",
        "vtiqa_jax/commands/selection.py",
        "                if error.errno in DISK_FULL:\n",
        "                if error.errno:\n",
        "tests/test_score_command.py::test_a_photo_that_cannot_be_copied_stops_no_other_but_a_full_disk_does",
    ),
    Fault(
        "the patch embedding is quantized too",
        "vtiqa_jax/models/quantized.py",
        'is_matmul_weight(name) and group != "embed" and not early_projection',
        "is_matmul_weight(name) and not early_projection",
        "tests/test_checkpoint.py::test_a_quantized_model_is_near_and_small",
    ),
    # ---- splits ----
    Fault(
        "validation photos are drawn without regard to their scenes",
        "vtiqa_jax/data/splits.py",
        "val = _sample_scenes(rest, names[rest], val_fraction, rng)",
        "val = np.sort(rng.permutation(rest)[: round(val_fraction * len(rest))])",
        "tests/test_splits.py::test_no_scene_is_in_two_parts",
    ),
    Fault(
        "validation photos are taken from the test photos",
        "vtiqa_jax/data/splits.py",
        "        parts.append(np.sort(order[end - size : end]))\n        end -= size\n    return",
        "        parts.append(np.sort(order[end - size : end]))\n    end -= sum(sizes)\n    return",
        "tests/test_splits.py::test_a_clean_split_covers_every_row_once",
    ),
    Fault(
        "test photos are trained on",
        "vtiqa_jax/data/splits.py",
        "return [*parts, np.sort(order[:end])]",
        "return [*parts, np.sort(order)]",
        "tests/test_splits.py::test_a_clean_split_covers_every_row_once",
    ),
    Fault(
        "the seed of a split is ignored",
        "vtiqa_jax/data/splits.py",
        "    rng = np.random.default_rng(seed)\n    if scenes:\n        if in_order:",
        "    rng = np.random.default_rng(0)\n    if scenes:\n        if in_order:",
        "tests/test_splits.py::test_a_clean_split_covers_every_row_once",
    ),
    Fault(
        "the missing validation part of a given split is drawn from its test part",
        "vtiqa_jax/data/splits.py",
        "val = np.sort(rng.permutation(train)[: round(val_fraction * len(train))])",
        "val = np.sort(rng.permutation(test)[: round(val_fraction * len(train))])",
        "tests/test_splits.py::test_other_projects_files_are_read",
    ),
    Fault(
        "the test photos choose the best epoch of a clean split",
        "vtiqa_jax/data/splits.py",
        "return self.test if self.select_on_test else self.val",
        "return self.test",
        "tests/test_splits.py::test_a_clean_split_covers_every_row_once",
    ),
    Fault(
        "the seeds of the paper's split are in the wrong order",
        "vtiqa_jax/data/splits.py",
        "seeds = [0, RELEASED_SEEDS[dataset]] if index is None",
        "seeds = [RELEASED_SEEDS[dataset], 0] if index is None",
        "tests/test_splits.py::test_assumed_splits_say_so_and_keep_the_releases_seed",
    ),
    Fault(
        "the paper's repeated splits forget the first shuffle",
        "vtiqa_jax/data/splits.py",
        "else [0, *range(index + 1)]",
        "else [*range(index + 1)]",
        "tests/test_splits.py::test_the_authors_splits_of_koniq",
    ),
    Fault(
        "the paper's split rounds the number of training photos instead of cutting it off",
        "vtiqa_jax/data/splits.py",
        "train_size = int(TRAIN_SHARE * count)",
        "train_size = round(TRAIN_SHARE * count)",
        "tests/test_bench.py::test_a_set_that_trained_nothing_is_taken_by_its_official_test_or_whole",
    ),
    # ---- data sets ----
    Fault(
        "a photo may be listed twice",
        "vtiqa_jax/data/manifest.py",
        "            seen.add(path)\n",
        "            pass\n",
        "tests/test_data.py::test_a_wrong_manifest_is_refused_with_its_lines",
    ),
    Fault(
        "a row with a cell too many is believed",
        "vtiqa_jax/data/csv_table.py",
        "elif filled > len(header) or len(cells) < len(header):",
        "elif len(cells) < len(header):",
        "tests/test_csv_table.py::test_what_contradicts_itself_is_refused_with_its_line",
    ),
    Fault(
        "a decimal comma is believed beside decimal points",
        "vtiqa_jax/data/csv_table.py",
        'self.delimiter != "," and not has_point and',
        'self.delimiter != "," and',
        "tests/test_csv_table.py::test_a_file_with_both_decimal_signs_is_in_doubt",
    ),
    Fault(
        "lines are counted by rows",
        "vtiqa_jax/data/csv_table.py",
        "line, before = before + 1, reader.line_num",
        "line, before = before + 1, before + 1",
        "tests/test_csv_table.py::test_a_cell_that_is_no_number_is_named_with_its_line",
    ),
    Fault(
        "composed and decomposed letters are two",
        "vtiqa_jax/data/names.py",
        'unicodedata.normalize("NFC", unicodedata.normalize("NFD", name).casefold())',
        "name.casefold()",
        "tests/test_names.py::test_a_name_is_found_however_it_is_written",
    ),
    Fault(
        "a disk that is away makes photos broken",
        "vtiqa_jax/data/image_cache.py",
        "if leave_out_broken and isinstance(error, ImageError):",
        "if leave_out_broken:",
        "tests/test_data.py::test_photos_that_cannot_be_read_for_now_are_not_left_out",
    ),
    Fault(
        "labels are not mapped to the common scale",
        "vtiqa_jax/data/datasets/info.py",
        "return dataclasses.replace(self.photos, mos=self.info.on_common_scale(self.photos.mos))",
        "return self.photos",
        "tests/test_datasets.py::test_every_photo_has_its_score[spaq]",
    ),
    Fault(
        "the common scale runs the wrong way",
        "vtiqa_jax/data/datasets/info.py",
        "return (self.slope * mos + self.intercept).astype(np.float32)",
        "return (6 - self.slope * mos - self.intercept).astype(np.float32)",
        "tests/test_datasets.py::test_every_photo_has_its_score[spaq]",
    ),
    Fault(
        "the scores of CID2013 are read from the column of each image set",
        "vtiqa_jax/data/datasets/cid2013.py",
        'row["Realigned MOS"]',
        'row["Image set specific  MOS"]',
        "tests/test_datasets.py::test_every_photo_has_its_score[cid2013]",
    ),
    Fault(
        "the practice photos of LIVE in the Wild are counted by its reader",
        "vtiqa_jax/data/datasets/livew.py",
        "partial=partial, practice=practice)",
        "partial=partial, practice=0)",
        "tests/test_datasets.py::test_what_the_sets_alone_have[livew]",
    ),
    Fault(
        "the practice photos of LIVE in the Wild are counted by vtiqa bench",
        "vtiqa_jax/bench/parts.py",
        'dataset = found if part == "paper" or split_file else found.without_practice()',
        "dataset = found",
        "tests/test_bench.py::test_a_set_that_trained_nothing_is_taken_by_its_official_test_or_whole",
    ),
    Fault(
        "the DMOS of CSIQ is read as if higher were better",
        "vtiqa_jax/data/datasets/csiq.py",
        "slope=-4.0,\n    intercept=5.0,",
        "slope=4.0,\n    intercept=1.0,",
        "tests/test_datasets.py::test_every_photo_has_its_score[csiq]",
    ),
    Fault(
        "scores turned round are read as they stand",
        "vtiqa_jax/data/datasets/synthetic.py",
        "if info.slope * (mildest - strongest) < 0:",
        "if info.slope * (mildest - strongest) > 1e9:",
        "tests/test_datasets.py::test_scores_turned_round_are_refused[False-kadid10k]",
    ),
    Fault(
        "one reference of KADID-10k is in two parts of a split",
        "vtiqa_jax/data/datasets/kadid10k.py",
        "scenes=scenes, groups=kinds)",
        "groups=kinds)",
        "tests/test_datasets.py::test_a_reference_is_in_one_part_of_a_split[kadid10k]",
    ),
    Fault(
        "resized copies of KonIQ-10k are taken for it",
        "vtiqa_jax/data/datasets/info.py",
        "if widths and info.width not in widths:",
        "if not widths:",
        "tests/test_datasets.py::test_resized_copies_are_refused_whatever_their_folder_is_called",
    ),
    Fault(
        "the pictures of one reference count as so many independent ones",
        "vtiqa_jax/evaluation/metrics.py",
        "bounds = correlations(scores, mos), bootstrap_ci(scores, mos, scenes)",
        "bounds = correlations(scores, mos), bootstrap_ci(scores, mos)",
        "tests/test_bench.py::test_figures_of_a_set_with_scenes_resample_them",
    ),
    Fault(
        "photos that trained the model are tested on",
        "vtiqa_jax/bench/parts.py",
        "len(official) > 0 and bool(np.isin(rows, official).all())",
        "True",
        "tests/test_bench.py::test_a_set_that_trained_the_model_is_marked_and_its_training_photos_are_not_taken",
    ),
    Fault(
        "any split file passes for that of the training",
        "vtiqa_jax/bench/parts.py",
        "is_of_split = split_hash is not None and training.split_hash == split_hash",
        "is_of_split = split_hash is not None",
        "tests/test_bench.py::test_only_the_split_of_the_training_makes_a_set_clean",
    ),
    Fault(
        "a command's scores are taken in the order of the photos",
        "vtiqa_jax/bench/outside.py",
        "photo = waiting.pop(path)",
        "photo = waiting.pop(next(iter(waiting)))",
        "tests/test_bench.py::test_a_command_that_is_right_is_right_on_every_set",
    ),
    Fault(
        "a score that is no number counts as one",
        "vtiqa_jax/bench/outside.py",
        "reason = None if np.isfinite(score) else",
        "reason = None if True else",
        "tests/test_bench.py::test_photos_without_a_score_are_told",
    ),
    Fault(
        "a command that failed has scored",
        "vtiqa_jax/bench/outside.py",
        "if status := process.wait():",
        "if (status := process.wait()) == 99:",
        "tests/test_bench.py::test_what_is_no_score_is_one_line",
    ),
    Fault(
        "a copy of a data set is scored beside it",
        "vtiqa_jax/data/datasets/find.py",
        "    if others:\n",
        "    if False:\n",
        "tests/test_bench.py::test_a_link_leads_to_no_second_copy_and_a_copy_is_told",
    ),
    # ---- training ----
    Fault(
        "every epoch has the same order of photos",
        "vtiqa_jax/data/batches.py",
        "np.random.default_rng((seed, epoch))",
        "np.random.default_rng(seed)",
        "tests/test_training.py::test_every_epoch_sees_every_photo_once_in_an_order_of_its_own",
    ),
    Fault(
        "photos that only fill the batch count as present",
        "vtiqa_jax/data/loader.py",
        "(np.arange(size) < len(rows)).astype(np.float32)",
        "np.ones(size, np.float32)",
        "tests/test_training.py::test_every_epoch_sees_every_photo_once_in_an_order_of_its_own",
    ),
    Fault(
        "photos that only fill the batch count in the loss",
        "vtiqa_jax/training/finetune.py",
        "l1 = (weights * jnp.abs(outputs - labels)).sum()",
        "l1 = jnp.abs(outputs - labels).mean()",
        "tests/test_recipes.py::test_the_loss_is_l1_and_plcc_of_the_photos_present",
    ),
    Fault(
        "the loss rewards a low PLCC",
        "vtiqa_jax/training/finetune.py",
        "l1 + self.plcc_weight * (1 - plcc)",
        "l1 + self.plcc_weight * (1 + plcc)",
        "tests/test_recipes.py::test_the_loss_is_l1_and_plcc_of_the_photos_present",
    ),
    Fault(
        "the last of the frozen blocks learns",
        "vtiqa_jax/training/finetune.py",
        "layer_index(name, config.depth) > self.freeze_blocks",
        "layer_index(name, config.depth) >= self.freeze_blocks",
        "tests/test_training.py::test_frozen_means_bit_equal_and_the_rest_moves",
    ),
    Fault(
        "the head-only stage trains everything",
        "vtiqa_jax/training/published.py",
        'return param_group(name)[0] == "head" or not head_only',
        "return True",
        "tests/test_training.py::test_the_published_head_stage_moves_the_head_alone",
    ),
    Fault(
        "weight decay acts on biases",
        "vtiqa_jax/training/finetune.py",
        "return {name: array.ndim == 2 for name, array in params.items()}",
        "return {name: array.ndim >= 1 for name, array in params.items()}",
        "tests/test_recipes.py::test_only_matrices_decay",
    ),
    Fault(
        "earlier blocks learn faster than later ones",
        "vtiqa_jax/training/finetune.py",
        "self.layer_decay ** max(0, config.depth - layer_index(name, config.depth))",
        "self.layer_decay ** layer_index(name, config.depth)",
        "tests/test_recipes.py::test_earlier_blocks_learn_more_slowly",
    ),
    Fault(
        "a plateau of the released recipe ends an epoch early",
        "vtiqa_jax/training/published.py",
        "plateau = since > PATIENCE",
        "plateau = since >= PATIENCE",
        "tests/test_recipes.py::test_the_released_recipe_by_hand",
    ),
    Fault(
        "the average of the weights takes old for new",
        "vtiqa_jax/training/step.py",
        "decay * old + (1 - decay) * new",
        "decay * new + (1 - decay) * old",
        "tests/test_training.py::test_the_average_follows_the_weights",
    ),
    Fault(
        "the average of the weights is not used",
        "vtiqa_jax/training/step.py",
        "return self.ema_params or self.params",
        "return self.params",
        "tests/test_training.py::test_the_average_follows_the_weights",
    ),
    Fault(
        "scores are not brought back to the label scale's spread",
        "vtiqa_jax/models/vtiqa.py",
        "self.fc3.kernel[...] = kernel * jnp.float32(slope)",
        "self.fc3.kernel[...] = kernel",
        "tests/test_training.py::test_rescaling_moves_scores_to_the_label_scale",
    ),
    Fault(
        "a kept head forgets that lower scores were better",
        "vtiqa_jax/training/start.py",
        "if old.higher_is_better == scale.higher_is_better:",
        "if old.higher_is_better or scale.higher_is_better:",
        "tests/test_training.py::test_a_kept_head_begins_with_the_starts_scores_on_the_new_scale[False]",
    ),
    Fault(
        "series fall on a scale on which they should rise",
        "vtiqa_jax/training/finetune.py",
        'ranking_loss(batch["signs"] * outputs,',
        "ranking_loss(outputs,",
        "tests/test_training.py::test_series_rise_where_lower_scores_are_better",
    ),
    Fault(
        "a few validation photos select an epoch",
        "vtiqa_jax/data/splits.py",
        "0 < len(self.val) < FEWEST_TO_SELECT",
        "0 < len(self.val) < 2",
        "tests/test_preflight.py::test_a_few_validation_photos_select_nothing",
    ),
    # ---- runs ----
    Fault(
        "a run that goes on takes the type of its new machine",
        "vtiqa_jax/training/resume.py",
        'return saved.metadata["identity"]["recipe.compute_dtype"]',
        "pass",
        "tests/test_run.py::test_a_run_keeps_the_type_it_began_with",
    ),
    Fault(
        "a resumed run forgets the optimizer's state",
        "vtiqa_jax/training/resume.py",
        "return states.restore(step, state), run",
        "return states.restore(step, state)._replace(opt_state=state.opt_state), run",
        "tests/test_run.py::test_after_sigterm_the_same_bits[8-finetune]",
    ),
    Fault(
        "a resumed run begins its epoch again",
        "vtiqa_jax/training/loop.py",
        "plan.epoch(schedule.epoch)[begin:]",
        "plan.epoch(schedule.epoch)[: plan.steps - begin]",
        "tests/test_run.py::test_after_sigterm_the_same_bits[8-finetune]",
    ),
    Fault(
        "a run goes on with the state of other settings",
        "vtiqa_jax/training/resume.py",
        'saved.step >= 0 and saved.metadata["identity"] != identity:',
        'saved.step >= 0 and saved.metadata["identity"].keys() != identity.keys():',
        "tests/test_run.py::test_a_run_with_other_settings_is_not_gone_on_with",
    ),
    Fault(
        "a loss that is NaN is not noticed",
        "vtiqa_jax/training/recorder.py",
        'if all(math.isfinite(values[name]) for name in ("loss", "grad_norm")):',
        'if not math.isinf(values["loss"]):',
        "tests/test_run.py::test_no_state_is_saved_after_a_gradient_that_is_no_number",
    ),
    Fault(
        "the last epoch is kept and not the best",
        "vtiqa_jax/training/step.py",
        "if schedule.improved else self.best_params",
        "if schedule.epoch else self.best_params",
        "tests/test_run.py::test_the_best_epochs_model_is_kept",
    ),
    Fault(
        "a second run is let into the same folder",
        "vtiqa_jax/training/run_checkpointer.py",
        '        with FileLock(folder / ".lock", blocking=False):\n            yield\n',
        "        yield\n",
        "tests/test_commands.py::test_two_runs_do_not_share_a_folder",
    ),
    Fault(
        "the results of another run are taken for this one's",
        "vtiqa_jax/training/run_state.py",
        "if before != identity:",
        "if before.keys() != identity.keys():",
        "tests/test_commands.py::test_what_stands_in_a_folder_is_not_written_over",
    ),
    # ---- scores and figures ----
    Fault(
        "SRCC is computed as PLCC",
        "vtiqa_jax/evaluation/metrics.py",
        "_statistic(scipy.stats.spearmanr)",
        "_statistic(scipy.stats.pearsonr)",
        "tests/test_metrics.py::test_figures_are_their_definitions",
    ),
    Fault(
        "SRCC gives equal values different ranks",
        "vtiqa_jax/evaluation/metrics.py",
        "_statistic(scipy.stats.spearmanr)",
        "lambda x, y: np.corrcoef(x.argsort().argsort(), y.argsort().argsort())[0, 1]",
        "tests/test_metrics.py::test_figures_are_their_definitions",
    ),
    Fault(
        "PLCC has the wrong sign",
        "vtiqa_jax/evaluation/metrics.py",
        'Metric("plcc", _statistic(scipy.stats.pearsonr),',
        'Metric("plcc", lambda x, y: -scipy.stats.pearsonr(x, y).statistic,',
        "tests/test_metrics.py::test_figures_are_their_definitions",
    ),
    Fault(
        "scores of photos that only fill the batch are returned",
        "vtiqa_jax/scoring/steps.py",
        "scores.append(np.asarray(values)[:count])",
        "scores.append(np.asarray(values))",
        "tests/test_run.py::test_only_the_newest_states_are_kept",
    ),
    Fault(
        "an incomplete batch is filled up at its front",
        "vtiqa_jax/padding.py",
        "padded = [*rows, *[rows[-1]] * (size - len(rows))]",
        "padded = [*[rows[-1]] * (size - len(rows)), *rows]",
        "tests/test_model.py::test_eight_devices_score_as_one",
    ),
    Fault(
        "a photo that cannot be read stops the others",
        "vtiqa_jax/scoring/scorer.py",
        "except ImageError as error:\n                return _Loaded",
        "except MemoryError as error:\n                return _Loaded",
        "tests/test_scoring.py::test_failures_are_told_and_stop_nothing",
    ),
    Fault(
        "a score that is NaN is returned as a score",
        "vtiqa_jax/results/interpreter.py",
        "if not np.isfinite([score, *mosaic_scores, *strengths, *sureness]).all() or",
        "if np.isinf([score, *mosaic_scores, *strengths, *sureness]).any() or",
        "tests/test_scoring.py::test_a_score_that_is_no_number_is_a_failure",
    ),
    # ---- reasons ----
    Fault(
        "drawn mosaics have the reasons of a square that is not cut",
        "vtiqa_jax/scoring/steps.py",
        "model.judge_reasons(readings.summaries, pair[0], shown[0])",
        "model.judge_reasons(readings.summaries, pair[0], images[0])",
        "tests/test_named_faults.py::test_drawn_mosaics_change_no_reason",
    ),
    Fault(
        "a photo without structure is out of focus",
        "vtiqa_jax/results/interpreter.py",
        "faults = [fault for fault in faults if fault.name not in NATIVE_FAULTS]",
        "pass",
        "tests/test_named_faults.py::test_of_a_photo_without_structure_only_light_and_colour_are_told",
    ),
    Fault(
        "what is no photograph has reasons",
        "vtiqa_jax/results/interpreter.py",
        "faults=() if novelty > 0 else name_faults(",
        "faults=name_faults(",
        "tests/test_named_faults.py::test_what_is_no_photograph_has_no_faults",
    ),
    Fault(
        "a cache tells the reasons of another rate of false alarms",
        "vtiqa_jax/scoring/scorer.py",
        "result = dataclasses.replace(result, faults=name_faults(result.faults, self._interpreter.thresholds))",
        "pass",
        "tests/test_named_faults.py::test_another_rate_computes_nothing_again",
    ),
    Fault(
        "the head of reasons is rounded to 8 bits",
        "vtiqa_jax/models/params.py",
        '{"head", "detail", "reasons", "subject"} & set',
        '{"head", "detail", "subject"} & set',
        "tests/test_named_faults.py::test_a_quantized_model_keeps_its_head",
    ),
    Fault(
        "thresholds are linear in the rate of false alarms",
        "vtiqa_jax/models/false_alarms.py",
        "np.interp(np.log(false_alarms), known, strengths)",
        "np.interp(false_alarms, FALSE_ALARMS, strengths)",
        "tests/test_named_faults.py::test_thresholds_are_those_of_the_rate",
    ),
    Fault(
        "the terminal tells slight faults",
        "vtiqa_jax/results/lines.py",
        ' if fault.level != "slight"]',
        "]",
        "tests/test_named_faults.py::test_the_terminal_is_told_what_is_plain",
    ),
    Fault(
        "explain keeps its reasons to itself",
        "vtiqa_jax/commands/explain.py",
        "            say_why(result),\n",
        "",
        "tests/test_named_faults.py::test_explain_says_them_as_score_does",
    ),
    Fault(
        "a photo without a named fault gets no answer",
        "vtiqa_jax/results/lines.py",
        "if result.reasons or not result.faults:",
        "if True:",
        "tests/test_named_faults.py::test_a_photo_that_is_looked_at_alone_gets_an_answer",
    ),
    Fault(
        "the sample photos that are mapped are the best ones",
        "vtiqa_jax/commands/demo.py",
        "rows[: -MAPPED - 1 : -1]",
        "rows[:MAPPED]",
        "tests/test_commands.py::test_the_sample_photos_that_are_mapped_are_the_last_of_the_table",
    ),
    Fault(
        "a photo is worse in what is hardly apart",
        "vtiqa_jax/commands/compare.py",
        ">= LEVELS_APART]",
        "> 0]",
        "tests/test_named_faults.py::test_what_is_worse_in_which",
    ),
    Fault(
        "a map of a fault takes a shrunk place for one at 1:1",
        "vtiqa_jax/scoring/fault_map.py",
        "nothing.at[:, :, scale].set(alone)",
        "nothing.at[:, :, 0].set(alone)",
        "tests/test_fault_map.py::test_each_place_is_judged_alone",
    ),
    Fault(
        "highlights are clipped where all channels are",
        "vtiqa_jax/scoring/fault_map.py",
        ">= FULL).any(-1)",
        ">= FULL).all(-1)",
        "tests/test_fault_map.py::test_highlights_are_clipped_where_they_are",
    ),
    Fault(
        "an .onnx file measures the brightness of normalised pixels",
        "vtiqa_jax/export/onnx_vtiqa.py",
        "op.Slice(images, first, judged, axis)",
        "op.Slice(_normalize(op, images), first, judged, axis)",
        "tests/test_export_reasons.py::test_an_onnx_graph_finds_the_same_faults",
    ),
    Fault(
        "the browser's page names faults at another rate",
        "vtiqa_jax/export/page/words.js",
        "const least = thresholds[false_alarms];",
        'const least = thresholds["0.1"];',
        "tests/test_export_reasons.py::test_the_page_names_faults_in_the_same_words",
    ),
    Fault(
        "of what is no photograph the page says that nothing is wrong",
        "vtiqa_jax/gallery/scripts/filters.js",
        "photo.named?.length === 0",
        "!photo.named?.length",
        "tests/test_gallery_reasons.py::test_photos_are_chosen_by_reason",
    ),
    # ---- stacks ----
    Fault(
        "a stack is whatever looks alike, hours apart",
        "vtiqa_jax/choosing/shots.py",
        "GAP = 30.0",
        "GAP = 1e9",
        "tests/test_stacks.py::test_photos_hours_apart_are_no_stack_however_alike",
    ),
    Fault(
        "cameras of two photographers are one",
        "vtiqa_jax/choosing/shots.py",
        'shot.capture.serial or only.get(model, "")',
        'only.get(model, "")',
        "tests/test_stacks.py::test_two_photographers_at_one_event_have_a_burst_each",
    ),
    Fault(
        "of a time-lapse one frame is kept",
        "vtiqa_jax/choosing/bursts.py",
        "[] if is_time_lapse(scene) else [list(scene)]",
        "[list(scene)]",
        "tests/test_stacks.py::test_an_afternoon_of_a_time_lapse_is_no_burst",
    ),
    Fault(
        "an afternoon at one view is one burst",
        "vtiqa_jax/choosing/bursts.py",
        "LONGEST = 120.0",
        "LONGEST = 1e9",
        "tests/test_stacks.py::test_an_afternoon_at_one_view_is_many_bursts_of_bounded_length",
    ),
    Fault(
        "light that changes is an exposure bracket",
        "vtiqa_jax/choosing/brackets.py",
        "if len(run) > 1 and _is_brighter_by_exposure(run)]",
        "if len(run) > 1]",
        "tests/test_stacks.py::test_light_that_changes_is_no_bracket",
    ),
    Fault(
        "what passes before a tripod is a focus stack",
        "vtiqa_jax/choosing/focus.py",
        "UNMOVED = 16.0",
        "UNMOVED = 256.0",
        "tests/test_stacks.py::test_what_passes_before_a_tripod_is_no_focus_stack",
    ),
    Fault(
        "a camera that follows something makes a panorama",
        "vtiqa_jax/choosing/panoramas.py",
        "MAX_STILL = 0.02",
        "MAX_STILL = 1.0",
        "tests/test_stacks.py::test_a_camera_that_follows_something_makes_no_panorama",
    ),
    Fault(
        "the enlarged copy is kept",
        "vtiqa_jax/choosing/copies.py",
        "key=lambda shot: (max(shot.size), *_by_file(shot))",
        "key=lambda shot: (-max(shot.size), *_by_file(shot))",
        "tests/test_stacks.py::test_the_enlarged_copy_is_never_the_best",
    ),
    Fault(
        "an export is kept in place of the camera's file",
        "vtiqa_jax/choosing/copies.py",
        "or [shot for shot in copies if shot.capture.size is not None and max(shot.capture.size) == max(shot.size)]",
        "or []",
        "tests/test_stacks.py::test_the_cameras_own_file_is_kept_over_a_reduced_one",
    ),
    Fault(
        "the best few are the lowest where higher is better",
        "vtiqa_jax/commands/selection.py",
        "sign = 1 if higher_is_better == worst_first else -1",
        "sign = 1 if higher_is_better else -1",
        "tests/test_score_command.py::test_the_best_few_are_chosen",
    ),
    Fault(
        "photos that are not copied are printed too",
        "vtiqa_jax/commands/score.py",
        "display.finish(chosen if only_chosen else results, stacks)",
        "display.finish(results, stacks)",
        "tests/test_score_command.py::test_chosen_photos_are_printed_and_no_others",
    ),
    Fault(
        "a bracket is torn apart by a least score",
        "vtiqa_jax/commands/selection.py",
        "if any(map(self._is_between, group))]",
        "if all(map(self._is_between, group))]",
        "tests/test_stack_command.py::test_the_best_and_the_rejects_are_all_photos",
    ),
    Fault(
        "a link is kept and its file rejected",
        "vtiqa_jax/choosing/copies.py",
        "return os.path.islink(shot.name), -size, -shot.rank, shot.natural_name",
        "return -size, -shot.rank, shot.natural_name",
        "tests/test_stacks.py::test_a_link_is_not_kept_in_place_of_its_file",
    ),
    Fault(
        "shots in one light are compared on a screen alone",
        "vtiqa_jax/choosing/bursts.py",
        "shot.close_rank if is_even",
        "shot.rank if is_even",
        "tests/test_stacks.py::test_in_one_light_detail_counts_for_more",
    ),
    Fault(
        "of a bracket all but one are rejected",
        "vtiqa_jax/choosing/stacks.py",
        "members if found.kind in KEPT_WHOLE else (choose_shot(kept).position,)",
        "(choose_shot(kept).position,)",
        "tests/test_stack_command.py::test_the_best_and_the_rejects_are_all_photos",
    ),
    Fault(
        "clocks that were never set tell the time",
        "vtiqa_jax/photos/capture.py",
        "return None if is_start_of_year else moment.timestamp()",
        "return moment.timestamp()",
        "tests/test_capture.py::test_what_makes_no_sense_is_not_said",
    ),
    Fault(
        "of two runs that make a cache at once one finds another program's",
        "vtiqa_jax/results/score_cache.py",
        '            (tables,) = execute("SELECT count(*) FROM sqlite_master").fetchone()\n'
        '            (application,) = execute("PRAGMA application_id").fetchone()\n',
        '            (application,) = execute("PRAGMA application_id").fetchone()\n'
        '            (tables,) = execute("SELECT count(*) FROM sqlite_master").fetchone()\n',
        "tests/test_score_cache.py::test_several_make_a_cache_at_once",
    ),
    Fault(
        "a run does not wait for another that makes the cache",
        "vtiqa_jax/results/score_cache.py",
        "time.monotonic() + patience",
        "time.monotonic() - 1",
        "tests/test_score_cache.py::test_a_run_that_makes_the_cache_is_waited_for",
    ),
    Fault(
        "a cached run has no stacks",
        "vtiqa_jax/results/score_cache.py",
        'values["sketch"] = values["sketch"] and base64.b64decode(values["sketch"])',
        'values["sketch"] = None',
        "tests/test_stack_command.py::test_a_cached_run_finds_the_same_stacks_and_decodes_nothing",
    ),
    Fault(
        "the page has a star on a bracket",
        "vtiqa_jax/gallery/scripts/card.js",
        "photo.best && !isWhole(photo)",
        "photo.best",
        "tests/test_gallery_browser.py::test_a_bracket_is_shown_as_one_picture",
    ),
    # ---- the page ----
    Fault(
        "a horizon makes two photos alike",
        "vtiqa_jax/choosing/fingerprints.py",
        "window = window - window.mean(1, keepdims=True) - window.mean(2, keepdims=True) +",
        "window = window - window.mean((1, 2), keepdims=True) * 2 +",
        "tests/test_similar_shots.py::test_a_horizon_alone_makes_no_series",
    ),
    Fault(
        "only unshifted shots are near-identical",
        "vtiqa_jax/choosing/fingerprints.py",
        "places = range(2 * SHIFT + 1)",
        "places = (SHIFT,)",
        "tests/test_similar_shots.py::test_a_series_is_found_and_other_photos_stay_apart",
    ),
    Fault(
        "what a file says becomes markup",
        "vtiqa_jax/gallery/page.py",
        "autoescape=True",
        "autoescape=False",
        "tests/test_gallery.py::test_nothing_that_a_file_says_becomes_markup",
    ),
    Fault(
        "links break at # and ?",
        "vtiqa_jax/gallery/page.py",
        "return quote(os.fsencode(relative.as_posix()))",
        'return quote(os.fsencode(relative.as_posix()), safe="/#?")',
        "tests/test_gallery.py::test_links_lead_to_the_file_whatever_its_name",
    ),
    Fault(
        "a report replaces a folder that has more in it",
        "vtiqa_jax/gallery/page.py",
        "if PAGE in names and names <= {PAGE, CROPS, *PICTURES} and",
        "if PAGE in names and",
        "tests/test_gallery.py::test_what_is_no_report_is_never_replaced",
    ),
    Fault(
        "all photos are in the document at once",
        "vtiqa_jax/gallery/scripts/grid.js",
        "const [from, to] = nearWindow();",
        "const [from, to] = [0, shown.length];",
        "tests/test_gallery_browser.py::test_ten_thousand_photos_keep_the_document_small",
    ),
    Fault(
        "a mark is forgotten when the page is closed",
        "vtiqa_jax/gallery/scripts/storage.js",
        "localStorage.setItem(keyOf(kind), JSON.stringify(value));",
        "",
        "tests/test_gallery_browser.py::test_marks_survive_and_are_exported",
    ),
    Fault(
        "the reason of a failure is put into the page as markup",
        "vtiqa_jax/web/dom.js",
        "if (text !== undefined) made.textContent = text;",
        "if (text !== undefined) made.innerHTML = text;",
        "tests/test_gallery_browser.py::test_names_and_reasons_are_shown_as_they_are",
    ),
    # ---- photos at 100 % ----
    Fault(
        "a third of the width is a third of the pixels",
        "vtiqa_jax/results/words.py",
        "_round(megapixels * (result.holds / 100) ** 2)",
        "_round(megapixels * (result.holds / 100))",
        "tests/test_words.py::test_a_scale_in_words",
    ),
    Fault(
        "detail counts for nothing in the order of photos",
        "vtiqa_jax/results/rank.py",
        "return score if detail is None else score + weight * (detail - score)",
        "return score",
        "tests/test_words.py::test_what_is_better_in_either_ranks_higher",
    ),
    Fault(
        "at 100 % the worse photo wins where low numbers are good",
        "vtiqa_jax/commands/compare.py",
        "sign * first > sign * second",
        "first > second",
        "tests/test_words.py::test_which_of_two_is_better_in_what",
    ),
    Fault(
        "a tile of a map shows each place's rows one below the other",
        "vtiqa_jax/photos/place_grid.py",
        "return flat[order].swapaxes(2, 3).reshape(",
        "return flat[order].reshape(",
        "tests/test_detail_map.py::test_a_view_shows_its_places_side_by_side",
    ),
    Fault(
        "a map of detail judges what has no structure",
        "vtiqa_jax/scoring/detail_map.py",
        "counts = cut.structure > MIN_STRUCTURE",
        "counts = cut.structure >= 0",
        "tests/test_detail_map.py::test_what_has_no_structure_is_neither_good_nor_bad",
    ),
    Fault(
        "around a point a map shows the shrunk photo",
        "vtiqa_jax/scoring/detail_map.py",
        "factor = 1 if region else choose_factor(height, width, config.view_size)",
        "factor = choose_factor(height, width, config.view_size)",
        "tests/test_detail_map.py::test_around_a_point_the_photo_s_own_pixels_are_seen",
    ),
    Fault(
        "the page shows regions at 1:1 that overlap",
        "vtiqa_jax/gallery/zooms.py",
        "if all(_apart(point, other, found) for other in chosen):",
        "if True:",
        "tests/test_detail_map.py::test_what_is_shown_at_1_to_1_counts_and_lies_apart",
    ),
    Fault(
        "the page colours places that say nothing",
        "vtiqa_jax/gallery/scripts/layers.js",
        "if (Number.isNaN(value)) return;",
        "if (Number.isNaN(value)) value = layer.best;",
        "tests/test_gallery_browser.py::test_a_map_of_detail_leaves_clear_what_has_no_structure",
    ),
    # ---- several devices ----
    Fault(
        "each process provides the first process's rows",
        "vtiqa_jax/sharding.py",
        "return slice(min(start for start, _, _ in rows), max(stop for _, stop, _ in rows))",
        "return slice(0, max(stop for _, stop, _ in rows) - min(start for start, _, _ in rows))",
        "tests/test_processes.py::test_each_process_reads_its_share_only",
    ),
    Fault(
        "devices take the photos of their neighbours",
        "vtiqa_jax/data/loader.py",
        "places = sharding.shard_batch(rows.astype(np.int32), self.mesh)",
        "places = sharding.shard_batch(np.roll(rows, len(rows) // self.mesh.size).astype(np.int32), self.mesh)",
        "tests/test_training.py::test_photos_that_stay_on_the_devices_change_no_bit",
    ),
    # ---- the commands ----
    Fault(
        "a person's mistake ends in a traceback",
        "vtiqa_jax/exits.py",
        "except (UserError, Terminated) as error:",
        "except Terminated as error:",
        "tests/test_cli.py::test_an_exception_is_one_line_and_a_status",
    ),
    Fault(
        "a person's mistake ends with the exit status of an unreadable photo",
        "vtiqa_jax/exits.py",
        "status, told = 2 if isinstance(error, UserError) else 143, str(error)",
        "status, told = 1 if isinstance(error, UserError) else 143, str(error)",
        "tests/test_cli.py::test_an_exception_is_one_line_and_a_status",
    ),
    Fault(
        "half a photo is rounded to a whole one",
        "vtiqa_jax/command_line.py",
        "        config=_refuse_fractions,\n",
        "",
        "tests/test_cli.py::test_a_mistake_is_one_line",
    ),
    Fault(
        "an option that an alias gives cannot be given again",
        "vtiqa_jax/command_line.py",
        "allow_repeating=True, ",
        "",
        "tests/test_cli.py::test_of_a_repeated_option_the_last_value_is_taken",
    ),
    Fault(
        "a training that is to stop says nothing until it has saved",
        "vtiqa_jax/training/signals.py",
        "if number[0] == signal.SIGTERM:",
        "if number[0] == 0:",
        "tests/test_signals.py::test_after_sigterm_a_run_is_to_stop",
    ),
    Fault(
        "a Ctrl-C that JAX swallows does not stop a training",
        "vtiqa_jax/training/signals.py",
        "if signal.SIGINT in received:",
        "if signal.SIGINT in received and False:",
        "tests/test_signals.py::test_ctrl_c_that_was_swallowed_stops_after_the_step",
    ),
    Fault(
        "a person is told of a saved state before there is one",
        "vtiqa_jax/training/signals.py",
        "if has_state() else",
        "if True else",
        "tests/test_signals.py::test_ctrl_c_interrupts[before its first state]",
    ),
    Fault(
        "a few test photos are said to tell which model is better",
        "vtiqa_jax/training/advice.py",
        "if earlier - now <",
        "if earlier - now < 0 *",
        "tests/test_advice.py::test_few_photos_do_not_tell_what_many_do",
    ),
    Fault(
        "an empty argument is the present folder",
        "vtiqa_jax/command_line.py",
        'if "" in arguments:',
        'if "" == arguments:',
        "tests/test_cli.py::test_an_empty_argument_is_a_mistake",
    ),
    Fault(
        "a training by a recipe of one's own has the defaults of another",
        "vtiqa_jax/commands/recipe.py",
        'parameters["options"].replace(default=chosen())',
        'parameters["options"].replace()',
        "tests/test_own_code.py::test_a_recipe_of_ones_own_has_its_options",
    ),
    # ---- where something is missing ----
    Fault(
        "names that are no text end a command",
        "vtiqa_jax/terminal.py",
        'stream.reconfigure(errors="vtiqa")',
        'stream.reconfigure(errors="strict")',
        "tests/test_environments.py::test_scores_are_told_on_any_terminal",
    ),
    Fault(
        "a list for other programs has names as the terminal shows them",
        "vtiqa_jax/commands/selection.py",
        "os.fsencode(photo) + end",
        'str(photo).encode("ascii", "replace") + end',
        "tests/test_environments.py::test_a_list_has_the_bytes_of_names",
    ),
    Fault(
        "Ray reports to its makers",
        "vtiqa_jax/commands/bulk.py",
        'os.environ["RAY_USAGE_STATS_ENABLED"] = "0"',
        'os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")',
        "tests/test_environments.py::test_a_ray_that_is_started_here_reports_nothing",
    ),
    Fault(
        "the limit of a group above is not seen",
        "vtiqa_jax/cpus.py",
        '*(root / path.strip("/")).parents',
        "*[root]",
        "tests/test_cpus.py::test_a_container_may_grant_fewer",
    ),
    Fault(
        "the newest compiled programs go first",
        "vtiqa_jax/compile_cache.py",
        "sorted(found, reverse=True)",
        "sorted(found)",
        "tests/test_compile_cache.py::test_what_was_not_used_for_longest_goes_first",
    ),
    Fault(
        "a note of an earlier failure ends the next run",
        "vtiqa_jax/data/image_cache.py",
        'f"failed-{sharding.broadcast_from_main(secrets.randbits(31))}"',
        '"failed-"',
        "tests/test_processes.py::test_processes_that_wait_for_photos_end_when_the_main_one_fails",
    ),
    # ---- scoring every day ----
    Fault(
        "how sure a comparison is leaves out that the next mosaic differs, too",
        "vtiqa_jax/scoring/mosaic_sampling.py",
        "np.sqrt(1 + 1 / count)",
        "np.sqrt(1 / count)",
        "tests/test_mosaic_sampling.py::test_a_probability_is_as_often_right_as_it_says",
    ),
    Fault(
        "how sure a comparison is takes a few differences for all there are",
        "vtiqa_jax/scoring/mosaic_sampling.py",
        "scipy.special.stdtr(count - 1, mean",
        "scipy.special.stdtr(10**6, mean",
        "tests/test_mosaic_sampling.py::test_a_probability_is_as_often_right_as_it_says",
    ),
    Fault(
        "of several mosaics in a draw the last one counts alone",
        "vtiqa_jax/scoring/mosaic_sampling.py",
        "jnp.stack(mosaics).mean(0)",
        "mosaics[-1]",
        "tests/test_mosaic_sampling.py::test_a_draw_of_the_released_mosaics_is_the_score",
    ),
    Fault(
        "the last place of a patch in its cell is never drawn",
        "vtiqa_jax/scoring/mosaic_sampling.py",
        "config.mosaic_grid - config.mosaic_patch + 1",
        "config.mosaic_grid - config.mosaic_patch",
        "tests/test_mosaic_sampling.py::test_offsets_are_drawn_as_training_draws_them",
    ),
    Fault(
        "scores above those of the training photos are not marked",
        "vtiqa_jax/results/interpreter.py",
        'above = "above" if score > self.percentiles[-1] else None',
        "above = None",
        "tests/test_mosaic_sampling.py::test_scores_beyond_the_training_photos_are_marked",
    ),
    Fault(
        "a photo that has changed keeps its score",
        "vtiqa_jax/results/score_cache.py",
        "if found and found[0] == stamp:",
        "if found:",
        "tests/test_score_cache.py::test_changed_photos_and_failures_are_scored_again",
    ),
    Fault(
        "an interrupted run goes on with another model",
        "vtiqa_jax/results/score_cache.py",
        "if alone and (differ :=",
        "if not alone and (differ :=",
        "tests/test_score_cache.py::test_a_part_of_other_settings_stays",
    ),
    Fault(
        "a killed run loses what it told",
        "vtiqa_jax/results/score_cache.py",
        "self._batch_seconds = 0.0 if self._prepare(alone=alone) else BATCH_SECONDS",
        "self._batch_seconds = BATCH_SECONDS if self._prepare(alone=alone) else BATCH_SECONDS",
        "tests/test_score_cache.py::test_scores_are_committed_together_where_a_commit_waits_for_the_disk",
    ),
    Fault(
        "two runs write one output",
        "vtiqa_jax/results/score_cache.py",
        'execute("PRAGMA locking_mode = EXCLUSIVE")',
        "pass",
        "tests/test_score_cache.py::test_two_runs_do_not_write_one_output",
    ),
    Fault(
        "what comes through a pipe is read to find its hash",
        "vtiqa_jax/results/score_cache.py",
        "if not stat.S_ISREG(status.st_mode):",
        "if stat.S_ISDIR(status.st_mode):",
        "tests/test_score_cache.py::test_pipes_and_devices_are_left_to_the_decoder",
    ),
    Fault(
        "two models of equal weights are one",
        "vtiqa_jax/models/fingerprint.py",
        '        "config": dataclasses.asdict(model.config),\n',
        "",
        "tests/test_fingerprint.py::test_what_changes_scores_changes_the_fingerprint_and_is_named",
    ),
    Fault(
        "a photo that changed while it was scored is stored under its old content",
        "vtiqa_jax/results/score_cache.py",
        "if digest and not result.error and file_stamp(result.image) == stamp:",
        "if digest and not result.error:",
        "tests/test_score_cache.py::test_neither_failures_nor_what_changed_meanwhile_are_stored",
    ),
    Fault(
        "another program's database is written to",
        "vtiqa_jax/results/score_cache.py",
        "if tables and application != APPLICATION_ID:",
        "if tables > 100:",
        "tests/test_score_cache.py::test_what_is_no_cache_is_refused_and_stays",
    ),
    Fault(
        "a photo that is moved onto itself is removed",
        "vtiqa_jax/photos/transfer.py",
        "if move and not (os.path.samefile(source, target) and target.stat().st_nlink < 2):",
        "if move:",
        "tests/test_transfer.py::test_a_photo_is_never_its_own_copy",
    ),
    Fault(
        "a copy that a full disk cut off stays",
        "vtiqa_jax/photos/transfer.py",
        "        temporary.unlink(missing_ok=True)",
        "        pass",
        "tests/test_transfer.py::test_a_full_disk_leaves_no_half_photo",
    ),
    Fault(
        "a notebook runs what stands in a file's name",
        "vtiqa_jax/results/score_table.py",
        'html.escape(os.fsencode(name).decode(errors="replace"))',
        'os.fsencode(name).decode(errors="replace")',
        "tests/test_results.py::test_a_table_shows_what_was_scored",
    ),
    Fault(
        "the worse photo wins where low scores are good",
        "vtiqa_jax/commands/compare.py",
        "difference if scale.higher_is_better else -difference",
        "difference",
        "tests/test_score_command.py::test_compare_knows_scales_on_which_low_is_good",
    ),
    Fault(
        "an unreadable photo ends with exit status 0",
        "vtiqa_jax/commands/score.py",
        "return 1 if failed or not (is_done and has_stars) else 0",
        "return 0 if is_done and has_stars else 1",
        "tests/test_commands.py::test_score_goes_on_after_a_bad_photo_and_says_so",
    ),
    # ---- stars ----
    Fault(
        "a person's rating is written over",
        "vtiqa_jax/xmp/splice.py",
        '        raise Refused("a person has rated it")\n',
        "        pass\n",
        "tests/test_xmp_packet.py::test_a_rating_by_a_person_is_never_changed",
    ),
    Fault(
        "a rating that a person changed since is taken for ours",
        "vtiqa_jax/xmp/packet.py",
        "            return self.rating != self.ours.rating\n",
        "            return False\n",
        "tests/test_xmp_packet.py::test_a_rating_changed_since_is_a_persons",
    ),
    Fault(
        "the copies of our rating that digiKam made stay",
        "vtiqa_jax/xmp/splice.py",
        "        removed |= {id(each) for each in others if number_of(value_of(each)) != 0}\n",
        "",
        "tests/test_xmp_programs.py::test_ours_is_known_again_in_what_a_program_wrote",
    ),
    Fault(
        "entities of a sidecar may grow",
        "vtiqa_jax/xmp/rdf.py",
        "        self._parser.StartDoctypeDeclHandler = self._refuse_doctype\n",
        "",
        "tests/test_xmp_packet.py::test_what_cannot_be_changed_safely_is_refused",
    ),
    Fault(
        "a sidecar of Adobe's is not the RAW's alone",
        "vtiqa_jax/xmp/sidecars.py",
        "        return direct + raw or others\n",
        "        return direct + others\n",
        "tests/test_xmp_sidecars.py::test_a_photo_has_its_sidecars",
    ),
    Fault(
        "pictures that a JPEG finds by their places move",
        "vtiqa_jax/xmp/jpeg.py",
        "        if len(new) != end - start:\n",
        "        if not new:\n",
        "tests/test_xmp_jpeg.py::test_what_others_point_to_does_not_move",
    ),
    Fault(
        "undo throws away what another program has edited",
        "vtiqa_jax/xmp/place.py",
        "if mentions_us(saved) or self.with_stars(saved, found.ours) != data:",
        "if mentions_us(saved):",
        "tests/test_xmp_write.py::test_edits_of_another_program_survive_new_stars_and_undo",
    ),
    Fault(
        "a file that is replaced has no backup",
        "vtiqa_jax/xmp/write.py",
        "                backup.keep(path)\n",
        "                pass\n",
        "tests/test_xmp_write.py::test_each_photo_gets_its_sidecar_and_is_not_touched",
    ),
    Fault(
        "what another program writes meanwhile is lost",
        "vtiqa_jax/xmp/write.py",
        "        _require_unchanged(path, state)\n        if is_there:",
        "        if is_there:",
        "tests/test_xmp_write.py::test_a_file_that_another_program_is_writing_is_left_alone",
    ),
    Fault(
        "the worst photos have most stars where lower is better",
        "vtiqa_jax/xmp/ratings.py",
        "(share if higher_is_better else 1 - share)",
        "share",
        "tests/test_xmp_ratings.py::test_where_lower_is_better_the_lowest_score_has_most_stars",
    ),
    # ---- bulk ----
    Fault(
        "a file that was begun again is believed to be done",
        "vtiqa_jax/bulk/pipeline.py",
        "system.delete_file(finished)",
        "system.delete_file(name)",
        "tests/test_bulk.py::test_what_was_written_twice_and_not_finished_is_written_again",
    ),
    Fault(
        "a photo's key is without its folder",
        "vtiqa_jax/bulk/sources.py",
        "    return f\"{folder}{slash}{name.partition('.')[0] or name}\"",
        "    return name.partition('.')[0] or name",
        "tests/test_bulk.py::test_the_key_of_a_member_is_webdataset_s",
    ),
    Fault(
        "two photos of a tar have one path",
        "vtiqa_jax/bulk/sources.py",
        'f"#{count}" if count > 1 else ""',
        'f"#{count}" if count > 2 else ""',
        "tests/test_bulk.py::test_tars_packed_cut_off_and_with_a_name_twice",
    ),
    Fault(
        "two names that are not UTF-8 become one path",
        "vtiqa_jax/bulk/sources.py",
        'quote(os.fsencode(name), safe="/:#")',
        'name.encode(errors="replace").decode()',
        "tests/test_bulk.py::test_photos_whose_names_are_not_utf8_are_read",
    ),
    Fault(
        "RAW files of a tar are told by the name in the result",
        "vtiqa_jax/bulk/decoding.py",
        'table["name"].to_pylist()',
        '[path.encode() for path in table["path"].to_pylist()]',
        "tests/test_bulk.py::test_what_a_photo_is_packed_as_tells_its_format",
    ),
    # ---- which files are photos ----
    Fault(
        "a Mac's companion files are photos",
        "vtiqa_jax/photos/files.py",
        "return HIDDEN if ending in endings else NO_PICTURE",
        "return endings.get(ending, NO_PICTURE)",
        "tests/test_files.py::test_what_is_no_photo_is_left_out_and_counted",
    ),
    Fault(
        "a linked folder comes before the folder itself",
        "vtiqa_jax/photos/files.py",
        "(linked if entry.is_symlink() else waiting)",
        "waiting",
        "tests/test_files.py::test_linked_folders_are_searched_once_and_circles_end",
    ),
    Fault(
        "a person's own pictures are taken for maps",
        "vtiqa_jax/photos/own.py",
        """return f"tEXtSoftware\\0{DRAWN['Software']}".encode() in read_head(file, 512)""",
        "return True",
        "tests/test_files.py::test_maps_and_plots_are_no_photos",
    ),
    Fault(
        "a folder of one's own is left out once photos were copied there",
        "vtiqa_jax/photos/own.py",
        "if not any(folder.iterdir()):",
        "if True:",
        "tests/test_files.py::test_a_folder_of_ones_own_stays_a_folder_of_photos",
    ),
    Fault(
        "photos of a piece of a table are those of its beginning",
        "vtiqa_jax/bulk/decoding.py",
        "offset = chunk.offset * count * dtype.itemsize",
        "offset = 0",
        "tests/test_bulk.py::test_decoded_photos_come_out_of_any_piece_of_a_table",
    ),
    Fault(
        "photos of a cluster are decoded upside down",
        "vtiqa_jax/bulk/decoding.py",
        "preparation.make(photo.pixels)",
        "preparation.make(photo.pixels[::-1])",
        "tests/test_bulk.py::test_scores_are_those_of_vtiqa_score_wherever_a_photo_lies",
    ),
    Fault(
        "actors take the room of what feeds them",
        "vtiqa_jax/bulk/pipeline.py",
        "MIN_FREE_CPUS, FREE_CPU_SHARE = 1.5",
        "MIN_FREE_CPUS, FREE_CPU_SHARE = 1.0",
        "tests/test_bulk.py::test_cores_have_an_actor_each_and_leave_room_for_what_feeds_them",
    ),
    Fault(
        "blocks hold a photo more than a pass",
        "vtiqa_jax/bulk/pipeline.py",
        "rows * preparation.bytes",
        "(rows + 1) * preparation.bytes",
        "tests/test_bulk.py::test_blocks_are_whole_passes",
    ),
    # ---- detail ----
    Fault(
        "a native view shows the middle of each cell, whatever is there",
        "vtiqa_jax/photos/native.py",
        "row, column = divmod(int(cell.argmax()), cell.shape[1])",
        "row, column = cell.shape[0] // 2, cell.shape[1] // 2",
        "tests/test_native.py::test_in_every_cell_the_place_of_most_structure_is_found",
    ),
    Fault(
        "a native view that is shrunk is rounded down",
        "vtiqa_jax/photos/native.py",
        "3), factor**2 // 2, np.int32)",
        "3), 0, np.int32)",
        "tests/test_native.py::test_a_shrunk_view_holds_rounded_means[2]",
    ),
    Fault(
        "a black view of a photo that is too small counts",
        "vtiqa_jax/photos/native.py",
        "zip(self.factors, self.spans, strict=True):",
        "zip(self.factors, self.spans, strict=True):\n            structure[span] = ranked[0].structure",
        "tests/test_native.py::test_a_photo_that_is_too_small_for_a_scale_is_black_there_and_has_no_structure",
    ),
    Fault(
        "the first view shows the places of least structure",
        "vtiqa_jax/photos/native.py",
        "np.argsort(-found.structure[numbers]",
        "np.argsort(found.structure[numbers]",
        "tests/test_native.py::test_several_places_of_a_cell_are_the_best_of_its_parts[4]",
    ),
    Fault(
        "the parts of a cell lie in a row of the grid",
        "vtiqa_jax/photos/native.py",
        "return numbers.swapaxes(1, 2).reshape(grid**2, count)",
        "return numbers.reshape(grid**2, count)",
        "tests/test_native.py::test_several_places_of_a_cell_are_the_best_of_its_parts[4]",
    ),
    Fault(
        "all views of a factor show the same places",
        "vtiqa_jax/photos/native.py",
        "views[number] = cut_places(pixels, places, self.patch, factor)",
        "views[number] = cut_places(pixels, ranked[0], self.patch, factor)",
        "tests/test_native.py::test_views_of_a_factor_show_its_places_by_their_rank",
    ),
    Fault(
        "a scale is told by its first view alone",
        "vtiqa_jax/models/vtiqa.py",
        "(jnp.concatenate(values[span], axis=1) for values in places)",
        "(values[span.start] for values in places)",
        "tests/test_detail.py::test_a_scale_is_told_by_the_places_of_all_its_views",
    ),
    Fault(
        "places of several views are weighed by the subject of other cells",
        "vtiqa_jax/models/vtiqa.py",
        "jnp.tile(subject, span.stop - span.start)",
        "jnp.repeat(subject, span.stop - span.start, axis=1)",
        "tests/test_subject.py::test_an_onnx_graph_weighs_by_the_subject[right]",
    ),
    Fault(
        "reasons are told by the places of least structure",
        "vtiqa_jax/models/vtiqa.py",
        "summaries[span.start] for span",
        "summaries[span.stop - 1] for span",
        "tests/test_export_reasons.py::test_an_onnx_graph_finds_the_same_faults[right]",
    ),
    Fault(
        "heads learn from as many views as score",
        "vtiqa_jax/heads/kept.py",
        "native_mosaics=(), **dict",
        "**dict",
        "tests/test_heads.py::test_heads_are_made_on_a_model_and_change_no_score",
    ),
    Fault(
        "heads are given to a model that sees one view at each factor",
        "vtiqa_jax/heads/build.py",
        "native_factors=NATIVE_FACTORS, native_mosaics=NATIVE_MOSAICS,",
        "native_factors=NATIVE_FACTORS,",
        "tests/test_heads.py::test_heads_are_made_on_a_model_and_change_no_score",
    ),
    Fault(
        "a training keeps the native views of its start",
        "vtiqa_jax/models/adapt.py",
        "native_factors=(), native_mosaics=(), native_blocks=()",
        "native_factors=(), native_blocks=()",
        "tests/test_adapt.py::test_a_training_leaves_the_detail_of_its_start_out[False-taste]",
    ),
    Fault(
        "the curve is measured on all scored photos",
        "vtiqa_jax/heads/curve.py",
        "permutation(len(octaves))[:MOST_PHOTOS]",
        "permutation(len(octaves))",
        "tests/test_heads.py::test_of_many_scored_photos_some_are_drawn",
    ),
    Fault(
        "the curve is measured on the first scored photos, whichever are drawn",
        "vtiqa_jax/heads/curve.py",
        "for row in drawn[start : start + BATCH]:",
        "for row in range(start, min(start + BATCH, len(drawn))):",
        "tests/test_heads.py::test_of_many_scored_photos_some_are_drawn",
    ),
    Fault(
        "an .onnx file joins the places of different photos",
        "vtiqa_jax/export/onnx_detail.py",
        "op.Transpose(of_scale, perm=[1, 0, 2, 3])",
        "of_scale",
        "tests/test_export_detail.py::test_an_onnx_graph_says_what_photos_show_at_their_own_pixels[right]",
    ),
    Fault(
        "an .onnx file takes the later of equal parts first",
        "vtiqa_jax/export/onnx_native.py",
        "np.tril(np.ones((count, count), np.bool_), -1)",
        "np.triu(np.ones((count, count), np.bool_), 1)",
        "tests/test_export_detail.py::test_native_views[right]",
    ),
    Fault(
        "patches of other places are taken for one place",
        "vtiqa_jax/models/vit.py",
        "reshape(batch, grid, side, grid, side, dim)",
        "reshape(batch, grid, grid, side, side, dim).swapaxes(2, 3)",
        "tests/test_detail.py::test_places_are_the_means_of_their_patches_after_each_block",
    ),
    Fault(
        "sky says how sharp a photo is",
        "vtiqa_jax/models/detail.py",
        "counts = (structure > NO_STRUCTURE)",
        "counts = (structure >= 0)",
        "tests/test_detail.py::test_places_without_structure_say_nothing",
    ),
    Fault(
        "the background counts as much as the subject",
        "vtiqa_jax/models/detail.py",
        "softness[..., None], SUBJECT_WEIGHT * subject[..., None]",
        "softness[..., None], 0 * subject[..., None]",
        "tests/test_subject.py::test_the_subject_is_softer_by_what_its_own_pixels_say",
    ),
    Fault(
        "the subject is compared with what is least of it",
        "vtiqa_jax/models/detail.py",
        "summarize(own, jnp.zeros_like(shown), structure)",
        "summarize(own, -shown, structure)",
        "tests/test_subject.py::test_the_subject_is_softer_by_what_its_own_pixels_say",
    ),
    Fault(
        "the subject is seen at the photo's own pixels, however soft they are",
        "vtiqa_jax/models/detail.py",
        "off = (blur[:, None] - scales[None] - SEEN_BEST) / SEEN_WIDTH",
        "off = (blur[:, None] - 0 * scales[None] - SEEN_BEST) / SEEN_WIDTH",
        "tests/test_subject.py::test_the_subject_counts_at_the_scale_that_shows_it_best",
    ),
    Fault(
        "scales that a photo is too small for hide its subject",
        "vtiqa_jax/models/detail.py",
        "weights = jnp.where(jnp.isnan(softer), 0, jnp.exp(-0.5 * off**2) + LEAST_WEIGHT)",
        "weights = jnp.exp(-0.5 * off**2) + LEAST_WEIGHT",
        "tests/test_subject.py::test_the_subject_counts_at_the_scale_that_shows_it_best",
    ),
    Fault(
        "the subject's softness makes a photo hold at more",
        "vtiqa_jax/models/detail.py",
        "blur += softer",
        "blur -= softer",
        "tests/test_subject.py::test_the_blur_of_the_subject_counts_in_the_sum_and_where_a_photo_holds",
    ),
    Fault(
        "the sum is of all of a photo, not of its subject",
        "vtiqa_jax/models/detail.py",
        "lost if softer is None else lost + softer",
        "lost",
        "tests/test_subject.py::test_the_blur_of_the_subject_counts_in_the_sum_and_where_a_photo_holds",
    ),
    Fault(
        "places of a map differ as tokens say, which know of the others",
        "vtiqa_jax/scoring/detail_map.py",
        "octaves = octaves + softness[0] - (weights * softness[0]).sum()",
        "octaves = octaves + 0 * softness[0]",
        "tests/test_subject.py::test_places_of_a_map_differ_as_their_own_pixels_say",
    ),
    Fault(
        "a place is a strip through all of them",
        "vtiqa_jax/models/pixels.py",
        "squares = jnp.moveaxis(views.reshape(*batch, grid, patch, grid, patch, 3), -4, -3)",
        "squares = views.reshape(*batch, grid, patch, grid, patch, 3)",
        "tests/test_pixels.py::test_a_place_is_told_by_its_own_pixels_alone",
    ),
    Fault(
        "windows are read column by column",
        "vtiqa_jax/models/pixels.py",
        "for i in steps for j in steps]",
        "for j in steps for i in steps]",
        "tests/test_pixels.py::test_a_product_with_windows_is_a_convolution",
    ),
    Fault(
        "a narrow place lies in the middle of zeros",
        "vtiqa_jax/models/pixels.py",
        "[(0, narrow)] * 2",
        "[(narrow, 0)] * 2",
        "tests/test_pixels.py::test_a_product_with_windows_is_a_convolution",
    ),
    Fault(
        "contrast passes for sharpness: no logarithms",
        "vtiqa_jax/models/pixels.py",
        "jnp.log(LEAST + planes.mean((-3, -2)))",
        "planes.mean((-3, -2))",
        "tests/test_pixels.py::test_what_is_seen_is_that_of_loops_over_layers",
    ),
    Fault(
        "an .onnx file turns the kernels on their side",
        "vtiqa_jax/export/onnx_pixels.py",
        "perm=[3, 2, 0, 1])",
        "perm=[3, 2, 1, 0])",
        "tests/test_pixels.py::test_an_onnx_graph_tells_the_same",
    ),
    Fault(
        "inputs of what reads pixels are not as in training",
        "vtiqa_jax/heads/pixels.py",
        'standardize.fold_into(kept, "subject.pixels.fc1")',
        "kept",
        "tests/test_pixels.py::test_the_fit_finds_what_was_planted_whatever_the_contrast",
    ),
    Fault(
        "the squares that are kept are not those of the tokens",
        "vtiqa_jax/heads/places.py",
        "squares = cut_squares(shown, plan.grid)[:, kept]",
        "squares = cut_squares(shown, plan.grid)[:, : len(kept)]",
        "tests/test_heads.py::test_what_is_kept_of_a_version_belongs_together",
    ),
    Fault(
        "the subject is looked for in the mosaic",
        "vtiqa_jax/models/vit.py",
        "self._average_places(x[: x.shape[0] // views], patch)",
        "self._average_places(x[-(x.shape[0] // views) :], patch)",
        "tests/test_subject.py::test_the_pass_that_scores_the_whole_finds_its_subject",
    ),
    Fault(
        "an .onnx file looks for the subject at photos' own pixels",
        "vtiqa_jax/export/onnx_vtiqa.py",
        "global_views = op.Slice(x, np.array([0]), judged, np.array([0]))",
        "global_views = op.Slice(others, np.array([0]), judged, np.array([0]))",
        "tests/test_subject.py::test_an_onnx_graph_weighs_by_the_subject[right]",
    ),
    Fault(
        "the map of a whole photo forgets the subject",
        "vtiqa_jax/scoring/detail_map.py",
        "if config.subject and region is None:",
        "if config.subject and region is not None:",
        "tests/test_subject.py::test_a_map_of_the_whole_photo_counts_places_by_the_subject",
    ),
    Fault(
        "the curve of detail is fitted to places that count alike",
        "vtiqa_jax/heads/curve.py",
        "vtiqa.find_subject(global_view) if vtiqa.subject else None",
        "0 * vtiqa.find_subject(global_view) if vtiqa.subject else None",
        "tests/test_subject.py::test_octaves_on_the_scored_photos_are_those_of_scoring",
    ),
    Fault(
        "the fit penalises a feature by its own unit",
        "vtiqa_jax/heads/subject.py",
        "(tokens - tokens.mean(1, keepdims=True)) / deviation",
        "(tokens - tokens.mean(1, keepdims=True))",
        "tests/test_subject.py::test_the_fit_is_the_least_of_its_loss",
    ),
    Fault(
        "cells are marked by columns",
        "vtiqa_jax/data/subjects.py",
        "for row in rows for letter in LETTERS",
        "for letter in LETTERS for row in rows",
        "tests/test_subject.py::test_marked_cells_are_read_row_by_row",
    ),
    Fault(
        "a model whose heads are made again forgets the subject",
        "vtiqa_jax/heads/build.py",
        "made = with_subject(made, known)",
        "pass",
        "tests/test_heads.py::test_heads_are_made_on_a_model_and_change_no_score",
    ),
    Fault(
        "a smaller scale has lost an octave less for each half, sharp or not",
        "vtiqa_jax/models/detail.py",
        "spread = 1 + factor**2 * (4**here - 1)",
        "spread = factor**2 * 4**here",
        "tests/test_detail.py::test_scales_that_agree_say_where_a_photo_holds",
    ),
    Fault(
        "a scale that is beyond telling counts as much as one that is exact",
        "vtiqa_jax/models/detail.py",
        "weight = jnp.where(jnp.isnan(octaves[:, number]), 0, is_soft * _precision(here) / growth**2)",
        "weight = jnp.where(jnp.isnan(octaves[:, number]), 0, is_soft / ERROR**2 / growth**2)",
        "tests/test_detail.py::test_a_scale_counts_by_how_exact_it_is",
    ),
    Fault(
        "noise counts once",
        "vtiqa_jax/models/detail.py",
        "CAUSE_WEIGHTS = (1.0, 2.5, 1.0)",
        "CAUSE_WEIGHTS = (1.0, 1.0, 1.0)",
        "tests/test_detail.py::test_causes_add_up_and_noise_counts_more",
    ),
    Fault(
        "noise is read at 1:1 alone: the copy of a noisy photo has more detail",
        "vtiqa_jax/models/detail.py",
        "COARSE_NOISE = 0.4",
        "COARSE_NOISE = 0.0",
        "tests/test_detail.py::test_noise_is_read_at_the_first_two_scales",
    ),
    Fault(
        "a photo too small for a second scale has no detail",
        "vtiqa_jax/models/detail.py",
        "coarse = jnp.where(jnp.isnan(coarse), fine, coarse)",
        "coarse = jnp.asarray(coarse)",
        "tests/test_detail.py::test_noise_is_read_at_the_first_two_scales",
    ),
    Fault(
        "an exported model has no detail for photos too small for a second scale",
        "vtiqa_jax/export/onnx_detail.py",
        "op.Sub(op.Where(op.IsNaN(coarse), fine, coarse), fine)",
        "op.Sub(coarse, fine)",
        "tests/test_export_detail.py::test_an_onnx_graph_says_what_photos_show_at_their_own_pixels[right]",
    ),
    Fault(
        "the place that tells most of one cause tells of all",
        "vtiqa_jax/models/detail.py",
        "jax.nn.softmax(logits, axis=-2, where=counts)",
        "jax.nn.softmax(logits[..., :1], axis=-2, where=counts)",
        "tests/test_detail.py::test_each_cause_has_places_of_its_own",
    ),
    Fault(
        "blur and noise are swapped: an enlargement is grain",
        "vtiqa_jax/heads/ladder_batches.py",
        "BLUR, NOISE, ARTEFACTS = range",
        "NOISE, BLUR, ARTEFACTS = range",
        "tests/test_heads.py::test_enlarging_costs_its_octaves_and_adds_no_noise",
    ),
    Fault(
        "a cache numbers causes from the last",
        "vtiqa_jax/heads/places.py",
        "cause = CAUSES.index(version.cause)",
        "cause = CAUSES[::-1].index(version.cause)",
        "tests/test_heads.py::test_places_are_computed_once_for_each_photo_and_backbone",
    ),
    Fault(
        "an exported model takes artefacts for noise",
        "vtiqa_jax/export/onnx_detail.py",
        "np.array([*CAUSE_WEIGHTS, 0], np.float32)",
        "np.array([CAUSE_WEIGHTS[0], CAUSE_WEIGHTS[2], CAUSE_WEIGHTS[1], 0], np.float32)",
        "tests/test_export_detail.py::test_an_onnx_graph_says_what_photos_show_at_their_own_pixels[right]",
    ),
    Fault(
        "a camera does not sharpen its noise",
        "vtiqa_jax/data/camera_noise.py",
        "return _sharpen(developed, camera.sharpening)",
        "return developed",
        "tests/test_camera_noise.py::test_a_camera_sharpens_its_noise_and_edges_and_changes_no_colour",
    ),
    Fault(
        "a model with soft ends has places of its own",
        "vtiqa_jax/heads/kept.py",
        '"soft_ends", "novelty"',
        '"novelty"',
        "tests/test_heads.py::test_places_are_computed_once_for_each_photo_and_backbone",
    ),
    Fault(
        "a training keeps a taste",
        "vtiqa_jax/training/start.py",
        "    start = adapt.without_taste(start)\n",
        "",
        "tests/test_adapt.py::test_a_training_leaves_the_detail_of_its_start_out[True-taste]",
    ),
    Fault(
        "a taste stays where it is on another scale",
        "vtiqa_jax/models/taste.py",
        "jnp.float32(intercept) * (1 - self.slope[...])",
        "jnp.float32(intercept)",
        "tests/test_taste.py::test_scores_on_another_scale_are_the_same_but_for_it[25.0--25.0]",
    ),
    Fault(
        "a taste acts beyond the ends of the scale",
        "vtiqa_jax/models/vtiqa.py",
        "        scores = self.taste(scores, features) if self.taste else scores\n"
        "        return self.ends(scores) if self.ends else scores",
        "        scores = self.ends(scores) if self.ends else scores\n"
        "        return self.taste(scores, features) if self.taste else scores",
        "tests/test_taste.py::test_scores_are_by_taste_and_keep_to_their_scale",
    ),
    Fault(
        "an exported model forgets the taste's slope",
        "vtiqa_jax/export/onnx_vtiqa.py",
        'op.Mul(op.param("taste.slope"), scores)',
        'op.Mul(op.Abs(op.Sign(op.param("taste.slope"))), scores)',
        "tests/test_taste.py::test_onnx_scores_by_taste[photos]",
    ),
    Fault(
        "shots of one scene vouch for each other",
        "vtiqa_jax/tuning/held_out.py",
        "scenes[opinions.first], np.where(opinions.is_pair, scenes[opinions.second], -1)",
        "opinions.first, opinions.second",
        "tests/test_tune.py::test_pairs_are_never_predicted_by_pairs_with_the_same_photos",
    ),
    Fault(
        "a pair is predicted by pairs with its worse photo",
        "vtiqa_jax/tuning/held_out.py",
        "seen = np.concatenate([first[held], second[held]])",
        "seen = first[held]",
        "tests/test_tune.py::test_pairs_are_never_predicted_by_pairs_with_the_same_photos",
    ),
    Fault(
        "each shot of a scene vouches for itself",
        "vtiqa_jax/tuning/held_out.py",
        "(scenes.max() + 1, SHUFFLES))[scenes[opinions.first]]",
        "(len(opinions), SHUFFLES))",
        "tests/test_tune.py::test_a_handful_of_scenes_is_never_enough",
    ),
    Fault(
        "any gain on held-out marks is enough",
        "vtiqa_jax/tuning/held_out.py",
        "self.after > self.before and self.chance <= LEVEL",
        "self.after > self.before",
        "tests/test_tune.py::test_a_person_without_a_taste_keeps_the_score[mark]",
    ),
    Fault(
        "chance is counted the other way round",
        "vtiqa_jax/tuning/held_out.py",
        "gains[1:] > gains[0] - TIE",
        "gains[1:] < gains[0] - TIE",
        "tests/test_tune.py::test_a_taste_is_found_and_better_on_marks_that_were_held_out[stars-60]",
    ),
    Fault(
        "the strength of a taste is chosen without its price",
        "vtiqa_jax/tuning/ridge.py",
        "free * np.log(noise) + np.log(variance).sum() + uncertainty",
        "free * np.log(noise) + uncertainty",
        "tests/test_tune.py::test_a_fit_is_the_most_likely_and_predicts_as_a_gaussian_process",
    ),
    Fault(
        "a taste turns round where less is better",
        "vtiqa_jax/tuning/fit.py",
        '"taste.direction": sign * learnt.direction',
        '"taste.direction": learnt.direction',
        "tests/test_tune.py::test_a_scale_on_which_less_is_better_is_tuned_as_well",
    ),
    Fault(
        "our own ratings count as a person's",
        "vtiqa_jax/tuning/from_xmp.py",
        "not found.is_rated_by_people or not",
        "not",
        "tests/test_tune.py::test_ratings_of_people_are_read_and_no_others",
    ),
    Fault(
        "a model by taste says which share of the training photos is worse",
        "vtiqa_jax/tuning/fit.py",
        'if name != "percentiles"',
        'if name != "percentile"',
        "tests/test_tune.py::test_a_taste_is_written_and_scores_by_it",
    ),
    Fault(
        "two shots of one scene are a pair",
        "vtiqa_jax/gallery/scripts/pairs.js",
        "(a.stack === undefined || a.stack !== b.stack)",
        "true",
        "tests/test_pairs_browser.py::test_every_pair_is_asked_once_and_no_two_shots_of_a_scene",
    ),
    Fault(
        "a pair comes again",
        "vtiqa_jax/gallery/scripts/pairs.js",
        " && !asked.has(keyOf(a, b))",
        "",
        "tests/test_pairs_browser.py::test_every_pair_is_asked_once_and_no_two_shots_of_a_scene",
    ),
    Fault(
        "the page asks for the same few photos",
        "vtiqa_jax/gallery/scripts/pairs.js",
        "for (const some of [fresh, photos])",
        "for (const some of [photos])",
        "tests/test_pairs_browser.py::test_every_pair_is_asked_once_and_no_two_shots_of_a_scene",
    ),
    Fault(
        "a key marks a photo that is far out of sight",
        "vtiqa_jax/gallery/scripts/grid.js",
        "if (!place || (place.top + place.height > above && place.top < below)) return active;",
        "return active;",
        "tests/test_gallery_browser.py::test_the_first_key_only_selects",
    ),
    Fault(
        "a key marks a photo that nobody selected",
        "vtiqa_jax/gallery/scripts/keys.js",
        "  return true;\n}\n\nfunction pressAnywhere",
        "  return MOVES.test(key) || pressOnCard(key);\n}\n\nfunction pressAnywhere",
        "tests/test_gallery_browser.py::test_the_first_key_only_selects",
    ),
    Fault(
        "the time left of a training counts the compilation in",
        "vtiqa_jax/training/logger.py",
        'epochs_left * (epochs[-1]["seconds"] - epochs[0]["seconds"]) / (len(epochs) - 1)',
        'epochs_left * epochs[-1]["seconds"] / len(epochs)',
        "tests/test_metrics.py::test_the_time_left_is_estimated_without_the_compilation",
    ),
    Fault(
        "eval is silent about photos that trained the model",
        "vtiqa_jax/commands/eval.py",
        'return len(set(names) & set(split["train"])) if is_of_model else 0',
        'return len(set(names) & set(split["train"])) if not is_of_model else 0',
        "tests/test_commands.py::test_training_ends_with_results_that_eval_and_score_agree_with",
    ),
    Fault(
        "a good photo is told where it is bad",
        "vtiqa_jax/results/lines.py",
        "(result.score < (scale.low + scale.high) / 2) == scale.higher_is_better",
        "(result.score < scale.high) == scale.higher_is_better",
        "tests/test_named_faults.py::test_a_bad_photo_without_a_reason_is_known",
    ),
    Fault(
        "the option --top alone shows all photos",
        "vtiqa_jax/commands/score.py",
        "only_chosen = selection.chooses and not selection.prints_paths",
        "only_chosen = selection.chooses and selection.folder is not None",
        "tests/test_score_command.py::test_chosen_photos_are_printed_and_no_others",
    ),
    Fault(
        "a page imports a name that nobody exports",
        "vtiqa_jax/web/modules.py",
        "if name not in exports(sources[(file.parent / other).resolve()]):",
        "if not exports(sources[(file.parent / other).resolve()]):",
        "tests/test_web_modules.py::test_what_would_not_run_is_refused",
    ),
    Fault(
        "the next pair is the surest",
        "vtiqa_jax/gallery/scripts/taste.js",
        "chance * (1 - chance) * variance",
        "(chance - 0.5) ** 2 / variance",
        "tests/test_pairs_browser.py::test_answers_decide_what_is_asked_next",
    ),
    Fault(
        "too few held-out photos are told when all is done",
        "vtiqa_jax/commands/heads.py",
        "if unseen and model.scale:",
        "if unseen and not model.scale:",
        "tests/test_heads.py::test_what_cannot_be_made_is_told_in_one_line_before_anything_is_computed",
    ),
    Fault(
        "faults that a photo has of its own are taught as none",
        "vtiqa_jax/heads/lessons.py",
        "& (own >= SEEN)",
        "& (own > 3)",
        "tests/test_lessons.py::test_what_a_photo_has_of_its_own_is_unknown_in_its_versions",
    ),
    Fault(
        "both heads of reasons learn from the parts",
        "vtiqa_jax/heads/lessons.py",
        "known & ~self.is_part, known",
        "known, known",
        "tests/test_lessons.py::test_every_photo_counts_as_often_as_it_should_and_judged_ones_keep_their_numbers",
    ),
    Fault(
        "heads that are averaged look at each other's units",
        "vtiqa_jax/heads/averaging.py",
        "means[:, asked, own, own] =",
        "means[:, asked, :width, own] =",
        "tests/test_reasons.py::test_heads_side_by_side_find_the_mean_of_what_each_finds",
    ),
    Fault(
        "heads that are averaged are summed up",
        "vtiqa_jax/heads/averaging.py",
        " for member in members]) / count",
        " for member in members])",
        "tests/test_reasons.py::test_heads_side_by_side_find_the_mean_of_what_each_finds",
    ),
    Fault(
        "parts as they are looked at are shrunk",
        "vtiqa_jax/heads/faulty.py",
        "part = _cut_part(photo, SCREEN_PART, rng)",
        "part = resize_area(photo, SCREEN_PART)",
        "tests/test_reasons.py::test_parts_as_they_are_looked_at_have_each_of_the_hardest_faults_alone",
    ),
    Fault(
        "a photo is always shrunk by areas before it is enlarged",
        "vtiqa_jax/data/native_ladders.py",
        'rng.choice(["area", "bicubic", "lanczos", "hamming"])',
        'rng.choice(["area", "area", "area", "area"])',
        "tests/test_native_ladders.py::test_a_photo_is_shrunk_by_several_filters_to_its_size",
    ),
    Fault(
        "a layer that takes raw inputs forgets their mean",
        "vtiqa_jax/heads/standardization.py",
        "bias - (self.mean / self.deviation) @ kernel",
        "bias",
        "tests/test_standardization.py::test_a_folded_layer_finds_in_raw_inputs_what_it_found_in_standardized_ones",
    ),
    Fault(
        "what is not known counts as no fault",
        "vtiqa_jax/heads/reasons.py",
        "weigh_errors(strengths) * is_known",
        "weigh_errors(strengths)",
        "tests/test_lessons.py::test_what_is_not_known_counts_for_nothing",
    ),
    Fault(
        "a head is asked about photos that taught it",
        "vtiqa_jax/heads/naming.py",
        "lessons.rows(asked)",
        "lessons.rows()",
        "tests/test_lessons.py::test_a_photo_judged_by_eye_is_asked_about_by_a_head_that_did_not_learn_from_it",
    ),
    Fault(
        "a head is asked about photographers that taught it",
        "vtiqa_jax/heads/naming.py",
        "return fold[sources]",
        "return np.arange(len(sources)) % FOLDS",
        "tests/test_lessons.py::test_photos_of_one_source_are_asked_about_together",
    ),
    Fault(
        "small photos are taken for large ones",
        "vtiqa_jax/heads/lessons.py",
        ">= LARGE",
        ">= LARGE // 4",
        "tests/test_lessons.py::test_every_photo_counts_as_often_as_it_should_and_judged_ones_keep_their_numbers",
    ),
    Fault(
        "large photos have more false alarms than were asked for",
        "vtiqa_jax/heads/alarms.py",
        "int(rate * len(order))",
        "int(4 * rate * len(order))",
        "tests/test_lessons.py::test_faults_are_named_from_where_they_are_rare_in_small_and_in_large_photos",
    ),
    Fault(
        "an exported graph takes photographs for other pictures",
        "vtiqa_jax/export/onnx_vtiqa.py",
        'keepdims=0), op.param("novelty.threshold"))',
        'keepdims=0), op.Neg(op.param("novelty.threshold")))',
        "tests/test_novelty.py::test_exported_files_say_it",
    ),
    Fault(
        "a scale on which less is better has its colours the wrong way",
        "vtiqa_jax/scoring/colours.py",
        "RAMP[::-1]",
        "RAMP",
        "tests/test_colours.py::test_the_worst_is_red_and_the_best_blue_whichever_way_the_scale_runs",
    ),
    Fault(
        "a prepared set has another order than its release",
        "vtiqa_jax/data/datasets/tfds.py",
        'key=lambda row: row[2]["row"]',
        'key=lambda row: row[2]["name"]',
        "tests/test_datasets.py::test_a_prepared_data_set_is_the_one_in_the_folder",
    ),
    Fault(
        "a strength of 40 % is taken for a grade",
        "vtiqa_jax/data/judged.py",
        "0 <= value <= most",
        "0 <= value",
        "tests/test_reasons.py::test_a_table_of_judged_photos_that_cannot_be_right_is_refused",
    ),
    Fault(
        "intervals have the room of a scale to 5",
        "vtiqa_jax/results/words.py",
        'len("52.1 to 100.0")',
        'len("3.1 to 3.8")',
        "tests/test_intervals.py::test_lines_stay_in_columns_on_a_scale_to_100",
    ),
    Fault(
        "a model with intervals cannot be made anew",
        "vtiqa_jax/heads/kept.py",
        '"intervals", "opinions", ',
        "",
        "tests/test_reasons.py::test_what_was_seen_is_kept_by_photo_backbone_and_recipe",
    ),
    Fault(
        "a map leaves the array of an older photo's fault",
        "vtiqa_jax/commands/explain.py",
        "faults[0].values if faults else None)",
        "faults[0].values) if faults else None",
        "tests/test_fault_map.py::test_an_array_of_an_older_photo_does_not_stay",
    ),
    Fault(
        "the detail head is rounded to 8 bits",
        "vtiqa_jax/models/params.py",
        '{"head", "detail", "reasons", "subject"} & set',
        '{"head", "reasons", "subject"} & set',
        "tests/test_detail.py::test_heads_are_not_rounded_to_8_bits",
    ),
    Fault(
        "a camera swaps red and blue",
        "vtiqa_jax/data/camera_noise.py",
        "cv2.COLOR_BayerBG2RGB)",
        "cv2.COLOR_BayerRG2RGB)",
        "tests/test_camera_noise.py::test_without_noise_a_smooth_photo_comes_back_in_its_colours",
    ),
    Fault(
        "each step of a ladder draws anew",
        "vtiqa_jax/data/native_ladders.py",
        "ladder.apply(photo, amount, np.random.default_rng(seed))",
        "ladder.apply(photo, amount, np.random.default_rng((seed, int(amount))))",
        "tests/test_native_ladders.py::test_all_steps_of_a_ladder_are_given_the_same_draws",
    ),
    Fault(
        "fewer ladders than a batch teach the detail head nothing",
        "vtiqa_jax/heads/ladder_batches.py",
        "size, order = min(options.ladders, len(ladders)), ",
        "size, order = options.ladders, ",
        "tests/test_heads.py::test_fewer_ladders_than_a_batch_are_still_learnt_from",
    ),
    Fault(
        "a broken file of places stops the build",
        "vtiqa_jax/heads/kept.py",
        "EOFError, zipfile.BadZipFile)",
        "EOFError)",
        "tests/test_heads.py::test_a_broken_file_of_the_cache_is_made_again",
    ),
    Fault(
        "test photos of a data set tell the scale of detail",
        "vtiqa_jax/commands/heads.py",
        'np.array(release.official) == "train"',
        'np.array(release.official) != ""',
        "tests/test_heads.py::test_of_a_release_only_training_photos_tell_the_scale",
    ),
    Fault(
        "where a photo holds is told by the blur that counts in the sum",
        "vtiqa_jax/models/detail.py",
        "blur = combine_scales(octaves[..., SOFTNESS], factors)\n",
        "blur = combine_scales(octaves[..., 0], factors)\n",
        "tests/test_detail.py::test_enlarged_it_holds_at_a_scale_smaller_by_as_much",
    ),
    Fault(
        "softness is a cause of its own",
        "vtiqa_jax/models/detail.py",
        "octaves[..., : len(CAUSES)] @ jnp.array(CAUSE_WEIGHTS)",
        "octaves @ jnp.array([*CAUSE_WEIGHTS, 1.0])",
        "tests/test_detail.py::test_causes_add_up_and_noise_counts_more",
    ),
    Fault(
        "noise counts where the first scale shows it alone",
        "vtiqa_jax/models/detail.py",
        "jnp.nanmean(jnp.maximum(octaves[..., 1:SOFTNESS], 0), axis=1)",
        "jnp.maximum(octaves[:, 0, 1:SOFTNESS], 0)",
        "tests/test_detail.py::test_noise_and_artefacts_count_wherever_an_enlargement_moves_them",
    ),
    Fault(
        "an enlarged photo shall hold at more of its size",
        "vtiqa_jax/heads/ladder_loss.py",
        "holds - holds[:, :1] + jnp.log2(factor)",
        "holds - holds[:, :1] - jnp.log2(factor)",
        "tests/test_heads.py::test_an_enlarged_photo_shall_hold_at_as_much_less_of_its_size",
    ),
    Fault(
        "what was bad to begin with counts as sharp",
        "vtiqa_jax/heads/versions.py",
        'yield Version(pixels, f"{where} {number} {first} {second}", LADDERS[second].cause, octaves)',
        'yield Version(pixels, f"{where} {number} {first} {second}", LADDERS[second].cause, octaves, is_sharp=True)',
        "tests/test_heads.py::test_every_photo_is_also_shown_bad_to_begin_with",
    ),
    Fault(
        "places are told one by one where whole photos are blurred, too",
        "vtiqa_jax/heads/ladder_loss.py",
        "known = counts & ~jnp.isnan(expected) & ~_is_even(beneath).all(1)[:, None, None, None]",
        "known = counts & ~jnp.isnan(expected)",
        "tests/test_heads.py::test_each_place_of_a_photo_that_is_blurred_in_part_shall_be_told_by_itself",
    ),
    Fault(
        "a photo is never blurred around its subject",
        "vtiqa_jax/heads/versions.py",
        "for share in (inside, 1 - inside):",
        "for share in (inside, inside):",
        "tests/test_heads.py::test_every_photo_is_also_shown_blurred_in_part",
    ),
    Fault(
        "blur beneath noise costs nothing",
        "vtiqa_jax/heads/ladder_loss.py",
        "is_blur * (4**beneath - 1)[:, :, None]",
        "is_blur * (4**beneath - 4**beneath)[:, :, None]",
        "tests/test_heads.py::test_blur_beneath_noise_adds_up_with_blur_and_leaves_the_noise",
    ),
    Fault(
        "scores of a model with new heads bend from the middle of their scale on",
        "vtiqa_jax/heads/build.py",
        "REACH = 1 / 16",
        "REACH = 1 / 2",
        "tests/test_heads.py::test_heads_are_made_on_a_model_and_change_no_score",
    ),
    Fault(
        "scored photos may get the warning of what is no photograph",
        "vtiqa_jax/heads/photographs.py",
        "_pixels(scored.names, read,",
        "_pixels(scored.names[:1], read,",
        "tests/test_heads.py::test_pictures_that_are_no_photographs_get_a_warning_and_photographs_none",
    ),
    # ---- adapters ----
    Fault(
        "a fork of a process that computed waits for ever",
        "vtiqa_jax/adapters/scoring.py",
        "    _check_process(os.getpid())\n",
        "",
        "tests/test_adapters.py::test_a_fork_of_what_has_computed_is_refused_and_no_other[after]",
    ),
    Fault(
        "a column of a data set is typed by the rows that are there",
        "vtiqa_jax/adapters/hugging_face.py",
        "for result in results], field.type)",
        "for result in results])",
        "tests/test_adapters.py::test_rows_keep_their_columns_and_get_typed_ones",
    ),
    Fault(
        "a data set's own column `score` is overwritten",
        "vtiqa_jax/adapters/scoring.py",
        'f"vtiqa_{column.name}"',
        "column.name",
        "tests/test_adapters.py::test_rows_keep_their_columns_and_get_typed_ones",
    ),
)


@dataclasses.dataclass(frozen=True)
class Outcome:
    """What pytest said, and how long it took."""

    status: int | None
    """Its exit status; None when it was stopped."""
    output: str
    seconds: float

    @property
    def reason(self) -> str:
        """The first line of pytest's explanation, or its last line."""
        found = re.search(r"^E +(\S.*)$", self.output, re.MULTILINE)
        return found[1] if found else (self.output.strip().splitlines() or ["nothing was said"])[-1]

    @property
    def found(self) -> bool:
        """Whether a test ran and failed, and not for a broken edit."""
        failed = self.status == 1 and re.search(r"^FAILED ", self.output, re.MULTILINE) is not None
        return failed and not self.reason.startswith(BROKEN_EDITS)


def say(text: str) -> None:
    """Prints to standard error."""
    print(text, file=sys.stderr, flush=True)


def copy_tree(tree: Path, copy: Path) -> None:
    """Copies what the tests need.

    Args:
        tree: the source.
        copy: a new folder.
    """
    copy.mkdir()
    for name in COPIED:
        if (tree / name).is_dir():
            shutil.copytree(tree / name, copy / name, ignore=shutil.ignore_patterns(*LEFT_OUT))
        else:
            shutil.copy2(tree / name, copy / name)


def run(copy: Path, *arguments: str, limit: float = TIMEOUT) -> Outcome:
    """Runs Python in a copy of the tree, on the package in the copy.

    Args:
        copy: the folder of the copy.
        arguments: those of Python.
        limit: seconds after which it is stopped, with all processes that it started.

    Returns:
        What it said.
    """
    # With compiled modules pytest starts in half the time. Kept beside the copy, they are nobody else's.
    environment = {**os.environ, "PYTHONPATH": str(copy), "PYTHONPYCACHEPREFIX": str(copy.with_name("compiled"))}
    environment.setdefault("JAX_COMPILATION_CACHE_DIR", str(copy.with_name("programs")))
    environment.pop("PYTHONDONTWRITEBYTECODE", None)
    begun = time.monotonic()
    with subprocess.Popen(
        [sys.executable, *arguments], cwd=copy, env=environment, text=True, start_new_session=True,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    ) as process:  # fmt: skip
        try:
            output, _ = process.communicate(timeout=limit)
        except BaseException as error:
            os.killpg(process.pid, signal.SIGKILL)
            if not isinstance(error, subprocess.TimeoutExpired):
                raise
            return Outcome(None, f"no end after {limit:g} s", time.monotonic() - begun)
    return Outcome(process.returncode, output, time.monotonic() - begun)


def run_tests(copy: Path, tests: Sequence[str], limit: float) -> Outcome:
    """Runs tests in a copy of the tree.

    Args:
        copy: the folder of the copy.
        tests: their node ids.
        limit: seconds after which they are stopped.

    Returns:
        What pytest said.
    """
    folder = str(copy.with_name("temporary"))
    options = ("-q", "-n0", "-p", "no:cacheprovider", "-m", "slow or not slow", "--basetemp", folder)
    return run(copy, "-m", "pytest", *options, *tests, limit=limit)


def plant(fault: Fault, source: str) -> str:
    """The source with the fault in it.

    Args:
        fault: what to plant.
        source: the text of the fault's file.

    Returns:
        The changed text.

    Raises:
        ValueError: the text to change does not occur exactly once, or a changed module is no Python.
    """
    count = source.count(fault.old)
    if count != 1:
        raise ValueError(f"{fault.name}: the text to change occurs {count} times in {fault.file}, not once")
    changed = source.replace(fault.old, fault.new)
    try:
        if fault.file.endswith(".py"):
            compile(changed, fault.file, "exec")
    except SyntaxError as error:
        raise ValueError(f"{fault.name}: what it makes of {fault.file} is no Python: {error}") from error
    return changed


def try_fault(copy: Path, fault: Fault) -> Outcome:
    """Plants a fault, runs its test and puts the file back.

    Args:
        copy: the folder of the copy.
        fault: what to plant.

    Returns:
        What pytest said.
    """
    file = copy / fault.file
    source = file.read_text(encoding="utf-8")
    file.write_text(plant(fault, source), encoding="utf-8")
    try:
        return run_tests(copy, [fault.test], TIMEOUT)
    finally:
        file.write_text(source, encoding="utf-8")


def try_all(tree: Path, faults: Sequence[Fault], folder: Path) -> list[Outcome]:
    """Tries faults one after another.

    Args:
        tree: the source.
        faults: what to plant.
        folder: an empty one, for the copy.

    Returns:
        What pytest said of each.

    Raises:
        SystemExit: a test fails without a fault, or Python would not import the copy.
    """
    copy = folder / "copy"
    copy_tree(tree, copy)
    where = run(copy, "-c", "import vtiqa_jax; print(vtiqa_jax.__file__)").output.strip()
    if not Path(where).is_relative_to(copy):
        raise SystemExit(f"the tests would import {where}, not the copy in {copy}")
    tests = list(dict.fromkeys(fault.test for fault in faults))
    clean = run_tests(copy, tests, TIMEOUT_ALL)
    if clean.status != 0:
        say(clean.output[-6000:])
        raise SystemExit("a test fails without a fault")
    say(f"{len(tests)} tests pass in {copy} without a fault ({clean.seconds:.0f} s): {clean.output.split(chr(10))[-2]}")
    outcomes = []
    for fault in faults:
        outcome = try_fault(copy, fault)
        outcomes.append(outcome)
        say(f"{'found' if outcome.found else 'NOT FOUND'} ({outcome.seconds:.0f} s): {fault.name}: {outcome.reason}")
        if not outcome.found:
            say(outcome.output[-3000:])
    return outcomes


def main(
    only: tuple[str, ...] = (),
    tree: Path = REPOSITORY,
    show: Annotated[bool, Parameter(name="--list")] = False,
) -> None:
    """Plants faults in a copy of the source and shows for each the test that finds it.

    Args:
        only: names of faults, or parts of names; all faults when not given.
        tree: the source; it is not changed.
        show: print which faults there are, and run nothing.
    """
    unknown = [name for name in only if not any(name in fault.name for fault in FAULTS)]
    if unknown:
        raise SystemExit(f"no fault is called {unknown[0]!r}; see --list")
    faults = [fault for fault in FAULTS if not only or any(name in fault.name for name in only)]
    problems = []
    for fault in faults:
        try:
            plant(fault, (tree / fault.file).read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            problems.append(str(error))
    if problems:
        raise SystemExit("\n".join(problems))
    if show:
        print("\n".join(f"{fault.name} ({fault.file}; {fault.test})" for fault in faults))
        return
    with tempfile.TemporaryDirectory(prefix="faults-") as folder:
        outcomes = try_all(tree.resolve(), faults, Path(folder).resolve())
    print("| fault | file | test | found | seconds |\n|---|---|---|---|---|")
    for fault, outcome in zip(faults, outcomes, strict=True):
        cells = (fault.name, f"`{fault.file}`", f"`{fault.test}`", "yes" if outcome.found else "NO")
        print(f"| {' | '.join(cells)} | {outcome.seconds:.0f} |")
    count = sum(outcome.found for outcome in outcomes)
    print(f"\n{count} of {len(faults)} faults found.")
    sys.exit(0 if count == len(faults) else 1)


if __name__ == "__main__":
    cli.run_script(main, description=__doc__)
