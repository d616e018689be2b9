"""Mixtures of Normals: learned, or of a given shape in the plane."""

from __future__ import annotations

import math
from typing import Annotated

import torch
from pydantic import Field
from torch import Tensor, nn

from lowerbound.errors import InputError
from lowerbound.maths.mixture import Mixture
from lowerbound.maths.normal import DiagonalNormal
from lowerbound.model.priors.base import PRIORS, Prior, labelled_draw

Classes = Annotated[int, Field(ge=1)]


@PRIORS.register("mixture")
class LearnedMixture(Prior):
    r"""A mixture of Normals with learned weights, means and log variances.

    .. math:: p(z) = \sum_{k=1}^K \pi_k\, N(z; m_k, \mathrm{diag}\, e^{\lambda_k})

    *Shapes*: a distribution over (latent,); the rate is (batch, 1), sampled. *Units and sign*: log densities in nats.
    *Neutral setting*: ``components=1`` is ``learned-normal``. *Source*: Dilokthanakul et al. 2016 (1611.02648), eq. 1;
    Tomczak & Welling 2018 (1705.07120), section 2, "MoG".

    >>> LearnedMixture(2, components=3)().log_prob(torch.zeros(5, 2)).shape
    torch.Size([5])
    """

    factorised = False

    def __init__(
        self, latent: int, *, components: Annotated[int, Field(ge=1)] = 10, spread: Annotated[float, Field(ge=0)] = 1.0
    ) -> None:
        super().__init__(latent)
        self.components = components
        self.means = nn.Parameter(spread * torch.randn(components, latent))
        self.log_variances = nn.Parameter(torch.zeros(components, latent))
        self.logits = nn.Parameter(torch.zeros(components))

    def forward(self) -> Mixture:
        return Mixture(DiagonalNormal(self.means, self.log_variances), self.logits)

    def sample_of(self, labels: Tensor) -> Tensor:
        return labelled_draw(self(), labels, self.components, self.components)


class Plane(Prior):
    """A fixed mixture of Normals in two dimensions, whose components belong in turn to the labels 0, 1, ..."""

    factorised = False
    means: Tensor
    log_variances: Tensor
    classes: int

    def __init__(self, latent: int) -> None:
        super().__init__(latent)
        if latent != 2:
            what = f"prior {self.name} lies in a plane, the code has {latent} dimensions"
            raise InputError(what, where="prior", mend="give --latent 2, or another prior")

    def _shape(self, means: Tensor, log_variances: Tensor) -> None:
        self.register_buffer("means", means, persistent=False)
        self.register_buffer("log_variances", log_variances, persistent=False)

    def forward(self) -> Mixture:
        weights = torch.zeros(len(self.means), dtype=self.means.dtype, device=self.means.device)
        return Mixture(DiagonalNormal(self.means, self.log_variances), weights)

    def sample_of(self, labels: Tensor) -> Tensor:
        if len(labels) and int(labels.max()) >= self.classes:
            what = f"label {int(labels.max())} is out of range: prior {self.name} has {self.classes} regions"
            raise InputError(what, where="prior", mend="raise its number: -s prior.classes=...")
        return labelled_draw(self(), labels, len(self.means), self.classes)


@PRIORS.register("ten-gaussians")
class TenGaussians(Plane):
    r"""Ten flat Gaussians round a circle, like petals: one for each label.

    .. math:: p(z) = \tfrac1K \sum_k N(z; r\,u_k, R_k\,\mathrm{diag}(\sigma_1^2, \sigma_2^2)\,R_k^T)

    Each petal is a row of seven round Gaussians along its axis, so that every density is exact.

    *Shapes*: a distribution over (2,); the rate is (batch, 1), sampled. *Units and sign*: log densities in nats.
    *Neutral setting*: none. *Source*: Makhzani et al. 2015 (1511.05644), section 2.3, figure 4a.

    >>> TenGaussians(2)().log_prob(torch.zeros(5, 2)).shape
    torch.Size([5])
    """

    def __init__(self, latent: int, *, classes: Classes = 10, radius: Annotated[float, Field(gt=0)] = 4.0) -> None:
        super().__init__(latent)
        self.classes = classes
        angle = 2 * math.pi * torch.arange(classes) / classes
        along = radius * (1 + torch.linspace(-0.45, 0.45, 7))
        means = torch.stack([torch.outer(angle.cos(), along), torch.outer(angle.sin(), along)], -1).flatten(0, 1)
        width = min(radius * math.pi / classes / 4, 0.15 * radius)
        self._shape(means, torch.full_like(means, 2 * math.log(width)))


@PRIORS.register("swiss-roll")
class SwissRoll(Plane):
    r"""A spiral in the plane, one stretch of it for each label.

    .. math:: p(z) = \tfrac1K \sum_k N(z;\, a\,t_k(\cos t_k, \sin t_k),\, \sigma^2 I)

    Two hundred narrow Gaussians at equal distances along the spiral, so that the density is exact.

    *Shapes*: a distribution over (2,); the rate is (batch, 1), sampled. *Units and sign*: log densities in nats.
    *Neutral setting*: none. *Source*: Makhzani et al. 2015 (1511.05644), section 2.3, figure 4b.

    >>> SwissRoll(2)().log_prob(torch.zeros(5, 2)).shape
    torch.Size([5])
    """

    def __init__(
        self,
        latent: int,
        *,
        classes: Classes = 10,
        turns: Annotated[float, Field(gt=0)] = 2.0,
        radius: Annotated[float, Field(gt=0)] = 5.0,
    ) -> None:
        super().__init__(latent)
        self.classes = classes
        n = max(200 // classes, 1) * classes
        end = 2 * math.pi * turns
        t = end * torch.sqrt((torch.arange(n) + 0.5) / n * 0.97 + 0.03)
        means = radius / end * torch.stack([t * t.cos(), t * t.sin()], -1)
        self._shape(means, torch.full_like(means, 2 * math.log(0.08 * radius / turns)))
