"""Games: who plays, and for what. A VAE's one player minimises its objective; other ways of learning have more."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, ClassVar

from torch import nn
from torch.nn import Parameter

from lowerbound.objective.minimise import Minimised
from lowerbound.objective.players import Player
from lowerbound.registry import Registry


class Game(nn.Module, ABC):
    """Hands the loop its players. ``parts`` counts the values of x, ``width`` those of a code.

    ``encodes`` says whether it trains an encoder; ``minimises`` whether a player minimises the objective; ``first``
    what the loss of the first player is, and ``without`` why a model that it trains without an encoder has no bound.
    ``unfitted`` says of a game that trains no likelihood what an estimate of log p(x) is then a figure of.
    """

    name: ClassVar[str]
    encodes = True
    minimises = True
    first = "objective, nats per example"
    without = "It has no encoder, and so no bound on log p(x) to report."
    unfitted = ""

    def __init__(self, parts: int, width: int) -> None:
        super().__init__()
        self.parts, self.width = parts, width

    @abstractmethod
    def players(self, model: Any, minimised: Minimised) -> list[Player]:
        """The players, in the order in which they move; the first one's ledger is the run's."""

    def words(self) -> str:
        """The game in a sentence; empty for the plain one."""
        return ""


GAMES: Registry[Game] = Registry("game")


@GAMES.register("alone")
class Alone(Game):
    r"""One player: all of the model's parameters against the objective.

    .. math:: \min_{\theta, \phi} L(\theta, \phi)

    *Shapes*: a batch in, a scalar out. *Units and sign*: nats per example, lower is better.
    *Neutral setting*: this is the plain game. *Source*: Kingma & Welling 2014 (1312.6114), algorithm 1.

    >>> Alone(784, 2).words()
    ''
    """

    def players(self, model: Any, minimised: Minimised) -> list[Player]:
        return [Player("model", trained(model), minimised)]


def trained(*modules: nn.Module) -> list[Parameter]:
    """The parameters of these modules that are to be trained, each once."""
    return list({id(p): p for m in modules for p in m.parameters() if p.requires_grad}.values())


def generative(model: Any) -> list[Parameter]:
    """The parameters of p(x, z): prior, decoder, likelihood."""
    return trained(model.prior, model.decoder, model.likelihood)


def recognition(model: Any) -> list[Parameter]:
    """The parameters of q(z|x): encoder and posterior."""
    return trained(model.encoder, model.posterior)
