"""Players: an objective hands the loop a list of (parameters, loss). A VAE has one; an adversary would be a second."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor
from torch.nn import Module, Parameter

from lowerbound.maths.terms import Terms
from lowerbound.objective.objectives import Objective

Loss = Callable[[Tensor, float], tuple[Tensor, Terms]]


@dataclass(frozen=True)
class Player:
    """Who moves: the parameters it owns and its loss, ``loss(x, epoch) -> (scalar to minimise, ledger)``."""

    name: str
    parameters: list[Parameter]
    loss: Loss


def players(model: Module, objective: Objective, samples: int = 1) -> list[Player]:
    """The one player of a VAE: all of the model's parameters against the objective."""

    def loss(x: Tensor, epoch: float) -> tuple[Tensor, Terms]:
        ledger = model(x, samples=samples)
        return objective(ledger, epoch), ledger

    return [Player("model", [p for p in model.parameters() if p.requires_grad], loss)]
