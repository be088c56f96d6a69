"""A head of your own on the features of photos. It predicts a score and the spread of opinions around it.

python head.py --photos PHOTOS --workdir WORKDIR
"""

import csv
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import nnx
from jaxtyping import Array, Float

import vtiqa_jax
from vtiqa_jax import cli


class GaussianHead(nnx.Module):
    """Features to the mean and the logarithm of the variance of a normal distribution."""

    def __init__(self, features: int, *, rngs: nnx.Rngs) -> None:
        self.hidden = nnx.Linear(features, 32, rngs=rngs)
        self.out = nnx.Linear(32, 2, rngs=rngs)

    def __call__(self, features: Float[Array, "batch features"]) -> Float[Array, "batch 2"]:
        """Returns the two numbers of each photo."""
        return self.out(jax.nn.relu(self.hidden(features)))


def loss(head: GaussianHead, features: Float[Array, "batch features"], mos: Float[Array, " batch"]) -> Float[Array, ""]:
    """Returns the negative log-likelihood of the opinions."""
    mean, log_variance = jnp.moveaxis(head(features), 1, 0)
    return 0.5 * (log_variance + (mos - mean) ** 2 * jnp.exp(-log_variance)).mean()


@nnx.jit
def train_step(head: GaussianHead, optimizer: nnx.Optimizer, features: Array, mos: Array) -> Float[Array, ""]:
    """Takes one step on all photos together."""
    value, gradients = nnx.value_and_grad(loss)(head, features, mos)
    optimizer.update(head, gradients)
    return value


def main(photos: Path, workdir: Path, steps: int = 200) -> None:
    """Trains on scores.csv in the folder of photos; keeps features and predictions."""
    rows = list(csv.DictReader((photos / "scores.csv").read_text().splitlines()))
    features = vtiqa_jax.load().embed([photos / row["image"] for row in rows])
    np.save(workdir / "features.npy", features)
    mos = np.array([row["mos"] for row in rows], np.float32)
    scaled, labels = (features - features.mean(0)) / features.std(), (mos - mos.mean()) / mos.std()
    head = GaussianHead(features.shape[1], rngs=nnx.Rngs(0))
    optimizer = nnx.Optimizer(head, optax.adamw(1e-3), wrt=nnx.Param)
    losses = [train_step(head, optimizer, jnp.asarray(scaled), jnp.asarray(labels)) for _ in range(steps)]
    mean, log_variance = np.asarray(head(jnp.asarray(scaled))).T
    predicted = np.stack([mean * mos.std() + mos.mean(), np.exp(log_variance / 2) * mos.std()])
    np.save(workdir / "predictions.npy", predicted)
    print(f"loss {losses[-1]:.3f}; correlation {np.corrcoef(predicted[0], mos)[0, 1]:.3f}")


if __name__ == "__main__":
    cli.run_script(main, description=__doc__)
