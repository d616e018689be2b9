"""A mixture of posteriors, at learned examples."""

from __future__ import annotations

from typing import Annotated, Any

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.distributions import Distribution

from lowerbound.data.dataset import Summary
from lowerbound.errors import InputError
from lowerbound.maths.mixture import Mixture
from lowerbound.model.priors.base import PRIORS, Prior


@PRIORS.register("vampprior")
class VampPrior(Prior):
    r"""The model's own posterior at K learned pseudo-examples, mixed: an aggregate posterior that can be written down.

    .. math:: p(z) = \tfrac1K \sum_{k=1}^K q(z|u_k)

    The u_k live where the encoder reads (:class:`~lowerbound.model.features.Features`), start near the average
    example, and are learned with the rest.

    *Shapes*: a distribution over (latent,); the rate is (batch, 1), sampled. *Units and sign*: log densities in nats.
    *Neutral setting*: none. *Source*: Tomczak & Welling 2018 (1705.07120), eq. 8.

    >>> VampPrior(2, components=500).components
    500
    """

    factorised = False

    def __init__(
        self, latent: int, *, components: Annotated[int, Field(ge=1)] = 500, noise: Annotated[float, Field(ge=0)] = 0.1
    ) -> None:
        super().__init__(latent)
        self.components, self.noise = components, noise
        self.u = nn.Parameter(torch.zeros(0))

    def join(self, model: Any, summary: Summary) -> None:
        if not model.posterior.density or model.posterior.support != "real":
            what = f"prior vampprior mixes densities, posterior {model.posterior.name} has none over real codes"
            raise InputError(what, where="prior", mend="use posterior normal, full-normal or flow")
        if model.condition.width:
            what = "prior vampprior has no condition at its pseudo-examples"
            raise InputError(what, where="prior", mend="use prior conditional-normal, or no condition")
        start = model.features(summary.mean.nan_to_num().unsqueeze(0))
        self.u = nn.Parameter(start + self.noise * torch.randn(self.components, *start.shape[1:]))

    def forward(self) -> Distribution:
        raise InputError("it is a part of its model", where="prior vampprior", mend="ask the model: prior_at()")

    def at(self, model: Any, c: Tensor | None = None) -> Mixture:
        q = model.posterior(model.encoder(self.u))
        return Mixture(q, torch.zeros(self.components, dtype=self.u.dtype, device=self.u.device))
