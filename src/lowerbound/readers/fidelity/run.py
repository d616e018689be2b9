"""The samples of a trained model held against held-out examples, with what the same figures are for real examples."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from lowerbound.errors import InputError
from lowerbound.readers import pictures
from lowerbound.readers.fidelity.copies import Copies, copies, to_nearest
from lowerbound.readers.fidelity.distances import NEIGHBOURS, coverage, frechet, precision_recall
from lowerbound.readers.fidelity.features import feature_map
from lowerbound.training.load import Trained
from lowerbound.training.randomness import borrowed, generator, mix

FEWEST, MOST = 100, 2000
LEARNED = 10_000
"""Training examples that features are learned from, and that the nearest one is looked for among."""

HALVES, TRAIN, SHOWN, FIRST = 10, 21, 12, 16
WARNINGS = (
    "The Frechet distance compares the means and covariances of these features and nothing else. It is no FID (that is "
    "on Inception features), depends on the number of examples, and says nothing of log p(x).",
    "Precision and recall see neither how probable a region is nor how good a sample in it: a model that gives a "
    "hundredth of its samples to a rare class has its recall, and blur within a ball has its precision.",
    "That no copies were found is no proof that there are none: copies can be far in these features, and turned, "
    "shifted or blurred ones are. Blur towards the average is itself near to everything: expected values may look "
    "copied where draws do not.",
    "None of these figures is a bound on log p(x), and none of them orders models as it does: good samples, high "
    "likelihood and useful codes are three different things (Theis et al. 2016).",
)


@dataclass(frozen=True)
class Figure:
    """A figure of samples, its standard error over random halves, and the same for training examples in their place."""

    name: str
    value: float
    stderr: float
    real: float
    unit: str

    def json(self) -> dict[str, Any]:
        """JSON-ready fields."""
        return {"value": self.value, "stderr": self.stderr, "of_training_examples": self.real, "unit": self.unit}

    def __str__(self) -> str:
        return f"{self.value:.3f} ± {self.stderr:.3f}   of training examples {self.real:.3f}   {self.unit}"


@dataclass(frozen=True)
class Fidelity:
    """What the samples of a run are like, in features that are named.

    *Shapes*: ``shown`` (4 m, *shape) in data units: the m samples nearest to a training example, those examples, the m
    held-out examples nearest to one, and those. ``first`` (2, m, *shape): the first held-out examples and samples.
    """

    figures: tuple[Figure, ...]
    copies: Copies
    features: str
    n: int
    split: str
    samples: str
    train: int
    seed: int
    shown: Tensor
    first: Tensor

    def json(self) -> dict[str, Any]:
        """JSON-ready figures, each with what it was computed from."""
        return {
            "figures": {figure.name: figure.json() for figure in self.figures},
            "copies": self.copies.json() | {"training_examples": self.train},
            "features": self.features,
            "samples": self.samples,
            "n": self.n,
            "split": self.split,
            "neighbours": NEIGHBOURS,
            "seed": self.seed,
            "warnings": list(WARNINGS),
        }

    def lines(self) -> list[str]:
        """The figures for people, a line each, and after them what they do not say."""
        width = max(len(figure.name) for figure in self.figures)
        return [
            f"{self.n:,} samples ({self.samples}) against as many {self.split} examples, in features: {self.features}",
            *(f"{figure.name:<{width}}  {figure}" for figure in self.figures),
            self.copies.words(),
            *WARNINGS,
        ]


def measures(samples: np.ndarray, real: np.ndarray) -> np.ndarray:
    """Frechet distance, precision, recall and coverage of features (n, f) against features (n, f): (4,)."""
    return np.array([frechet(samples, real), *precision_recall(samples, real), coverage(samples, real)])


NAMES = (
    ("Frechet distance", "squared feature units, lower is closer"),
    ("precision", "of 1, higher is better"),
    ("recall", "of 1, higher is better"),
    ("coverage", "of 1, higher is better"),
)


def figures(samples: np.ndarray, real: np.ndarray, train: np.ndarray, seed: int) -> tuple[Figure, ...]:
    """The four figures of features of samples (n, f) against held-out ones (n, f), beside those of training ones."""
    random, n = np.random.default_rng(seed), len(samples)
    whole, floor = measures(samples, real), measures(train[:n], real[: len(train)])
    halves = [(random.permutation(n)[: n // 2], random.permutation(n)[: n // 2]) for _ in range(HALVES)]
    spread = np.std([measures(samples[i], real[j]) for i, j in halves], axis=0, ddof=1)
    columns = zip(NAMES, whole, spread, floor, strict=True)
    return tuple(Figure(name, float(a), float(b), float(c), unit) for (name, unit), a, b, c in columns)


def fidelity(
    trained: Trained,
    split: str = "test",
    *,
    features: str = "pca",
    n: int = MOST,
    expected: bool = False,
    seed: int = 0,
) -> Fidelity:
    """Frechet distance, precision, recall, coverage, and a test for copies of training examples.

    Args:
        split: of the held-out examples.
        features: "pca" (principal components of the training examples), "classifier" (the last hidden layer of a
            small network that tells their labels) or "raw" (the values themselves).
        n: samples, and held-out examples, at most.
        expected: the expected x at draws of z, as papers show it, in place of draws from p(x|z): smoother than data.
        seed: of the samples, the examples and the features.

    Raises:
        InputError: the split has fewer than 100 examples, the data are a table, or labels are wanted and missing.
    """
    data = trained.data
    if data.kind == "table":
        raise InputError("rows of mixed columns have no distance", where="data", mend="use the bound: evaluate")
    if split not in data.splits or min(len(data.splits[split]), len(data.splits["train"])) < FEWEST:
        raise InputError(f"has too few examples in {split!r} or train", where="split", mend=f"give {FEWEST} or more")
    with borrowed(torch.device("cpu")):
        torch.manual_seed(mix(TRAIN, seed))
        real, _ = some(trained, split, n, seed)
        train, labels = some(trained, "train", LEARNED, seed)
    made = pictures.sample(trained, len(real), seed=seed, draw=not expected)
    chosen = feature_map(features, flat(train), labels, seed)
    s, r, t = (chosen.transform(flat(x)) for x in (made, real, train))
    found = copies(s, r, t, seed)
    return Fidelity(
        figures=figures(s, r, t, seed),
        copies=found,
        features=chosen.words,
        n=len(real),
        split=split,
        samples=words_of(trained, expected),
        train=len(train),
        seed=seed,
        shown=nearest_pairs(made, real, train, (found.distance, found.nearest), to_nearest(r, t)),
        first=torch.stack([real[:FIRST], made[:FIRST]]),
    )


def words_of(trained: Trained, expected: bool) -> str:
    """What the samples are."""
    if pictures.is_generator(trained):
        return "what the generator makes of draws of z"
    return "expected values at draws of z" if expected else "draws of z and of x given z"


def some(trained: Trained, split: str, n: int, seed: int) -> tuple[Tensor, np.ndarray | None]:
    """Up to n examples of a split (n, *shape), chosen by the seed, with their labels."""
    rows = torch.randperm(len(trained.data.splits[split]), generator=generator(TRAIN, seed))[:n]
    y = trained.data.splits[split].labels
    return trained.data.batch(split, rows), None if y is None else np.asarray(y)[rows.numpy()]


def flat(x: Tensor) -> np.ndarray:
    """Examples (n, *shape) as float64 rows (n, values)."""
    return x.flatten(1).double().numpy()


Near = tuple[np.ndarray, np.ndarray]
"""For each point: the distance from the nearest training example, and its index."""


def nearest_pairs(made: Tensor, real: Tensor, train: Tensor, of_made: Near, of_real: Near) -> Tensor:
    """The samples nearest to training examples above these, and the same of held-out examples, (4 m, *shape)."""
    rows = []
    for x, (d, i) in ((made, of_made), (real, of_real)):
        first = np.argsort(d, kind="stable")[:SHOWN]
        rows += [x[first], train[i[first]]]
    return torch.cat(rows)
