r"""Nats, bits, and the only three reductions of the library.

.. math::
    \text{sum over latent dimensions and over the parts of one example},\quad
    \text{mean over examples},\quad
    \log\tfrac1K\textstyle\sum_k e^{a_k} \text{ over samples.}

Law 1: no other file reduces a quantity in nats by a mean. Averaging over latent dimensions, or over pixels, changes
the weight of the KL term against the likelihood and what is left is not a bound on log p(x).
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

LN2 = math.log(2.0)


def at_least_float32(a: Tensor) -> Tensor:
    """``a`` in float32, or in float64 if it is; half precision is never summed."""
    return a if a.dtype in (torch.float32, torch.float64) else a.float()


def sum_latent(a: Tensor) -> Tensor:
    """Sum over latent dimensions, the last axis: (..., latent) -> (...), nats per example."""
    return at_least_float32(a).sum(-1)


def sum_parts(a: Tensor, parts: int) -> Tensor:
    """Sum over the parts of one example, the last ``parts`` axes (pixels, channels, columns): nats per example.

    >>> sum_parts(torch.ones(5, 2, 3), parts=2)
    tensor([6., 6., 6., 6., 6.])
    """
    return at_least_float32(a).flatten(a.dim() - parts).sum(-1) if parts else at_least_float32(a)


def mean_examples(a: Tensor) -> Tensor:
    """Mean over examples, the first axis: (batch, ...) -> (...), nats per example."""
    return at_least_float32(a).mean(0)


def mean_samples(a: Tensor) -> Tensor:
    """Monte Carlo average over samples, the first axis: (samples, batch) -> (batch)."""
    return at_least_float32(a).mean(0)


def log_mean_exp(a: Tensor) -> Tensor:
    """log of the mean of exp over samples, the first axis: (samples, batch) -> (batch); stable, inf never NaN.

    >>> log_mean_exp(torch.tensor([[0.0], [float("-inf")]]))
    tensor([-0.6931])
    """
    if len(a) == 1:
        return at_least_float32(a).squeeze(0)
    return torch.logsumexp(at_least_float32(a), 0) - math.log(a.shape[0])


def bits(nats: Any) -> Any:
    """Nats to bits: divides by ln 2."""
    return nats / LN2


def bits_per_part(nats: Any, parts: float) -> Any:
    """Nats per example to bits per part (pixel value, column)."""
    return nats / (LN2 * parts)


def with_error(value: float, stderr: float, digits: int = 3, sign: str = "") -> str:
    """A figure and its standard error; a dash where there is none, as of one example.

    >>> with_error(1.5, 0.25, 2), with_error(1.5, math.inf)
    ('1.50 ± 0.25', '1.500 ± -')
    """
    return f"{value:{sign}.{digits}f} ± {f'{stderr:.{digits}f}' if math.isfinite(stderr) else '-'}"


@dataclass(frozen=True)
class Estimate:
    """A number with its uncertainty: value, standard error of the mean over ``n`` examples, unit.

    ``stderr`` is infinite where it is not known: of one example, or where one is infinite.

    >>> print(Estimate.of(torch.tensor([1.0, 2.0, 3.0])))
    2.000 ± 0.577 nats (n = 3)
    """

    value: float
    stderr: float
    unit: str = "nats"
    n: int = 0

    @classmethod
    def of(cls, per_example: Tensor, unit: str = "nats") -> Estimate:
        """From one number an example (n,): the mean and its standard error, in float64."""
        a = per_example.double()
        n = a.numel()
        spread = a.std().item() / math.sqrt(n) if n > 1 else math.inf
        spread = math.inf if a.isinf().any() and not a.isnan().any() else spread
        return cls(mean_examples(a).item(), spread, unit, n)

    def json(self) -> dict[str, Any]:
        """The figure as JSON-ready fields; a number that JSON cannot hold becomes null."""
        finite = {"value": self.value, "stderr": self.stderr}
        return {k: v if math.isfinite(v) else None for k, v in finite.items()} | {"unit": self.unit, "n": self.n}

    def __str__(self) -> str:
        return f"{with_error(self.value, self.stderr)} {self.unit} (n = {self.n})"


def total(parts: Iterable[Tensor]) -> Tensor:
    """Float64 sum of a few per-batch sums: what a reported figure is accumulated in."""
    return torch.stack([p.double() for p in parts]).sum(0)
