r"""What the rate is made of: the aggregate posterior q(z), a mixture of N posteriors, taken apart (ELBO surgery).

.. math::
    q(z) = \tfrac1N\textstyle\sum_n q(z|x_n), \qquad
    \underbrace{E_x[KL(q(z|x)\|p(z))]}_{\text{rate}} =
    \underbrace{I_q(x; z)}_{\text{information}} +
    \underbrace{KL(q(z)\|\textstyle\prod_j q(z_j))}_{\text{total correlation}} +
    \underbrace{\textstyle\sum_j KL(q(z_j)\|p(z_j))}_{\text{dimension-wise}}

the last two together KL(q(z) || p(z)), where the prior is independent over dimensions. From one z an example, with
``others`` the mixture of the N - 1 other posteriors,

.. math:: E[\log q(z|x) - \log q(z)] \le I \le E[\log q(z|x) - \log q_{\text{others}}(z)].

The left side is exact for the N examples themselves, and never above log N.
Source: Hoffman & Johnson 2016, eq. 9; Chen et al. 2018 (1802.04942), eq. 2; Poole et al. 2019 (1905.06922), eq. 10, 13.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor
from torch.distributions import Distribution

from lowerbound.maths.divergence import Rate, kl, kl_normal
from lowerbound.maths.normal import DiagonalNormal, FullNormal, log_normal
from lowerbound.maths.units import Estimate, mean_examples, sum_latent

BUDGET = 2**26
"""Bytes of the table of log densities that is held at a time."""


@dataclass(frozen=True)
class Part:
    """One part of the rate in nats: its value for the N examples, its standard error, and what brackets it.

    ``low`` and ``high`` bracket, in expectation, the part's value for the distribution that the examples come from.
    """

    value: float
    stderr: float
    low: float
    high: float

    def json(self) -> dict[str, Any]:
        """JSON-ready, with the unit."""
        finite = {k: v if math.isfinite(v) else None for k, v in vars(self).items()}
        return {**finite, "unit": "nats"}


@dataclass(frozen=True)
class Parts:
    """The rate of N examples taken apart. ``rate`` = ``information`` + ``marginal``, to the last digits.

    Where the prior is independent over dimensions, ``marginal`` = ``correlation`` + the sum of ``dimension_wise``;
    elsewhere ``dimension_wise`` is None. ``correlation`` is None where the marginals of q(z|x) have no closed form.
    ``rate_of`` and ``information_of`` (latent,) are those of each dimension alone.
    """

    rate: Estimate
    information: Part
    marginal: Part
    correlation: Part | None
    dimension_wise: Part | None
    rate_of: Tensor | None
    information_of: Tensor | None
    others: Tensor
    sampled: bool


@dataclass(frozen=True)
class Mixed:
    """Log densities of the z of each example (n, columns): under its own posterior, all of them, all the others.

    ``control`` (n, columns) is noise of known mean 0 that is added to make the figures quieter.
    """

    own: Tensor
    mixture: Tensor
    others: Tensor
    control: Tensor | float = 0.0

    @property
    def information(self) -> Tensor:
        """Nats that z says of which example it is: (n, columns), at most log n each before ``control``."""
        return self.own - self.mixture + self.control

    @property
    def above(self) -> Tensor:
        """The same against the other posteriors: its mean bounds the information from above."""
        return self.own - self.others + self.control

    @property
    def influence(self) -> Tensor:
        """What each example adds to the mean of ``information``. That it is also a part of the mixture adds nothing to
        first order: the mixture's own log likelihood is highest at the mixture, where its slope is 0."""
        return self.information - mean_examples(self.information)


def marginals(q: Distribution) -> DiagonalNormal | None:
    """The posteriors of each dimension alone, where they are Normals; else None."""
    if isinstance(q, DiagonalNormal):
        return DiagonalNormal(q.mean.double(), q.log_variance.double())
    if isinstance(q, FullNormal):
        return DiagonalNormal(q.mean.double(), torch.log(q.scale_tril.double().square().sum(-1)))
    return None


def log_densities(q: Distribution, z: Tensor) -> Tensor:
    """Log density of each row of z (rows, width) under each of n posteriors: (rows, n), float64 nats."""
    z = z.double()
    if isinstance(q, DiagonalNormal):
        return sum_latent(log_normal(z[:, None], q.mean.double(), q.log_variance.double()))
    n = q.batch_shape[0]
    return q.log_prob(z[:, None].expand(-1, n, -1).to(q.mean)).double()


def aggregate(q: Distribution, z: Tensor) -> Tensor:
    """log q(z), the density of the mixture of n posteriors, of each row of z (rows, width): (rows,), nats."""
    rows = max(1, BUDGET // (8 * q.batch_shape[0] * z.shape[1]))
    sums = [torch.logsumexp(log_densities(q, part), 1) for part in z.split(rows)]
    return torch.cat(sums) - math.log(q.batch_shape[0])


def mixed(q: Distribution, z: Tensor) -> Mixed:
    """Each example's own z (n, width) under the mixture: the first column jointly, then one for each dimension."""
    n, alone = len(z), marginals(q)
    rows = max(1, BUDGET // (8 * n * (1 + z.shape[1])))
    found = []
    for first in range(0, n, rows):
        taken = z[first : first + rows].double()
        table = log_densities(q, taken)[..., None]
        if alone is not None:
            table = torch.cat([table, log_normal(taken[:, None], alone.mean, alone.log_variance)], -1)
        found.append(weighed(table, first))
    return Mixed(*(torch.cat(column) for column in zip(*found, strict=True)))


def weighed(table: Tensor, first: int) -> tuple[Tensor, Tensor, Tensor]:
    """Own, mixture and others, each (rows, columns), of a table (rows, n, columns) from the row of ``first`` on."""
    rows, n = table.shape[:2]
    here = torch.arange(rows, device=table.device)
    own = table[here, here + first]
    rest = table.clone()
    rest[here, here + first] = -torch.inf
    others = torch.logsumexp(rest, 1)
    total = torch.logaddexp(others, own)
    return own, total - math.log(n), others - math.log(max(n - 1, 1))


def quiet(found: Mixed, exact: Tensor, log_p: Tensor) -> Mixed:
    """``found`` with a control variate: ``exact`` - (own - log_p) (n, columns), the rate less its one-sample estimate,
    whose mean is 0. Its weight is the one that leaves the least variance: near 1 where q(z) is close to the prior, 0
    where the posteriors do not overlap and the information is log n without noise."""
    noise = exact - (found.own - log_p)
    power = noise.square().sum(0)
    weight = (found.influence * noise).sum(0) / torch.where(power > 0, power, 1.0)
    return replace(found, control=-weight * noise)


def surgery(q: Distribution, p: Distribution, z: Tensor, rates: Rate | None = None) -> Parts:
    """Take the rate of n examples apart.

    Args:
        q: their posteriors, batch shape (n,). p: the prior, event (width,).
        z: one sample of each posterior, (n, width).
        rates: KL(q || p) of each example, where a prior has a form of its own; default :func:`kl`.

    Every figure is possible: 0 <= information <= min(log n, rate), every other part >= 0, and they add up. An estimate
    that noise put outside is moved to the border.
    """
    alone, found = marginals(q), mixed(q, z)
    rates = rates or kl(q, p, z=z.to(q.mean)[None])
    sampled = rates.kind == "sampled"
    if alone is None or type(p) is not DiagonalNormal:
        return assembled(rates.total().double(), None, within(q, alone), found, sampled)
    mean, log_variance, z = p.mean.double(), p.log_variance.double(), z.double()
    own = kl_normal(alone.mean, alone.log_variance, mean, log_variance)
    rate = sum_latent(own) if isinstance(q, DiagonalNormal) else jointly(q, mean, log_variance)
    log_p = log_normal(z, mean, log_variance)
    columns = [torch.cat([total[:, None], each], -1) for total, each in ((rate, own), (sum_latent(log_p), log_p))]
    return assembled(rate, own, rate - sum_latent(own), quiet(found, *columns), sampled)


def jointly(q: Any, mean: Tensor, log_variance: Tensor) -> Tensor:
    """KL of each full Normal, (n,), in float64, so that the parts sum to it."""
    return kl(FullNormal(q.mean.double(), q.scale_tril.double()), DiagonalNormal(mean, log_variance)).total()


def within(q: Distribution, alone: DiagonalNormal | None) -> Tensor | None:
    """The total correlation of each posterior itself, (n,): 0 where its dimensions are independent."""
    return None if alone is None else alone.entropy() - q.entropy().double()


def assembled(rate: Tensor, own: Tensor | None, inside: Tensor | None, found: Mixed, sampled: bool) -> Parts:
    """The parts from what was measured of each example: ``rate`` (n,), ``own`` (n, latent), ``inside`` (n,)."""
    n = len(rate)
    total = Estimate(max(mean_examples(rate).item(), 0.0), Estimate.of(rate).stderr, "nats", n)
    estimate, above = mean_examples(found.information), mean_examples(found.above)
    top, influence = min(math.log(n), total.value), found.influence
    if inside is None:
        least, most, reach = 0.0, top, total.value
        alone = beyond = own_rate = None
    else:
        own_rate = None if own is None else mean_examples(own)
        limit = torch.full_like(estimate[1:], total.value) if own_rate is None else own_rate
        alone = estimate[1:].clamp(min=0).minimum(limit.clamp(max=math.log(n)))
        beyond = above[1:].maximum(alone).minimum(limit)
        extra = max(mean_examples(inside).item(), 0.0)
        least = min(alone.max().item(), top)
        most, reach = (min(cap, each.sum().item() + extra) for cap, each in ((top, alone), (total.value, beyond)))
    value = clamp(estimate[0].item(), least, max(least, most))
    high = clamp(above[0].item(), value, max(value, reach))
    information = part(value, influence[:, 0], value, high)
    left = total.value - value
    marginal = part(left, rate - influence[:, 0], total.value - high, left)
    correlation = wise = None
    if inside is not None and alone is not None and beyond is not None:
        spread = sum_latent(influence[:, 1:]) - influence[:, 0] + inside
        correlation = tied(information, alone.sum().item() + extra, beyond.sum().item() + extra, spread)
        if own is not None and own_rate is not None:
            wise = dimension_wise(own, own_rate, alone, beyond, influence[:, 1:])
    return Parts(total, information, marginal, correlation, wise, own_rate, alone, found.others[:, 0], sampled)


def tied(information: Part, low: float, high: float, influence: Tensor) -> Part:
    """The total correlation: what the dimensions say one by one, at least ``low`` and at most ``high`` nats in all,
    less what they say together."""
    value = max(low - information.value, 0.0)
    ends = clamp(low - information.high, 0.0, value), max(high - information.value, value)
    return part(value, influence, *ends)


def part(value: float, influence: Tensor, low: float, high: float) -> Part:
    """A part with the standard error that the influences of the examples give."""
    return Part(value, Estimate.of(influence).stderr, low, high)


def dimension_wise(own: Tensor, rate_of: Tensor, alone: Tensor, reach: Tensor, influence: Tensor) -> Part:
    """sum_j KL(q(z_j) || p(z_j)): what each dimension's information leaves of its rate."""
    spread = sum_latent(own - influence)
    return part((rate_of - alone).sum().item(), spread, (rate_of - reach).sum().item(), (rate_of - alone).sum().item())


def clamp(value: float, low: float, high: float) -> float:
    """``value`` kept between ``low`` and ``high``."""
    return min(max(value, low), high)
