"""Likelihoods of counts 0, 1, 2, ... : Poisson and negative binomial.

Log gamma functions of large numbers cancel: they are taken in float64 and only the result is rounded.
"""

from __future__ import annotations

from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.distributions import NegativeBinomial as NegativeBinomialDistribution
from torch.distributions import Poisson as PoissonDistribution

from lowerbound.data.dataset import Summary
from lowerbound.model.likelihoods.base import LIKELIHOODS, Likelihood

STRAIGHT = 30.0
"""The log mean up to which the mean is e^l; above, it goes on as a straight line, so that no gradient overflows."""
LEAST = 1e-3


def log_mean(out: Tensor) -> Tensor:
    """The log of the mean that is e^l for l <= 30 and e^30 (l - 29) above; float64."""
    out = out.double()
    return torch.where(out > STRAIGHT, STRAIGHT + torch.log1p((out - STRAIGHT).clamp(min=0)), out)


class PoissonCounts(PoissonDistribution):
    """A Poisson given the log of its rate; ``log_prob`` per value in nats."""

    def __init__(self, log_rate: Tensor, dtype: torch.dtype) -> None:
        self.log_rate, self.dtype = log_rate, dtype
        super().__init__(torch.exp(log_rate), validate_args=False)

    def log_prob(self, value: Tensor) -> Tensor:
        x = value.double()
        return (x * self.log_rate - self.rate - torch.lgamma(x + 1)).to(self.dtype)

    @property
    def mean(self) -> Tensor:
        return self.rate.to(self.dtype)

    def sample(self, sample_shape: Any = torch.Size()) -> Tensor:
        return super().sample(sample_shape).to(self.dtype)


class NegativeBinomialCounts(NegativeBinomialDistribution):
    """A negative binomial given the logs of its mean m and of its size r; its variance is m + m^2/r."""

    def __init__(self, log_mean: Tensor, log_size: Tensor, dtype: torch.dtype) -> None:
        self.log_size, self.dtype = log_size, dtype
        super().__init__(torch.exp(log_size), logits=log_mean - log_size, validate_args=False)

    def log_prob(self, value: Tensor) -> Tensor:
        x, r, logits = value.double(), self.total_count, self.logits
        ways = torch.lgamma(x + r) - torch.lgamma(r) - torch.lgamma(x + 1)
        return (ways + x * logits - (x + r) * torch.logaddexp(logits, torch.zeros_like(logits))).to(self.dtype)

    @property
    def mean(self) -> Tensor:
        return torch.exp(self.logits + self.log_size).to(self.dtype)

    def sample(self, sample_shape: Any = torch.Size()) -> Tensor:
        return super().sample(sample_shape).to(self.dtype)


class Counts(Likelihood):
    """What the members share: the decoder emits the log mean of each value."""

    about = "counts"
    kinds = ("count", "levels", "binary")

    def output_bias(self, summary: Summary) -> Tensor:
        return torch.log(summary.mean.clamp(min=LEAST)).unsqueeze(0)


@LIKELIHOODS.register("poisson")
class Poisson(Counts):
    r"""Counts whose variance is their mean; the decoder emits the log rate.

    .. math:: \log p(x|z) = \sum_i x_i\log\lambda_i - \lambda_i - \log x_i!

    *Shapes*: out (samples, batch, 1, \*shape), x (batch, \*shape) -> (samples, batch).
    *Units and sign*: nats of a probability, at most 0, higher is better. *Neutral setting*: it has no options.
    *Source*: Poisson 1837; as a decoder, Grønbech et al. 2020 (scVAE), section 2.2.

    >>> s = Summary("count", (1,), torch.ones(1), torch.ones(1))
    >>> Poisson(s).log_prob(torch.zeros(1, 1, 1, 1), torch.zeros(1, 1))
    tensor([[-1.]])
    """

    def __init__(self, summary: Summary) -> None:
        super().__init__(summary)

    def forward(self, out: Tensor) -> PoissonCounts:
        single = self._single(out)
        return PoissonCounts(log_mean(single), single.dtype)

    def marginal_variance(self, summary: Summary) -> Tensor:
        return summary.mean.clamp(min=LEAST).clone()


@LIKELIHOODS.register("negative-binomial")
class NegativeBinomial(Counts):
    r"""Counts that vary more than a Poisson's: mean m from the decoder, a learned size r (``dispersion``).

    .. math:: p(x_i|z) = \frac{\Gamma(x_i + r_i)}{\Gamma(r_i)\,x_i!}
              \left(\frac{r_i}{r_i + m_i}\right)^{r_i}\left(\frac{m_i}{r_i + m_i}\right)^{x_i},
              \qquad \mathrm{var} = m_i + m_i^2/r_i

    ``dispersion="value"`` learns an r for each value, ``"shared"`` one for all; it starts at the data's moments.

    *Shapes*: out (samples, batch, 1, \*shape), log means; x (batch, \*shape) -> (samples, batch).
    *Units and sign*: nats of a probability, at most 0, higher is better. *Neutral setting*: as r grows, ``poisson``.
    *Source*: Lopez et al. 2018 (scVI), methods; Grønbech et al. 2020 (scVAE), section 2.2.

    >>> s = Summary("count", (1,), torch.ones(1), torch.full((1,), 2**0.5))
    >>> NegativeBinomial(s).log_prob(torch.zeros(1, 1, 1, 1), torch.zeros(1, 1))
    tensor([[-0.6931]], grad_fn=<SumBackward1>)
    """

    def __init__(self, summary: Summary, *, dispersion: Literal["value", "shared"] = "value") -> None:
        super().__init__(summary)
        mean, excess = summary.mean, summary.std.square() - summary.mean
        if dispersion == "shared":
            mean, excess = ((a.sum() / summary.parts) for a in (mean.square(), excess.clamp(min=0)))
            mean = mean.sqrt()
        size = mean.square() / excess.clamp(min=LEAST)
        self.raw_size = nn.Parameter(10 * torch.atanh(torch.log(size.clamp(1e-2, 1e3)) / 10))

    @property
    def log_size(self) -> Tensor:
        """log r, smoothly kept within -10 and 10; float64."""
        return 10 * torch.tanh(self.raw_size.double() / 10)

    def forward(self, out: Tensor) -> NegativeBinomialCounts:
        mean = log_mean(self._single(out))
        return NegativeBinomialCounts(mean, self.log_size.expand_as(mean), out.dtype)

    def marginal_variance(self, summary: Summary) -> Tensor:
        mean = summary.mean.clamp(min=LEAST).double()
        return (mean + mean.square() * torch.exp(-self.log_size.detach().to(mean))).to(summary.mean)
