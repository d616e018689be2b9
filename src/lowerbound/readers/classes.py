r"""How well a model names classes: its own classifier, or its clusters once each has been given a name.

.. math:: \text{accuracy} = \tfrac1n \textstyle\sum_i 1[\arg\max_k l_k(x_i) = y_i]
"""

from __future__ import annotations

import torch
from torch import Tensor

from lowerbound.errors import InputError
from lowerbound.maths.units import Estimate
from lowerbound.training.load import Trained
from lowerbound.training.measure import evaluating


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
    """The class that the model gives each example of a split, and its label: (n,) both."""
    n = len(trained.data.splits[split])
    y = trained.data.labels(split, torch.arange(n))
    if y is None or not n:
        raise InputError(f"its split {split!r} has no labels", where=trained.data.name, mend="give data with labels")
    like = next(trained.model.parameters())
    found = []
    with evaluating(trained.model):
        for rows in torch.arange(n).split(batch):
            found.append(trained.model.class_logits(trained.data.batch(split, rows).to(like)).argmax(-1).cpu())
    return torch.cat(found), y


def names(clusters: Tensor, y: Tensor) -> Tensor:
    """Cluster -> the label that most of its examples have; -1 where it has none."""
    counts = torch.zeros(int(clusters.max()) + 1, int(y.max()) + 1)
    counts.index_put_((clusters, y), torch.ones(len(y)), accumulate=True)
    known = torch.where(counts.sum(1) > 0, counts.argmax(1), -1)
    return torch.cat([known, torch.full((1000,), -1)])
