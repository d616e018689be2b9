"""Who says whether an example has an attribute: a classifier, or the table's own column; and how often it is right."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor

from lowerbound.errors import InputError, nearest
from lowerbound.readers.latent.groups import Attribute
from lowerbound.readers.latent.space import Space

KINDS = ("knn", "logistic")
LEARNT, TESTED = 10_000, 2_000
"""Training examples that a classifier learns from at most, and held-out ones that it is tested on."""
NEIGHBOURS = 5


@dataclass(frozen=True)
class Share:
    """A share of ``n`` examples with its binomial standard error, taken at (k + 1) / (n + 2) so that it is never 0.

    >>> print(Share.of(np.array([True, True, True, False])))
    75 ± 24%
    """

    value: float
    stderr: float
    n: int

    @classmethod
    def of(cls, hits: np.ndarray) -> Share:
        """The share of true ones among (n,) bool."""
        n, k = len(hits), int(np.sum(hits))
        p = (k + 1) / (n + 2)
        return cls(k / n if n else math.nan, math.sqrt(p * (1 - p) / max(n, 1)), n)

    def above(self, other: Share) -> float:
        """By how many standard errors of the difference this share is above another."""
        return (self.value - other.value) / math.hypot(self.stderr, other.stderr)

    def json(self) -> dict[str, Any]:
        """JSON-ready."""
        return {"value": self.value, "stderr": self.stderr, "n": self.n, "unit": "share of examples"}

    def __str__(self) -> str:
        digits = 1 if 100 * self.stderr < 0.95 else 0
        return f"{100 * self.value:.{digits}f} ± {100 * self.stderr:.{digits}f}%"


@dataclass(frozen=True)
class Judge:
    """``has(x)`` says of examples (n, *shape), data units, whether they have the attribute: (n,) bool.

    ``accuracy`` and ``on_decoded`` are shares of held-out examples, as they are and reconstructed, whose class it gets
    right; None where no classifier is needed.
    """

    name: str
    has: Callable[[Tensor], np.ndarray]
    accuracy: Share | None = None
    on_decoded: Share | None = None

    def words(self) -> str:
        """The judge in a sentence."""
        if self.accuracy is None:
            return f"judge: {self.name}"
        return (
            f"judge: {self.name}; right on {self.accuracy} of {self.accuracy.n:,} held-out examples and on "
            f"{self.on_decoded} of their reconstructions"
        )

    def json(self) -> dict[str, Any]:
        """JSON-ready."""
        shares = {"accuracy": self.accuracy, "accuracy_on_reconstructions": self.on_decoded}
        return {"name": self.name} | {k: v.json() for k, v in shares.items() if v is not None}


def judge_of(space: Space, wanted: Attribute, kind: str, split: str, seed: int = 0) -> Judge:
    """The judge of an attribute.

    Args:
        kind: "knn" or "logistic", learnt from training examples' own values; a column is read off the row itself.
        split: the held-out split on which it is tested.

    Raises:
        InputError: an unknown kind, or an attribute that is a mere list of rows.
    """
    if kind not in KINDS:
        raise InputError(f"unknown judge {kind!r}", where="--judge", mend=nearest(kind, KINDS))
    if wanted.kind == "rows":
        what = "rows in a list have no attribute in common that could be checked"
        raise InputError(what, where=wanted.word, mend="give class:NAME or COLUMN=VALUE")
    if wanted.kind == "column":
        return Judge("the column itself, in the decoded row", wanted.of_values)
    return classifier(space, int(wanted.value), kind, split, seed)


def classifier(space: Space, wanted: int, kind: str, split: str, seed: int) -> Judge:
    """A classifier of all classes on what the encoder sees of an example, tested on held-out ones."""
    rows, labels = labelled(space, "train", LEARNT, seed)
    fitted = fit(inputs(space, space.examples("train", rows)[0]), labels, kind)
    held_out, truth = labelled(space, split, TESTED, seed)
    x = space.examples(split, held_out)[0]
    again = space.decode(space.encode(split, held_out))
    right = [Share.of(fitted.predict(inputs(space, values)) == truth) for values in (x, again)]
    what = f"{NEIGHBOURS} nearest neighbours" if kind == "knn" else "logistic regression"
    name = f"{what} on the values of {len(rows):,} training examples"
    return Judge(name, lambda values: fitted.predict(inputs(space, values)) == wanted, *right)


def labelled(space: Space, split: str, most: int, seed: int) -> tuple[Tensor, np.ndarray]:
    """Up to ``most`` rows of a split whose class is known, drawn at random, and their classes."""
    labels = space.trained.data.splits[split].labels
    known = np.flatnonzero(np.asarray(labels) >= 0)
    rows = np.sort(np.random.default_rng(seed).permutation(known)[:most])
    return torch.from_numpy(rows), np.asarray(labels)[rows]


def inputs(space: Space, x: Tensor) -> np.ndarray:
    """Examples as flat rows of what the encoder sees: scaled, categories one-hot, gaps marked."""
    like = next(space.model.parameters())
    with torch.no_grad():
        return space.model.features(x.to(like)).flatten(1).float().cpu().numpy()


def fit(x: np.ndarray, labels: np.ndarray, kind: str | Literal["knn", "logistic"]) -> Any:
    """A fitted classifier of scikit-learn."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.neighbors import KNeighborsClassifier
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    if len(np.unique(labels)) < 2:
        raise InputError(
            "the training examples have one class only", where="--judge", mend="give data with two or more"
        )
    if kind == "knn":
        return KNeighborsClassifier(min(NEIGHBOURS, len(x))).fit(x, labels)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # stopping early costs accuracy, which is measured
        return make_pipeline(StandardScaler(), LogisticRegression(C=0.1, max_iter=300)).fit(x, labels)
