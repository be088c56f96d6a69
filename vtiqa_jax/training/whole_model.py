"""The whole model learns, from views of the stored photos that are drawn anew in each step."""

import dataclasses
import functools
from collections.abc import Callable
from pathlib import Path

import numpy as np
from flax import nnx
from jax.sharding import Mesh
from jaxtyping import Array, Float, Int

from vtiqa_jax.data.loader import Batch, ImageStore
from vtiqa_jax.models import params as parameters
from vtiqa_jax.models import views
from vtiqa_jax.models.compute_dtype import ComputeDtype, DtypeChoice, resolve_dtype
from vtiqa_jax.models.config import ModelConfig
from vtiqa_jax.models.params import Model, Params
from vtiqa_jax.models.vit import select_implementation
from vtiqa_jax.scoring.steps import make_score_step, round_weights, score_store


@dataclasses.dataclass(frozen=True)
class WholeModel:
    """The model, which sees a global view and a mosaic."""

    config: ModelConfig
    mesh: Mesh
    dtype: DtypeChoice
    """Type that the transformer multiplies in."""
    augment: Callable[[Array, Batch, ModelConfig], tuple[Array, Array]]
    """See `Recipe.augment`."""
    drop_path: float
    head_dropout: float

    @functools.cached_property
    def _graphdef(self) -> nnx.GraphDef[Model]:
        device = self.mesh.devices.flat[0]
        dtype = resolve_dtype(self.dtype, device.platform)
        implementation = select_implementation(device, dtype)
        return parameters.abstract_model(self.config, dtype, implementation, self.drop_path, self.head_dropout)[0]

    def open(
        self, images: ImageStore, count: int, params: Params, folder: Path, should_stop: Callable[[int], bool]
    ) -> ImageStore:
        """See `Learner`: the photos themselves."""
        return images

    def see(self, key: Array, batch: Batch) -> tuple[Array, ...]:
        """Draws both views and normalises them."""
        return tuple(map(views.normalize, self.augment(key, batch, self.config)))

    def merge(self, params: Params) -> Model:
        """Returns the model with these parameters."""
        return parameters.merge_params(self._graphdef, params)

    def score(
        self, params: Params, store: ImageStore, rows: Int[np.ndarray, " n"], dtype: ComputeDtype
    ) -> Float[np.ndarray, " n"]:
        """See `Learner`."""
        step = make_score_step(self.config, dtype, self.mesh)
        return score_store(step, round_weights(params, dtype), store, rows)
