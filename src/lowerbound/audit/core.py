"""The audit of one function: gather the evidence, judge it, say it."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from lowerbound.audit.evidence import Evidence, dv_close, gather
from lowerbound.audit.judge_kl import gradient_findings, kl_findings, sampler_findings, scaled_head
from lowerbound.audit.judge_scale import (
    beta_of,
    likelihood_findings,
    numerics_findings,
    reduction_findings,
    scale_name,
    visible_weight,
)
from lowerbound.audit.picture import measure_curves
from lowerbound.audit.probe import OUT_SPACES, X_SPACES, Probe, Sizes
from lowerbound.audit.reductions import Scaling
from lowerbound.audit.sentence import sentence, short
from lowerbound.audit.verdict import Finding, Verdict
from lowerbound.errors import InputError, nearest

REDUCTION = {0: "sum", -1: "mean", -2: "mean of a mean", 1: "sum of a sum", None: "unknown"}


def audit_function(
    loss: Any, sampler: Any, x: str, out: str, sizes: tuple[int, int, int], pick: Callable[[Any], Any] | None = None
) -> Verdict:
    """The verdict on ``loss(x, out, mu, s)``."""
    for given, known, where in ((x, X_SPACES, "x"), (out, OUT_SPACES, "out")):
        if given not in known:
            raise InputError(f"unknown space {given!r}", where=where, mend=nearest(given, known))
    if len(sizes) != 3 or min(sizes) < 1:
        raise InputError(
            f"sizes are {sizes}", where="sizes", mend="give three positive integers: batch, parts, latents"
        )
    probe = Probe(loss, x, out)
    probe.pick = pick or probe.pick
    return judge(gather(probe, Sizes(*(int(n) for n in sizes)), sampler))


def judge(e: Evidence) -> Verdict:
    """Turn the evidence into a verdict."""
    beta = beta_of(e)
    found = kl_findings(e) + sampler_findings(e) + gradient_findings(e) + reduction_findings(e, beta)
    found += likelihood_findings(e, beta) + visible_weight(e, beta) + numerics_findings(e)
    prior = prior_variance(e)
    bound = bound_words(e, beta, prior, found)
    found = convict(bound, beta, found)
    return Verdict(
        bound=bound,
        sentence=sentence(e, beta, prior),
        parametrisation=parametrisation(e),
        likelihood="gaussian_learned"
        if e.likelihood is not None and e.likelihood.variance is not None
        else e.recon.name,
        kl_form=e.kl.form,
        kl_weight=finite(e.k.value),
        likelihood_weight=finite(e.r.value) if e.recon.kind != "dead" else None,
        beta=finite(beta.value) if not e.odd.dead_by else 0.0,
        kl_expression=e.k.expression,
        likelihood_expression=e.r.expression,
        beta_expression=beta.expression if math.isfinite(beta.value) else "undefined",
        prior_variance=prior,
        decoder_variance=finite(beta.value) if scale_name(e) == "sigma^2" else fitted_variance(e),
        sampler_agrees=agrees(e),
        findings=tuple(sorted(found, key=lambda f: ("error", "warn", "info").index(f.severity))),
        confidence=confidence(e),
        sizes=(e.sizes.B, e.sizes.Dx, e.sizes.Dz),
        reductions=reductions(e),
        kl_terms={"mu^2/2": e.kl.A, "sigma^2/2": e.kl.B, "-log sigma^2/2": e.kl.C},
        unknown=unknown(e),
        curves=measure_curves(e) if e.kl.form != "unknown" or not e.odd.codes else {},
    )


def finite(value: float) -> float | None:
    """None for what is not a number."""
    return float(value) if math.isfinite(value) else None


def fitted_variance(e: Evidence) -> float | None:
    """sigma^2 that the loss itself carries, with its normaliser."""
    return e.likelihood.variance if e.likelihood is not None else None


def parametrisation(e: Evidence) -> str:
    """From the KL; where the KL cannot tell, from the sampler."""
    if e.odd.codes:
        return "categorical logits"
    name, given = e.kl.parametrisation, e.sampler.parametrisation if e.sampler is not None else "unknown"
    blind = e.kl.form in ("dead", "unknown") or (e.kl.form in ("forward", "extra") and 0 in (e.kl.B, e.kl.C))
    if name in ("unknown", "custom") or (blind and given != "unknown"):
        return given if given != "unknown" else name
    return name


def prior_variance(e: Evidence) -> float | None:
    """t of N(0, t), where A = B."""
    if e.kl.form == "fixed":
        return 1.0
    if e.kl.form != "forward" or e.learned_prior or min(e.kl.A, e.kl.C) <= 0:
        return None
    if dv_close(e.kl.A, e.kl.B) and not dv_close(e.kl.A, e.kl.C):
        return float(f"{e.kl.C / e.kl.A:.8g}")
    return 1.0


def agrees(e: Evidence) -> bool | None:
    """Sampler against KL."""
    if e.sampler is None:
        return None
    odd = e.sampler.shared or not e.sampler.normal or not e.sampler.linear or not e.sampler.centred
    return False if odd else (e.agreement.agrees if e.agreement is not None else None)


def kl_is_right(e: Evidence) -> bool:
    """A Gaussian KL, linear, with the right sign, whole, and with its gradient."""
    terms = (e.kl.A, e.kl.B, e.kl.C)
    if e.kl.form == "fixed":
        shape = e.kl.A > 0 and (e.sampler is None or e.sampler.constant)
    else:
        same = dv_close(e.kl.A, e.kl.B) or e.learned_prior or scaled_head(e)
        shape = e.kl.form == "forward" and min(terms) > 0 and same
    broken = any(g.broken for g in e.gradient or [])
    return shape and e.bend is None and not broken and not e.odd.coupled and not e.odd.depends_on_data


def bound_words(e: Evidence, beta: Scaling, prior: float | None, found: list[Finding]) -> str:
    """yes, yes for a scale or a prior, or no."""
    if not scale_name(e) and any(f.code in ("R1", "R2", "R3") and f.severity == "error" for f in found):
        return "no"
    improper = any(f.code in ("L2", "L3", "L5", "L6") and f.severity != "info" for f in found)
    if not kl_is_right(e) or improper or agrees(e) is False:
        return "no"
    terms = []
    if prior is not None and not dv_close(prior, 1.0):
        terms.append(f"prior variance {short(prior)}")
    if e.recon.kind == "dead":
        return "yes" if not terms else "yes, for " + ", ".join(terms)
    if not math.isfinite(beta.value) or beta.value <= 0:
        return "no"
    one = abs(beta.value - 1) < 1e-3
    if scale_name(e) and not one:
        terms.insert(0, f"{scale_name(e)} = {short(beta.value)}")
    elif not one:
        size = beta.constant if (beta.exponents.get("B") or 0) == -1 else math.nan
        only = beta.exponents.get("Dx") == 0 and beta.exponents.get("Dz") == 0
        if not (only and size > 1.5 and abs(size - round(size)) < 1e-6):
            return "no"
        terms.insert(0, f"batch size = {round(size)}")
    return "yes" if not terms else "yes, for " + ", ".join(terms)


def convict(bound: str, beta: Scaling, found: list[Finding]) -> list[Finding]:
    """A loss that is no bound carries at least one error; the reductions of a bound that holds are remarks."""
    if bound == "no" and not any(f.severity == "error" for f in found):
        words = f"The effective beta is {short(beta.value)}: a weighted objective, not a bound."
        found = [*found, Finding("M4", words, {"beta": beta.value}, "weight both terms alike, or declare the beta")]
    return found


def confidence(e: Evidence) -> float:
    """Between 0 and 1: how well the fits explain the values, and whether every size could be doubled."""
    score = 1.0
    score -= 0.3 if e.kl.form == "unknown" else 0.1 if e.kl.residual > 1e-4 else 0.0
    score -= (
        0.3
        if e.recon.kind == "unknown"
        else 0.1
        if e.recon.kind not in ("dead", "profile") and e.recon.residual > 1e-4
        else 0.0
    )
    score -= 0.1 * max(len(e.k.guessed), sum(v is None for v in e.k.exponents.values()))
    score -= 0.2 if e.probe.residual_noise else 0.0
    score -= 0.1 if not (e.k.steady and e.r.steady) else 0.0
    return round(max(score, 0.1), 2)


def reductions(e: Evidence) -> dict[str, str]:
    """sum or mean, of each term over each size."""
    likelihood = {"pixels": e.r.exponents.get("Dx"), "batch": e.r.exponents.get("B")}
    words = {f"likelihood over {n}": REDUCTION.get(p, f"power {p}") for n, p in likelihood.items()}
    kl = {"latents": e.k.exponents.get("Dz"), "batch": e.k.exponents.get("B")}
    return words | {f"kl over {n}": REDUCTION.get(p, f"power {p}") for n, p in kl.items()}


def unknown(e: Evidence) -> tuple[str, ...]:
    """What these values cannot tell."""
    words = []
    if scale_name(e):
        words.append(
            f"a fixed decoder scale ({scale_name(e)}) and a weight on the KL are one number: only k / r is known"
        )
    if e.sampler is None:
        words.append("whether the sampler uses the sigma of the KL: no sampler was given")
    for name in e.k.guessed:
        if e.kl.form != "dead":
            words.append(f"how the weights scale with {name}: the loss accepts one {name} only (read from the values)")
    if e.recon.kind == "dead":
        words.append("beta: the loss has no reconstruction")
    words.append("weights that change with step, epoch or mode: the function shows one of them")
    return tuple(words)
