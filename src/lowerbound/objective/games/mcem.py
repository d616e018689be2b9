"""Monte Carlo EM: codes drawn from the true posterior by Hamiltonian Monte Carlo, no encoder at all."""

from __future__ import annotations

from typing import Annotated, Any

import torch
from pydantic import Field
from torch import Tensor, nn

from lowerbound.errors import InputError
from lowerbound.maths.terms import Terms
from lowerbound.maths.units import mean_examples
from lowerbound.objective.games.base import GAMES, Game, generative
from lowerbound.objective.minimise import Minimised
from lowerbound.objective.players import Batch, Player

ADAPT = 0.02
"""How fast the log of the step size follows the share of accepted moves."""


@GAMES.register("mcem")
class MonteCarloEM(Game):
    r"""One player, the decoder, at codes that a Markov chain draws from p(z|x); every example keeps its own chain.

    .. math:: \max_\theta \log p_\theta(x, z), \qquad z \sim \mathrm{HMC}[p_\theta(z|x)]

    Each visit of an example makes ``moves`` Hamiltonian moves of ``leapfrog`` steps; the step size follows the share
    of accepted moves toward ``accept``. The chains are a table of one code an example, so it cannot learn on-line.

    *Shapes*: a batch with the rows of its examples. *Units and sign*: nats per example, lower is better; there is no q
    and no bound. *Neutral setting*: none. *Source*: Kingma & Welling 2014 (1312.6114), appendix E; Neal 2011 for HMC.

    >>> MonteCarloEM(784, 2, moves=1).encodes
    False
    """

    encodes = False
    minimises = False
    first = "-log p(x, z), nats per example"
    without = (
        "Its training maximises log p(x) by EM, over codes drawn from the true posterior. It has no encoder, and so no "
        "bound to report: lowerbound evaluate RUN --method annealed measures log p(x) itself."
    )
    chains: Tensor
    log_step: Tensor

    def __init__(
        self,
        parts: int,
        width: int,
        *,
        leapfrog: Annotated[int, Field(ge=1)] = 10,
        moves: Annotated[int, Field(ge=1)] = 1,
        accept: Annotated[float, Field(gt=0, lt=1)] = 0.9,
    ) -> None:
        super().__init__(parts, width)
        self.leapfrog, self.moves, self.accept = leapfrog, moves, accept
        self.register_buffer("chains", torch.zeros(0, width))
        self.register_buffer("log_step", torch.tensor(-2.0))

    def players(self, model: Any, minimised: Minimised) -> list[Player]:
        if model.encoder is not None or model.posterior.support != "real":
            what = "Monte Carlo EM draws from the true posterior and trains no encoder"
            raise InputError(what, where="game", mend="use -s posterior=none")

        def loss(batch: Batch) -> tuple[Tensor, Terms]:
            target, c = model.given(batch.x, batch.y)
            z = self.draw(model, batch)
            distortion = -model.likelihood.log_prob(model.outputs(z, c, target), target)
            terms = Terms(distortion, distortion.new_zeros(len(batch.x), 0), "none", None, z)
            return -mean_examples((model.prior_at(c).log_prob(z) - distortion)[0]), terms

        return [Player("model", generative(model), loss)]

    def draw(self, model: Any, batch: Batch) -> Tensor:
        """The codes (1, batch, width) of the batch's examples after their next moves."""
        if len(self.chains) < batch.examples:
            start = torch.randn(batch.examples, self.width, dtype=batch.x.dtype, device=batch.x.device)
            self.chains = start
        rows = batch.rows
        if rows is None:
            raise ValueError("a batch without rows")
        z = self.chains[rows].unsqueeze(0)
        for _ in range(self.moves):
            z, accepted = hamiltonian(model, batch, z, float(self.log_step.exp()), self.leapfrog)
            self.log_step += ADAPT * (accepted - self.accept)
        self.chains[rows] = z[0]
        return z

    def _load_from_state_dict(self, state: dict[str, Any], prefix: str, *rest: Any) -> None:
        """The table of chains has the size that it was saved with."""
        self.chains = torch.empty_like(state.get(f"{prefix}chains", self.chains))
        nn.Module._load_from_state_dict(self, state, prefix, *rest)

    def words(self) -> str:
        return "Game mcem: codes from the true posterior by Hamiltonian Monte Carlo; no encoder, no bound."


def hamiltonian(model: Any, batch: Batch, z: Tensor, step: float, leapfrog: int) -> tuple[Tensor, float]:
    """One Hamiltonian move of codes z (1, batch, width) under p(z|x), and the share that was accepted."""

    def potential(at: Tensor) -> tuple[Tensor, Tensor]:
        with torch.enable_grad():
            at = at.detach().requires_grad_()
            log_joint = model.log_joint(at, batch.x, batch.y)
            (gradient,) = torch.autograd.grad(log_joint.sum(), at)
        return log_joint.detach(), gradient

    momentum = torch.randn_like(z)
    before, gradient = potential(z)
    start = before - 0.5 * momentum.square().sum(-1)
    new = z
    for _ in range(leapfrog):
        momentum = momentum + 0.5 * step * gradient
        new = new + step * momentum
        after, gradient = potential(new)
        momentum = momentum + 0.5 * step * gradient
    gain = after - 0.5 * momentum.square().sum(-1) - start
    taken = torch.rand_like(gain).log() < gain
    return torch.where(taken.unsqueeze(-1), new, z), float(taken.double().mean())  # not nats: a share
