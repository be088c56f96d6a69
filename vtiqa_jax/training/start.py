"""The checkpoint that a training starts from, in the shape that its options ask for, and how it scores as it is."""

import dataclasses

import numpy as np
from jaxtyping import Float, Int

from vtiqa_jax.data.loader import ImageStore
from vtiqa_jax.errors import UserError
from vtiqa_jax.models import adapt
from vtiqa_jax.models import params as parameters
from vtiqa_jax.models.checkpoint import Checkpoint
from vtiqa_jax.models.config import LabelScale, ModelConfig
from vtiqa_jax.models.params import Params
from vtiqa_jax.scoring.scorer import Scorer
from vtiqa_jax.training.options import TrainOptions
from vtiqa_jax.training.recipe import Recipe


def shape_start(start: Checkpoint, options: TrainOptions) -> Checkpoint:
    """Returns the model that a training starts from: another's backbone and, with `options.keep_head`, head.

    Its detail, what knows photographs, how sure its scores are and a person's taste are left out: a new backbone breaks
    them. So are soft ends.

    Args:
        start: the model that `options.checkpoint` names.
        options: the shape.

    Raises:
        UserError: it cannot be brought into that shape.
    """
    start = adapt.without_intervals(adapt.without_novelty(adapt.without_soft_ends(adapt.without_detail(start))))
    start = adapt.without_taste(start)
    config = start.config
    if config.kind == "original":
        raise UserError(
            f"{options.checkpoint} is the paper's model, which is scored and converted but not trained here"
        )
    readout = options.readout_blocks or config.readout_blocks or (config.depth,)
    if options.keep_head:
        if start.scale is None:
            raise UserError(f"{options.checkpoint} is a backbone without a head; leave out --keep-head")
        if readout != (config.readout_blocks or (config.depth,)):
            raise UserError(f"--keep-head keeps the head's inputs too; leave out --readout-blocks {list(readout)}")
    else:
        start = adapt.with_readout(start, readout)
    if options.eval_mosaics < 1:
        raise UserError(f"--eval-mosaics must be at least 1, not {options.eval_mosaics}")
    start = dataclasses.replace(start, config=start.config.replace(eval_mosaics=options.eval_mosaics))
    if options.view_size is not None:
        start = adapt.with_view_size(start, options.view_size)
    if options.screen_side is not None:
        if options.screen_side < start.config.view_size:
            raise UserError(f"--screen-side {options.screen_side} is below the views' {start.config.view_size} px")
        start = dataclasses.replace(start, config=start.config.replace(screen_side=options.screen_side))
    start = dataclasses.replace(start, config=options.recipe.model_config(start.config))
    options.recipe.optimizer(start.config)  # what does not fit is said before an hour of decoding
    return start


def map_scale(old: LabelScale, scale: LabelScale) -> tuple[float, float]:
    """Returns slope and intercept of the line that takes the best and worst of one scale to another's."""
    slope = (scale.high - scale.low) / (old.high - old.low)
    if old.higher_is_better == scale.higher_is_better:
        return slope, scale.low - slope * old.low
    return -slope, scale.high + slope * old.low


def initial_params(
    start: Checkpoint, recipe: Recipe, scale: LabelScale, stats: tuple[float, float], keep_head: bool
) -> Params:
    """Returns the start's backbone with a fresh head, or its own, moved to the standardised labels of `scale`."""
    fresh = parameters.init_params(start.config, recipe.seed)
    if not keep_head:
        kept = {k: v for k, v in start.params.items() if parameters.param_group(k)[0] != "head"}
        return recipe.init_head(fresh) | kept
    assert start.scale is not None
    mean, std = stats
    slope, intercept = map_scale(start.scale, scale)
    return parameters.rescale_head(start.config, fresh | start.params, slope / std, (intercept - mean) / std)


def score_before(
    before: Checkpoint | None, config: ModelConfig, scale: LabelScale, images: ImageStore, rows: Int[np.ndarray, " n"]
) -> Float[np.ndarray, " n"] | None:
    """Scores stored photos by the model that a training began with, on the scale of the labels.

    Args:
        before: that model as it was, before it was brought into another shape.
        config: of the model that the photos are stored for.
        scale: of the labels.
        images: the photos.
        rows: which of them.

    Returns:
        The scores; None when there is no such model, it has no head, or it sees photos at other sizes.
    """
    if before is None or before.scale is None or before.config.stored_sides != config.stored_sides:
        return None
    slope, intercept = map_scale(before.scale, scale)
    scores = Scorer(before.config, before.params, before.scale).score_store(images, rows)
    return np.float32(slope) * scores + np.float32(intercept)
