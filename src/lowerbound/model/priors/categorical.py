"""Priors of codes that hold a class."""

from __future__ import annotations

from typing import Annotated, Any

import torch
from pydantic import Field
from torch import Tensor
from torch.distributions import Distribution
from torch.nn import functional as F

from lowerbound.maths.normal import DiagonalNormal
from lowerbound.maths.onehot import OneHot
from lowerbound.model.posteriors.base import Support
from lowerbound.model.priors.base import PRIORS, Prior

Classes = Annotated[int, Field(ge=2)]


@PRIORS.register("categorical")
class Uniform(Prior):
    r"""Independent categoricals, every class equally likely.

    .. math:: p(z) = \prod_j 1/K

    *Shapes*: a distribution over one-hot codes (latent x classes,); the rate is (batch, latent), exact.
    *Units and sign*: nats; the rate lies between 0 and log K a dimension.
    *Neutral setting*: none, it belongs to posterior ``categorical``.
    *Source*: Jang et al. 2017 (1611.01144), section 3.

    >>> Uniform(2)().log_prob(torch.eye(10)[:2].flatten())
    tensor(-4.6052)
    """

    support: Support = "one-hot"
    logits: Tensor

    def __init__(self, latent: int, *, classes: Classes = 10) -> None:
        super().__init__(latent)
        self.width = latent * classes
        self.register_buffer("logits", torch.zeros(latent, classes), persistent=False)

    def forward(self) -> OneHot:
        return OneHot(self.logits)


class _Both(Distribution):
    """A one-hot block and a Normal block, independent."""

    arg_constraints = {}

    def __init__(self, y: OneHot, style: DiagonalNormal) -> None:
        self.y, self.style = y, style
        width = y.event_shape[0] + style.event_shape[0]
        super().__init__(torch.Size(), torch.Size([width]), validate_args=False)

    @property
    def mean(self) -> Tensor:
        return torch.cat([self.y.mean, self.style.mean], -1)

    def sample(self, sample_shape: Any = ()) -> Tensor:
        with torch.no_grad():
            return torch.cat([self.y.sample(sample_shape), self.style.rsample(sample_shape)], -1)

    def log_prob(self, value: Tensor) -> Tensor:
        y, style = value.split([self.y.event_shape[0], self.style.event_shape[0]], -1)
        return self.y.log_prob(y) + self.style.log_prob(style)


@PRIORS.register("class-and-style")
class ClassAndStylePrior(Prior):
    r"""A class, all equally likely, beside a standard Normal style.

    .. math:: p(y, s) = \tfrac1K\, N(s; 0, I)

    *Shapes*: codes (classes + latent,). *Units and sign*: log probabilities and densities in nats.
    *Neutral setting*: none, it belongs to posterior ``class-and-style``.
    *Source*: Makhzani et al. 2015 (1511.05644), section 5.

    >>> ClassAndStylePrior(2)().sample((5,)).shape
    torch.Size([5, 12])
    """

    support: Support = "one-hot and real"
    logits: Tensor
    zeros: Tensor

    def __init__(self, latent: int, *, classes: Classes = 10) -> None:
        super().__init__(latent)
        self.classes, self.width = classes, classes + latent
        self.register_buffer("logits", torch.zeros(1, classes), persistent=False)
        self.register_buffer("zeros", torch.zeros(latent), persistent=False)

    @property
    def parts(self) -> list[slice]:
        return [slice(0, self.classes), slice(self.classes, self.width)]

    def forward(self) -> Any:
        return _Both(OneHot(self.logits), DiagonalNormal(self.zeros, self.zeros))

    def sample_of(self, labels: Tensor) -> Tensor:
        z = self().sample(labels.shape)
        known = labels >= 0
        z[known, : self.classes] = F.one_hot(labels[known], self.classes).to(z.dtype)
        return z
