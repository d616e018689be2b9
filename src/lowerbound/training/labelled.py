"""Which labels a run may use: all of them, or the same few of each class."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from lowerbound.data.dataset import Data
from lowerbound.errors import InputError
from lowerbound.training.randomness import LABELLED, generator


class Labels:
    """The labels of the training split as a run may use them: -1 where it may not.

    ``count`` labels are kept, as evenly over the classes as they go, chosen by ``seed``; None keeps all.
    """

    def __init__(self, data: Data, count: int | None, seed: int) -> None:
        every = torch.arange(len(data.splits["train"]))
        self.y = data.labels("train", every)
        self.near: Tensor | None = None
        self.rows = every if self.y is None else every[self.y >= 0]
        if count is None:
            return
        if self.y is None:
            what = "training.labelled asks for labels, and the data have none"
            raise InputError(what, where=data.name, mend="give them: --labels")
        n = len(self.rows)
        if not 0 < count <= n:
            raise InputError(f"{count} labels of {n} examples", where="training.labelled", mend=f"give 1 to {n}")
        self.rows = self.rows[balanced(self.y[self.rows], count, seed)]
        kept = torch.full_like(self.y, -1)
        kept[self.rows] = self.y[self.rows]
        self.y = kept

    def refuse_missing(self, condition: Any) -> None:
        """An InputError where the model is conditioned on labels that are not all known, or that are no classes."""
        if condition.labelled and self.y is not None and condition.width >= len(self.y):
            what = f"{condition.width} classes, and {len(self.y)} training examples"
            raise InputError(what, where="condition", mend="condition on labels that examples share")
        if condition.labelled and not condition.inferred and (self.y is None or bool((self.y < 0).any())):
            what = "a model conditioned on labels needs the label of every training example"
            raise InputError(what, where="condition", mend="leave training.labelled out, or use inferred-labels")

    def of(self, rows: Tensor) -> Tensor | None:
        """The labels of these rows, (len(rows),), or None where the data have none."""
        if self.y is None:
            return None
        if self.near is None or self.near.device != rows.device:
            self.near = self.y.to(rows.device)
        return self.near[rows]

    def draw(self, n: int) -> Tensor:
        """n labelled rows at random, all of them where there are fewer, from torch's own generator."""
        if len(self.rows) <= n:
            return self.rows
        return self.rows[torch.randint(len(self.rows), (n,))]


def balanced(y: Tensor, count: int, seed: int) -> Tensor:
    """``count`` rows, the first of each class, then the second of each, ... in an order drawn from ``seed``."""
    shuffled = torch.randperm(len(y), generator=generator(LABELLED, seed))
    classes = y[shuffled]
    turn = torch.zeros(len(y), dtype=torch.long)
    for label in classes.unique():
        at = (classes == label).nonzero().squeeze(-1)
        turn[at] = torch.arange(len(at))
    return shuffled[turn.argsort(stable=True)[:count]].sort().values
