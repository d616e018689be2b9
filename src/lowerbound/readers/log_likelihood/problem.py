"""Examples to estimate log p(x) of, and the densities that an estimator asks for."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch
from torch import Tensor, nn
from torch.distributions import Distribution
from torch.nn.functional import softplus

from lowerbound.errors import InputError
from lowerbound.maths.mixture import Mixture
from lowerbound.maths.units import at_least_float32, sum_parts
from lowerbound.model.likelihoods.bernoulli import Bernoulli
from lowerbound.readers.log_likelihood.softplus import log_bernoulli

MIB = 2**20
BROADCAST = 4
"""Tensors of samples x components x latent that the density of a mixture holds at a time."""


class Problem:
    """A few examples x (batch, *shape) with labels y: q(z|x), p(z|c), p(x|z, c). All densities in nats."""

    def __init__(self, model: Any, x: Tensor, y: Tensor | None = None, prior: Distribution | None = None) -> None:
        self.model, self.x, self.y = model, x, y
        self.target, self.c = model.given(x, y)
        self.like = next(model.parameters())
        if prior is not None:
            self.p = prior

    def __len__(self) -> int:
        return len(self.x)

    def some(self, index: Tensor) -> Problem:
        """The problem of some of these examples."""
        return Problem(self.model, self.x[index], None if self.y is None else self.y[index])

    @cached_property
    def q(self) -> Any:
        """The encoder's posterior."""
        return self.model.encode(self.x, self.y)

    @cached_property
    def p(self) -> Distribution:
        """The prior."""
        return self.model.prior_at(self.c)

    def log_likelihood(self, z: Tensor) -> Tensor:
        """log p(x|z): z (samples, batch, width) -> (samples, batch)."""
        out = self.model.outputs(z, self.c, self.target)
        quick = None if out.requires_grad else log_bernoulli(self.model.likelihood, out, self.target)
        return self.model.likelihood.log_prob(out, self.target) if quick is None else quick

    def shared_log_joint(self, z: Tensor) -> Tensor:
        """log p(x, z) of the same codes for every example, where nothing is given beside x: z (codes, width) -> (codes,
        batch)."""
        out = self.model.outputs(z.unsqueeze(1), self.c[:1], self.target[:1])
        if type(self.model.likelihood) is Bernoulli:
            l = out.flatten(1)
            return (
                l @ self.target.flatten(1).T - sum_parts(softplus(l), 1).unsqueeze(1) + self.log_prior(z).unsqueeze(1)
            )
        wide = out.expand(-1, len(self), *out.shape[2:])
        return self.model.likelihood.log_prob(wide, self.target) + self.log_prior(z).unsqueeze(1)

    def log_prior(self, z: Tensor) -> Tensor:
        """log p(z): (samples, batch)."""
        return self.p.log_prob(z)

    def log_joint(self, z: Tensor) -> Tensor:
        """log p(x, z): (samples, batch), in at least float32."""
        return at_least_float32(self.log_likelihood(z)) + self.log_prior(z)


@dataclass(frozen=True)
class Examples:
    """Examples by row; ``batch(rows)`` gives x and y as the model takes them."""

    model: Any
    rows: Tensor
    batch: Callable[[Tensor], tuple[Tensor, Tensor | None]]

    def __len__(self) -> int:
        return len(self.rows)

    @cached_property
    def prior(self) -> Distribution | None:
        """The prior, where it is the same for all examples: a VampPrior encodes its hundreds of them for it."""
        with torch.inference_mode(False), torch.no_grad():
            return None if self.model.condition.width else self.model.prior_at()

    def problem(self, rows: Tensor) -> Problem:
        """The problem of these rows."""
        parameter = next(self.model.parameters())
        x, y = self.batch(rows)
        x = x.to(parameter.device, torch.float64 if parameter.dtype == torch.float64 else x.dtype)
        return Problem(self.model, x, None if y is None else y.to(parameter.device), self.prior)


def other(model: Any) -> str:
    """Which method there is where another does not fit the model: what to do."""
    fit = {"importance": model.has_bound, "annealed": model.has_chains}
    methods = " or ".join(method for method, fits in fit.items() if fits)
    return f"use method {methods}" if methods else "evaluate its distortion: leave --method out"


def footprint(examples: Examples) -> int:
    """Bytes that are written for one latent sample: what each module of q, p and the decoder gives out, seen once."""
    model, problem = examples.model, examples.problem(examples.rows[:1])
    seen: list[int] = []

    def note(module: nn.Module, given: Any, out: Any) -> None:
        seen.append(out.numel() * out.element_size() if isinstance(out, Tensor) else 0)

    q, p = problem.q if model.has_bound else None, problem.p
    parts = [m for part in (model.decoder, model.posterior, model.prior) for m in part.modules()]
    hooks = [m.register_forward_hook(note) for m in parts if not list(m.children())]
    z = torch.zeros(1, 1, model.width, dtype=problem.like.dtype, device=problem.x.device)
    try:
        with torch.no_grad():
            if q is not None:
                q.transform(torch.zeros(1, 1, model.noise_width).to(problem.like))
            p.log_prob(z)
            out = model.outputs(z, problem.c, problem.target)
    finally:
        for hook in hooks:
            hook.remove()
    return sum(seen) + 3 * out.numel() * out.element_size() + 16 * model.width + spread(examples)


def spread(examples: Examples) -> int:
    """Bytes of log p(z) of one sample where every component of a mixture is asked."""
    p = examples.problem(examples.rows[:1]).p
    if not isinstance(p, Mixture):
        return 0
    components, width = p.logits.numel(), examples.model.width
    return 8 * (3 * components + 3 * width) if p.as_one_product else BROADCAST * 8 * components * width


def fitting(memory: float, each: int, fewest: int = 1) -> int:
    """How many things of ``each`` bytes a budget of ``memory`` MiB holds; an InputError below ``fewest``."""
    if not math.isfinite(memory):
        raise InputError(f"{memory:g} MiB", where="memory", mend="give a number of MiB, such as 256")
    held = int(memory * MIB) // max(each, 1)
    if held < fewest:
        needed = -(-each * fewest // MIB)
        raise InputError(f"{memory:g} MiB are too few", where="memory", mend=f"give at least {needed} MiB")
    return held
