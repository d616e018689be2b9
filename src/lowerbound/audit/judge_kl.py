"""Findings about the KL itself, its floors, its sampler and its gradient (codes K, S, M)."""

from __future__ import annotations

import math

import numpy as np

from lowerbound.audit.evidence import Evidence, dv_close
from lowerbound.audit.verdict import Finding

KL_LINE = "kl = 0.5 * (mu**2 + log_variance.exp() - 1 - log_variance)"


def kl_findings(e: Evidence) -> list[Finding]:
    """Everything wrong or odd with the penalty."""
    if e.odd.dead_by:
        return _dead(e)
    found = _form(e) + _halves(e) + _head(e) + _constant(e)
    return found + bend_findings(e) + _coupling(e)


def _dead(e: Evidence) -> list[Finding]:
    words = {
        "zero": "The KL is multiplied by zero: it appears in the code and changes nothing.",
        "clamp": "The KL is clamped to a constant: it is computed and never reaches the loss.",
        "absent": "The loss does not use mu or s at all: there is no KL.",
    }
    found = [Finding("K7", words[e.odd.dead_by], {"k": 0.0, "with infinite KL": e.odd.dead_by}, KL_LINE)]
    if e.odd.dead_by == "clamp":
        found.append(
            Finding("M1", "An infinite KL leaves the loss finite: a clamp cuts it off.", {"cap": 0.0}, "drop the clamp")
        )
    return found


def _form(e: Evidence) -> list[Finding]:
    kl, odd = e.kl, e.odd
    if kl.form == "unknown":
        return _unknown(e)
    if kl.form in ("reversed", "mixed"):
        words = "KL(prior || posterior)" if kl.form == "reversed" else "KL in both directions"
        return [Finding("K4", f"The penalty is {words}, not KL(posterior || prior).", kl.coefficients, KL_LINE)]
    if kl.form == "extra":
        code = "M5" if "mu" in kl.extra and "sigma" not in kl.extra else "K1"
        more = f"The penalty holds a term in {kl.extra} that no Gaussian KL has."
        return [Finding(code, more, kl.coefficients, KL_LINE), *_signs(e)]
    return _signs(e) + (_another_prior(e) if not odd.coupled else [])


def _unknown(e: Evidence) -> list[Finding]:
    odd, found = e.odd, []
    if e.bend is not None:
        return []
    if odd.codes:
        words = f"mu are logits of categorical codes with {odd.codes} classes: no Gaussian KL."
        found.append(Finding("K1", words, {"classes": odd.codes}, severity="info"))
    elif odd.proper_entropy:
        words = "The entropy of the posterior is kept, but the prior is not one Gaussian per latent."
        found.append(Finding("M5", words, {}, severity="warn"))
    else:
        found.append(
            Finding(
                "K1", "The penalty is not a Gaussian KL under any reading of s.", {"misfit": e.kl.residual}, KL_LINE
            )
        )
    if odd.flat_near_prior:
        found.append(Finding("M1", "Near agreement of posterior and prior the penalty does not move: a floor.", {}))
    if odd.spread_dead:
        found.append(Finding("K7", "s has no effect on the loss.", {}, severity="info"))
    return found


def _signs(e: Evidence) -> list[Finding]:
    kl = e.kl
    terms = {"mu^2/2": kl.A, "sigma^2/2": kl.B, "-log sigma^2/2": kl.C}
    bad = [name for name, value in terms.items() if value < 0]
    if not bad:
        return []
    every = all(v <= 0 for v in terms.values())
    words = "The sign of the KL is lost: the loss rewards it" if every else f"The sign of {', '.join(bad)} is wrong"
    return [Finding("K3", f"{words}: unbounded below.", terms, KL_LINE)]


def _another_prior(e: Evidence) -> list[Finding]:
    kl = e.kl
    if kl.form != "forward" or min(kl.A, kl.B, kl.C) <= 0:
        return []
    if e.learned_prior:
        centre = e.elements["centre"]
        words = "The prior is a Gaussian of its own for each latent (learned or conditional), used consistently."
        return [Finding("K2", words, {"largest centre": float(np.abs(centre).max())}, severity="info")]
    found = []
    if dv_close(kl.A, kl.B) and not dv_close(kl.A, kl.C):
        t = kl.C / kl.A
        words = f"The KL is against N(0, {t:.6g}), not N(0, 1); its weight is {kl.C:.6g}, not {kl.A:.6g}."
        found.append(Finding("K2", words, {"prior variance": t}, KL_LINE, "warn"))
    if abs(kl.centre) > 1e-4:
        words = f"The prior's mean is {kl.centre:.6g}, not 0."
        found.append(Finding("K2", words, {"prior mean": kl.centre}, severity="warn"))
    return found


def scaled_head(e: Evidence) -> bool:
    """A = C and B another number: sigma^2 is B/A times the head's, if the sampler or the constant agrees."""
    kl = e.kl
    if kl.form != "forward" or min(kl.A, kl.B, kl.C) <= 0 or not dv_close(kl.A, kl.C) or dv_close(kl.A, kl.B):
        return False
    if e.agreement is not None:
        return e.agreement.agrees
    return e.offset is not None and abs(e.offset) < 1e-6 * abs(kl.A)


def _halves(e: Evidence) -> list[Finding]:
    kl, found = e.kl, []
    terms = {"mu^2/2": kl.A, "sigma^2/2": kl.B, "-log sigma^2/2": kl.C}
    if kl.form == "spread_only" or (kl.form == "forward" and 0 in terms.values()):
        gone = ", ".join(n for n, v in terms.items() if v == 0)
        found.append(Finding("K5", f"A part of the KL is missing: {gone}.", terms, KL_LINE))
        if kl.form == "forward" and kl.B == 0 and kl.C > 0:
            found.append(Finding("K3", "Without sigma^2 the loss falls without bound as sigma grows.", terms, KL_LINE))
    elif kl.form == "forward" and min(terms.values()) > 0 and not e.learned_prior:
        same = [dv_close(kl.A, kl.B), dv_close(kl.A, kl.C), dv_close(kl.B, kl.C)]
        if not any(same) or (not same[0] and not scaled_head(e)):
            words = "The terms of the KL have different weights: a half is missing or doubled."
            found.append(Finding("K5", words, terms, KL_LINE))
    return found + _doubled(e)


def _doubled(e: Evidence) -> list[Finding]:
    c, w = e.k.constant, e.weight
    if w is not None and 0 < w.live < e.small.B * e.small.Dz and e.odd.fold > 1:
        each = (w.C if e.learned_prior else w.k) * w.live * e.odd.fold / e.small.Dz
        if abs(each - round(each)) < 1e-6 and round(each) in (1, 2):
            return [
                Finding(
                    "R4", "The KL is a mean over the valid steps.", {"k": w.k, "valid latents": w.live}, severity="info"
                )
            ]
    if not math.isfinite(c) or c <= 0:
        return []
    scaled = e.recon.name.startswith("bernoulli") or e.recon.name in ("categorical", "multinomial", "poisson")
    beta = c / e.r.constant if scaled and e.r.constant else c
    lead = beta / 10.0 ** math.floor(math.log10(beta) + 1e-9)
    numbers = {"constant of k": c, "constant of beta": beta}
    if e.odd.fold > 1 and abs(c * e.odd.fold - round(c * e.odd.fold)) < 1e-9 and round(c * e.odd.fold) in (1, 2):
        step = f"Dz must be a multiple of {e.odd.fold}: if these are steps, the KL may be averaged over them"
        found = [Finding("R4", step + ".", numbers, severity="info")]
        if round(c * e.odd.fold) == 2:
            found.append(Finding("K5", step + " and doubled.", numbers, severity="info"))
        return found
    if abs(beta - 2) < 1e-6 and abs(c - beta) < 1e-6:
        return [
            Finding("K5", "The KL counts twice: the half is missing.", numbers, KL_LINE, "error" if scaled else "warn")
        ]
    if abs(beta - 0.5) < 1e-6 and abs(c - beta) < 1e-6:
        return [Finding("K5", "The KL counts half: halved twice, or beta = 0.5 on purpose.", numbers, KL_LINE, "warn")]
    if abs(lead - 2) < 1e-6:
        words = f"Values cannot tell a weight {beta:.6g} from a weight {beta / 2:.6g} on a KL that lacks its half."
        return [Finding("K5", words, numbers, severity="info")]
    return []


def _head(e: Evidence) -> list[Finding]:
    kl = e.kl
    if kl.form == "fixed":
        free = e.sampler is not None and not e.sampler.constant
        if free:
            words = "The KL has only mu^2/2 while the sampler's deviation follows s: the other half is missing."
            return [Finding("K5", words, {"A": kl.A}, KL_LINE)]
        words = "The loss does not depend on s: the posterior's deviation is fixed."
        return [
            Finding("K8", words, {"A": kl.A}, severity="info"),
            Finding("K7", "s has no effect on the loss.", {}, severity="info"),
        ]
    if kl.head is None:
        return []
    wide = np.linspace(0.01, 40, 400) if e.probe.positive else np.linspace(-40, 40, 801)
    v = kl.head(wide, kl.free)
    v = v[np.isfinite(v)]
    if v.size and v.max() < 4.0:
        words = f"The head keeps sigma^2 within {v.min():.3g} .. {v.max():.3g}."
        severity = "warn" if v.max() < 0.999 else "info"
        return [Finding("K8", words, {"smallest": float(v.min()), "largest": float(v.max())}, severity=severity)]
    return []


def _constant(e: Evidence) -> list[Finding]:
    """Constants that shift the value and not the gradient."""
    found = []
    like, recon = e.likelihood, e.recon
    if like is not None and like.constant:
        words = "log(2 pi)/2 per part is dropped: the value is shifted, the gradient is right."
        found.append(Finding("K6", words, {}, severity="info"))
    if recon.name == "multinomial":
        words = "The multinomial coefficient is dropped: the value is shifted by a constant of the data."
        found.append(Finding("K6", words, {}, severity="info"))
    if e.offset is None or like is None or found:
        return found
    r, n, k = like.r, like.live, abs(e.k.value)
    known = [0.0]
    if recon.name.startswith("gaussian"):
        q = np.asarray(recon.weights)
        q = q[np.isfinite(q) & (q > 0)]
        for h in (0.0, 0.5 * math.log(2 * math.pi)):
            known.append(r * float((0.5 * np.log(r / q) + h).sum()) if q.size and r > 0 else 0.0)
            known.append(r * n * h)
    known += _factorials(e)
    scale = max(abs(e.offset), 1e-9)
    if all(abs(e.offset - t) > 1e-6 * scale for t in known) and abs(e.offset) > 1e-7 * max(r * n, k):
        words = (
            f"The loss is shifted by a constant of {e.offset:.6g}: it is not minus the ELBO in value, only in gradient."
        )
        found.append(
            Finding("K6", words, {"offset": e.offset, "at sizes": list(vars(e.small).values())}, severity="info")
        )
    return found


def _factorials(e: Evidence) -> list[float]:
    if not e.recon.name.startswith("poisson") or e.likelihood is None:
        return []
    x = e.probe.point(e.small, e.level).x.double().numpy()
    return [e.likelihood.r * float(sum(math.lgamma(t + 1) for t in x.ravel()))]


def bend_findings(e: Evidence) -> list[Finding]:
    """Floors, caps and capacities."""
    b = e.bend
    if b is None:
        return []
    numbers = {
        "kind": b.kind,
        "level": b.level,
        "nats": b.nats,
        "weight below": b.weights[0],
        "weight above": b.weights[1],
    }
    where = {
        "latent": "per latent and example",
        "latent_batch": "per latent, batch average",
        "example": "per example",
        "batch": "of the batch average",
    }[b.level]
    if b.kind in ("capacity", "squared_capacity"):
        words = f"The loss pulls the KL ({where}) to a capacity of {b.nats:.4g} nats: below it the KL is rewarded."
        return [Finding("M2", words, numbers)]
    words = f"The KL ({where}) has a {b.kind} at {b.nats:.4g} nats: "
    words += f"weight {b.weights[0]:.4g} below, {b.weights[1]:.4g} above."
    return [Finding("M1", words, numbers)]


def _coupling(e: Evidence) -> list[Finding]:
    found = []
    if e.odd.coupled and e.bend is None and e.kl.form in ("forward", "fixed", "extra", "unknown") and not e.odd.codes:
        words = "Latents act together: a regulariser beside the KL (total correlation, MMD, ...)."
        found.append(Finding("M5", words, {}, severity="warn" if e.odd.proper_entropy else "error"))
    if e.odd.depends_on_data:
        found.append(Finding("M4", "The weight of the KL depends on the data of the example.", {}, severity="error"))
    return found


def sampler_findings(e: Evidence) -> list[Finding]:
    """Noise that is not the noise of the KL."""
    s, found = e.sampler, []
    if s is None:
        return []
    if s.shared:
        found.append(
            Finding("S3", "The noise is shared: over the batch or over latents.", {}, "eps = torch.randn_like(mu)")
        )
    if not s.normal or not s.linear:
        found.append(Finding("S3", "The noise is not normal.", {}, "eps = torch.randn_like(mu)"))
    if not s.centred:
        found.append(Finding("S2", "The sample is not centred on mu.", {}, "z = mu + sigma * eps"))
    a = e.agreement
    if a is None or a.agrees:
        return found
    numbers = {"scale": a.scale, "power": a.power}
    scaled = a.straight and abs(math.log(max(a.scale, 1e-300))) > 2e-3
    if scaled and e.kl.form not in ("reversed", "extra"):
        words = f"The noise is scaled by {a.scale:.4g}: the decoder sees another deviation than the KL pays for."
        found.append(Finding("S1", words, numbers, "z = mu + sigma * eps with the sigma of the KL"))
    if not a.straight or abs(a.power - 1) > 2e-3:
        words = f"The sampler's deviation is the KL's sigma to the power {a.power:.3g} (or another head)."
        found.append(Finding("S2", words, numbers, "use one sigma in the sampler and in the KL"))
    return found


def gradient_findings(e: Evidence) -> list[Finding]:
    """Value and gradient that disagree."""
    broken = [g for g in e.gradient or [] if g.broken]
    if not broken:
        return []
    numbers = {g.argument: {"slope of the value": g.by_value, "gradient": g.by_gradient} for g in broken}
    names = ", ".join(g.argument for g in broken)
    return [
        Finding(
            "M6",
            f"Value and gradient disagree in {names}: a term is detached or under no-grad.",
            numbers,
            "drop detach()",
        )
    ]
