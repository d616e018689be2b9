"""The KL of a loss drawn over the true one, in mu and in sigma."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from lowerbound.audit.verdict import Verdict

if TYPE_CHECKING:
    from lowerbound.audit.evidence import Evidence


def measure_curves(e: Evidence) -> dict[str, Any]:
    """Their penalty on one latent against the KL to N(0, 1), in nats: {mu: {at, theirs, true}, sigma: {...}}."""
    probe, head = e.probe, e.kl.head
    scale = _unit(e)
    base = probe.point(e.small, 0.4)
    s0 = float(probe.prior_point[1][0, 0]) if probe.prior_point is not None else 0.0

    def at(mu: float, s: float) -> float:
        m, t = base.mu.clone(), base.s.clone()
        m[0, 0], t[0, 0] = mu, s
        return probe.value(base.but(mu=m, s=t))

    zero, mus = at(0.0, s0), np.linspace(-3, 3, 49)
    mu = {"at": mus.tolist(), "theirs": [(at(m, s0) - zero) / scale for m in mus], "true": (mus**2 / 2).tolist()}
    ss = np.linspace(0.1, 3.0, 49) if probe.positive else np.linspace(-3, 3, 49)
    v = head(ss, e.kl.free) if head is not None else np.exp(ss)
    good = np.isfinite(v) & (v > 1e-6) & (v < 12)
    ss, v = ss[good], v[good]
    sigma = {"at": np.sqrt(v).tolist(), "theirs": [(at(0.0, t) - zero) / scale for t in ss]}
    sigma["true"] = (0.5 * (v - 1 - np.log(v))).tolist()
    return {"mu": mu, "sigma": sigma}


def _unit(e: Evidence) -> float:
    """What one nat of their KL weighs at the small sizes: the weight of the log term, else of the others."""
    k = e.weight.k if e.weight is not None and np.isfinite(e.weight.k) and e.weight.k else 0.0
    if not k:
        k = e.kl.reverse or 1.0
    return abs(float(k))


def draw(verdict: Verdict, path: Any) -> None:
    """Write the picture to ``path`` (png, svg or pdf)."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9.5, 4.2), layout="constrained")
    axes = figure.subplots(1, 2)
    for axis, name, label in ((axes[0], "mu", "posterior mean"), (axes[1], "sigma", "posterior deviation")):
        curve = verdict.curves.get(name)
        axis.set_xlabel(label)
        axis.set_ylabel("nats (one latent, at the weight of their KL)")
        if not curve or not curve["at"]:
            continue
        axis.plot(
            curve["at"], curve["true"], color="#9aa5b1", linewidth=6, solid_capstyle="round", label="KL to N(0, 1)"
        )
        theirs = np.array(curve["theirs"], dtype=float)
        axis.plot(curve["at"], theirs, color="#c2410c", linewidth=1.8, label="your loss")
        top = max(curve["true"]) * 1.3
        axis.set_ylim(min(-0.08 * top, max(-top, float(np.nanmin(theirs)))), top)
        axis.spines[["top", "right"]].set_visible(False)
    axes[0].legend(frameon=False, loc="upper center")
    mark = "acquitted" if verdict.acquitted else "convicted: " + ", ".join(dict.fromkeys(_errors(verdict)))
    figure.suptitle(f"{mark}   (s is {verdict.parametrisation}; beta = {verdict.beta_expression})", fontsize=11)
    figure.savefig(path, dpi=140)


def _errors(verdict: Verdict) -> list[str]:
    return [f.code for f in verdict.findings if f.severity == "error"]
