"""All heads of a model that stand on its frozen backbone, made again: what finds the subject, detail and its place on
the score's scale, what names faults, what tells photographs from other pictures, and the soft ends of the scale."""

import dataclasses
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
from tqdm import tqdm

from vtiqa_jax.data.judged import JudgedPhotos
from vtiqa_jax.data.manifest import Manifest
from vtiqa_jax.data.subjects import SubjectPhotos
from vtiqa_jax.errors import ImageError, UserError
from vtiqa_jax.heads.curve import fit_curve, measure_octaves
from vtiqa_jax.heads.detail import fit_detail
from vtiqa_jax.heads.ladder_batches import FitOptions
from vtiqa_jax.heads.naming import build_reasons
from vtiqa_jax.heads.photographs import LEAST_PICTURES, learn_photographs
from vtiqa_jax.heads.places import Places, PlacesCache
from vtiqa_jax.heads.subject import build_subject, check_cells, with_subject
from vtiqa_jax.models.adapt import with_soft_ends, without_detail
from vtiqa_jax.models.checkpoint import Checkpoint
from vtiqa_jax.models.config import ModelConfig
from vtiqa_jax.models.params import param_group

NATIVE_FACTORS = (1, 2, 4, 8)
NATIVE_MOSAICS = (4, 4, 4, 1)
"""One view shows 49 places: too small a sample. Where a few per cent of a photo's edges are cut off, it would hold at
another scale (docs/experiments.md). At an eighth of its size few photos are judged."""
LEAST_PHOTOS = 20
LEAST_SCORED = 200
REACH = 1 / 16
"""Share of the scale: distance from its ends at which scores begin to bend. All but a few photos of a thousand lie
further inside."""


def native_blocks(config: ModelConfig) -> tuple[int, ...]:
    """Returns the blocks whose patch tokens the head reads: those in the middle know most of noise and sharpness."""
    return tuple(sorted({max(1, config.depth // 2), max(1, 3 * config.depth // 4)}))


def collect_places(cache: PlacesCache, paths: Iterable[Path]) -> tuple[Places, list[str]]:
    """Collects the places of versions of photos.

    Returns:
        The places, and a line for each photo that cannot be used.

    Raises:
        UserError: there are too few photos.
    """
    found, left_out = [], []
    for path in tqdm(list(paths), "photos made worse", unit="photo", disable=None):
        try:
            found.append(cache.read(path))
        except ImageError as error:
            left_out.append(f"{path}: {error}")
    if len(found) < LEAST_PHOTOS:
        reasons = f"; the first that cannot be used: {left_out[0]}" if left_out else ""
        raise UserError(
            f"the heads need at least {LEAST_PHOTOS} photos as cameras made them, not {len(found)}{reasons}"
        )
    return Places.concatenate(found), left_out


def build_heads(
    model: Checkpoint,
    photos: Sequence[Path],
    scored: Manifest,
    cache: Path,
    options: FitOptions = FitOptions(),
    others: Sequence[Path] | None = None,
    judged: JudgedPhotos | None = None,
    subjects: SubjectPhotos | None = None,
) -> tuple[Checkpoint, list[str]]:
    """Makes the heads.

    Args:
        model: a VT-IQA; heads that it has are made anew.
        photos: as cameras made them, or at least large.
        scored: photos with opinions on the model's scale, seen at their own size.
        cache: a folder for what takes long; the same command continues there.
        options: of the fit.
        others: pictures that are no photographs. Without them the model knows of photographs what it knew.
        judged: photos whose faults were judged by eye; without them the model names what was planted alone.
        subjects: photos whose subject was marked by eye; without them the model finds it as it did, or not at all.

    Returns:
        The model with its heads, and a line for each photo that was left out.

    Raises:
        UserError: the model has no score, there are too few photos, their scores are not on its scale, the other
            pictures are too few or look like photos, or subjects are marked in other cells than the model's.
    """
    if model.scale is None or model.config.kind != "vtiqa":
        raise UserError("heads stand on a VT-IQA that scores; train one first")
    if model.config.taste:
        raise UserError("heads speak for people, and this model for one person; give the model that it was tuned from")
    if len(scored.names) < LEAST_SCORED:
        raise UserError(f"the heads need at least {LEAST_SCORED} scored photos, not {len(scored.names)}")
    if others is not None and len(others) < LEAST_PICTURES:
        raise UserError(f"what is no photograph is learnt from at least {LEAST_PICTURES} pictures, not {len(others)}")
    if subjects is not None:
        check_cells(model)
    worst, best = scored.mos.min(), scored.mos.max()
    if worst < model.scale.low or best > model.scale.high:
        raise UserError(f"the scored photos have {worst:g} to {best:g}, beyond the model's {model.scale}")
    bare = without_detail(model)
    try:
        config = bare.config.replace(
            native_factors=NATIVE_FACTORS, native_mosaics=NATIVE_MOSAICS, native_blocks=native_blocks(bare.config)
        )
    except ValueError as error:
        raise UserError(f"no detail can stand on this model: {error}") from error
    bare = dataclasses.replace(bare, config=config)
    places, left_out = collect_places(PlacesCache(cache, bare), photos)
    made = dataclasses.replace(bare, params=bare.params | fit_detail(places, NATIVE_FACTORS, options))
    if subjects is not None:
        made, more = build_subject(made, subjects, places, options)
        left_out += more
    elif model.config.subject and model.config.native_blocks == made.config.native_blocks:
        known = {name: array for name, array in model.params.items() if param_group(name)[0] == "subject"}
        made = with_subject(made, known)
    octaves = measure_octaves(made, scored)
    if (seen := np.count_nonzero(~np.isnan(octaves))) < LEAST_SCORED // 2:
        raise UserError(
            f"detail needs at least {LEAST_SCORED // 2} scored photos for its scale; of {len(octaves)} only {seen} can"
            " be read and have structure"
        )
    curve = fit_curve(octaves, scored.mos, model.scale)
    made = dataclasses.replace(made, params=made.params | {"detail.curve": curve})
    made, more = build_reasons(made, photos, scored, judged, cache, options.seed)
    left_out += more
    if others is not None:
        made = learn_photographs(made, photos, scored, others)
    if not made.config.soft_ends:
        made = with_soft_ends(made, REACH * (model.scale.high - model.scale.low))
    return made, left_out
