"""Likelihoods of whole numbers 0..levels-1: probabilities, so that nats are the length of a real code."""

from __future__ import annotations

import math
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.distributions import Categorical as CategoricalDistribution
from torch.distributions import Distribution
from torch.nn import functional as F

from lowerbound.data.dataset import Summary
from lowerbound.maths.units import at_least_float32, sum_parts
from lowerbound.model.likelihoods.base import LIKELIHOODS, Likelihood, levels_of

NARROWEST = 0.02
"""Smallest scale of the discretised logistic, in levels: one level then takes all but e^-25 of the probability."""


class DiscretisedLogisticDistribution(Distribution):
    r"""A logistic density integrated over the unit interval around each level; the end levels take the tails.

    With S the logistic function, a and b the scaled lower and upper edge,
    :math:`\log[S(b) - S(a)] = \log S(b) + \log S(-a) + \log(1 - e^{a-b})`: no difference of nearly equal numbers.

    *Shapes*: ``location`` and ``log_scale`` in levels, (...). *Units*: ``log_prob`` per value in nats.
    """

    arg_constraints: dict[str, Any] = {}

    def __init__(self, location: Tensor, log_scale: Tensor, levels: int) -> None:
        self.location, self.log_scale, self.levels = location, log_scale, levels
        super().__init__(location.shape, validate_args=False)

    def log_prob(self, value: Tensor) -> Tensor:
        precision = torch.exp(-self.log_scale)
        centred = value - self.location
        below = F.logsigmoid((centred + 0.5) * precision)
        above = F.logsigmoid((0.5 - centred) * precision)
        inside = torch.log(-torch.expm1(-precision))
        first, last = value <= 0, value >= self.levels - 1
        zero = torch.zeros((), dtype=below.dtype, device=below.device)
        return (
            torch.where(last, zero, below) + torch.where(first, zero, above) + torch.where(first | last, zero, inside)
        )

    @property
    def mean(self) -> Tensor:
        """The expected level: the sum over edges of the probability of lying above it."""
        precision = torch.exp(-self.log_scale)
        total = torch.zeros_like(self.location)
        for level in range(self.levels - 1):
            total += torch.sigmoid((self.location - level - 0.5) * precision)
        return total

    def sample(self, sample_shape: Any = ()) -> Tensor:
        u = torch.rand(self._extended_shape(torch.Size(sample_shape)), dtype=torch.float64).to(self.location.device)
        noise = torch.logit(u, eps=1e-12).to(self.location.dtype)
        return torch.addcmul(self.location, torch.exp(self.log_scale), noise).round().clamp(0, self.levels - 1)


@LIKELIHOODS.register("discretised-logistic")
class DiscretisedLogistic(Likelihood):
    r"""A logistic bell over the levels; the decoder emits its location and (``scale="value"``) its log scale.

    .. math:: p(x_i|z) = S\left(\frac{x_i + 1/2 - m_i}{s_i}\right) - S\left(\frac{x_i - 1/2 - m_i}{s_i}\right)

    with S the logistic function; levels 0 and levels-1 take the tails. ``scale="shared"``: one learned scale.

    *Shapes*: out (samples, batch, 2 or 1, \*shape), x (batch, \*shape) -> (samples, batch).
    *Units and sign*: nats of a probability, at most 0, higher is better; divided by parts x ln 2, bits a value.
    *Neutral setting*: a scale much larger than the levels puts the halves on the two ends.
    *Source*: Kingma et al. 2016 (1606.04934), appendix A.3; Salimans et al. 2017 (1701.05517), eq. 2.

    >>> s = Summary("levels", (1,), torch.full((1,), 7.0), torch.full((1,), 3.0), levels=16)
    >>> x = torch.arange(16.0).unsqueeze(-1)
    >>> DiscretisedLogistic(s).log_prob(torch.zeros(1, 16, 2, 1), x).exp().sum().round(decimals=5)
    tensor(1.)
    """

    about = "whole numbers from 0 to levels - 1"
    kinds = ("levels", "binary")

    def __init__(self, summary: Summary, *, scale: Literal["value", "shared"] = "value") -> None:
        super().__init__(summary, numbers=2 if scale == "value" else 1)
        self.levels = levels_of(summary)
        self.centre = (self.levels - 1) / 2
        if scale == "shared":
            self.raw_scale = nn.Parameter(self._raw((summary.std.square().sum() / summary.parts).sqrt()))
        else:
            self.register_parameter("raw_scale", None)

    def forward(self, out: Tensor) -> DiscretisedLogisticDistribution:
        axis = -len(self.shape) - 1
        location = self.centre * (1 + out.select(axis, 0))
        raw = out.select(axis, 1) if self.raw_scale is None else self.raw_scale.expand_as(location)
        return DiscretisedLogisticDistribution(location, self._bounded(raw + self._middle()), self.levels)

    def _middle(self) -> float:
        """The log scale at which the decoder's output is 0: a bell over a fifth of the levels."""
        return math.log(self.levels / 10)

    def _limits(self) -> tuple[float, float]:
        return math.log(NARROWEST), math.log(10 * self.levels)

    def _bounded(self, log_scale: Tensor) -> Tensor:
        """Smoothly between the limits, and the identity well inside them."""
        low, high = self._limits()
        return low + F.softplus(log_scale - low) - F.softplus(log_scale - high)

    def _raw(self, deviation: Tensor) -> Tensor:
        """What the decoder should emit for a bell of this deviation, in levels."""
        scale = (deviation * math.sqrt(3) / math.pi).clamp(min=5 * NARROWEST)
        return torch.log(scale) - self._middle()

    def sigma(self) -> Tensor | None:
        """The deviation of the bell in levels, where it is shared."""
        if self.raw_scale is None:
            return None
        return math.pi / math.sqrt(3) * torch.exp(self._bounded(self.raw_scale + self._middle()))

    def marginal_variance(self, summary: Summary) -> Tensor:
        own = summary.std.square()
        own = own if self.raw_scale is None else (own.sum() / summary.parts).expand(self.shape)
        return own.clamp(min=1e-3).clone()

    def output_bias(self, summary: Summary) -> Tensor:
        location = summary.mean / self.centre - 1
        return torch.stack([location, self._raw(summary.std)][: self.output_shape[0]])


class LevelsDistribution(CategoricalDistribution):
    """A Categorical over 0..levels-1 (last axis of the logits) that has a mean."""

    @property
    def mean(self) -> Tensor:
        levels = torch.arange(self.logits.shape[-1], dtype=self.logits.dtype, device=self.logits.device)
        return self.probs @ levels

    def sample(self, sample_shape: Any = torch.Size()) -> Tensor:
        return super().sample(sample_shape).to(self.logits.dtype)


@LIKELIHOODS.register("categorical")
class Categorical(Likelihood):
    r"""A free probability for each level of each value; it knows nothing of their order.

    .. math:: \log p(x|z) = \sum_i l_{i,x_i} - \log\textstyle\sum_k e^{l_{ik}}

    *Shapes*: out (samples, batch, levels, \*shape), logits; x (batch, \*shape) -> (samples, batch).
    *Units and sign*: nats of a probability, at most 0, higher is better; divided by parts x ln 2, bits a value.
    *Neutral setting*: equal logits give ln(levels) nats a value. *Source*: van den Oord et al. 2016 (1601.06759),
    section 3.

    >>> s = Summary("levels", (2,), torch.ones(2), torch.ones(2), levels=4)
    >>> Categorical(s).log_prob(torch.zeros(1, 1, 4, 2), torch.zeros(1, 2))
    tensor([[-2.7726]])
    """

    about = "whole numbers from 0 to levels - 1"
    kinds = ("levels", "binary")

    def __init__(self, summary: Summary) -> None:
        self.levels = levels_of(summary)
        super().__init__(summary, numbers=self.levels)

    def forward(self, out: Tensor) -> LevelsDistribution:
        return LevelsDistribution(logits=out.movedim(-len(self.shape) - 1, -1), validate_args=False)

    def log_prob(self, out: Tensor, x: Tensor) -> Tensor:
        logits = self._flat(out)
        codes = x.flatten(1).long().expand(*logits.shape[:-2], -1)
        cost = F.cross_entropy(logits.flatten(0, -3), codes.flatten(0, -2), reduction="none")
        return -sum_parts(cost, 1).reshape(logits.shape[:-2])

    def mean(self, out: Tensor) -> Tensor:
        return self(at_least_float32(out)).mean

    def marginal_variance(self, summary: Summary) -> Tensor:
        return summary.std.square().clamp(min=1e-3)

    def output_bias(self, summary: Summary) -> Tensor:
        """Of all distributions with the data's mean and variance, the one of most entropy: a bell over the levels."""
        level = torch.arange(self.levels, dtype=summary.mean.dtype).reshape(-1, *[1] * len(self.shape))
        logits = -0.5 * (level - summary.mean).square() / summary.std.square().clamp(min=0.1)
        return torch.log_softmax(logits.clamp(min=-10), 0)
