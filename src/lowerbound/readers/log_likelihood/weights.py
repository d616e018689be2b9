r"""Importance weights as they come: a running log-sum-exp in float64, how many there were, and how good they are.

.. math:: \log\hat p = \log\tfrac1K\textstyle\sum_k w_k, \qquad \mathrm{ESS} = \frac{(\sum_k w_k)^2}{\sum_k w_k^2}

Source: Kong 1992 for the effective sample size; Vehtari et al. 2015 (1507.02646), section 3.2 for the tail.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from lowerbound.errors import LowerboundError, NonFiniteError
from lowerbound.readers.log_likelihood.pareto import shape

PANEL = 8192
"""Weights of one example kept before they are folded in: memory does not grow with K."""


def tail_length(k: int) -> int:
    """How many of the largest of ``k`` weights are the tail: min(k / 5, 3 sqrt(k)).

    >>> tail_length(5000)
    213
    """
    return math.ceil(min(0.2 * k, 3 * math.sqrt(k)))


class Weights:
    """The log weights of ``rows`` examples, ``samples`` each, in nats.

    >>> w = Weights(1, 2)
    >>> w.add(torch.tensor([[0.0, float("-inf")]]))
    >>> w.log_mean()
    tensor([-0.6931], dtype=torch.float64)
    """

    def __init__(self, rows: int, samples: int) -> None:
        self.samples = samples
        self.panel = torch.empty(rows, min(samples, PANEL), dtype=torch.float64)
        self.filled = 0
        self.counted = torch.zeros(rows, dtype=torch.int64)
        self.top = torch.full((rows,), -math.inf, dtype=torch.float64)
        self.sum = torch.zeros(rows, dtype=torch.float64)
        self.squares = torch.zeros(rows, dtype=torch.float64)
        self.tail = torch.full((rows, 0), -math.inf, dtype=torch.float64)

    def add(self, log_weight: Tensor) -> None:
        """Take in some samples of every row: (rows, samples)."""
        for part in log_weight.split(self.panel.shape[1], 1):
            if self.filled + part.shape[1] > self.panel.shape[1]:
                self.fold()
            self.panel[:, self.filled : self.filled + part.shape[1]] = part
            self.filled += part.shape[1]

    def fold(self) -> None:
        """Take the panel into the sums, which are kept relative to the largest weight so far."""
        new = self.panel[:, : self.filled]
        if new.isnan().any():
            raise NonFiniteError("an importance weight is not a number")
        top = torch.maximum(self.top, new.amax(1)) if self.filled else self.top
        level = torch.where(top.isinf(), 0.0, top)
        scale, w = torch.exp(self.top - level), torch.exp(new - level.unsqueeze(1))
        self.sum = self.sum * scale + w.sum(1)
        self.squares = self.squares * scale.square() + w.square().sum(1)
        both = torch.cat([self.tail, new], 1)
        self.tail = both.topk(min(tail_length(self.samples) + 1, both.shape[1])).values
        self.top, self.filled = top, 0
        self.counted += new.shape[1]

    def finish(self) -> None:
        """Fold in the last panel; every weight must have been counted, once."""
        self.fold()
        if (self.counted != self.samples).any():
            found = sorted({*self.counted.tolist()})
            raise LowerboundError(f"{found} importance weights were counted where {self.samples} were asked for")

    def log_mean(self) -> Tensor:
        """log of the mean weight, over the weights that were counted: (rows,), nats."""
        if self.filled or not self.counted.all():
            self.finish()
        return torch.where(self.top.isinf(), 0.0, self.top) + self.sum.log() - self.counted.double().log()

    def effective(self) -> Tensor:
        """Effective sample size, (rows,), between 1 and K; 0 where every weight is 0."""
        return (self.sum.square() / self.squares).nan_to_num()

    def pareto_k(self) -> Tensor:
        """Shape of the Pareto tail, (rows,): above 0.7 the estimate is not to be trusted; NaN of under 5 weights."""
        return shape(self.tail)
