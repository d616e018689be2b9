"""Priors p(z) over the latent."""

from __future__ import annotations

from abc import ABC, abstractmethod

import torch
from torch import Tensor, nn
from torch.distributions import Distribution

from lowerbound.maths.divergence import Rate, kl, kl_normal
from lowerbound.maths.normal import DiagonalNormal
from lowerbound.registry import Registry


class Prior(nn.Module, ABC):
    """p(z) over ``latent`` dimensions; ``factorised`` says whether it is independent over them."""

    factorised = True

    def __init__(self, latent: int) -> None:
        super().__init__()
        self.latent = latent

    @abstractmethod
    def forward(self) -> Distribution:
        """p(z), a distribution whose event is a latent vector (latent,)."""

    def rate(self, q: Distribution, z: Tensor) -> Rate:
        """KL(q || p) in nats per latent dimension; ``z`` (samples, batch, latent) serves where no form is known."""
        return kl(q, self(), z=z)


PRIORS: Registry[Prior] = Registry("prior")


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

    def rate(self, q: Distribution, z: Tensor) -> Rate:
        if type(q) is DiagonalNormal:
            return Rate(kl_normal(q.mean, q.log_variance), "closed")
        return super().rate(q, z)
