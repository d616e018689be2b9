r"""Normal distributions in the parametrisation of the house: a mean and a **log variance**.

.. math:: \log N(z; \mu, e^{\ell}) = -\tfrac12\left[\log 2\pi + \ell + (z-\mu)^2 e^{-\ell}\right]

``log_variance`` is :math:`\ell = \log\sigma^2`, never :math:`\log\sigma` (law 4).
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor
from torch.distributions import Distribution, MultivariateNormal

from lowerbound.maths.phi import times
from lowerbound.maths.units import at_least_float32, sum_latent

LOG_2PI = math.log(2 * math.pi)


def log_normal(z: Tensor, mean: Tensor, log_variance: Tensor) -> Tensor:
    """log N(z; mean, exp(log_variance)) per dimension, nats; all three broadcast; half precision is raised first."""
    z, mean, log_variance = (at_least_float32(a) for a in (z, mean, log_variance))
    return -0.5 * (LOG_2PI + log_variance + times(z - mean, torch.exp(-0.5 * log_variance)).square())


def log_normals(z: Tensor, mean: Tensor, log_variance: Tensor) -> Tensor:
    r"""log N(z; mean_k, exp(log_variance_k)) of every z (..., latent) under each of K Normals: (..., K), nats.

    .. math:: -\tfrac12\textstyle\sum_j [\log 2\pi + \ell_{kj} + z_j^2 e^{-\ell_{kj}} - 2 z_j m_{kj} e^{-\ell_{kj}}
              + m_{kj}^2 e^{-\ell_{kj}}]

    One matrix product in place of K latent numbers for every z. It is done in float64: what the differences of large
    squares lose there, float32 numbers never had.

    *Shapes*: ``mean`` and ``log_variance`` (K, latent).

    >>> log_normals(torch.zeros(5, 1), torch.zeros(2, 1), torch.zeros(2, 1)).shape
    torch.Size([5, 2])
    """
    wide, m, l = z.double(), mean.double(), log_variance.double()
    s = torch.exp(-l)
    constant = sum_latent(l + s * m.square() + LOG_2PI)
    found = torch.cat([wide.square(), wide], -1) @ torch.cat([s, -2 * s * m], -1).mT
    return (-0.5 * (found + constant)).to(at_least_float32(z).dtype)


class DiagonalNormal(Distribution):
    r"""A Normal with independent dimensions, the posterior of the plain VAE.

    *Shapes*: ``mean`` and ``log_variance`` (..., latent); one event is a whole latent vector.
    *Units*: ``log_prob`` and ``entropy`` in nats per example, summed over latent dimensions.

    >>> DiagonalNormal(torch.zeros(3), torch.zeros(3)).log_prob(torch.zeros(3))
    tensor(-2.7568)
    """

    arg_constraints: dict[str, Any] = {}
    has_rsample = True

    def __init__(self, mean: Tensor, log_variance: Tensor) -> None:
        self.loc, self.log_variance = mean, log_variance
        super().__init__(mean.shape[:-1], mean.shape[-1:], validate_args=False)

    @property
    def mean(self) -> Tensor:
        return self.loc

    @property
    def mode(self) -> Tensor:
        return self.loc

    @property
    def stddev(self) -> Tensor:
        return torch.exp(0.5 * self.log_variance)

    @property
    def variance(self) -> Tensor:
        return torch.exp(self.log_variance)

    def transform(self, noise: Tensor) -> Tensor:
        """z = mu + sigma * noise, with noise ~ N(0, 1) of shape (samples, ..., latent)."""
        return torch.addcmul(self.loc, self.stddev, noise)

    def rsample(self, sample_shape: Any = ()) -> Tensor:
        shape = self._extended_shape(torch.Size(sample_shape))
        return self.transform(torch.randn(shape, dtype=self.loc.dtype, device=self.loc.device))

    def log_prob(self, value: Tensor) -> Tensor:
        return sum_latent(log_normal(value, self.loc, self.log_variance))

    def entropy(self) -> Tensor:
        return 0.5 * sum_latent(1 + LOG_2PI + at_least_float32(self.log_variance))


class FullNormal(MultivariateNormal):
    r"""A Normal with full covariance :math:`L L^T`.

    *Shapes*: ``mean`` (..., latent), ``scale_tril`` L (..., latent, latent) lower triangular with positive diagonal.
    """

    def __init__(self, mean: Tensor, scale_tril: Tensor) -> None:
        super().__init__(mean, scale_tril=scale_tril, validate_args=False)

    def transform(self, noise: Tensor) -> Tensor:
        """z = mu + L noise, with noise ~ N(0, I) of shape (samples, ..., latent)."""
        return self.loc + (self.scale_tril @ noise.unsqueeze(-1)).squeeze(-1)
