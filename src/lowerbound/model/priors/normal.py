"""Normal priors: the standard one, a learned one, one that depends on the condition."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.distributions import Distribution

from lowerbound.data.dataset import Summary
from lowerbound.errors import InputError
from lowerbound.maths.divergence import Rate, kl_normal
from lowerbound.maths.normal import DiagonalNormal
from lowerbound.maths.units import at_least_float32
from lowerbound.model.networks.base import Widths, initialised
from lowerbound.model.networks.mlp import MLP
from lowerbound.model.priors.base import PRIORS, Prior


@PRIORS.register("standard-normal")
class StandardNormal(Prior):
    r"""The standard Normal.

    .. math:: p(z) = N(z; 0, I)

    *Shapes*: a distribution over (latent,). *Units and sign*: log densities and the rate in nats; the rate is >= 0.
    *Neutral setting*: this is the prior of the plain ELBO. *Source*: Kingma & Welling 2014 (1312.6114), appendix B.

    >>> StandardNormal(2)().log_prob(torch.zeros(2))
    tensor(-1.8379)
    """

    zeros: Tensor

    def __init__(self, latent: int) -> None:
        super().__init__(latent)
        self.register_buffer("zeros", torch.zeros(latent), persistent=False)

    def forward(self) -> DiagonalNormal:
        return DiagonalNormal(self.zeros, self.zeros)

    def rate(self, q: Any, z: Tensor, p: Distribution | None = None) -> Rate:
        if type(q) is DiagonalNormal:
            return Rate(kl_normal(q.mean, q.log_variance), "closed")
        return super().rate(q, z, p)


@PRIORS.register("learned-normal")
class LearnedNormal(Prior):
    r"""A Normal whose mean and log variance are learned, one of each a dimension.

    .. math:: p(z) = N(z; m, \mathrm{diag}\, e^{\lambda})

    An encoder and a decoder with linear ends can undo it, so it adds nothing there; it matters beside fixed codes.

    *Shapes*: a distribution over (latent,). *Units and sign*: log densities and the rate in nats; the rate is >= 0.
    *Neutral setting*: it starts as ``standard-normal``. *Source*: Tomczak & Welling 2018 (1705.07120), section 2.

    >>> LearnedNormal(2)().log_prob(torch.zeros(2))
    tensor(-1.8379, grad_fn=...)
    """

    def __init__(self, latent: int) -> None:
        super().__init__(latent)
        self.mean = nn.Parameter(torch.zeros(latent))
        self.log_variance = nn.Parameter(torch.zeros(latent))

    def forward(self) -> DiagonalNormal:
        return DiagonalNormal(self.mean, self.log_variance)


@PRIORS.register("conditional-normal")
class ConditionalNormal(Prior):
    r"""A Normal whose mean and log variance are a network's answer to the condition.

    .. math:: p(z|c) = N(z; m(c), \mathrm{diag}\, e^{\lambda(c)})

    *Shapes*: conditions (batch, width of c) -> a distribution over (latent,) for each. *Units and sign*: log densities
    and the rate in nats; the rate is >= 0. *Neutral setting*: it starts as ``standard-normal`` for every c.
    *Source*: Sohn et al. 2015 ("Learning structured output representation"), eq. 4.

    >>> ConditionalNormal(2, hidden=(8,))().log_prob(torch.zeros(2))
    tensor(-1.8379)
    """

    conditional = True

    def __init__(self, latent: int, *, hidden: Widths = (200,)) -> None:
        super().__init__(latent)
        self.hidden = hidden
        self.network: nn.Module = nn.Identity()
        self.head: nn.Linear | None = None

    def join(self, model: Any, summary: Summary) -> None:
        if not model.condition.width:
            what = "prior conditional-normal needs a condition"
            raise InputError(what, where="prior", mend="give one: -s condition=labels")
        self.network = MLP((model.condition.width,), None, hidden=self.hidden)
        self.head = initialised(nn.Linear(self.network.features, 2 * self.latent), None)
        with torch.no_grad():
            self.head.weight.mul_(0.01)

    def forward(self) -> DiagonalNormal:
        """The prior of an unknown condition: the standard Normal."""
        zeros = torch.zeros(self.latent)
        return DiagonalNormal(zeros, zeros)

    def at(self, model: Any, c: Tensor | None = None) -> Distribution:
        if c is None or self.head is None:
            raise InputError("this prior needs the condition", where="prior", mend="give labels or the known part")
        return DiagonalNormal(*at_least_float32(self.head(self.network(c))).chunk(2, -1))
