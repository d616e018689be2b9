r"""The continuous Bernoulli: a density on [0, 1] whose normaliser is computed without loss near lambda = 1/2.

With the logit l and h = l/2, the log density is

.. math:: \log p(x) = (x - \tfrac12)\,l - \log\frac{\sinh h}{h},

which is 0 at l = 0 and subtracts no nearly equal numbers anywhere.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor
from torch.distributions import Distribution

from lowerbound.data.dataset import Summary
from lowerbound.model.likelihoods.base import LIKELIHOODS, TINY, Likelihood

NEAR = 1.0
"""Below this |h| the series in h^2 are used; their first terms left out are below 1e-17."""
SINHC = tuple(1 / math.factorial(2 * k + 1) for k in range(1, 10))
LANGEVIN = tuple(2 * k / math.factorial(2 * k + 1) for k in range(1, 10))


def _series(square: Tensor, coefficients: tuple[float, ...]) -> Tensor:
    total = torch.full_like(square, coefficients[-1])
    for c in coefficients[-2::-1]:
        total = total * square + c
    return total


def _log_sinhc(h: Tensor) -> Tensor:
    """log(sinh(h) / h), even in h, 0 at 0."""
    a = h.abs()
    low, high = a.clamp(max=NEAR).square(), a.clamp(min=NEAR)
    near = torch.log1p(low * _series(low, SINHC))
    far = high - torch.log(2 * high) + torch.log1p(-torch.exp(-2 * high))
    return torch.where(a < NEAR, near, far)


def langevin(h: Tensor) -> Tensor:
    """coth(h) - 1/h, the derivative of log(sinh(h)/h): from -1 to 1, odd in h."""
    a = h.abs()
    low, high = a.clamp(max=NEAR), a.clamp(min=NEAR)
    square = low.square()
    near = low * _series(square, LANGEVIN) / (1 + square * _series(square, SINHC))
    far = 1 / torch.tanh(high) - 1 / high
    return torch.where(a < NEAR, near, far) * torch.sign(h)


class _LogNormaliser(torch.autograd.Function):
    """log(sinh(l/2) / (l/2)); its derivative is langevin(l/2) / 2."""

    @staticmethod
    def forward(ctx: Any, logits: Tensor) -> Tensor:
        ctx.save_for_backward(logits)
        return _log_sinhc(0.5 * logits)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:  # type: ignore[override]
        return 0.5 * gradient * langevin(0.5 * ctx.saved_tensors[0])


def logits_of_mean(mean: Tensor) -> Tensor:
    """The logits at which the density has this mean, in (0, 1), by 80 bisections in float64."""
    target = 2 * mean.double() - 1
    low, high = torch.full_like(target, -1e7), torch.full_like(target, 1e7)
    for _ in range(80):
        middle = 0.5 * (low + high)
        below = langevin(0.5 * middle) < target
        low, high = torch.where(below, middle, low), torch.where(below, high, middle)
    return 0.5 * (low + high)


class ContinuousBernoulliDistribution(Distribution):
    """The density proportional to e^(l x) on [0, 1]; ``log_prob`` per value, nats."""

    arg_constraints: dict[str, Any] = {}

    def __init__(self, logits: Tensor) -> None:
        self.logits = logits
        super().__init__(logits.shape, validate_args=False)

    def log_prob(self, value: Tensor) -> Tensor:
        return (value - 0.5) * self.logits - _LogNormaliser.apply(self.logits)

    @property
    def mean(self) -> Tensor:
        return 0.5 + 0.5 * langevin(0.5 * self.logits)

    @property
    def variance(self) -> Tensor:
        """(1/h^2 - 1/sinh(h)^2) / 4; 1/12 at 0."""
        h = (0.5 * self.logits).abs()
        far = h.clamp(min=0.05)
        square = h.square()
        near = (1 / 3 - square / 15 + 2 * square.square() / 189 - square**3 / 675) / 4
        return torch.where(h < 0.05, near, (far.pow(-2) - torch.sinh(far).pow(-2)) / 4)

    def sample(self, sample_shape: Any = ()) -> Tensor:
        """By the inverse of the distribution function, on the falling side, reflected where the density rises."""
        u = torch.rand(self._extended_shape(torch.Size(sample_shape))).to(self.logits)
        falling = -self.logits.abs().clamp(min=1e-6)
        y = (torch.log1p(u * torch.expm1(falling)) / falling).clamp(0, 1)
        return torch.where(self.logits > 0, 1 - y, y)


@LIKELIHOODS.register("continuous-bernoulli")
class ContinuousBernoulli(Likelihood):
    r"""Independent grey values in [0, 1], a true density; the decoder emits one logit for each.

    .. math:: \log p(x|z) = \sum_i (x_i - \tfrac12)\,l_i - \log\frac{\sinh(l_i/2)}{l_i/2}

    *Shapes*: out (samples, batch, 1, \*shape), x (batch, \*shape) -> (samples, batch).
    *Units and sign*: nats of a density on [0, 1], higher is better; it may be positive. *Neutral setting*: no options;
    logit 0 is the uniform density, 0 nats. *Source*: Loaiza-Ganem & Cunningham 2019 (1907.06845), eq. 3 to 8.

    >>> s = Summary("unit", (2,), torch.full((2,), 0.5), torch.full((2,), 0.3))
    >>> ContinuousBernoulli(s).log_prob(torch.zeros(1, 1, 1, 2), torch.rand(1, 2))
    tensor([[0.]])
    """

    about = "grey values in [0, 1]"
    kinds = ("unit", "binary")

    def __init__(self, summary: Summary) -> None:
        super().__init__(summary)

    def forward(self, out: Tensor) -> ContinuousBernoulliDistribution:
        return ContinuousBernoulliDistribution(self._single(out))

    def marginal_variance(self, summary: Summary) -> Tensor:
        marginal = logits_of_mean(summary.mean.clamp(1e-6, 1 - 1e-6))
        return ContinuousBernoulliDistribution(marginal).variance.clamp(min=TINY).to(summary.mean)

    def output_bias(self, summary: Summary) -> Tensor:
        return logits_of_mean(summary.mean.clamp(0.02, 0.98)).to(summary.mean).unsqueeze(0)

    def warning(self, summary: Summary) -> str | None:
        return density_of_discrete(summary, "bernoulli") if summary.kind == "binary" else None


def density_of_discrete(summary: Summary, better: str) -> str:
    """The sentence on a density of values that are discrete."""
    return (
        f"The data are {summary.kind} and so discrete: a density of them has no upper limit, and its nats are no code "
        f"length. A likelihood of the values themselves: {better}."
    )
