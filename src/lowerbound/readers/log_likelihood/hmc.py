r"""Hamiltonian Monte Carlo in latent space: many chains of many examples at once, a step size for each example.

.. math:: \dot z = s^2 p, \quad \dot p = \nabla\log f(z), \qquad
          \text{accept with } \min\{1, e^{\log f(z') - \log f(z) - \frac12(s^2 p'^2 - s^2 p^2)}\}

Source: Duane et al. 1987 (Physics Letters B 195); Neal 2011 (1206.1901), section 3.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from lowerbound.errors import InputError
from lowerbound.readers.by_row import Streams
from lowerbound.readers.log_likelihood.problem import Problem, other

ACCEPTANCE = 0.65
"""Share of accepted moves at which the chains go farthest for their work (Beskos et al. 2013)."""
GAIN = 0.05
"""How much the log step size moves for an acceptance that is off by 1."""
LEAPFROG = 10
GRID = 20
"""Codes are kept to 2^-20 of the size of the posterior, so that a chain forgets the rounding of matrix products, which
depends on the batch, before it can grow."""


@dataclass(frozen=True)
class Density:
    """Unnormalised log f(z), (samples, batch), by what it is made of: (1 - beta) log start + beta log end."""

    start: Callable[[Tensor], Tensor]
    end: Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class State:
    """Codes z (samples, batch, width), the two log densities there, (samples, batch), and their gradients."""

    z: Tensor
    start: Tensor
    end: Tensor
    start_pull: Tensor
    end_pull: Tensor

    @classmethod
    def at(cls, z: Tensor, density: Density) -> State:
        """The state at codes z."""
        with torch.enable_grad():
            z = z.detach().requires_grad_()
            a, b = density.start(z), density.end(z)
            pulls = [torch.autograd.grad(v.sum(), z)[0] if v.requires_grad else torch.zeros_like(z) for v in (a, b)]
        return cls(z.detach(), a.detach(), b.detach(), *pulls)

    def log_f(self, beta: float) -> Tensor:
        """log f at beta."""
        return self.end if beta == 1 else (1 - beta) * self.start + beta * self.end

    def pull(self, beta: float) -> Tensor:
        """Its gradient."""
        return self.end_pull if beta == 1 else (1 - beta) * self.start_pull + beta * self.end_pull

    def where(self, accepted: Tensor, other: State) -> State:
        """This state where ``accepted`` (samples, batch), the other elsewhere."""
        wide = accepted.unsqueeze(-1)
        choose = {n: torch.where(wide if n in WIDE else accepted, getattr(self, n), getattr(other, n)) for n in NAMES}
        return replace(self, **choose)


NAMES = tuple(State.__dataclass_fields__)
WIDE = {"z", "start_pull", "end_pull"}


@dataclass(frozen=True)
class Mover:
    """Moves chains over one density. ``scale`` (batch, width) is the size of each posterior; ``streams`` the noise."""

    density: Density
    scale: Tensor
    streams: Streams
    leapfrog: int = LEAPFROG

    def move(self, state: State, beta: float, step: Tensor) -> tuple[State, Tensor]:
        """One proposal for every chain, with step sizes (batch,): the new state and the acceptance (batch,)."""
        samples, _, width = state.z.shape
        p0 = self.streams.normal(samples, width).to(state.z)
        u = self.streams.uniform(samples).to(state.z)
        e = (step.unsqueeze(-1) * self.scale).to(state.z)
        new, p = state, p0 + 0.5 * e * state.pull(beta)
        for i in range(self.leapfrog):
            last = i == self.leapfrog - 1
            z = new.z + e * p
            new = State.at(self.snapped(z) if last else z, self.density)
            p = p + (0.5 if last else 1.0) * e * new.pull(beta)
        kinetic = 0.5 * (p.square() - p0.square()).sum(-1)
        log_ratio = new.log_f(beta) - state.log_f(beta) - kinetic
        accepted = u.log() < log_ratio.nan_to_num(-torch.inf)
        chance = log_ratio.nan_to_num(-torch.inf).clamp(max=0).exp()
        return new.where(accepted, state), chance.mean(0)  # not nats: a share of proposals

    def snapped(self, z: Tensor) -> Tensor:
        """The nearest codes on the grid."""
        grid = torch.exp2(torch.floor(torch.log2(self.scale)) - GRID).to(z)
        return torch.round(z / grid) * grid

    @staticmethod
    def tuned(step: Tensor, acceptance: Tensor, gain: float = GAIN) -> Tensor:
        """The step sizes after a move with this acceptance."""
        return step * torch.exp(gain * (acceptance - ACCEPTANCE))


def scale_of(problem: Problem, start: str) -> Tensor:
    """How wide each posterior is, roughly: (batch, width), the deviation of q, or of the prior."""
    if start == "posterior" and problem.model.width:
        return problem.q.transform(_fixed(256, problem)).std(0).clamp(min=1e-6)
    return problem.like.new_ones(len(problem), problem.model.width)


def _fixed(samples: int, problem: Problem) -> Tensor:
    noise = torch.randn(samples, 1, problem.model.noise_width, generator=torch.Generator().manual_seed(0))
    return noise.expand(-1, len(problem), -1).to(problem.like)


def needs_real_codes(problem: Problem) -> None:
    """An InputError where the codes are not real numbers."""
    if not problem.model.has_chains:
        what = f"posterior {problem.model.posterior.name} has codes in which there is no gradient"
        raise InputError(what, where="method", mend=other(problem.model))
