r"""log p(x) by numerical integration, up to 3 latent dimensions.

.. math:: p(x) = \int p(z)\,p(x|z)\,dz \approx h^d |L| \sum_{u \in \{-R, -R+h, \dots, R\}^d} p(m + Lu)\, p(x|m + Lu)

The trapezoid rule on a grid that is laid on the posterior of each example: m and L are its mean and a root of its
covariance, found on a grid over the prior first and then on grids of its own. For a smooth integrand that dies away at
the ends the error of this rule falls faster than any power of h. The step is halved until two grids agree.

Source: Naylor & Smith 1982 (Applied Statistics 31) for the moving grid; Trefethen & Weideman 2014 (SIAM Review 56) for
the rule.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor

from lowerbound.errors import InputError
from lowerbound.maths.units import total
from lowerbound.readers.log_likelihood.problem import Examples, Problem, fitting, footprint, other

GLOBAL = {1: 1001, 2: 121, 3: 41}
"""Points an axis of the grid over the prior, 7 deviations to each side."""
START = {1: 33, 2: 17, 3: 15}
"""Points an axis of the first grid over the posterior."""
MOST = 5_000_000
REACH = 8.0
"""Posterior deviations to each side."""
ROUNDS = 12
EDGE = 1e-3
"""Share of the tolerance that may lie at the faces of a grid."""


class Grid:
    """Points u (points, d) of a cube and their spacing; ``keep`` bounds how many are looked at together."""

    def __init__(self, n: int, d: int, reach: float = REACH) -> None:
        self.axis = torch.linspace(-reach, reach, n, dtype=torch.float64)
        self.n, self.d, self.h = n, d, float(self.axis[1] - self.axis[0])

    def __len__(self) -> int:
        return self.n**self.d

    def part(self, first: int, last: int) -> Tensor:
        """Points first..last-1: (last - first, d)."""
        index = torch.arange(first, last)
        return torch.stack([self.axis[index // self.n**j % self.n] for j in range(self.d)], -1)


class Frame:
    """Where the posteriors of a few examples lie: mean (batch, d), root of the covariance (batch, d, d).

    ``shared`` says that the frame is the same for all of them, so that each point is decoded once.
    """

    def __init__(self, mean: Tensor, root: Tensor, shared: bool = False) -> None:
        self.mean, self.root, self.shared = mean, root, shared

    def some(self, index: Tensor) -> Frame:
        """The frames of some of the examples."""
        return Frame(self.mean[index], self.root[index], self.shared)

    def place(self, u: Tensor) -> Tensor:
        """Points (points, d) of the cube as codes: (points, batch, d)."""
        return self.mean + torch.einsum("bij,pj->pbi", self.root, u)

    def log_joint(self, problem: Problem, u: Tensor) -> Tensor:
        """log p(x, z) at points (points, d) of the cube: (points, batch)."""
        z = self.place(u).to(problem.like)
        return problem.shared_log_joint(z[:, 0]) if self.shared else problem.log_joint(z)

    def log_volume(self) -> Tensor:
        """log |L|: (batch,)."""
        return torch.linalg.slogdet(self.root)[1]


def integrate(problem: Problem, frame: Frame, grid: Grid, most: int) -> tuple[Tensor, Frame, Tensor]:
    """log of the sum, the posterior's own frame, and the share of mass at the faces; ``most`` codes at a time."""
    n, d = len(problem), grid.d
    top = torch.full((n,), -math.inf, dtype=torch.float64)
    mass, edge = torch.zeros(n, dtype=torch.float64), torch.zeros(n, dtype=torch.float64)
    first, second = torch.zeros(n, d, dtype=torch.float64), torch.zeros(n, d, d, dtype=torch.float64)
    step = max(1, most // n)
    for start in range(0, len(grid), step):
        u = grid.part(start, min(start + step, len(grid)))
        log_f = frame.log_joint(problem, u).double().cpu()
        new = torch.maximum(top, log_f.amax(0))
        level = torch.where(new.isinf(), 0.0, new)
        w, scale = torch.exp(log_f - level), torch.exp(top - level)
        outer = (u.abs().amax(-1) > float(grid.axis[-1]) - 0.5 * grid.h).double()
        mass, edge = mass * scale + w.sum(0), edge * scale + (w * outer.unsqueeze(1)).sum(0)
        first = first * scale[:, None] + torch.einsum("pb,pi->bi", w, u)
        second = second * scale[:, None, None] + torch.einsum("pb,pi,pj->bij", w, u, u)
        top = new
    log_sum = top + mass.log() + d * math.log(grid.h) + frame.log_volume()
    return log_sum, moved(frame, first / mass[:, None], second / mass[:, None, None], grid.h), edge / mass


def moved(frame: Frame, mean: Tensor, square: Tensor, h: float) -> Frame:
    """The frame with this mean and mean square in its own units; never narrower than the grid can see."""
    covariance = square - mean.unsqueeze(2) * mean.unsqueeze(1)
    values, vectors = torch.linalg.eigh(covariance)
    root = vectors * values.clamp(min=(0.4 * h) ** 2).sqrt().unsqueeze(1)
    return Frame(frame.mean + torch.einsum("bij,bj->bi", frame.root, mean), frame.root @ root)


def start(problem: Problem, seed: int) -> Frame:
    """A frame that covers the prior."""
    d, n = problem.model.width, len(problem)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        z = problem.p.sample((4096,)).double().cpu()
    shared = z.dim() == 2 and not problem.model.condition.width
    if z.dim() == 2:
        z = z.unsqueeze(1).expand(-1, n, d)
    mean = total(list(z)) / len(z)
    spread = (z - mean).abs().amax(0) / 4
    return Frame(mean, torch.diag_embed(spread), shared)


def quadrature(
    examples: Examples, *, memory: float, tolerance: float, seed: int, progress: Callable[[int, int], None]
) -> tuple[Tensor, Tensor]:
    """log p(x) and the difference of the last two grids, nats: both (n,), float64.

    Raises:
        InputError: more than 3 latent dimensions, or codes that are not real numbers.
    """
    model = examples.model
    if not 1 <= model.width <= 3 or model.posterior.support != "real":
        what = f"quadrature is for 1 to 3 real latent dimensions, this model has {model.width}"
        raise InputError(what, where="method", mend=other(model))
    most = min(fitting(memory, footprint(examples)), 65536)
    values, errors, done = [], [], 0
    for rows in examples.rows.split(max(1, min(len(examples), most // 256, 256))):
        with torch.no_grad():
            value, error = refined(examples.problem(rows), most, tolerance, seed)
        values.append(value)
        errors.append(error)
        done += len(rows)
        progress(done, len(examples))
    return torch.cat(values), torch.cat(errors)


def refined(problem: Problem, most: int, tolerance: float, seed: int) -> tuple[Tensor, Tensor]:
    """Grids on the posterior, finer until two agree; examples that agree are left alone."""
    d = problem.model.width
    frame = start(problem, seed)
    _, frame, _ = integrate(problem, frame, Grid(GLOBAL[d], d, 7.0), most)
    value, frame = settled(problem, frame, Grid(START[d], d), most, tolerance)
    error, n = torch.full_like(value, math.inf), START[d]
    while len(left := (error > tolerance).nonzero().squeeze(1)) and (2 * n - 1) ** d <= MOST:
        n = 2 * n - 1
        finer, _, _ = integrate(problem.some(left), frame.some(left), Grid(n, d), most)
        error[left], value[left] = (finer - value[left]).abs(), finer
    return value, error


def settled(problem: Problem, frame: Frame, grid: Grid, most: int, tolerance: float) -> tuple[Tensor, Frame]:
    """The grid moved until it lies on the posterior: until its frame no longer changes the sum."""
    value, after, edge = integrate(problem, frame, grid, most)
    mean, root = after.mean.clone(), after.root.clone()
    left = torch.arange(len(value))
    for _ in range(ROUNDS):
        wide = torch.where(edge > EDGE * tolerance, 1.5, 1.0)[:, None, None]
        mean[left], root[left] = after.mean, after.root * wide
        former = value[left]
        value[left], after, edge = integrate(problem.some(left), Frame(mean[left], root[left]), grid, most)
        moving = ((value[left] - former).abs() > tolerance) | (edge > EDGE * tolerance)
        left, after, edge = left[moving], after.some(moving), edge[moving]
        if not len(left):
            break
    return value, Frame(mean, root)
