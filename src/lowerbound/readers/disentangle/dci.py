"""DCI: does each coordinate serve one factor, is each factor served by one coordinate, can the factors be read off."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from sklearn.ensemble import RandomForestClassifier

TREES = 10
LEAF = 4
"""Fewest rows in a leaf: smaller leaves split on noise, and noise would look important."""

HELD_OUT = 0.2


@dataclass(frozen=True)
class Dci:
    """*Sign*: all from 0 to 1, higher is better. ``importance`` (d, k): each factor's column sums to 1."""

    disentanglement: float
    completeness: float
    informativeness: float
    importance: np.ndarray


def focus(shares: np.ndarray) -> np.ndarray:
    """1 minus the entropy of each row of ``shares`` (r, m) in units of log m: 1 for one alone, 0 for all alike, (r,).

    >>> focus(np.array([[1.0, 0.0], [0.5, 0.5]])).tolist()
    [1.0, 0.0]
    """
    total = shares.sum(1, keepdims=True)
    p = np.divide(shares, total, out=np.full(shares.shape, 1 / shares.shape[1]), where=total > 0)
    entropy = -(p * np.log(np.where(p > 0, p, 1))).sum(1)
    return 1 - entropy / np.log(shares.shape[1]) if shares.shape[1] > 1 else np.ones(len(shares))


def summarise(importance: np.ndarray) -> tuple[float, float]:
    """Disentanglement and completeness of an importance matrix (d, k): Eastwood and Williams 2018, section 2.

    Coordinates count by their share of the importance, so that one that matters for nothing does not count.
    """
    weight = importance.sum(1) / max(importance.sum(), 1e-300)
    disentanglement = float((weight * focus(importance)).sum())
    return disentanglement, float(np.mean(focus(importance.T)))  # not nats: shares of log d


def dci(codes: np.ndarray, factors: np.ndarray, seed: int = 0, trees: int = TREES) -> Dci:
    r"""The three scores of one code, from a random forest for each factor.

    .. math:: D = \sum_j \rho_j\,(1 - H_K(P_{j\cdot})), \quad C = \frac1K\sum_k (1 - H_d(\tilde P_{\cdot k}))

    with R the importance of coordinate j for factor k, P its rows and P~ its columns made to sum to 1, and rho_j the
    share of row j. Informativeness is the accuracy on a fifth of the rows, held out, averaged over factors. Every
    split of a tree looks at all coordinates: a random choice of them would make useless ones look important.

    *Source*: Eastwood and Williams 2018, "A framework for the quantitative evaluation of disentangled
    representations", section 2.
    """
    threads = torch.get_num_threads()
    order = np.random.default_rng(seed).permutation(len(codes))
    held, fit = np.split(order, [max(1, round(HELD_OUT * len(order)))])
    columns, right = [], []
    for k, factor in enumerate(factors.T):
        forest = RandomForestClassifier(
            trees, max_features=None, min_samples_leaf=LEAF, random_state=seed + 1000 * k, n_jobs=threads
        )
        forest.fit(codes[fit], factor[fit])
        forest.n_jobs = 1  # threads would add up the votes of the trees in whatever order they end
        columns.append(forest.feature_importances_)
        right.append(forest.score(codes[held], factor[held]))
    importance = np.stack(columns, 1)
    disentanglement, completeness = summarise(importance)
    informativeness = float(np.mean(right))  # not nats: shares of rows put right
    return Dci(disentanglement, completeness, informativeness, importance)
