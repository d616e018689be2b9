r"""Importance sampling from q(z|x): a lower bound on log p(x) in expectation that rises with K to log p(x).

.. math:: \log\hat p_K(x) = \log\tfrac1K\sum_{k=1}^K \frac{p(x, z_k)}{q(z_k|x)}, \quad z_k \sim q(z|x), \qquad
          E[\log\hat p_K] \le E[\log\hat p_{K+1}] \le \log p(x)

Source: Rezende et al. 2014 (1401.4082), appendix E; Burda et al. 2016 (1509.00519), theorem 1.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from lowerbound.readers.log_likelihood import dense, noise
from lowerbound.readers.log_likelihood.problem import MIB, Examples, Problem, fitting, footprint, spread
from lowerbound.readers.log_likelihood.weights import Weights

CACHE = 4 * MIB
"""Bytes of activations that a processor core keeps at hand: larger tiles are slower, whatever the budget."""
TILE = 2560
"""Samples at a time of the quick way, which keeps its own blocks in the cache."""


@dataclass(frozen=True)
class Weighed:
    """What a set of weights says of each example, float64: all (n,)."""

    log_p: Tensor
    counted: Tensor
    effective: Tensor
    pareto_k: Tensor

    @classmethod
    def of(cls, weights: Weights) -> Weighed:
        """The figures of weights that are complete."""
        return cls(weights.log_mean(), weights.counted, weights.effective(), weights.pareto_k())

    def inverted(self) -> Weighed:
        """The figures of weights whose mean is 1/p."""
        return replace(self, log_p=-self.log_p)

    def copied(self) -> Weighed:
        """A copy in the memory of the thread that asks: what a worker keeps holds all that it has freed around it."""
        return Weighed(*(getattr(self, name).clone() for name in self.__dataclass_fields__))

    @classmethod
    def cat(cls, parts: list[Weighed]) -> Weighed:
        """Several parts, one after the other."""
        return cls(*(torch.cat([getattr(p, name) for p in parts]) for name in cls.__dataclass_fields__))


class Plain:
    """Log weights by the model's own densities: for any model."""

    def __init__(self, model: Any, precision: torch.dtype) -> None:
        self.half = precision == torch.bfloat16
        self.device = next(model.parameters()).device.type

    def prepare(self, problem: Problem, samples: int) -> bool:
        """Set the examples."""
        self.problem = problem
        return True

    def __call__(self, noise: Tensor) -> Tensor:
        """Log weights of noise (rows, samples, noise_width): (rows, samples), float64, nats."""
        p = self.problem
        z = p.q.transform(noise.transpose(0, 1).to(p.like))
        with torch.autocast(self.device, torch.bfloat16, enabled=self.half):
            log_p = p.log_likelihood(z)
        return (log_p.double() + p.log_prior(z).double() - p.q.log_prob(z).double()).T


class Sampler:
    """One thread's work: the weights of groups of examples, tile by tile."""

    def __init__(self, examples: Examples, samples: int, seed: int, tile: int, quick: dense.Dense | None, dtype: Any):
        self.examples, self.samples, self.seed, self.tile = examples, samples, seed, tile
        parameter = next(examples.model.parameters())
        self.plain = Plain(examples.model, dtype)
        self.quick = None if quick is None else dense.DenseWeigher(quick, parameter.dtype, tile)

    def __call__(self, rows: Tensor) -> Weighed:
        """The figures of some rows."""
        problem = self.examples.problem(rows)
        weigh: Any = self.quick
        if weigh is None or not weigh.prepare(problem, self.samples):
            weigh = self.plain
            weigh.prepare(problem, self.samples)
        weights = Weights(len(rows), self.samples)
        step = max(1, self.tile // len(rows))
        for first in range(0, self.samples, step):
            last = min(first + step, self.samples)
            drawn = noise.normal(self.seed, rows.tolist(), first, last, self.examples.model.noise_width)
            weights.add(weigh(drawn).cpu())
        return Weighed.of(weights)


def importance(
    examples: Examples,
    *,
    samples: int,
    seed: int,
    memory: float,
    dtype: torch.dtype,
    progress: Callable[[int, int], None],
) -> Weighed:
    """The weights of every example, in the order of its rows.

    Args:
        memory: MiB for activations and noise, all threads together; changes speed only.
        dtype: of the decoder's products.
        progress: told how many examples are done, of how many.
    """
    model = examples.model
    quick = dense.Dense(model, dtype) if dense.suits(model) else None
    each = quick.footprint + spread(examples) if quick else footprint(examples)
    each += 4 * model.noise_width
    cpu = next(model.parameters()).device.type == "cpu"
    held = fitting(memory, each)
    threads = max(1, min(torch.get_num_threads(), held // 64, len(examples)))
    tile = min(held // threads, (TILE if quick else max(64, CACHE // each)) if cpu else held)
    groups = examples.rows.split(max(1, tile // samples))
    local = threading.local()

    def work(group: Tensor) -> Weighed:
        if not hasattr(local, "sampler"):
            torch.set_num_threads(1)
            local.sampler = Sampler(examples, samples, seed, tile, quick, dtype)
        with torch.inference_mode():
            return local.sampler(group)

    found, done, before = [], 0, torch.get_num_threads()
    try:
        with ThreadPoolExecutor(threads) as pool:
            for part in pool.map(work, groups):
                found.append(part.copied())
                done += len(part.log_p)
                progress(done, len(examples))
    finally:
        torch.set_num_threads(before)
    return Weighed.cat(found)
