"""Liking as the score and a linear function of features, whose strength the marks themselves tell.

liking = intercept + slope * score + taste, and the taste is a Gaussian process with a linear kernel: ridge regression.
Its strength maximises the restricted likelihood (REML), and may be 0: then the score alone is left. Many vectors of
targets share one decomposition.
"""

import dataclasses

import numpy as np
import scipy.linalg
from jaxtyping import Float

STRENGTHS = np.array([0.0, *np.geomspace(0.003, 30, 13)])
"""Strengths of the taste: its variance over that of the noise."""
PRECISION = 1e-6
"""Precision of a prior on what is not shrunk: marks of one kind may be missing."""

Targets = Float[np.ndarray, "opinions many"]
Columns = Float[np.ndarray, "opinions columns"]


@dataclasses.dataclass(frozen=True)
class Ridge:
    """A fit for each vector of targets."""

    fixed: Float[np.ndarray, "columns many"]
    """The weights of what is not shrunk."""
    dual: Targets
    """The taste is each opinion's features times this, added up."""

    def predict(
        self, kernel: Float[np.ndarray, "others opinions"], columns: Float[np.ndarray, "others columns"]
    ) -> Float[np.ndarray, "others many"]:
        """Predicts other opinions, by the products of their features with those of the fit."""
        return kernel @ self.dual + columns @ self.fixed


def fit_score(columns: Columns, targets: Targets) -> Float[np.ndarray, "columns many"]:
    """Fits what is not shrunk alone."""
    return _solve(columns.T @ columns, columns.T @ targets)


def fit_ridge(kernel: Float[np.ndarray, "opinions opinions"], columns: Columns, targets: Targets) -> Ridge:
    """Fits every vector of targets with the strength that is most likely for it.

    Args:
        kernel: products of the opinions' features, positive semidefinite.
        columns: what is not shrunk: the score, and intercepts.
        targets: what was said; more of them than columns.
    """
    variances, basis = scipy.linalg.eigh(kernel)
    variances = np.maximum(variances, 0)
    turned, turned_columns = basis.T @ targets, basis.T @ columns
    free = len(targets) - columns.shape[1]
    likelihood = np.full(targets.shape[1], -np.inf)
    fixed, dual = np.zeros((columns.shape[1], targets.shape[1])), np.zeros_like(targets)
    for strength in STRENGTHS:
        variance = 1 + strength * variances
        weighted = turned_columns / variance[:, None]
        information = weighted.T @ turned_columns
        estimate = _solve(information, weighted.T @ turned)
        left = turned - turned_columns @ estimate
        scaled = left / variance[:, None]
        noise = np.maximum((left * scaled).sum(0), np.finfo(float).tiny) / free
        _, uncertainty = np.linalg.slogdet(information + PRECISION * np.eye(len(information)))
        new_likelihood = -0.5 * (free * np.log(noise) + np.log(variance).sum() + uncertainty)
        better = new_likelihood > likelihood
        likelihood[better] = new_likelihood[better]
        fixed[:, better], dual[:, better] = estimate[:, better], strength * scaled[:, better]
    return Ridge(fixed, basis @ dual)


def _solve(
    information: Float[np.ndarray, "columns columns"], right: Float[np.ndarray, "columns many"]
) -> Float[np.ndarray, "columns many"]:
    return np.linalg.solve(information + PRECISION * np.eye(len(information)), right)
