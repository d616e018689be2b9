"""Recurrent networks: sequences read step by step to their own ends, and emitted step by step."""

from __future__ import annotations

import math
from typing import Annotated, Any, Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from lowerbound.errors import InputError
from lowerbound.model.networks.base import NETWORKS, Network, Width, initialised

CELLS: dict[str, Any] = {"lstm": nn.LSTM, "gru": nn.GRU}
STATES = {"lstm": 2, "gru": 1}
"""Cell -> vectors of its state: the LSTM has its cell beside its output."""


def steps_of(shape: tuple[int, ...]) -> tuple[int, int]:
    """Steps of an example and numbers a step: a row's numbers, a sequence's steps, a picture's rows.

    >>> steps_of((6,)), steps_of((19, 45)), steps_of((3, 7, 5))
    ((6, 1), (19, 45), (7, 15))
    """
    if len(shape) == 3:
        return shape[1], shape[0] * shape[2]
    return (shape[0], 1) if len(shape) == 1 else (shape[0], shape[1])


def laid(x: Tensor) -> Tensor:
    """Examples (batch, *shape) as steps: (batch, steps, numbers a step)."""
    if x.dim() == 4:
        return x.movedim(2, 1).flatten(2)
    return x.unsqueeze(-1) if x.dim() == 2 else x


@NETWORKS.register("recurrent")
class Recurrent(Network):
    r"""An LSTM or GRU: its state at the end of each sequence, or from z the numbers of each step in turn.

    .. math:: h_t = f(h_{t-1}, [z, E\,m_t x_{t-1}]), \qquad \text{out}_t = W h_t + b, \qquad
              m_t \sim \mathrm{Bernoulli}(1 - \texttt{word\_dropout})

    As an encoder it reads steps (T, features + 1), whose last number says whether the step is there, and nothing after
    the end counts; of a picture it reads the rows. As a decoder it gets z at every step and in its first state. With
    ``teacher`` it also gets the step before, so that p(x|z) is a product of p(x_t | x_<t, z); in training that step is
    hidden with probability ``word_dropout``, in evaluation never. An encoder has no use for these two.

    *Shapes*: (batch, \*inputs) -> features (batch, hidden); (batch, latent) -> (batch, \*outputs); any sizes.
    *Units and sign*: none. *Neutral setting*: ``teacher=false``, or ``word_dropout=1``, hides every step: z alone is
    repeated. *Source*: Hochreiter & Schmidhuber 1997 (LSTM); Cho et al. 2014 (1406.1078, GRU); Bowman et al. 2016
    (1511.06349), sections 3 and 3.1.

    >>> Recurrent((19, 45), None, hidden=64).features, Recurrent((2,), (44, 19))(torch.zeros(5, 2)).shape
    (64, torch.Size([5, 44, 19]))
    """

    spatial = True

    def __init__(
        self,
        inputs: tuple[int, ...],
        outputs: tuple[int, ...] | None,
        *,
        cell: Literal["lstm", "gru"] = "lstm",
        hidden: Width = 128,
        layers: Width = 1,
        embedding: Width = 32,
        teacher: bool = False,
        word_dropout: Annotated[float, Field(ge=0, le=1)] = 0.0,
    ) -> None:
        super().__init__(inputs, outputs)
        self.states, self.layers, self.hidden, self.word_dropout = STATES[cell], layers, hidden, word_dropout
        self.autoregressive = teacher and word_dropout < 1 and outputs is not None
        wide = self.states * layers * hidden
        if outputs is None:
            self.steps, each = steps_of(self.inputs)
            self.embed = initialised(nn.Linear(each, embedding, bias=False), None)
            self.first = nn.Parameter(0.1 * torch.randn(wide))
            self.features, width = hidden, embedding
        else:
            if len(outputs) < 2:
                what = "emits steps, and a row of a table has none"
                raise InputError(what, where="decoder recurrent", mend="use mlp")
            self.steps, each = steps_of(outputs[1:])
            width = math.prod(self.inputs) + (embedding if self.autoregressive else 0)
            self.begin_at = initialised(nn.Linear(math.prod(self.inputs), wide), "tanh")
            self.last = initialised(nn.Linear(hidden, outputs[0] * each), None)
        self.embedding = embedding
        self.cells = CELLS[cell](width, hidden, layers, batch_first=True)

    def reads(self, shape: tuple[int, ...]) -> None:
        """Make room for what an autoregressive decoder reads: the features of x, of this shape."""
        flag = 1 if self.word_dropout else 0
        self.embed = initialised(nn.Linear(steps_of(shape)[1] + flag, self.embedding, bias=False), None)

    def last_bias(self) -> Tensor | None:
        return None if self.outputs is None else self.last.bias

    def start(self, bias: Tensor) -> None:
        """The output begins at ``bias`` (*outputs), averaged over its steps: every step has the same bias."""
        steps = self._flat(bias.unsqueeze(0))
        super().start(steps.mean(1))  # not nats: a bias averaged over steps

    def forward(self, x: Tensor, given: Tensor | None = None) -> Tensor:
        if self.outputs is None:
            return self._read(x)
        repeated = x.flatten(1).unsqueeze(1).expand(-1, self.steps, -1)
        if self.autoregressive:
            if given is None:
                what = "an autoregressive decoder reads what it emits"
                raise InputError(what, where="decoder", mend="give x, or decode step by step")
            repeated = torch.cat([repeated, self.embed(self._before(laid(given)))], -1)
        h, _ = self.cells(repeated, self.begin(x))
        return self.shaped(self.last(h))

    def _read(self, x: Tensor) -> Tensor:
        """The state at the end of each example: (batch, hidden)."""
        steps = laid(x)
        h, _ = self.cells(self.embed(steps), self._state(self.first.expand(len(x), -1)))
        if len(self.inputs) != 2:
            return h[:, -1]
        there = (steps[..., -1] > 0).sum(1)
        last = (there - 1).clamp(min=0)
        return h[torch.arange(len(x), device=x.device), last]

    def _before(self, steps: Tensor) -> Tensor:
        """What is known before each step: the one before it, all zeros before the first; hidden ones are flagged."""
        before = torch.cat([torch.zeros_like(steps[:, :1]), steps[:, :-1]], 1)
        if not self.word_dropout:
            return before
        hidden = torch.zeros_like(before[..., :1])
        if self.training:
            hidden[:, 1:].bernoulli_(self.word_dropout)
        return torch.cat([before * (1 - hidden), hidden], -1)

    def begin(self, z: Tensor) -> Any:
        """The state before the first step, from z (batch, latent)."""
        return self._state(torch.tanh(self.begin_at(z.flatten(1))))

    def step(self, z: Tensor, before: Tensor, state: Any) -> tuple[Tensor, Any]:
        """The numbers of one step (batch, numbers), and the state after it, given the features of the step before."""
        seen = torch.cat([before, before.new_zeros(len(before), 1)], -1) if self.word_dropout else before
        h, state = self.cells(torch.cat([z, self.embed(seen)], -1).unsqueeze(1), state)
        return self.last(h[:, 0]), state

    def shaped(self, steps: Tensor) -> Tensor:
        """The numbers of all steps (batch, steps, numbers) as (batch, *outputs)."""
        k, *shape = self.outputs  # type: ignore[misc]
        apart = steps.unflatten(-1, (k, -1)).movedim(2, 1)
        if len(shape) == 3:
            return apart.unflatten(-1, (shape[0], shape[2])).movedim(3, 2)
        return apart.squeeze(-1) if len(shape) == 1 else apart

    def _flat(self, out: Tensor) -> Tensor:
        """The inverse of :meth:`shaped`."""
        apart = out.movedim(3, 2).flatten(3) if out.dim() == 5 else out
        apart = apart.unsqueeze(-1) if out.dim() == 3 else apart
        return apart.movedim(1, 2).flatten(2)

    def _state(self, flat: Tensor) -> Any:
        """State vectors (batch, states * layers * hidden) as the cells take them."""
        parts = flat.unflatten(-1, (self.states, self.layers, self.hidden)).movedim(0, 2).contiguous()
        return (parts[0], parts[1]) if self.states == 2 else parts[0]
