"""The checkpoint that a training starts from, in the shape that its options ask for."""

import dataclasses

from vtiqa_jax.errors import UserError
from vtiqa_jax.models import adapt, catalog
from vtiqa_jax.models.checkpoint import Checkpoint
from vtiqa_jax.training.options import TrainOptions


def load_start(options: TrainOptions) -> Checkpoint:
    """The model that `options.init` names: its backbone alone, or all of it with `options.keep_head`.

    Raises:
        UserError: there is no such model, or it cannot be brought into that shape.
    """
    start = catalog.load(options.init)
    config = start.config
    if config.kind == "original":
        raise UserError(f"{options.init} is the paper's model, which is scored and converted but not trained here")
    readout = options.readout_blocks or config.readout_blocks or (config.depth,)
    if options.keep_head:
        if start.scale is None:
            raise UserError(f"{options.init} is a backbone without a head; leave out --keep-head")
        if readout != (config.readout_blocks or (config.depth,)):
            raise UserError(f"--keep-head keeps the head's inputs too; leave out --readout-blocks {list(readout)}")
    else:
        start = adapt.with_readout(start, readout)
    if options.eval_mosaics < 1:
        raise UserError(f"--eval-mosaics must be at least 1, not {options.eval_mosaics}")
    start = dataclasses.replace(start, config=start.config.replace(eval_mosaics=options.eval_mosaics))
    if options.view_size is not None:
        start = adapt.with_view_size(start, options.view_size)
    options.recipe.optimizer(start.config)  # what does not fit is said before an hour of decoding
    return start
