r"""Annealed importance sampling, forward from a start one can sample, and backward from the posterior itself.

.. math:: \log w = \sum_{t=1}^T (\beta_t - \beta_{t-1})\,[\log p(x, z_{t-1}) - \log\pi_0(z_{t-1})], \qquad
          z_t \sim T_t(z | z_{t-1}), \quad T_t \text{ leaves } \pi_0^{1-\beta_t}\,p(x, z)^{\beta_t} \text{ as it is}

Forward, the mean of w is p(x), so the log of a mean of weights is a lower bound in expectation. Backward from an exact
draw of p(z|x), the mean of 1/w is 1/p(x): an upper bound. Exact draws are at hand where x itself was drawn from the
model: z came first. Step sizes are found by a pilot of a few chains and then fixed: they must not depend on the chains
that are weighed.

Source: Neal 2001 (Statistics and Computing 11), eq. 3 to 8; Grosse et al. 2015 (1511.02543), section 4; Wu et al. 2017
(1611.04273), section 4.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from lowerbound.readers.by_row import Streams
from lowerbound.readers.log_likelihood.hmc import Density, Mover, State, needs_real_codes, scale_of
from lowerbound.readers.log_likelihood.importance import Weighed
from lowerbound.readers.log_likelihood.noise import CHAIN, FRESH, SIMULATED
from lowerbound.readers.log_likelihood.problem import Examples, Problem
from lowerbound.readers.log_likelihood.tiles import by_tile
from lowerbound.training.randomness import mix

PILOT = 8
"""Chains that find the step sizes."""
FIRST_STEP = 0.2
STEEPNESS = 4.0


def schedule(temperatures: int) -> list[float]:
    """beta_0 = 0 to beta_T = 1, close together at both ends.

    >>> [round(b, 3) for b in schedule(4)]
    [0.0, 0.105, 0.5, 0.895, 1.0]
    """
    t = torch.linspace(-STEEPNESS, STEEPNESS, temperatures + 1, dtype=torch.float64).sigmoid()
    return ((t - t[0]) / (t[-1] - t[0])).tolist()


class Annealer:
    """A few examples and the path from ``start`` ("posterior" or "prior") to their posteriors."""

    def __init__(self, problem: Problem, rows: list[int], *, start: str, temperatures: int, seed: int) -> None:
        needs_real_codes(problem)
        self.problem, self.rows, self.start, self.seed = problem, rows, start, seed
        self.betas = schedule(temperatures)
        first = problem.q.log_prob if start == "posterior" else problem.log_prior
        self.density = Density(first, problem.log_joint)
        self.scale = scale_of(problem, start)
        self.steps = self._pilot()

    def draw(self, samples: int, purpose: int) -> Tensor:
        """Codes of the start (samples, batch, width), keyed by row."""
        if self.start == "posterior":
            noise = Streams(self.seed, purpose, self.rows).normal(samples, self.problem.model.noise_width)
            return self.problem.q.transform(noise.to(self.problem.like))
        return prior_draws(self.problem, self.rows, samples, self.seed, purpose)

    def _mover(self, purpose: int) -> Mover:
        return Mover(self.density, self.scale, Streams(self.seed, purpose, self.rows))

    def _pilot(self) -> Tensor:
        """Step sizes (temperatures + 1, batch), found by chains that are then thrown away."""
        state, mover = State.at(self.draw(PILOT, FRESH), self.density), self._mover(FRESH + 10)
        step = torch.full((len(self.rows),), FIRST_STEP).to(self.problem.like)
        steps = [step]
        for beta in self.betas[1:]:
            state, acceptance = mover.move(state, beta, step)
            step = Mover.tuned(step, acceptance)
            steps.append(step)
        return torch.stack(steps)

    def forward(self, samples: int) -> Tensor:
        """log w of chains from the start, (samples, batch), nats."""
        state, mover = State.at(self.draw(samples, CHAIN), self.density), self._mover(CHAIN + 10)
        log_w = torch.zeros_like(state.end, dtype=torch.float64)
        for t in range(1, len(self.betas)):
            log_w += (self.betas[t] - self.betas[t - 1]) * (state.end - state.start).double()
            if t < len(self.betas) - 1:
                state, _ = mover.move(state, self.betas[t], self.steps[t])
        return log_w

    def backward(self, z: Tensor, samples: int) -> Tensor:
        """log 1/w of chains from exact posterior draws z (batch, width): (samples, batch), nats."""
        state = State.at(z.expand(samples, *z.shape).clone(), self.density)
        mover = self._mover(CHAIN + 20)
        log_w = torch.zeros_like(state.end, dtype=torch.float64)
        for t in range(len(self.betas) - 1, 0, -1):
            log_w -= (self.betas[t] - self.betas[t - 1]) * (state.end - state.start).double()
            if t > 1:
                state, _ = mover.move(state, self.betas[t - 1], self.steps[t - 1])
        return log_w


def prior_draws(problem: Problem, rows: list[int], samples: int, seed: int, purpose: int) -> Tensor:
    """Codes of the prior (samples, batch, width), keyed by row."""
    model, drawn = in_float32(problem.model), []
    conditional = bool(problem.model.condition.width)
    with torch.random.fork_rng(devices=[]):
        for i, row in enumerate(rows):
            p = model.prior_at(problem.c[i : i + 1].float() if conditional else problem.c)
            torch.manual_seed(mix(purpose, seed, row))
            drawn.append(p.sample((samples,)).reshape(samples, -1))
    return torch.stack(drawn, 1).to(problem.like)


def in_float32(model: Any) -> Any:
    """The model, or a copy, in the precision in which everything is drawn."""
    return model if next(model.parameters()).dtype == torch.float32 else copy.deepcopy(model).float()


def annealed(
    examples: Examples,
    *,
    samples: int,
    seed: int,
    memory: float,
    temperatures: int,
    start: str,
    progress: Callable[[int, int], None],
) -> Weighed:
    """Forward: the weights of ``samples`` chains an example."""

    def work(rows: Tensor) -> list[Tensor]:
        problem = examples.problem(rows)
        return [Annealer(problem, rows.tolist(), start=start, temperatures=temperatures, seed=seed).forward(samples)]

    return by_tile(examples, max(samples, PILOT), memory, work, progress)[0]


def bracketed(
    examples: Examples,
    codes: Callable[[Tensor], Tensor],
    *,
    samples: int,
    seed: int,
    memory: float,
    temperatures: int,
    start: str,
    progress: Callable[[int, int], None],
) -> tuple[Weighed, Weighed]:
    """Both directions, where ``codes(rows)`` are exact posterior draws: the lower side and the upper side."""

    def work(rows: Tensor) -> list[Tensor]:
        problem = examples.problem(rows)
        annealer = Annealer(problem, rows.tolist(), start=start, temperatures=temperatures, seed=seed)
        return [annealer.forward(samples), annealer.backward(codes(rows), samples)]

    lower, upper = by_tile(examples, max(samples, PILOT), memory, work, progress)
    return lower, upper.inverted()


def simulated(model: Any, rows: Tensor, seed: int) -> tuple[Tensor, Tensor]:
    """x (n, *shape) drawn from the model and the codes (n, width) that they were drawn from, keyed by row.

    They are drawn in float32 by a model of any precision, and come in that of the model.
    """
    xs, zs = [], []
    drawer, like = in_float32(model), next(model.parameters())
    p = drawer.prior_at()
    for row in rows.tolist():
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(mix(SIMULATED, seed, row))
            z = p.sample((1,))
            x = drawer.decode(z).sample()
        xs.append(x)
        zs.append(z)
    return torch.cat(xs).to(like), torch.cat(zs).to(like)
