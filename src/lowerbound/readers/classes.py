r"""How well a model names classes: its own classifier, or its clusters once each has been given a name.

.. math:: \text{accuracy} = \tfrac1n \textstyle\sum_i 1[\arg\max_k l_k(x_i) = y_i]
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from lowerbound.data.dataset import Data
from lowerbound.errors import InputError
from lowerbound.maths.units import Estimate, with_error
from lowerbound.readers.words import several
from lowerbound.training.load import Trained
from lowerbound.training.measure import evaluating


@dataclass(frozen=True)
class Classified:
    """The share of a split that is put into its own class, and what the model had to go by.

    ``labels`` counts those that training used. Where it used none, ``clusters`` of them were named after the labels of
    ``naming`` examples of split ``named``.
    """

    accuracy: Estimate
    split: str
    labels: int
    clusters: int = 0
    named: str | None = None
    naming: int = 0

    @property
    def error(self) -> Estimate:
        """One minus the accuracy, in percent."""
        share = self.accuracy
        return Estimate(100 * (1 - share.value), 100 * share.stderr, "% error", share.n)

    def json(self) -> dict[str, Any]:
        """JSON-ready figures and where they come from."""
        return {
            "error": self.error.json(),
            "accuracy": self.accuracy.json(),
            "split": self.split,
            "labels_in_training": self.labels,
            "clusters": self.clusters or None,
            "clusters_named_on": self.named,
            "how": self.how(),
        }

    def how(self) -> str:
        """Where the names of the classes come from."""
        if self.named is None:
            return f"{self.labels:,} labels used in training"
        return (
            f"no label used in training; each of the {self.clusters} clusters is named after what most of its examples "
            f"are, of {self.naming:,} of {self.named}"
        )

    def lines(self) -> list[str]:
        """The figures for people."""
        error, share = self.error, self.accuracy
        of = several(share.n, f"labelled {self.split} example")
        return [
            f"error       {with_error(error.value, error.stderr, 2)} % of {of}, accuracy {100 * share.value:.2f} %",
            f"            {self.how()}",
        ]


def classified(trained: Trained, split: str = "test") -> Classified | None:
    """How well the model names the classes of a split; None where it names none, or the split has no labels.

    Where it learned from labels, class k is label k. Else its classes are clusters, each of which is called what most
    of its validation examples are (of training examples where there are none for validation).
    """
    data = trained.data
    if not trained.model.names_class or not labels_of(data, split):
        return None
    if learned(trained):
        used = trained.spec.training.labelled
        return Classified(accuracy(trained, split), split, labels_of(data, "train") if used is None else used)
    named = next((name for name in ("valid", "train") if labels_of(data, name)), split)
    posterior: Any = trained.model.posterior
    return Classified(accuracy(trained, split, named=named), split, 0, posterior.classes, named, labels_of(data, named))


def learned(trained: Trained) -> bool:
    """Whether labels said in training which class is which."""
    parts = (trained.spec.part(key)["name"] for key in ("supervision", "regulariser"))
    return trained.model.condition.inferred or "classify" in parts


def labels_of(data: Data, split: str) -> int:
    """How many examples of a split have a label."""
    y = data.labels(split, torch.arange(len(data.splits[split])))
    return 0 if y is None else int((y >= 0).sum())


def accuracy(trained: Trained, split: str = "test", *, named: str | None = None) -> Estimate:
    """The share of a split that the model puts into its own class, with its standard error.

    Args:
        named: None where the model learned from labels, so that its class k is label k; else the split whose labels
            name the clusters: each cluster is called what most of its examples there are.

    Raises:
        InputError: the code of the model names no class, or the data have no labels.
    """
    guess, y = guesses(trained, split)
    if named is not None:
        clusters, labels = guesses(trained, named)
        guess = names(clusters, labels)[guess]
    return Estimate.of((guess == y).double(), unit="share")


def guesses(trained: Trained, split: str, batch: int = 1000) -> tuple[Tensor, Tensor]:
    """The class that the model gives each labelled example of a split, and its label: (n,) both."""
    n = len(trained.data.splits[split])
    y = trained.data.labels(split, torch.arange(n))
    if y is None or not labels_of(trained.data, split):
        raise InputError(f"its split {split!r} has no labels", where=trained.data.name, mend="give data with labels")
    like = next(trained.model.parameters())
    found = []
    with evaluating(trained.model):
        for rows in torch.arange(n).split(batch):
            found.append(trained.model.class_logits(trained.data.batch(split, rows).to(like)).argmax(-1).cpu())
    return torch.cat(found)[y >= 0], y[y >= 0]


def names(clusters: Tensor, y: Tensor) -> Tensor:
    """Cluster -> the label that most of its examples have; -1 where it has none."""
    counts = torch.zeros(int(clusters.max()) + 1, int(y.max()) + 1)
    counts.index_put_((clusters, y), torch.ones(len(y)), accumulate=True)
    known = torch.where(counts.sum(1) > 0, counts.argmax(1), -1)
    return torch.cat([known, torch.full((1000,), -1)])
