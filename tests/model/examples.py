"""A summary and a batch of each kind of data, and the densities as a textbook writes them, at 50 digits."""

from __future__ import annotations

import mpmath
import numpy as np
import torch
from mpmath import mp, mpf
from torch import Tensor

from lowerbound.data.dataset import Column, Kind, Summary

COLUMNS = (
    Column("height", "numeric"),
    Column("city", "category", ("A", "B", "C")),
    Column("visits", "count"),
    Column("smokes", "binary"),
    Column("weight", "numeric"),
    Column("team", "category", ("x", "y")),
)

STEPS, SYMBOLS = 6, 5
"""Of a sequence; a series has 3 features."""


def batch(kind: Kind, shape: tuple[int, ...] = (6,), n: int = 5, levels: int = 16, seed: int = 0) -> Tensor:
    """Examples of this kind, float32; a table has missing cells, a sequence or a series has its own shape and ends."""
    g = torch.Generator().manual_seed(seed)
    uniform = torch.rand((n, *shape), generator=g)
    if kind == "table":
        n = max(n, 4)
        codes = [len(c.levels) or (2 if c.kind == "binary" else 9) for c in COLUMNS]
        rows = (torch.rand((n, len(COLUMNS)), generator=g) * torch.tensor(codes)).floor()
        rows[:, 0] = 170 + 10 * torch.randn(n, generator=g)
        rows[0, 0] = rows[1, 1] = rows[2, 2] = rows[3, 3] = torch.nan
        return rows
    if kind in ("sequence", "series"):
        ends = torch.arange(n) % STEPS + 1
        there = torch.arange(STEPS) < ends.unsqueeze(-1)
        if kind == "series":
            return torch.where(there.unsqueeze(-1), 3 + 2 * torch.randn((n, STEPS, 3), generator=g), torch.nan)
        codes = (torch.rand((n, STEPS), generator=g) * (SYMBOLS - 1)).floor()
        codes[torch.arange(n), ends - 1] = SYMBOLS - 1
        return torch.where(there, codes, torch.nan)
    made = {
        "binary": (uniform > 0.5).float(),
        "unit": uniform,
        "levels": (uniform * levels).floor(),
        "real": 3 + 2 * torch.randn((n, *shape), generator=g),
        "count": torch.poisson(10 * uniform, generator=g),
    }
    return made[kind]


def summary(kind: Kind, shape: tuple[int, ...] = (6,), levels: int = 16) -> Summary:
    """What a model may know of :func:`batch`."""
    x = batch(kind, shape, 200, levels)
    mean, std = np.nanmean(x.double().numpy(), 0), np.nanstd(x.double().numpy(), 0)
    columns = COLUMNS if kind == "table" else ()
    known = {"levels": levels, "sequence": SYMBOLS}.get(kind, 0)
    if kind in ("sequence", "series"):
        axes = (0, 1)
        mean = np.broadcast_to(np.nanmean(x.double().numpy(), axes), x.shape[1:]).copy()
        std = np.broadcast_to(np.nanstd(x.double().numpy(), axes), x.shape[1:]).copy()
    return Summary(kind, tuple(x.shape[1:]), torch.tensor(mean).float(), torch.tensor(std).float(), known, columns)


def flat(mean: float = 0.0, std: float = 1.0, kind: Kind = "real", levels: int = 0, parts: int = 1) -> Summary:
    """A summary with the same mean and deviation everywhere."""
    return Summary(kind, (parts,), torch.full((parts,), mean), torch.full((parts,), std), levels)


def log_bernoulli(x: float, logit: float) -> mpf:
    with mp.workdps(50):
        return mpf(x) * mpf(logit) - mpmath.log(1 + mpmath.exp(mpf(logit)))


def log_continuous_bernoulli(x: float, logit: float) -> mpf:
    """x log lambda + (1-x) log(1-lambda) + log C, with C = 2 atanh(1-2 lambda)/(1-2 lambda), and 2 at 1/2.

    Where lambda is 0 or 1 at any working precision: e^(lx) over its own integral.
    """
    with mp.workdps(200):
        if abs(logit) > 100:
            return mpf(x) * mpf(logit) - mpmath.log((mpmath.exp(mpf(logit)) - 1) / mpf(logit))
        lam = 1 / (1 + mpmath.exp(-mpf(logit)))
        c = 2 * mpmath.atanh(1 - 2 * lam) / (1 - 2 * lam) if logit != 0 else mpf(2)
        return mpf(x) * mpmath.log(lam) + (1 - mpf(x)) * mpmath.log(1 - lam) + mpmath.log(c)


def log_discretised_logistic(x: int, location: float, log_scale: float, levels: int) -> mpf:
    """The difference of two logistic distribution functions, the ends open."""
    with mp.workdps(400):
        s = mpmath.exp(mpf(log_scale))

        def below(edge: float) -> mpf:
            return 1 / (1 + mpmath.exp(-(mpf(edge) - mpf(location)) / s))

        low = mpf(0) if x == 0 else below(x - 0.5)
        high = mpf(1) if x == levels - 1 else below(x + 0.5)
        return mpmath.log(high - low)


def log_poisson(x: int, log_rate: float) -> mpf:
    with mp.workdps(50):
        return mpf(x) * mpf(log_rate) - mpmath.exp(mpf(log_rate)) - mpmath.loggamma(mpf(x) + 1)


def log_negative_binomial(x: int, log_mean: float, log_size: float) -> mpf:
    with mp.workdps(50):
        m, r, x = mpmath.exp(mpf(log_mean)), mpmath.exp(mpf(log_size)), mpf(x)
        ways = mpmath.loggamma(x + r) - mpmath.loggamma(r) - mpmath.loggamma(x + 1)
        return ways + r * mpmath.log(r / (r + m)) + x * mpmath.log(m / (r + m))
