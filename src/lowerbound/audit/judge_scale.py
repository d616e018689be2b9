"""Findings about reductions, effective beta and the likelihood (codes R, L, M4, N1)."""

from __future__ import annotations

import math

from lowerbound.audit.evidence import Evidence
from lowerbound.audit.reductions import Scaling, clean, expression
from lowerbound.audit.verdict import Finding

SCALED = {"gaussian_mse": "sigma^2", "laplace": "b", "logcosh": "b", "huber": "sigma^2", "charbonnier": "b"}


def beta_of(e: Evidence) -> Scaling:
    """beta = k / r with its exponents."""
    if (
        e.recon.kind == "dead"
        or not e.r.value
        or not math.isfinite(e.r.value)
        or e.kl.form in ("unknown", "reversed", "mixed")
    ):
        return Scaling(math.nan)
    if not math.isfinite(e.k.value) or undefined(e):
        return Scaling(math.nan)
    exponents: dict[str, int | None] = {}
    for n in ("B", "Dx", "Dz"):
        a, b = e.k.exponents.get(n), e.r.exponents.get(n)
        exponents[n] = None if a is None or b is None else a - b
    return Scaling(e.k.value / e.r.value, exponents, clean(e.k.constant / e.r.constant if e.r.constant else math.nan))


def undefined(e: Evidence) -> bool:
    """No beta: the penalty is not a KL up to a weight."""
    terms = [t for t in (e.kl.A, e.kl.B, e.kl.C) if t]
    mixed = e.kl.form == "forward" and min(terms, default=0) < 0 < max(terms, default=0)
    return mixed or e.kl.form == "extra" or e.recon.kind in ("unknown", "linear")


def scale_name(e: Evidence) -> str:
    """sigma^2 or b where the likelihood has a fixed scale that no value can separate from its weight."""
    if e.likelihood is not None and e.likelihood.variance is not None:
        return ""
    return e.recon.family.scale if e.recon.family is not None else ""


def reduction_findings(e: Evidence, beta: Scaling) -> list[Finding]:
    """Means where sums belong, on one side only."""
    found = []
    r, k = e.r, e.k
    numbers = {"r": r.expression, "k": k.expression, "beta": beta.expression, "beta at your sizes": beta.value}
    found += _pixels(e, beta, numbers)
    found += _latents(e, beta, numbers)
    found += _batch(e, beta, numbers)
    return found + _constants(e, beta, numbers)


def plausible(e: Evidence, beta: Scaling) -> bool:
    """Whether a fixed decoder scale is not larger than the data themselves."""
    return bool(scale_name(e)) and 0 < beta.value <= 1.0 + 1e-9


def _exponent(scaling: Scaling, name: str) -> int:
    return scaling.exponents.get(name) or 0


def _pixels(e: Evidence, beta: Scaling, numbers: dict[str, object]) -> list[Finding]:
    if e.recon.kind == "grouped":
        return _tokens(e, numbers)
    found = []
    if e.masked:
        found.append(Finding("R4", "The reconstruction is a mean over the valid values.", dict(numbers), _SUM_PIXELS))
        words = "The number of valid values in the batch divides the reconstruction: the weight depends on the batch."
        found.append(Finding("R3", words, dict(numbers), _SUM_PIXELS, "warn"))
    power = _exponent(e.r, "Dx") - _exponent(e.k, "Dx")
    if power == 0:
        return found
    constant = e.r.constant / max(e.k.constant, 1e-300) if e.kl.form != "dead" else e.r.constant
    own = e.r.constant * e.sizes.Dx ** _exponent(e.r, "Dx")
    fits = any(abs(own / f - 1) < 1e-6 for f in ({1.0, 2.0} if scale_name(e) == "sigma^2" else {1.0}))
    if _exponent(e.r, "Dx") == 0:  # the KL is divided by a number of pixels
        fits = abs(beta.value - 1) < 1e-6
    if fits:
        numbers = {**numbers, "constant": constant}
        return [
            *found,
            Finding(
                "R5", "A constant stands for the number of pixels: right at these sizes only.", numbers, severity="info"
            ),
        ]
    severity = "warn" if plausible(e, beta) and e.r.constant > 2.5 else "error"
    words = (
        "The reconstruction is averaged over pixels and the KL is not"
        if power < 0
        else "Pixels weigh the two terms differently"
    )
    found.append(Finding("R1", f"{words}: beta grows like {beta.expression}.", dict(numbers), _SUM_PIXELS, severity))
    return found


_SUM_PIXELS = "sum the reconstruction over the parts of an example, then average over examples"
_SUM_LATENTS = "kl.sum(dim=1).mean()  # sum over latents, mean over examples"


def _tokens(e: Evidence, numbers: dict[str, object]) -> list[Finding]:
    """Softmax groups: a mean over positions, over tokens, or over the classes as well."""
    like = e.likelihood
    if like is None or e.groups <= 0:
        return []
    each = like.r * like.live
    batch = like.r * e.small.B
    numbers = {**numbers, "positions": e.groups}
    if e.recon.name == "bernoulli_onehot" and _exponent(e.r, "Dx") == -1:
        words = (
            "The cross entropy is averaged over positions and classes and rescaled by a constant that does not match."
        )
        return [Finding("R5", words, numbers, _SUM_PIXELS)]
    if e.groups > 1 and abs(each - 1) < 1e-6 * max(1.0, abs(each)):
        found = [Finding("R4", "The reconstruction is a mean over tokens (or positions).", numbers, _SUM_PIXELS)]
        if e.masked:
            found.append(
                Finding(
                    "R3",
                    "The number of tokens in the batch sets the weight of every example.",
                    numbers,
                    severity="info",
                )
            )
        return found
    if e.groups > 1 and abs(batch * e.groups - 1) < 1e-6:
        return [Finding("R4", "The reconstruction is a mean over positions.", numbers, _SUM_PIXELS)]
    power = _exponent(e.r, "Dx") - _exponent(e.k, "Dx")
    return (
        [Finding("R1", "The reconstruction is averaged over outputs and the KL is not.", numbers, _SUM_PIXELS)]
        if power
        else []
    )


def _latents(e: Evidence, beta: Scaling, numbers: dict[str, object]) -> list[Finding]:
    power = _exponent(e.k, "Dz") - _exponent(e.r, "Dz")
    if power == 0 or e.kl.form == "dead":
        return []
    ratio = e.k.value * e.sizes.B if _exponent(e.k, "B") == -1 else e.k.value
    matches = e.k.constant > 2.5 and abs(ratio - 1) < 1e-6
    if math.isfinite(beta.value) and abs(beta.value - 1) < 1e-6 and matches:
        return [
            Finding(
                "R5",
                "A constant stands for the number of latents: right at these sizes only.",
                dict(numbers),
                severity="info",
            )
        ]
    words = f"The KL is averaged over latents: its weight per nat is {e.k.expression}."
    severity = "info" if e.recon.kind == "dead" and e.kl.form == "fixed" else "error"
    return [Finding("R2", words, dict(numbers), _SUM_LATENTS, severity)]


def _batch(e: Evidence, beta: Scaling, numbers: dict[str, object]) -> list[Finding]:
    if e.probe.x_space == "adj":
        return []
    power = _exponent(e.k, "B") - _exponent(e.r, "B")
    if "B" in (*e.k.guessed, *e.r.guessed):  # one batch size only: nothing is known of the batch
        return []
    if e.recon.kind == "dead":
        if _exponent(e.k, "B") == 0 and e.kl.form != "dead":
            words = (
                "The KL is summed over the batch: beside a reconstruction averaged over it, beta grows with the batch."
            )
            return [Finding("R3", words, dict(numbers), severity="info")]
        return []
    unknown = e.k.exponents.get("B") is None or e.r.exponents.get("B") is None
    if power == 0 or e.kl.form == "dead" or unknown:
        return []
    numbers = {**numbers, "exponent of B": power}
    constant = beta.constant if power < 0 else 1 / beta.constant if beta.constant else math.nan
    if (
        math.isfinite(constant)
        and constant > 1.5
        and abs(constant - round(constant)) < 1e-6
        and not _exponent(beta, "Dz")
    ):
        right = round(constant) == e.sizes.B
        words = f"A configured batch size of {round(constant)} divides one term and the real one the other."
        return [Finding("R5", words, numbers, "divide both terms by x.shape[0]", "info" if right else "error")]
    words = f"The batch is reduced on one side only: beta = {beta.expression}."
    return [Finding("R3", words, numbers, "reduce both terms over the batch in the same way")]


def _constants(e: Evidence, beta: Scaling, numbers: dict[str, object]) -> list[Finding]:
    """Constants in r that stand for a number of pixels, channels or a batch."""
    c = e.r.constant
    if not math.isfinite(c) or c <= 0 or e.recon.kind in ("dead", "unknown", "profile") or e.masked:
        return []
    power = _exponent(e.r, "Dx") - _exponent(e.k, "Dx")
    whole = abs(c - round(c)) < 1e-6 and round(c) > 2
    if (
        power == -1
        and whole
        and e.recon.kind == "elementwise"
        and abs(c / e.sizes.Dx - 1) > 1e-6
        and abs(c / e.sizes.Dx - 2) > 1e-6
    ):
        words = f"The mean over pixels is multiplied by {round(c)}, which is not the number of pixels {e.sizes.Dx}."
        return [Finding("R5", words, numbers, _SUM_PIXELS, "warn")]
    parts = 1 / beta.constant if math.isfinite(beta.constant) and beta.constant else math.nan
    plain = all(v == 0 for v in beta.exponents.values())
    single = e.recon.kind == "elementwise" and not scale_name(e) and beta.value > 1.5
    if plain and single and abs(e.k.constant - 1) < 1e-9 and abs(1 / parts - round(1 / parts)) < 1e-6 and parts < 1:
        words = f"The likelihood has weight 1/{round(1 / parts)}: averaged over channels, or a declared weight."
        return [Finding("R5", words, numbers, _SUM_PIXELS)]
    return []


def likelihood_findings(e: Evidence, beta: Scaling) -> list[Finding]:
    """What the reconstruction is, and whether it is a likelihood of such data."""
    name, x, found = e.recon.name, e.probe.x_space, []
    if e.recon.kind == "dead" and e.probe.out_space != "none":
        found.append(Finding("L2", "The loss does not depend on the output.", {}, severity="error"))
    if e.recon.kind == "unknown":
        found.append(
            Finding(
                "L6",
                "The reconstruction is no likelihood that the audit knows.",
                {"misfit": e.recon.residual},
                severity="warn",
            )
        )
    if e.recon.kind == "linear":
        words = "The reconstruction is linear in the output: minimised by sending it to infinity."
        found += [
            Finding("L2", words, {"slope": e.recon.weight}),
            Finding("K3", "Unbounded below in the output.", {"slope": e.recon.weight}),
        ]
    if name.startswith("bernoulli") and x == "unit" and name != "bernoulli_onehot":
        words = "Bernoulli on grey data: a bound for binary data only (its density over [0, 1] is not normalised)."
        found.append(Finding("L1", words, {}, "binarise the data or use the continuous Bernoulli", "info"))
    if name == "bernoulli_onehot":
        found.append(
            Finding("L3", "Binary cross entropies of a softmax: not the categorical likelihood.", {}, severity="warn")
        )
    if e.recon.two:
        ratio = e.recon.two[0] / e.recon.two[1]
        found.append(
            Finding("L5", f"Ones weigh {ratio:.6g} times zeros.", {"ones": e.recon.two[0], "zeros": e.recon.two[1]})
        )
    if e.recon.family is not None and not e.recon.family.proper:
        found.append(Finding("L2", f"Not a likelihood: {e.recon.family.words}.", {}))
    if name in ("logcosh", "charbonnier", "huber"):
        found.append(
            Finding(
                "L2",
                f"{e.recon.family.words if e.recon.family else name}: its normaliser is left out.",
                {},
                severity="info",
            )
        )
    c = e.r.constant
    if scale_name(e) == "sigma^2" and math.isfinite(c) and c > 0 and abs(math.log2(c) % 1.0) < 1e-9 and c == 2:
        found.append(
            Finding("L4", "Squared error without its half.", {"r": e.r.expression}, "0.5 * (x - out)**2", "info")
        )
    if e.r.value < 0:
        found.append(Finding("L2", "The sign of the reconstruction is lost.", {"r": e.r.value}))
    return found


def visible_weight(e: Evidence, beta: Scaling) -> list[Finding]:
    """M4: constants that are not the effective weight."""
    c = beta.constant
    known = math.isfinite(c) and math.isfinite(beta.value) and beta.value > 0
    if not known or abs(c / beta.value - 1) < 1e-6 or any(abs(c - t) < 1e-9 for t in (0.5, 1.0, 2.0)):
        return []
    words = f"The effective beta is {beta.value:.6g}; the constants in sight make {expression(c, {})}."
    return [Finding("M4", words, {"beta": beta.value, "expression": beta.expression}, severity="info")]


def numerics_findings(e: Evidence) -> list[Finding]:
    """Overflow and NaN."""
    single = [b for b in e.breaks if b.dtype == "float32"]
    half = [b for b in e.breaks if b.dtype != "float32"]
    found = []
    if single:
        words = "; ".join(f"{b.what} at {b.argument} = {b.at:.4g}" for b in single)
        found.append(
            Finding("N1", f"In float32 not finite: {words}.", {b.argument: b.at for b in single}, severity="warn")
        )
    if half:
        words = "; ".join(f"{b.dtype} {b.what} at {b.argument} = {b.at:.4g}" for b in half)
        found.append(
            Finding("N1", f"In half precision not finite: {words}.", {}, "compute the loss in float32", "info")
        )
    return found
