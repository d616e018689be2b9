"""Residual networks, on pictures and on rows."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from torch import Tensor, nn

from lowerbound.model.networks.base import ACTIVATIONS, NETWORKS, Activation, Network, Width, Widths, initialised
from lowerbound.model.networks.convolutional import Levels
from lowerbound.model.networks.linear import Linear
from lowerbound.model.networks.pictures import Pictures


class Block(nn.Module):
    """h + f(h) / sqrt(depth), f an activation, a layer, and both again: the variance grows by a constant."""

    def __init__(self, layer: Callable[[], Any], activation: str, depth: int) -> None:
        super().__init__()
        first = ACTIVATIONS[activation](), initialised(layer(), activation)
        self.branch = nn.Sequential(*first, ACTIVATIONS[activation](), initialised(layer(), activation))
        self.gain = 1 / math.sqrt(2 * depth)

    def forward(self, h: Tensor) -> Tensor:
        return h + self.gain * self.branch(h)


class ResidualPictures(Pictures):
    """Blocks of two convolutions at every level of a picture."""

    name = "residual"

    def __init__(
        self,
        inputs: tuple[int, ...],
        outputs: tuple[int, ...] | None,
        channels: tuple[int, ...],
        hidden: tuple[int, ...],
        blocks: int,
        activation: Activation,
    ) -> None:
        self.blocks, self.depth = blocks, blocks * len(channels)
        super().__init__(inputs, outputs, channels, hidden, activation)

    def _level(self, channels: int) -> list[nn.Module]:
        return [
            Block(lambda: nn.Conv2d(channels, channels, 3, padding=1), self.activation, self.depth)
            for _ in range(self.blocks)
        ]


class ResidualRows(Network):
    """Dense blocks between a first layer and, in a decoder, a last one; a width that changes takes a layer."""

    def __init__(
        self,
        inputs: tuple[int, ...],
        outputs: tuple[int, ...] | None,
        hidden: tuple[int, ...],
        blocks: int,
        activation: Activation,
    ) -> None:
        super().__init__(inputs, outputs)
        widths = [math.prod(inputs), *hidden]
        layers: list[nn.Module] = []
        for i, o in zip(widths, hidden, strict=False):
            layers.append(initialised(Linear(i, o), activation))
            layers += [self._block(o, activation, blocks * len(hidden)) for _ in range(blocks)]
            layers.append(ACTIVATIONS[activation]())
        self.features = widths[-1]
        if outputs is not None:
            layers.append(initialised(Linear(widths[-1], math.prod(outputs)), None))
        self.layers = nn.Sequential(*layers)

    def last_bias(self) -> Tensor | None:
        return None if self.outputs is None else self.layers[-1].bias  # type: ignore[return-value]

    def _block(self, width: int, activation: str, depth: int) -> Block:
        return Block(lambda: Linear(width, width), activation, depth)

    def forward(self, x: Tensor) -> Tensor:
        h = self.layers(x.flatten(1))
        return h if self.outputs is None else h.reshape(-1, *self.outputs)


@NETWORKS.register("residual")
class Residual(Network):
    r"""Residual blocks: two convolutions each at every level of a picture, two dense layers each on rows.

    .. math:: h \leftarrow h + f(h)/\sqrt{2n}, \qquad f = W_2\,a(W_1\,a(h))

    with n the number of blocks. On pictures, ``channels`` of the levels and ``hidden`` widths of the dense layers; on
    rows, ``hidden`` alone; ``blocks`` at each level or width.

    *Shapes*: (batch, \*inputs) -> features (batch, hidden[-1]); (batch, latent) -> (batch, \*outputs); any sizes.
    *Units and sign*: none; any real numbers. *Neutral setting*: ``blocks=0`` is ``convolutional`` or ``mlp``.
    *Source*: He et al. 2016 (1603.05027), figure 4(e), without batch normalisation, which couples examples.

    >>> Residual((1, 9, 7), None).features
    256
    """

    def __init__(
        self,
        inputs: tuple[int, ...],
        outputs: tuple[int, ...] | None,
        *,
        channels: Levels = (32, 64),
        hidden: Widths = (256,),
        blocks: Width = 1,
        activation: Activation = "silu",
    ) -> None:
        super().__init__(inputs, outputs)
        picture = inputs if outputs is None else outputs[1:]
        self.body: Network
        if len(picture) == 3:
            self.body = ResidualPictures(inputs, outputs, channels, hidden, blocks, activation)
        else:
            self.body = ResidualRows(inputs, outputs, hidden, blocks, activation)
        self.features = self.body.features

    def last_bias(self) -> Tensor | None:
        return self.body.last_bias()

    def forward(self, x: Tensor) -> Tensor:
        return self.body(x)
