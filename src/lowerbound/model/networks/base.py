"""What every network shares: its two directions, its activations, and where its output starts."""

from __future__ import annotations

import math
from abc import ABC
from typing import Annotated, Any, Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from lowerbound.registry import Registry

Activation = Literal["relu", "tanh", "silu", "elu", "gelu"]
Width = Annotated[int, Field(ge=1)]
Widths = tuple[Width, ...]
ACTIVATIONS: dict[str, type[nn.Module]] = {
    "relu": nn.ReLU,
    "tanh": nn.Tanh,
    "silu": nn.SiLU,
    "elu": nn.ELU,
    "gelu": nn.GELU,
    "glu": nn.GLU,
}


class Network(nn.Module, ABC):
    """A function (batch, *inputs) -> (batch, *outputs); with ``outputs`` None, to flat features (batch, features).

    Options that are lists of widths are in the order in which the data flow through the network.
    """

    spatial = False
    """Whether it reads pictures as planes, so that further numbers must come as further planes."""

    def __init__(self, inputs: tuple[int, ...], outputs: tuple[int, ...] | None) -> None:
        super().__init__()
        self.inputs, self.outputs = tuple(inputs), None if outputs is None else tuple(outputs)
        self.features = 0

    autoregressive = False
    """Whether, as a decoder, it reads what it emits: ``network(z, x)`` with the features of x."""

    def reads(self, shape: tuple[int, ...]) -> None:
        """Told, where it is autoregressive, the shape of the features that it will read."""

    def last_bias(self) -> Tensor | None:
        """The parameter that is added to the output, (*outputs) in any shape; None where there is none."""
        return None

    def start(self, bias: Tensor) -> None:
        """Let the output begin at ``bias`` (*outputs), the marginal of the data, in every place of the latent space."""
        last = self.last_bias()
        if last is not None:
            with torch.no_grad():
                last.copy_(bias.reshape(last.shape))


NETWORKS: Registry[Network] = Registry("network")


def mirrored(options: dict[str, Any]) -> dict[str, Any]:
    """The options of the decoder that mirrors an encoder: every list of widths reversed.

    >>> mirrored({"hidden": (500, 200), "activation": "tanh"})
    {'hidden': (200, 500), 'activation': 'tanh'}
    """
    return {k: tuple(v)[::-1] if isinstance(v, list | tuple) else v for k, v in options.items()}


def activation_of(name: str) -> nn.Module:
    """The activation by name; in place where its gradient needs only its result, which saves a pass over memory."""
    return nn.ReLU(inplace=True) if name == "relu" else ACTIVATIONS[name]()


def initialised(layer: Any, activation: str | None) -> Any:
    """He or Glorot weights for a layer before ``activation``, fan-in weights before none; biases 0."""
    if activation == "tanh":
        nn.init.xavier_uniform_(layer.weight)
    elif activation is not None:
        nn.init.kaiming_uniform_(layer.weight, nonlinearity="relu")
    else:
        nn.init.kaiming_uniform_(layer.weight, a=math.sqrt(5))
    if layer.bias is not None:
        nn.init.zeros_(layer.bias)
    return layer
