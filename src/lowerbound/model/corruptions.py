"""Corruptions: what is done to the encoder's input in training, while the clean example is reconstructed."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Annotated, ClassVar

import torch
from pydantic import Field
from torch import Tensor, nn

from lowerbound.maths.draws import chosen_like, normal_like
from lowerbound.registry import Registry


class Corruption(nn.Module, ABC):
    """x~ of x. The bound stays one on log p(x): q(z|x~) is a posterior like any other, and the target is x itself.

    In evaluation the encoder sees x as it is, unless a reader corrupts it.
    """

    name: ClassVar[str]

    def __init__(self) -> None:
        super().__init__()

    @abstractmethod
    def corrupt(self, features: Tensor) -> Tensor:
        """What the encoder is given instead of ``features`` (batch, ...)."""

    def forward(self, features: Tensor) -> Tensor:
        return self.corrupt(features) if self.training else features


CORRUPTIONS: Registry[Corruption] = Registry("corruption")


@CORRUPTIONS.register("none")
class Clean(Corruption):
    r"""The encoder sees x as it is.

    .. math:: \tilde x = x

    *Shapes*: any. *Units and sign*: none. *Neutral setting*: always.
    *Source*: Kingma & Welling 2014 (1312.6114), eq. 3.

    >>> Clean()(torch.ones(2))
    tensor([1., 1.])
    """

    def corrupt(self, features: Tensor) -> Tensor:
        return features


@CORRUPTIONS.register("gaussian")
class Gaussian(Corruption):
    r"""Gaussian noise on what the encoder sees, cut to [0, 1] where ``clip``.

    .. math:: \tilde x = \mathrm{clip}(x + s\,\epsilon), \qquad \epsilon \sim N(0, I)

    *Shapes*: any. *Units and sign*: ``scale`` in units of the encoder's input. *Neutral setting*: ``scale=0``,
    ``clip=False``. *Source*: Vincent et al. 2010 (JMLR 11), section 3.4; Im et al. 2017 (1511.06406), eq. 5.

    >>> Gaussian(scale=0.0)(torch.ones(2))
    tensor([1., 1.])
    """

    def __init__(self, *, scale: Annotated[float, Field(ge=0)] = 0.5, clip: bool = False) -> None:
        super().__init__()
        self.scale, self.clip = scale, clip

    def corrupt(self, features: Tensor) -> Tensor:
        noisy = torch.add(features, normal_like(features), alpha=self.scale) if self.scale else features
        return noisy.clamp(0, 1) if self.clip else noisy


@CORRUPTIONS.register("masking")
class Masking(Corruption):
    r"""A share of what the encoder sees is set to 0.

    .. math:: \tilde x_i = m_i x_i, \qquad m_i \sim \mathrm{Bernoulli}(1 - s)

    The share is held to within 1/65536 (:func:`~lowerbound.maths.draws.chosen_like`).

    *Shapes*: any. *Units and sign*: ``share`` of the values, no unit. *Neutral setting*: ``share=0``.
    *Source*: Vincent et al. 2010 (JMLR 11), section 3.4; Im et al. 2017 (1511.06406), eq. 5.

    >>> Masking(share=0.0)(torch.ones(2))
    tensor([1., 1.])
    """

    def __init__(self, *, share: Annotated[float, Field(ge=0, lt=1)] = 0.25) -> None:
        super().__init__()
        self.share = share

    def corrupt(self, features: Tensor) -> Tensor:
        return features.masked_fill(chosen_like(features, self.share), 0) if self.share else features
