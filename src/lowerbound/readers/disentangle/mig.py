"""MIG: by how much one coordinate of the code knows a factor better than every other coordinate does."""

from __future__ import annotations

import numpy as np
from sklearn.metrics import mutual_info_score

BINS = 20


def binned(values: np.ndarray, bins: int = BINS) -> np.ndarray:
    """Values (n,) as the number, from 0, of one of ``bins`` cells of equal width from the least to the largest.

    >>> binned(np.array([0.0, 0.4, 1.0]), bins=2)
    array([0, 0, 1])
    """
    low, high = float(values.min()), float(values.max())
    if low == high:
        return np.zeros(len(values), np.int64)
    return np.minimum((bins * (values - low) / (high - low)).astype(np.int64), bins - 1)


def information(codes: np.ndarray, factors: np.ndarray, bins: int = BINS) -> np.ndarray:
    """Mutual information of each coordinate, cut into cells, with each factor: (d, k) nats, of the n rows themselves.

    Counts stand for probabilities, which adds about (bins - 1)(levels - 1) / (2 n) nats to each entry.

    Args:
        codes: (n, d) real.
        factors: (n, k) levels.
    """
    cells = [binned(codes[:, j], bins) for j in range(codes.shape[1])]
    table = [[mutual_info_score(factor, cell) for factor in factors.T] for cell in cells]
    return np.array(table).reshape(codes.shape[1], factors.shape[1])


def entropies(factors: np.ndarray) -> np.ndarray:
    """The entropy of each factor among the rows (n, k): (k,) nats."""
    return np.array([mutual_info_score(factor, factor) for factor in factors.T])


def mig(codes: np.ndarray, factors: np.ndarray, bins: int = BINS) -> float:
    r"""The mutual information gap, from 0 to 1, higher is better.

    .. math:: \text{MIG} = \frac1K\sum_k \frac{I(z_{j(k)}; v_k) - \max_{j\neq j(k)} I(z_j; v_k)}{H(v_k)},
        \quad j(k) = \arg\max_j I(z_j; v_k)

    *Source*: Chen et al. 2018, "Isolating sources of disentanglement in VAEs", eq. 6; the information by 20 cells of
    equal width, as in Locatello et al. 2019.

    >>> grid = np.stack(np.meshgrid(np.arange(4), np.arange(4)), -1).reshape(-1, 2)
    >>> mig(grid.astype(float), grid)
    1.0
    """
    shared = np.sort(information(codes, factors, bins), axis=0)[::-1]
    entropy = entropies(factors)
    second = shared[1] if len(shared) > 1 else np.zeros(len(entropy))
    gaps = (shared[0] - second) / entropy if len(shared) else np.zeros(len(entropy))
    return float(np.mean(gaps))  # not nats: shares of the factors' entropies
