"""What networks on pictures share: any height, width and number of channels, halved level by level and grown back."""

from __future__ import annotations

import math
from abc import abstractmethod

import torch
from torch import Tensor, nn

from lowerbound.errors import InputError
from lowerbound.model.networks.base import ACTIVATIONS, Activation, Network, initialised
from lowerbound.model.networks.mlp import MLP

Size = tuple[int, int]


class Grow(nn.Module):
    """A transposed convolution that doubles the picture and cuts it to exactly ``size``."""

    def __init__(self, channels: int, outputs: int, size: Size, activation: str | None) -> None:
        super().__init__()
        self.size = size
        self.layer = initialised(
            nn.ConvTranspose2d(channels, outputs, 4, 2, 1, bias=activation is not None), activation
        )

    def forward(self, h: Tensor) -> Tensor:
        return self.layer(h)[..., : self.size[0], : self.size[1]]


class Pictures(Network):
    """A tower over the sizes of a picture and its halves (rounded up), and a dense part at its small end.

    As an encoder, pictures (batch, C, H, W) come in; as a decoder, (batch, k, C, H, W) come out. A member says what
    stands at a level: :meth:`_level`.
    """

    spatial = True

    def __init__(
        self,
        inputs: tuple[int, ...],
        outputs: tuple[int, ...] | None,
        channels: tuple[int, ...],
        hidden: tuple[int, ...],
        activation: Activation,
    ) -> None:
        super().__init__(inputs, outputs)
        self.activation = activation
        picture = inputs if outputs is None else outputs[1:]
        if len(picture) != 3:
            what = f"needs pictures (channels, height, width), an example has shape {tuple(picture)}"
            raise InputError(what, where=f"network {self.name}", mend="use mlp")  # type: ignore[attr-defined]
        sizes: list[Size] = [(picture[1], picture[2])]
        for _ in channels:
            sizes.append((-(-sizes[-1][0] // 2), -(-sizes[-1][1] // 2)))
        if outputs is None:
            self._down(inputs[0], channels, sizes[-1], hidden)
        else:
            self._up(inputs, outputs, channels, sizes[::-1], hidden)

    def _down(self, first: int, channels: tuple[int, ...], smallest: Size, hidden: tuple[int, ...]) -> None:
        layers: list[nn.Module] = []
        for i, o in zip((first, *channels), channels, strict=False):
            layers += [*self._shrink(i, o), *self._level(o)]
        self.tower = nn.Sequential(*layers)
        self.dense = MLP((channels[-1], *smallest), None, hidden=hidden, activation=self.activation)
        self.features = self.dense.features

    def _up(
        self,
        inputs: tuple[int, ...],
        outputs: tuple[int, ...],
        channels: tuple[int, ...],
        sizes: list[Size],
        hidden: tuple[int, ...],
    ) -> None:
        small = (channels[0], *sizes[0])
        self.dense = MLP(inputs, None, hidden=(*hidden, math.prod(small)), activation=self.activation)
        layers: list[nn.Module] = [nn.Unflatten(1, small)]
        for i, o, size in zip(channels, channels[1:], sizes[1:-1], strict=False):
            layers += [*self._level(i), Grow(i, o, size, self.activation), ACTIVATIONS[self.activation]()]
        layers += [*self._level(channels[-1]), Grow(channels[-1], outputs[0] * outputs[1], sizes[-1], None)]
        self.tower = nn.Sequential(*layers)
        self.bias = nn.Parameter(torch.zeros(outputs))

    def last_bias(self) -> Tensor | None:
        return None if self.outputs is None else self.bias

    def _shrink(self, channels: int, outputs: int) -> list[nn.Module]:
        layer = initialised(nn.Conv2d(channels, outputs, 3, 2, 1), self.activation)
        return [layer, ACTIVATIONS[self.activation]()]

    @abstractmethod
    def _level(self, channels: int) -> list[nn.Module]:
        """What is done at each level, without changing the shape."""

    def forward(self, x: Tensor) -> Tensor:
        if self.outputs is None:
            return self.dense(self.tower(x))
        return self.tower(self.dense(x)).unflatten(1, self.outputs[:2]) + self.bias
