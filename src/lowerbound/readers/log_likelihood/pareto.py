r"""The shape k of a generalised Pareto tail, by the quick Bayesian fit of Zhang and Stephens.

.. math:: p(y) = \tfrac1\sigma \left(1 + \tfrac{k y}{\sigma}\right)^{-1/k - 1}

The mean of the weights has a finite variance below k = 1/2 and no mean above 1; importance sampling is reliable below
about 0.7. The one library that has this fit (arviz) would bring a plotting stack for twenty lines.

Source: Zhang & Stephens 2009 (Technometrics 51), section 3; the weak prior on k of Vehtari et al. 2015 (1507.02646),
appendix C.
"""

from __future__ import annotations

import torch
from torch import Tensor

FEWEST = 5
"""Weights beyond the threshold without which no tail is fitted."""


def shape(log_tail: Tensor) -> Tensor:
    """k of the largest log weights (rows, M + 1), the largest first; the last one is the threshold: (rows,)."""
    M = log_tail.shape[1] - 1
    if M < FEWEST:
        return torch.full((len(log_tail),), torch.nan, dtype=torch.float64)
    w = torch.exp(log_tail - log_tail[:, :1])
    return fit((w[:, :-1] - w[:, -1:]).flip(1))


def fit(y: Tensor) -> Tensor:
    """k of exceedances y (rows, M), ascending and >= 0; -inf where all are 0: weights that do not vary.

    >>> u = (torch.arange(1000, dtype=torch.float64) + 0.5) / 1000
    >>> fit((u ** -0.5 - 1).flip(0)[None] / 0.5).round(decimals=1)  # quantiles of k = 1/2
    tensor([0.5000], dtype=torch.float64)
    """
    M = y.shape[1]
    flat = y[:, -1] <= 0
    y = torch.where(flat.unsqueeze(1), 1.0, y).clamp(min=torch.finfo(torch.float64).tiny)
    grid = 30 + int(M**0.5)
    theta = 1 - torch.sqrt(grid / (torch.arange(1, grid + 1, dtype=torch.float64) - 0.5))
    quartile = y[:, int(M / 4 + 0.5) - 1]
    theta = theta / (3 * quartile.unsqueeze(1)) + 1 / y[:, -1:]
    k = torch.log1p(-theta.unsqueeze(2) * y.unsqueeze(1)).mean(2)  # not nats: a shape
    profile = M * (torch.log(-theta / k) - k - 1)
    theta = (torch.softmax(profile, 1) * theta).sum(1)
    k = torch.log1p(-theta.unsqueeze(1) * y).mean(1)  # not nats: a shape
    return torch.where(flat, -torch.inf, (M * k + 10 * 0.5) / (M + 10))
