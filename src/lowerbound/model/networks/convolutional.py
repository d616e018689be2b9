"""Convolutional networks."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field
from torch import nn

from lowerbound.model.networks.base import NETWORKS, Activation, Width, Widths
from lowerbound.model.networks.pictures import Pictures

Levels = Annotated[tuple[Width, ...], Field(min_length=1)]


@NETWORKS.register("convolutional")
class Convolutional(Pictures):
    r"""One convolution a level, each halving the picture; the decoder doubles it back to the exact size.

    .. math:: h_i = a(W_i * h_{i-1} + b_i)

    ``channels`` of each level and the widths ``hidden`` of the dense layers, in the order of the data's way through.

    *Shapes*: (batch, C, H, W) -> features (batch, hidden[-1]); (batch, latent) -> (batch, k, C, H, W); any C, H, W.
    *Units and sign*: none; any real numbers. *Neutral setting*: none is needed; no layer couples examples.
    *Source*: Radford et al. 2016 (DCGAN, 1511.06434), section 3, without batch normalisation.

    >>> Convolutional((3, 33, 21), None, hidden=()).features
    3456
    """

    def __init__(
        self,
        inputs: tuple[int, ...],
        outputs: tuple[int, ...] | None,
        *,
        channels: Levels = (32, 64),
        hidden: Widths = (256,),
        activation: Activation = "relu",
    ) -> None:
        super().__init__(inputs, outputs, channels, hidden, activation)

    def _level(self, channels: int) -> list[nn.Module]:
        return []
