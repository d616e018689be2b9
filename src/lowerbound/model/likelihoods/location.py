"""Likelihoods of real values: a location from the decoder, and one deviation that is fixed, learned or optimal."""

from __future__ import annotations

import math
from abc import abstractmethod
from typing import Annotated, Literal

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.distributions import Distribution
from torch.distributions import Laplace as LaplaceDistribution
from torch.distributions import Normal as NormalDistribution

from lowerbound.data.dataset import Summary
from lowerbound.maths.normal import LOG_2PI
from lowerbound.model.likelihoods.base import LIKELIHOODS, TINY, Likelihood
from lowerbound.model.likelihoods.continuous_bernoulli import density_of_discrete
from lowerbound.model.likelihoods.observed import Observed

Variance = Literal["fixed", "learned", "optimal"]
Deviation = Annotated[float, Field(gt=0)] | None
SPEED = 10.0
"""How fast a learned log variance moves: Adam moves a parameter by about its learning rate a step, and a log variance
has several units to go in a few hundred steps."""
FLOOR = 1e-4
"""The deviation stays above this part of the data's own."""
MOMENTUM = 0.1
HIGHEST = 80.0
BETTER = {"binary": "bernoulli", "levels": "discretised-logistic or categorical", "count": "negative-binomial"}


class LocationScale(Likelihood):
    r"""What the members share: the location centre + scale * out, and the log variance.

    ``centre`` and ``scale`` are the data's mean and deviation, so that a decoder whose output is near 0 and of unit
    size fits data in any unit. The density is that of x in its own units.

    ``variance="learned"``: the deviation is a parameter. ``"optimal"``: in training it is the best one for the batch,
    found in closed form; in evaluation a running value of it is used, so that no figure depends on the batch.
    ``"fixed"``: it is ``sigma``. ``shared=False`` gives each value a deviation of its own.
    """

    kinds = ("real", "series", "unit", "levels", "count", "binary")
    about = "real values"
    centre: Tensor
    scale: Tensor
    start: Tensor

    def __init__(self, summary: Summary, variance: Variance, sigma: float | None, shared: bool) -> None:
        super().__init__(summary)
        self.variance, self.fixed, self.parts = variance, variance == "fixed", summary.parts
        self.ragged = summary.kind == "series"
        own = summary.std.square()
        own = own.sum() / summary.parts if shared else own
        self.register_buffer("centre", summary.mean.flatten().clone())
        self.register_buffer("scale", torch.where(own > 0, own.sqrt(), 1.0).flatten().squeeze())
        deviation = sigma if sigma is not None else (1.0 if self.fixed else self.scale)
        self.register_buffer("start", 2 * torch.log(torch.as_tensor(deviation).to(self.scale)) + 0 * self.scale)
        if variance == "learned":
            self.raw = nn.Parameter(torch.zeros_like(self.scale))

    @property
    def log_variance(self) -> Tensor:
        """log sigma^2 in data units, () or (parts,); learned ones stay smoothly above the floor."""
        if self.variance != "learned":
            return self.start
        return torch.logaddexp(self.start + SPEED * self.raw, self._floor())

    def set_variance(self, value: Tensor | float) -> None:
        """Put sigma^2 at ``value``, in data units."""
        log_variance = torch.log(torch.as_tensor(value)).to(self.start)
        with torch.no_grad():
            if self.variance == "learned":
                above = log_variance + torch.log1p(-torch.exp(self._floor() - log_variance))
                self.raw.copy_((above - self.start) / SPEED)
            else:
                self.start.copy_(log_variance)

    def _floor(self) -> Tensor:
        return 2 * torch.log(FLOOR * self.scale)

    def sigma(self) -> Tensor:
        return torch.exp(0.5 * self.log_variance)

    def location(self, out: Tensor) -> Tensor:
        """The location of each value in data units: (..., parts)."""
        return torch.addcmul(self.centre, self._flat(out).squeeze(-2), self.scale)

    def mean(self, out: Tensor) -> Tensor:
        return self.location(out).unflatten(-1, self.shape)

    def forward(self, out: Tensor) -> Distribution:
        location = self.mean(out)
        deviation = self.sigma().expand(self.parts).reshape(self.shape)
        d = self._distribution(location, deviation.expand_as(location))
        return Observed(d) if self.ragged else d

    def log_prob(self, out: Tensor, x: Tensor) -> Tensor:
        if self.ragged:
            return self._log_prob_there(self.location(out), x.flatten(1))
        misfit = self._misfit(self.location(out) - x.flatten(1))
        log_variance = self._fitted(misfit) if self.variance == "optimal" and self.training else self.log_variance
        return self._log_density(misfit, log_variance)

    def _log_prob_there(self, location: Tensor, x: Tensor) -> Tensor:
        """log p of the values that are there: NaN in x (batch, parts) is left out."""
        there = ~torch.isnan(x)
        misfit = self._misfit(location - torch.where(there, x, 0.0))
        fitted = self.variance == "optimal" and self.training
        log_variance = self._fitted(torch.where(there, misfit, torch.nan)) if fitted else self.log_variance
        log_density = -misfit * self._precision(log_variance) - 0.5 * (log_variance + self.constant)
        return torch.where(there, log_density, 0.0).sum(-1)

    def _fitted(self, misfit: Tensor) -> Tensor:
        """The best log variance for this batch, remembered in the running one. It is a variance, not nats."""
        with torch.no_grad():
            values = misfit.flatten(0, -2)
            average = torch.nanmean if self.ragged else torch.mean  # not nats: a misfit, in data units
            best = average(values) if self.start.dim() == 0 else average(values, 0)
            log_variance = torch.maximum(self._best(best), self._floor()).clamp(max=HIGHEST)
            self.start.copy_(torch.log(torch.lerp(self.start.exp(), log_variance.exp(), MOMENTUM)))
        return log_variance

    def _log_density(self, misfit: Tensor, log_variance: Tensor) -> Tensor:
        """Sums misfit before it is scaled where one deviation serves all values."""
        if log_variance.dim() == 0:
            return self._summed(misfit.sum(-1), log_variance, self.parts * log_variance)
        return self._summed((misfit * self._precision(log_variance)).sum(-1), None, log_variance.sum())

    def _summed(self, misfit: Tensor, log_variance: Tensor | None, log_determinant: Tensor) -> Tensor:
        scaled = misfit if log_variance is None else misfit * self._precision(log_variance)
        return -scaled - 0.5 * (log_determinant + self.parts * self.constant)

    constant: float
    """Twice the log of the normaliser at unit variance."""

    @abstractmethod
    def _misfit(self, gap: Tensor) -> Tensor:
        """The power of the gap that the density holds."""

    @abstractmethod
    def _precision(self, log_variance: Tensor) -> Tensor:
        """What the misfit is multiplied by."""

    @abstractmethod
    def _best(self, misfit: Tensor) -> Tensor:
        """The log variance at which the average misfit has the highest density."""

    @abstractmethod
    def _distribution(self, location: Tensor, deviation: Tensor) -> Distribution:
        """The density as a distribution."""

    def marginal_variance(self, summary: Summary) -> Tensor:
        """sigma^2 where it is fixed; else what it becomes when the decoder emits the mean: the data's own."""
        if self.fixed:
            return self.sigma().detach().square().expand(self.parts).reshape(self.shape).to(summary.mean).clone()
        own = summary.std.square()
        own = (own.sum() / summary.parts).expand(self.shape) if self.start.dim() == 0 else own
        return own.clamp(min=TINY).clone()

    def output_bias(self, summary: Summary) -> Tensor:
        return torch.zeros(self.output_shape)

    def warning(self, summary: Summary) -> str | None:
        return density_of_discrete(summary, BETTER[summary.kind]) if summary.kind in BETTER else None


@LIKELIHOODS.register("normal")
class Normal(LocationScale):
    r"""A Normal around the decoder's mean; its variance is fixed, learned, or optimal for the batch (sigma-VAE).

    .. math:: \log p(x|z) = -\tfrac12\sum_i\left[\log 2\pi\sigma^2 + (x_i - m_i(z))^2/\sigma^2\right], \qquad
              \sigma^2_\mathrm{optimal} = \overline{(x_i - m_i)^2}

    ``sigma`` in data units: the deviation where fixed (default 1), else where it starts (default: the data's own).

    *Shapes*: out (samples, batch, 1, \*shape), x (batch, \*shape) -> (samples, batch); sigma () or, with
    ``shared=False``, one for each value. *Units and sign*: nats of a density of x in its own units, higher is better;
    it may be positive. *Neutral setting*: any; the optimal variance is a property of the batch in training only.
    *Source*: Kingma & Welling 2014 (1312.6114), appendix C.2; Rybkin et al. 2021 (2006.13202), eq. 5.

    >>> s = Summary("real", (2,), torch.zeros(2), torch.ones(2))
    >>> Normal(s, variance="fixed").log_prob(torch.zeros(1, 1, 1, 2), torch.zeros(1, 2))
    tensor([[-1.8379]])
    """

    constant = LOG_2PI

    def __init__(
        self, summary: Summary, *, variance: Variance = "learned", sigma: Deviation = None, shared: bool = True
    ) -> None:
        super().__init__(summary, variance, sigma, shared)

    def _misfit(self, gap: Tensor) -> Tensor:
        return gap.square()

    def _precision(self, log_variance: Tensor) -> Tensor:
        return 0.5 * torch.exp(-log_variance)

    def _best(self, misfit: Tensor) -> Tensor:
        return torch.log(misfit)

    def _distribution(self, location: Tensor, deviation: Tensor) -> Distribution:
        return NormalDistribution(location, deviation, validate_args=False)


@LIKELIHOODS.register("laplace")
class Laplace(LocationScale):
    r"""A Laplace density around the decoder's location: absolute errors; its deviation fixed, learned or optimal.

    .. math:: \log p(x|z) = -\sum_i\left[\log 2b + |x_i - m_i(z)|/b\right], \qquad \sigma = \sqrt2\,b

    ``sigma`` in data units: the deviation where fixed (default 1), else where it starts (default: the data's own).

    *Shapes*: out (samples, batch, 1, \*shape), x (batch, \*shape) -> (samples, batch); sigma () or, with
    ``shared=False``, one for each value. *Units and sign*: nats of a density of x in its own units, higher is better;
    it may be positive. *Neutral setting*: any. *Source*: Kingma & Welling 2014 (1312.6114), section 3, with
    the density of Laplace 1774.

    >>> s = Summary("real", (1,), torch.zeros(1), torch.ones(1))
    >>> Laplace(s, variance="fixed", sigma=2**0.5).log_prob(torch.zeros(1, 1, 1, 1), torch.ones(1, 1))
    tensor([[-1.6931]])
    """

    constant = math.log(2)

    def __init__(
        self, summary: Summary, *, variance: Variance = "learned", sigma: Deviation = None, shared: bool = True
    ) -> None:
        super().__init__(summary, variance, sigma, shared)

    def _misfit(self, gap: Tensor) -> Tensor:
        return gap.abs()

    def _precision(self, log_variance: Tensor) -> Tensor:
        return math.sqrt(2) * torch.exp(-0.5 * log_variance)

    def _best(self, misfit: Tensor) -> Tensor:
        return math.log(2) + 2 * torch.log(misfit)

    def _distribution(self, location: Tensor, deviation: Tensor) -> Distribution:
        return LaplaceDistribution(location, deviation / math.sqrt(2), validate_args=False)
