"""The verdict in one sentence."""

from __future__ import annotations

import math

from lowerbound.audit.evidence import Evidence
from lowerbound.audit.reductions import Scaling


def short(value: float | None) -> str:
    """Six digits."""
    return "undefined" if value is None or not math.isfinite(value) else f"{value:.6g}"


def sentence(e: Evidence, beta: Scaling, prior: float | None) -> str:
    """loss = r x [ NLL + beta KL ] + c with the numbers at the caller's sizes."""
    sizes = f"B = {e.sizes.B}, Dx = {e.sizes.Dx}, Dz = {e.sizes.Dz}"
    name = e.recon.name
    prior_words = {None: "the prior", 1.0: "N(0, 1)"}.get(prior, f"N(0, {short(prior)})")
    kl = f"KL( N(mu, sigma^2) || {prior_words} )"
    if e.odd.dead_by:
        return f"your loss = {short(e.r.value)} x NLL[{name}] + c at {sizes}: the KL is dead"
    if e.kl.form == "unknown":
        return f"your loss = {short(e.r.value)} x NLL[{name}] + a penalty that is no Gaussian KL, at {sizes}"
    if e.kl.form == "reversed":
        kl = "KL( N(0, 1) || N(mu, sigma^2) )"
    if not math.isfinite(beta.value):
        return f"your loss = {short(e.r.value)} x NLL[{name}] + {short(e.k.value)} x penalty like {kl} + c at {sizes}"
    words = f"your loss = {short(e.r.value)} x [ NLL[{name}] + {short(beta.value)} {kl} ] + c at {sizes}"
    return words + (f"; beta = {beta.expression}" if beta.known else "")
