"""Players: an objective hands the loop a list of (parameters, loss). A VAE has one; an adversary is a second."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor
from torch.nn import Parameter

from lowerbound.maths.terms import Terms


@dataclass(frozen=True)
class Batch:
    """What a player sees of a step.

    ``x`` (batch, *shape) in data units; ``y`` (batch,) labels, -1 where unknown, or None; ``epoch`` as a real number;
    ``examples`` counts the training split, ``rows`` (batch,) says which of it these are; ``labelled`` are further
    examples and their labels, where a player asks for them.
    """

    x: Tensor
    epoch: float = 0.0
    y: Tensor | None = None
    examples: int = 0
    rows: Tensor | None = None
    labelled: tuple[Tensor, Tensor] | None = None


Loss = Callable[[Batch], tuple[Tensor, Terms | None]]


def once(epoch: float) -> int:
    """One move on every batch."""
    return 1


@dataclass(frozen=True)
class Player:
    """Who moves: the parameters it owns and its loss, ``loss(batch) -> (scalar to minimise, ledger or None)``.

    ``rate`` scales the learning rate for this player, ``moves`` says how often in a row it moves on a batch of this
    epoch, a real number.
    """

    name: str
    parameters: list[Parameter]
    loss: Loss
    rate: float = 1.0
    moves: Callable[[float], int] = once
