"""How far two sets of features are apart: by their means and covariances, and by balls around their points."""

from __future__ import annotations

import numpy as np
from sklearn.neighbors import NearestNeighbors

NEIGHBOURS = 3


def frechet(a: np.ndarray, b: np.ndarray) -> float:
    r"""The squared Frechet distance of two Normals with the means and covariances of a (n, f) and b (m, f).

    .. math:: |m_a - m_b|^2 + \mathrm{tr}\,(S_a + S_b - 2\,(S_a^{1/2} S_b S_a^{1/2})^{1/2})

    In squared units of the features; at least 0, lower is closer. Too large on average where n and m are small: the
    means and covariances of few rows differ by chance.

    *Source*: Frechet 1957; Dowson and Landau 1982. On activations of an Inception network it is called FID
    (Heusel et al. 2017); on any other features it is another number.

    >>> round(frechet(np.array([[-1.0], [1.0]]), np.array([[1.0], [5.0]])), 9)
    11.0
    """
    gap = np.mean(a, 0) - np.mean(b, 0)  # not nats: features
    S_a, S_b = (np.atleast_2d(np.cov(s, rowvar=False)) for s in (a, b))
    values, vectors = np.linalg.eigh(S_a)
    root = (vectors * np.sqrt(values.clip(min=0))) @ vectors.T
    both = np.sqrt(np.linalg.eigvalsh(root @ S_b @ root).clip(min=0))
    return max(0.0, float(gap @ gap + np.trace(S_a) + np.trace(S_b) - 2 * both.sum()))


def radii(points: np.ndarray, k: int = NEIGHBOURS) -> np.ndarray:
    """The distance of each point (n, f) from its k-th nearest other point, (n,)."""
    return NearestNeighbors(n_neighbors=k + 1).fit(points).kneighbors(points)[0][:, -1]


def covered(points: np.ndarray, centres: np.ndarray, reach: np.ndarray) -> float:
    """The share of points (n, f) that lie in a ball around one of the centres (m, f), ``reach`` (m,) wide."""
    inside = [(np.linalg.norm(centres - point, axis=1) <= reach).any() for point in points]
    return float(np.mean(inside))  # not nats: a share of points


def precision_recall(samples: np.ndarray, real: np.ndarray, k: int = NEIGHBOURS) -> tuple[float, float]:
    """The share of samples among the data, and of the data among the samples: each from 0 to 1, higher is better.

    A point is among others if it is no farther from one of them than that one is from its k-th nearest neighbour.

    *Shapes*: (n, f) and (m, f). *Source*: Kynkaanniemi et al. 2019, "Improved precision and recall metric", eqs. 1, 2.
    """
    return covered(samples, real, radii(real, k)), covered(real, samples, radii(samples, k))


def coverage(samples: np.ndarray, real: np.ndarray, k: int = NEIGHBOURS) -> float:
    """The share of data points with a sample no farther than their k-th nearest neighbour: from 0 to 1.

    Unlike recall, no lone sample far away widens its own ball. *Source*: Naeem et al. 2020, section 3.
    """
    nearest = NearestNeighbors(n_neighbors=1).fit(samples).kneighbors(real)[0][:, 0]
    return float(np.mean(nearest <= radii(real, k)))  # not nats: a share of points
