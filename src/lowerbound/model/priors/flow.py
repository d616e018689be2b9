"""A prior that is an invertible network."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field
from torch.distributions import Distribution

from lowerbound.model.networks.base import Widths
from lowerbound.model.priors.base import PRIORS, Prior


@PRIORS.register("flow")
class FlowPrior(Prior):
    r"""The standard Normal carried on by coupling layers.

    .. math:: \log p(z) = \log N(f(z); 0, I) + \log\left|\det \frac{\partial f}{\partial z}\right|

    *Shapes*: a distribution over (latent,); the rate is (batch, 1), sampled. *Units and sign*: log densities in nats.
    *Neutral setting*: none; the map starts near the identity, not at it. *Source*: Dinh et al. 2017 (1605.08803),
    eq. 2 to 8; Chen et al. 2017 (1611.02731), section 3.2 for a flow as the prior of a VAE.

    >>> FlowPrior(3)().sample((5,)).shape
    torch.Size([5, 3])
    """

    factorised = False

    def __init__(self, latent: int, *, transforms: Annotated[int, Field(ge=1)] = 4, hidden: Widths = (64, 64)) -> None:
        from zuko.flows import MAF

        super().__init__(latent)
        passes = min(2, latent)
        self.carry = MAF(latent, 0, transforms=transforms, passes=passes, hidden_features=tuple(hidden))

    def forward(self) -> Distribution:
        return self.carry()
