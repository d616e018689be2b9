r"""The estimator of the AEVB paper: 1/p(x) as a mean over posterior draws of a density that was fitted to others.

.. math:: \frac{1}{p(x)} = E_{p(z|x)}\left[\frac{\hat q(z)}{p(z)\,p(x|z)}\right] \approx
          \frac1L \sum_{l=1}^L \frac{\hat q(z_l)}{p(z_l)\,p(x|z_l)}, \quad z_l \sim p(z|x)

Draws of p(z|x) come from Hamiltonian Monte Carlo. It is good for a few latent dimensions (the paper says fewer than 5);
above that no density fits well enough, and a fit that is wider than the posterior leaves weights without a variance.
The log of the mean makes it an upper bound in expectation, once the chains have mixed: an estimate, not a bound.

Source: Kingma & Welling 2014 (1312.6114), appendix D.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor
from torch.distributions import MultivariateNormal

from lowerbound.maths.units import log_mean_exp
from lowerbound.readers.by_row import Streams
from lowerbound.readers.log_likelihood.annealed import FIRST_STEP, prior_draws
from lowerbound.readers.log_likelihood.hmc import Density, Mover, State, needs_real_codes, scale_of
from lowerbound.readers.log_likelihood.importance import Weighed
from lowerbound.readers.log_likelihood.noise import CHAIN, FRESH
from lowerbound.readers.log_likelihood.problem import Examples, Problem
from lowerbound.readers.log_likelihood.tiles import by_tile

CHAINS = 50
"""Chains an example; the paper ran one."""
DRAWS = 10
"""Draws that are asked for of each latent, and once more: of fewer a covariance is a guess."""
BURN_IN = 100
"""Moves that are thrown away, while the step sizes are found."""
THIN = 2
"""Moves between two draws that are kept."""
RIDGE = 1e-9


def appendix_d(
    examples: Examples,
    *,
    samples: int,
    seed: int,
    memory: float,
    fit: str,
    start: str,
    progress: Callable[[int, int], None],
) -> Weighed:
    """The weights of ``samples`` posterior draws an example, under a density fitted to as many others."""

    def work(rows: Tensor) -> list[Tensor]:
        return [inverse_weights(examples.problem(rows), rows.tolist(), samples, seed, fit, start)]

    return by_tile(examples, CHAINS, memory, work, progress)[0].inverted()


def inverse_weights(problem: Problem, rows: list[int], samples: int, seed: int, fit: str, start: str) -> Tensor:
    """log q(z) - log p(x, z) at posterior draws z, (samples, batch), nats; q was fitted to other draws."""
    needs_real_codes(problem)
    chains = Chains(problem, rows, seed, start)
    chains.settle()
    seen, _ = chains.collect(samples)
    fresh, log_joint = chains.collect(samples)
    return DENSITIES[fit](seen.double(), fresh.double()) - log_joint.double()


class Chains:
    """HMC chains on p(z|x), begun at draws of q(z|x) or of the prior."""

    def __init__(self, problem: Problem, rows: list[int], seed: int, start: str) -> None:
        self.mover = Mover(
            Density(lambda z: z.new_zeros(z.shape[:2]), problem.log_joint),
            scale_of(problem, start),
            Streams(seed, CHAIN + 30, rows),
        )
        if start == "posterior":
            noise = Streams(seed, FRESH + 30, rows).normal(CHAINS, problem.model.noise_width)
            z = problem.q.transform(noise.to(problem.like))
        else:
            z = prior_draws(problem, rows, CHAINS, seed, FRESH + 30)
        self.state = State.at(z, self.mover.density)
        self.step = torch.full((len(rows),), FIRST_STEP).to(problem.like)

    def settle(self) -> None:
        """Burn in, and find the step sizes, which are then fixed."""
        for i in range(BURN_IN):
            self.state, acceptance = self.mover.move(self.state, 1.0, self.step)
            self.step = Mover.tuned(self.step, acceptance, gain=1 / math.sqrt(1 + i))

    def collect(self, samples: int) -> tuple[Tensor, Tensor]:
        """Draws (samples, batch, width) and log p(x, z) there, (samples, batch)."""
        z, log_joint = [], []
        for _ in range(-(-samples // CHAINS)):
            for _ in range(THIN):
                self.state, _ = self.mover.move(self.state, 1.0, self.step)
            z.append(self.state.z)
            log_joint.append(self.state.end)
        return torch.cat(z)[:samples], torch.cat(log_joint)[:samples]


def moments(z: Tensor) -> tuple[Tensor, Tensor]:
    """Mean (batch, width) and covariance (batch, width, width) of draws (samples, batch, width)."""
    mean = z.mean(0)  # not nats: a place in latent space
    off = z - mean
    covariance = torch.einsum("sbi,sbj->bij", off, off) / (len(z) - 1)
    return mean, covariance + RIDGE * torch.eye(z.shape[-1], dtype=z.dtype, device=z.device)


def full(seen: Tensor, z: Tensor) -> Tensor:
    """log density at z of the Normal with the mean and covariance of ``seen``: (samples, batch)."""
    mean, covariance = moments(seen)
    return MultivariateNormal(mean, covariance, validate_args=False).log_prob(z)


def diagonal(seen: Tensor, z: Tensor) -> Tensor:
    """As ``full``, with the dimensions independent."""
    mean, covariance = moments(seen)
    only = torch.diag_embed(torch.diagonal(covariance, dim1=-2, dim2=-1))
    return MultivariateNormal(mean, only, validate_args=False).log_prob(z)


def kernel(seen: Tensor, z: Tensor) -> Tensor:
    """A Normal kernel at every draw of ``seen``, in the shape of their covariance (Scott's rule): (samples, batch)."""
    n, _, d = seen.shape
    _, covariance = moments(seen)
    width = n ** (-2 / (d + 4)) * covariance
    parts = MultivariateNormal(seen, width, validate_args=False)
    return torch.stack([log_mean_exp(parts.log_prob(one)) for one in z])


DENSITIES: dict[str, Callable[[Tensor, Tensor], Tensor]] = {"full": full, "diagonal": diagonal, "kernel": kernel}
"""What may be fitted to the posterior draws."""
