"""The rival: a generator and a critic, and no likelihood."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional as F

from lowerbound.errors import InputError
from lowerbound.maths.units import mean_examples
from lowerbound.model.networks.base import Activation, Widths
from lowerbound.model.networks.dropout import Dropout
from lowerbound.model.networks.mlp import MLP
from lowerbound.objective.games.base import GAMES, Game, generative, trained
from lowerbound.objective.minimise import Minimised
from lowerbound.objective.players import Batch, Player


@GAMES.register("gan")
class Gan(Game):
    r"""Two players: a critic that tells examples from what the decoder makes of p(z), and the decoder against it.

    .. math:: \text{non-saturating}: \min_D E[\mathrm{sp}(-D(x))] + E[\mathrm{sp}(D(\tilde x))],\quad
              \min_G E[\mathrm{sp}(-D(\tilde x))]

    with sp the softplus and x~ the decoder's expected x at z ~ p(z); ``loss="wgan-gp"`` compares E[D(x)] with
    E[D(x~)] and adds ``penalty`` (||grad D|| - 1)^2 between them. Nothing in it is a likelihood or a bound.

    *Shapes*: a batch in, two scalars out. *Units and sign*: the non-saturating losses are nats of the critic's
    classification, those of wgan-gp have no unit. *Neutral setting*: none.
    *Source*: Goodfellow et al. 2014 (1406.2661), section 3; Gulrajani et al. 2017 (1704.00028), eq. 3.

    >>> Gan(784, 20, hidden=(8,)).encodes
    False
    """

    encodes = False
    minimises = False
    first = "loss of the critic"
    without = "It has no encoder, and its training maximises no likelihood: there is no bound on log p(x) to report."
    unfitted = "game gan trains no likelihood: the figure is of its decoder under a likelihood that nothing fitted"

    def __init__(
        self,
        parts: int,
        width: int,
        *,
        loss: Literal["non-saturating", "wgan-gp"] = "non-saturating",
        hidden: Widths = (500,),
        activation: Activation = "relu",
        penalty: Annotated[float, Field(ge=0)] = 10.0,
        dropout: Annotated[float, Field(ge=0, lt=1)] = 0.0,
    ) -> None:
        super().__init__(parts, width)
        self.loss, self.penalty = loss, penalty
        self.critic = nn.Sequential(Dropout(dropout), MLP((parts,), (1,), hidden=hidden, activation=activation))

    def players(self, model: Any, minimised: Minimised) -> list[Player]:
        if model.encoder is not None:
            raise InputError("a GAN has no encoder", where="game", mend="use -s posterior=none")
        if model.features.in_steps:
            what = "a GAN compares whole arrays, and sequences of unequal lengths have ends"
            raise InputError(what, where="game", mend="use game alone")

        if model.condition.width:
            what = "its critic sees whole examples and no condition"
            raise InputError(what, where="game gan", mend="use condition none, or game alone")

        def fool(batch: Batch) -> tuple[Tensor, None]:
            score = self.critic(generated(model, batch))
            return mean_examples(F.softplus(-score) if self.loss == "non-saturating" else -score).squeeze(), None

        def judge(batch: Batch) -> tuple[Tensor, None]:
            real = model.features(batch.x).flatten(1)
            with torch.no_grad():
                fake = generated(model, batch)
            on_real, on_fake = self.critic(real), self.critic(fake)
            if self.loss == "non-saturating":
                return mean_examples(F.softplus(-on_real) + F.softplus(on_fake)).squeeze(), None
            cost = mean_examples(on_fake - on_real).squeeze()
            return cost + self.penalty * steepness(self.critic, real, fake), None

        return [Player("critic", trained(self.critic), judge), Player("generator", generative(model), fool)]

    def words(self) -> str:
        return f"Game gan ({self.loss}): a critic against the decoder; there is no likelihood in it and no bound."


def generated(model: Any, batch: Batch) -> Tensor:
    """As many generated examples as the batch has, as the critic sees them: (batch, parts)."""
    z = model.prior_at().sample((len(batch.x),))
    return model.features(model.decode_mean(z)).flatten(1)


def steepness(critic: nn.Module, real: Tensor, fake: Tensor) -> Tensor:
    """The mean of (||grad D|| - 1)^2 at random points between real and fake."""
    share = torch.rand(len(real), 1, dtype=real.dtype, device=real.device)
    between = (share * real + (1 - share) * fake).requires_grad_()
    (gradient,) = torch.autograd.grad(critic(between).sum(), between, create_graph=True)
    return mean_examples((gradient.norm(dim=1) - 1).square())
