"""``lowerbound.check``: one door for functions, modules and arrays of other frameworks."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

from torch import nn

from lowerbound.audit.core import audit_function
from lowerbound.audit.frameworks import as_torch
from lowerbound.audit.module import check_module
from lowerbound.audit.probe import Probe, Sizes
from lowerbound.audit.roles import adapt, picker
from lowerbound.audit.settings import setting_findings
from lowerbound.audit.verdict import Finding, Verdict
from lowerbound.errors import InputError


def check(
    loss: Any,
    sampler: Callable[..., Any] | None = None,
    x: str = "unit",
    out: str = "prob",
    sizes: tuple[int, int, int] = (128, 784, 20),
    *,
    roles: dict[str, str] | None = None,
    framework: str = "torch",
    step: Callable[..., Any] | None = None,
    batch: Any = None,
    **more: Any,
) -> Verdict:
    """Say what a VAE loss optimises: its KL, its likelihood, its effective beta, and whether it is a bound.

    Args:
        loss: ``loss(x, out, mu, s)`` returning a scalar, a vector over examples, or a tuple or dict with the
            total; other orders and names of arguments are recognised. Or a ``torch.nn.Module``, with ``step`` and
            ``batch``.
        sampler: ``sampler(mu, s, eps) -> z``, to be compared with the KL.
        x: space of the data: unit ([0, 1]), binary, real, onehot, count (or adj, a square adjacency matrix).
        out: space of the decoder's output: prob, logit, real, rate (or none: a KL alone).
        sizes: batch B, parts of an example Dx, latents Dz at which beta is stated.
        roles: parameter names of x, out, mu and s where they cannot be told.
        framework: torch, numpy, jax or keras: the arrays that ``loss`` works on.
        step: ``step(module, batch) -> loss``, the training step of a module.
        batch: one batch that ``step`` accepts.

    Returns:
        a Verdict; weights are per nat summed over batch, parts and latents.

    >>> import torch
    >>> def loss(x, out, mu, s):
    ...     nll = torch.nn.functional.binary_cross_entropy(out, x, reduction="sum")
    ...     return nll - 0.5 * (1 + s - mu**2 - s.exp()).sum()
    >>> check(loss, x="binary").bound
    'yes'
    """
    if isinstance(loss, nn.Module) and (step is not None or batch is not None):
        return check_module(loss, step=step, batch=batch, x=x, out=out, **more)
    if not callable(loss):
        raise InputError(f"is a {type(loss).__name__}, not a function", where="loss", mend="give loss(x, out, mu, s)")
    if len(sizes) != 3 or min(sizes) < 1:
        raise InputError(
            f"sizes are {tuple(sizes)}", where="sizes", mend="give three positive integers: batch, parts, latents"
        )
    loss = as_torch(loss, framework)
    home = Sizes(*(int(n) for n in sizes))
    shell = Probe(loss, x, out)

    def adapted(fn: Callable[..., Any]) -> Callable[..., Any]:
        return adapt(fn, shell, small_of(home), roles)

    ready = adapted(loss)
    pick = _picker(ready, shell, home)
    verdict = audit_function(ready, sampler, x, out, sizes, pick)
    extra = setting_findings(loss, adapted, shell, small_of(home)) if _has_options(loss) else []
    return with_findings(verdict, extra)


def small_of(sizes: Sizes) -> Sizes:
    """Small generic sizes."""
    return sizes.but(B=min(sizes.B, 3)) if sizes.Dx > 10_000 else Sizes(3, min(sizes.Dx, 10), min(sizes.Dz, 4))


def _picker(ready: Callable[..., Any], shell: Probe, sizes: Sizes) -> Callable[[Any], Any] | None:
    for s in (small_of(sizes), sizes):
        try:
            return picker(ready, shell, s)
        except Exception:
            continue
    return None


def _has_options(loss: Callable[..., Any]) -> bool:
    from lowerbound.audit.roles import KNOBS, MODES, STEPS, options

    return any(n in KNOBS | STEPS | MODES for n in options(loss))


def with_findings(verdict: Verdict, extra: list[Finding]) -> Verdict:
    """The verdict with more findings."""
    return dataclasses.replace(verdict, findings=(*verdict.findings, *extra)) if extra else verdict


def assert_elbo(
    loss: Any, sampler: Callable[..., Any] | None = None, *, beta: float | None = None, **more: Any
) -> Verdict:
    """Raise AssertionError, with sentence and findings, unless the loss is a bound (or has the declared ``beta``).

    A squared error at a fixed scale passes with beta 1 at that scale; pass ``beta`` to accept a weighted objective
    whose weight is exactly that number (relative 1e-3).
    """
    verdict = check(loss, sampler, **more)
    if beta is not None:
        faults = [f for f in verdict.findings if f.severity == "error" and f.code != "M4"]
        if verdict.beta is None or abs(verdict.beta - beta) > 1e-3 * abs(beta) or faults:
            raise AssertionError(f"beta is {verdict.beta}, declared {beta}\n{verdict}")
    elif not verdict.acquitted or not verdict.bound.startswith("yes"):
        raise AssertionError(str(verdict))
    return verdict
