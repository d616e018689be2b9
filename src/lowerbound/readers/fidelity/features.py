"""What samples and data are compared in: principal components, or what a small classifier makes of them; and said."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from sklearn.decomposition import PCA
from sklearn.exceptions import ConvergenceWarning
from sklearn.neural_network import MLPClassifier

from lowerbound.errors import InputError, nearest

MAPS = ("pca", "classifier", "raw")
COMPONENTS = 32
HIDDEN = (128, 32)
ROUNDS = 40


@dataclass(frozen=True)
class FeatureMap:
    """``transform`` takes rows (n, values) to features (n, f), ``words`` say what they are."""

    name: str
    words: str
    transform: Callable[[np.ndarray], np.ndarray]


def feature_map(name: str, x: np.ndarray, y: np.ndarray | None, seed: int = 0) -> FeatureMap:
    """The map of that name, learned from training rows x (n, values) with labels y (n,).

    Raises:
        InputError: there is no such map, or a classifier is asked for without labels.
    """
    if name not in MAPS:
        raise InputError(f"unknown features {name!r}", where="features", mend=nearest(name, MAPS))
    if np.isnan(x).any():
        what = "needs examples whose values are all there: these have unequal lengths or missing cells"
        raise InputError(what, where="fidelity", mend="compare models by their bounds: evaluate")
    if name == "raw":
        return FeatureMap("raw", f"the {x.shape[1]} values themselves", lambda rows: rows)
    return principal(x) if name == "pca" else classified(x, y, seed)


def principal(x: np.ndarray) -> FeatureMap:
    """The first principal components of the training rows, up to 32."""
    f = min(COMPONENTS, x.shape[1], len(x) - 1)
    pca = PCA(f, svd_solver="full").fit(x)
    share = 100 * pca.explained_variance_ratio_.sum()
    words = f"{f} principal components of {len(x):,} training examples, {share:.0f} percent of their variance"
    return FeatureMap("pca", words, pca.transform)


def classified(x: np.ndarray, y: np.ndarray | None, seed: int) -> FeatureMap:
    """The last hidden layer of a small classifier of the training rows' labels."""
    if y is None or len(np.unique(y)) < 2:
        raise InputError("the data have no labels to classify", where="features", mend="use pca")
    centre, scale = np.mean(x, 0), float(x.std()) or 1.0  # not nats: the average example
    held = np.arange(len(x)) % 5 == 0
    network = MLPClassifier(HIDDEN, max_iter=ROUNDS, random_state=seed, alpha=1e-3)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        network.fit((x[~held] - centre) / scale, y[~held])
    right = 100 * network.score((x[held] - centre) / scale, y[held])

    def hidden(rows: np.ndarray) -> np.ndarray:
        out = (rows - centre) / scale
        for weight, bias in zip(network.coefs_[:-1], network.intercepts_[:-1], strict=True):
            out = np.maximum(out @ weight + bias, 0)
        return out

    words = (
        f"the last hidden layer ({HIDDEN[-1]} units) of a classifier of {(~held).sum():,} training examples, "
        f"right on {right:.0f} percent of {held.sum():,} others"
    )
    return FeatureMap("classifier", words, hidden)
