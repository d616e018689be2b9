"""Normal posteriors, with independent dimensions and with full covariance."""

from __future__ import annotations

import torch
from torch import Tensor

from lowerbound.maths.normal import DiagonalNormal, FullNormal
from lowerbound.maths.units import at_least_float32
from lowerbound.model.networks.base import initialised
from lowerbound.model.networks.linear import Linear
from lowerbound.model.posteriors.base import POSTERIORS, Posterior


@POSTERIORS.register("normal")
class Normal(Posterior):
    r"""A Normal with independent dimensions; one linear layer gives mean and **log variance**.

    .. math:: q(z|x) = N(z; \mu(x), \mathrm{diag}\, e^{\ell(x)})

    *Shapes*: (batch, features) -> mean and log variance (batch, latent). *Units and sign*: log densities in nats.
    *Neutral setting*: mean 0 and log variance 0 are the standard Normal prior, at which the rate is 0;
    ``start=0``, the log variance at which every example begins.
    *Source*: Kingma & Welling 2014 (1312.6114), eq. 9.

    >>> Normal(500, 20)(torch.zeros(3, 500)).mean.shape
    torch.Size([3, 20])
    """

    def __init__(self, features: int, latent: int, *, start: float = 0.0) -> None:
        super().__init__(features, latent)
        self.head = initialised(Linear(features, 2 * latent), None)
        with torch.no_grad():
            self.head.bias[latent:] += start

    def forward(self, features: Tensor) -> DiagonalNormal:
        mean, log_variance = at_least_float32(self.head(features)).chunk(2, -1)
        return DiagonalNormal(mean, log_variance)


@POSTERIORS.register("full-normal")
class FullCovarianceNormal(Posterior):
    r"""A Normal with full covariance, through its Cholesky factor; one linear layer gives all of it.

    .. math:: q(z|x) = N(z; \mu(x), L(x) L(x)^T), \qquad L_{ii} = e^{\ell_i(x)/2}

    *Shapes*: (batch, features) -> mean (batch, latent), L (batch, latent, latent); the rate is (batch, 1).
    *Units and sign*: log densities in nats. *Neutral setting*: zero below the diagonal is ``normal``.
    *Source*: Kingma & Welling 2019 (1906.02691), section 2.5.1.

    >>> FullCovarianceNormal(500, 20)(torch.zeros(3, 500)).scale_tril.shape
    torch.Size([3, 20, 20])
    """

    factorised = False
    below: Tensor

    def __init__(self, features: int, latent: int) -> None:
        super().__init__(features, latent)
        self.head = initialised(Linear(features, 2 * latent + latent * (latent - 1) // 2), None)
        self.register_buffer("below", torch.tril_indices(latent, latent, -1), persistent=False)

    def forward(self, features: Tensor) -> FullNormal:
        n = self.latent
        mean, log_variance, lower = at_least_float32(self.head(features)).split([n, n, n * (n - 1) // 2], -1)
        scale = torch.diag_embed(torch.exp(0.5 * log_variance))
        scale[..., self.below[0], self.below[1]] = lower
        return FullNormal(mean, scale)
