"""The members of a sweep: their betas, their names, their specs, and what cannot be one."""

from __future__ import annotations

import math
from collections.abc import Sequence

from lowerbound.errors import InputError
from lowerbound.training.spec import Spec, merge

MOST = 200
"""Betas in one sweep."""
PLAIN = {"bound": "elbo", "regulariser": "none", "supervision": "none", "game": "alone"}
"""Parts that would need a stack of their own."""


def betas_of(text: str) -> list[float]:
    """Betas from "low:high:count", spaced evenly in their logarithm, or from "a,b,c".

    Spaced ones are rounded to four digits, so that a folder's name says its beta in full.

    >>> betas_of("0.1:10:5"), betas_of("0.5,1,2")
    ([0.1, 0.3162, 1.0, 3.162, 10.0], [0.5, 1.0, 2.0])
    """
    try:
        numbers = [float(part) for part in text.replace(":", ",").split(",")]
    except ValueError:
        numbers = []
    if not numbers or (":" in text and (text.count(":") != 2 or "," in text)):
        raise InputError(f"{text!r} gives no betas", where="--beta", mend="write 0.1:10:12 or 0.5,1,2")
    return spaced(*numbers) if ":" in text else checked(numbers)


def spaced(low: float, high: float, count: float) -> list[float]:
    """Betas from low to high, each the same factor above the one before."""
    if not (0 < low < high < math.inf and 2 <= count <= MOST and count == int(count)):
        what = f"{low:g}:{high:g}:{count:g} is no range of betas"
        raise InputError(what, where="--beta", mend=f"write low:high:count with 0 < low < high and 2 to {MOST} betas")
    even = [low * (high / low) ** (i / (count - 1)) for i in range(int(count))]
    return checked([float(f"{beta:.4g}") for beta in even])


def checked(betas: Sequence[float]) -> list[float]:
    """The betas, finite, not negative, each once."""
    for beta in betas:
        if not (math.isfinite(beta) and beta >= 0):
            raise InputError(f"{beta:g} is not a weight", where="--beta", mend="give finite betas from 0 up")
    twice = [beta for i, beta in enumerate(betas) if name_of(beta) in map(name_of, betas[:i])]
    if twice:
        raise InputError(f"beta {twice[0]:g} is given twice", where="--beta", mend="give each once")
    if len(betas) > MOST:
        raise InputError(f"{len(betas)} betas", where="--beta", mend=f"give at most {MOST}")
    return list(betas)


def name_of(beta: float) -> str:
    """The folder of a member.

    >>> name_of(0.1), name_of(10.0)
    ('beta-0.1', 'beta-10')
    """
    return f"beta-{beta:.6g}"


def member(spec: Spec, beta: float) -> Spec:
    """The spec of one member: the sweep's, with its own beta."""
    return Spec.of(merge(spec.settings(), {"objective": {"name": "elbo", "beta": beta}}))


def refuse(spec: Spec) -> None:
    """An InputError where the parts of a spec cannot be swept over beta in one stack."""
    if spec.objective.name != "elbo":
        what = f"a sweep is over the beta of objective elbo, not {spec.objective.name}"
        raise InputError(what, where="objective", mend="leave -s objective out")
    for part, plain in PLAIN.items():
        given = getattr(spec, part).name
        if given != plain:
            what = f"{part} {given} has no place in a sweep, whose members share one stack"
            raise InputError(what, where=part, mend=f"use {part} {plain}, or train one by one")
    if spec.training.snapshots:
        raise InputError("a sweep keeps no snapshots", where="training.snapshots", mend="train one by one")
    if "own" in (spec.encoder.name, spec.decoder.name):
        what = "a module of your own is not stacked"
        raise InputError(what, where="encoder", mend="use a network by name, or train one by one")
    if not spec.latent or spec.posterior.name in ("none", "deterministic"):
        raise InputError("a model without a rate has no rate-distortion curve", where="posterior", mend="use normal")
