r"""A Normal carried on by an invertible network that knows x.

.. math:: z_0 \sim N(\mu(x), \sigma^2(x)), \quad z = f(z_0; h(x)), \qquad
          \log q(z|x) = \log N(z_0; \mu, \sigma^2) - \log\left|\det \frac{\partial f}{\partial z_0}\right|
"""

from __future__ import annotations

from typing import Annotated, Any

import torch
from pydantic import Field
from torch import Tensor
from torch.distributions import Distribution

from lowerbound.maths.normal import DiagonalNormal
from lowerbound.maths.units import at_least_float32
from lowerbound.model.networks.base import Widths, initialised
from lowerbound.model.networks.linear import Linear
from lowerbound.model.posteriors.base import POSTERIORS, Posterior


class Carried(Distribution):
    """A Normal ``base`` carried through the invertible map ``f``; ``mean`` is where the base's mean goes."""

    arg_constraints = {}
    has_rsample = True

    def __init__(self, base: DiagonalNormal, f: Any) -> None:
        self.base, self.f = base, f
        self._last: tuple[Tensor, Tensor] | None = None
        super().__init__(base.batch_shape, base.event_shape, validate_args=False)

    @property
    def mean(self) -> Tensor:
        return self.f(self.base.mean)

    def transform(self, noise: Tensor) -> Tensor:
        """z of N(0, 1) noise (samples, ..., latent); its density is kept, so that the map need not be inverted."""
        z0 = self.base.transform(noise)
        z, log_det = self.f.call_and_ladj(z0)
        self._last = z, self.base.log_prob(z0) - log_det
        return z

    def rsample(self, sample_shape: Any = ()) -> Tensor:
        shape = self._extended_shape(torch.Size(sample_shape))
        return self.transform(torch.randn(shape, dtype=self.base.mean.dtype, device=self.base.mean.device))

    def log_prob(self, value: Tensor) -> Tensor:
        if self._last is not None and value is self._last[0]:
            return self._last[1]
        z0, log_det = self.f.inv.call_and_ladj(value)
        return self.base.log_prob(z0) + log_det


@POSTERIORS.register("flow")
class Flow(Posterior):
    r"""A Normal carried on by coupling layers that see the encoder's features.

    .. math:: z = f_T \circ \dots \circ f_1(z_0; h(x)), \qquad z_0 \sim N(\mu(x), \mathrm{diag}\, e^{\ell(x)})

    Each layer moves half of the dimensions by a shift and a scale that depend on the other half and on ``context``
    numbers of h(x); both directions are exact and as quick.

    *Shapes*: (batch, features) -> a density over (latent,); the rate is (batch, 1), sampled.
    *Units and sign*: log densities in nats. *Neutral setting*: ``transforms=0`` is ``normal``.
    *Source*: Rezende & Mohamed 2015 (1505.05770), eq. 13; Dinh et al. 2017 (1605.08803), eq. 4 for the layers.

    >>> Flow(500, 20)(torch.zeros(3, 500)).transform(torch.zeros(1, 3, 20)).shape
    torch.Size([1, 3, 20])
    """

    factorised = False

    def __init__(
        self,
        features: int,
        latent: int,
        *,
        transforms: Annotated[int, Field(ge=0)] = 2,
        hidden: Widths = (64, 64),
        context: Annotated[int, Field(ge=1)] = 32,
    ) -> None:
        super().__init__(features, latent)
        self.factorised = transforms == 0
        self.context = context if transforms else 0
        self.head = initialised(Linear(features, 2 * latent + self.context), None)
        self.carry = coupling(latent, self.context, transforms, hidden) if transforms else None

    def forward(self, features: Tensor) -> DiagonalNormal | Carried:
        n = self.latent
        mean, log_variance, h = at_least_float32(self.head(features)).split([n, n, self.context], -1)
        base = DiagonalNormal(mean, log_variance)
        return base if self.carry is None else Carried(base, self.carry(h))


def coupling(latent: int, context: int, transforms: int, hidden: Widths) -> Any:
    """A lazy invertible map of zuko: called with a context it gives the map, base -> code."""
    from zuko.flows import MAF

    passes = min(2, latent)
    return MAF(latent, context, transforms=transforms, passes=passes, hidden_features=tuple(hidden)).transform
