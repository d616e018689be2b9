"""A prior with heavy tails."""

from __future__ import annotations

from typing import Annotated

import torch
from pydantic import Field
from torch.distributions import Distribution, Independent, StudentT

from lowerbound.model.priors.base import PRIORS, Prior


@PRIORS.register("student-t")
class StudentTPrior(Prior):
    r"""Independent Student t of ``freedom`` degrees: a code far out costs the log of its distance, not its square.

    .. math:: p(z) = \prod_j t_\nu(z_j), \qquad -\log t_\nu(z) \sim (\nu + 1) \log|z|

    *Shapes*: a distribution over (latent,); the rate is (batch, 1), sampled. *Units and sign*: log densities in nats.
    *Neutral setting*: ``freedom`` toward infinity is ``standard-normal``.
    *Source*: Student 1908 (Biometrika 6); Chen et al. 2020 (2004.02581) for a t as the prior of a VAE.

    >>> StudentTPrior(2, freedom=5.0)().log_prob(torch.zeros(2))
    tensor(-1.9372)
    """

    factorised = False
    freedom: torch.Tensor

    def __init__(self, latent: int, *, freedom: Annotated[float, Field(gt=2)] = 5.0) -> None:
        super().__init__(latent)
        self.register_buffer("freedom", torch.full((latent,), freedom), persistent=False)

    def forward(self) -> Distribution:
        return Independent(StudentT(self.freedom, validate_args=False), 1)
