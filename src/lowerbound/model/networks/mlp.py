"""Fully connected layers."""

from __future__ import annotations

import itertools
import math
from typing import Annotated, Literal

from pydantic import Field
from torch import Tensor, nn

from lowerbound.model.networks.base import NETWORKS, Activation, Network, Widths, activation_of, initialised
from lowerbound.model.networks.dropout import Dropout
from lowerbound.model.networks.linear import Linear


@NETWORKS.register("mlp")
class MLP(Network):
    r"""Fully connected layers of the widths ``hidden``, an activation after each, and in training dropout after that.

    .. math:: h_i = m_i \odot a(W_i h_{i-1} + b_i), \qquad m_i \sim \mathrm{Bernoulli}(1 - s) / (1 - s)

    With ``activation="glu"`` a layer is gated, :math:`(W h + b) \odot \sigma(V h + c)`, and has twice the weights.

    *Shapes*: (batch, \*inputs) -> (batch, \*outputs), or flat features (batch, hidden[-1]) where ``outputs`` is None.
    *Units and sign*: none; any real numbers. *Neutral setting*: ``hidden=()`` is a linear map,
    ``dropout=0`` no dropout.
    *Source*: Kingma & Welling 2014 (1312.6114), appendix C, with ``hidden=(500,)`` and ``activation="tanh"``;
    gates: Dauphin et al. 2017 (1612.08083), eq. 1, as Tomczak & Welling 2018 (1705.07120) have them.

    >>> MLP((1, 8, 8), None, hidden=(500, 200)).features
    200
    """

    def __init__(
        self,
        inputs: tuple[int, ...],
        outputs: tuple[int, ...] | None,
        *,
        hidden: Widths = (500,),
        activation: Literal[Activation, "glu"] = "relu",
        dropout: Annotated[float, Field(ge=0, lt=1)] = 0.0,
    ) -> None:
        super().__init__(inputs, outputs)
        widths = [math.prod(inputs), *hidden]
        halves, layers = 2 if activation == "glu" else 1, list[nn.Module]()
        for i, o in itertools.pairwise(widths):
            layers += [initialised(Linear(i, halves * o), activation), activation_of(activation)]
            layers += [Dropout(dropout)] if dropout else []
        self.features = widths[-1]
        if outputs is not None:
            layers.append(initialised(Linear(widths[-1], math.prod(outputs)), None))
        self.layers = nn.Sequential(*layers)

    def last_bias(self) -> Tensor | None:
        return None if self.outputs is None else self.layers[-1].bias  # type: ignore[return-value]

    def forward(self, x: Tensor) -> Tensor:
        h = self.layers(x.flatten(1))
        return h if self.outputs is None else h.reshape(-1, *self.outputs)
