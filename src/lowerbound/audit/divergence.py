"""What the loss does with (mu, sigma) of one latent: fit A mu^2/2 + B v/2 - C log v/2 for every reading of v."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import torch
from scipy.optimize import least_squares

from lowerbound.audit.heads import FREE, PLAIN, Head
from lowerbound.audit.probe import Point, Probe

Array = np.ndarray
EXACT, NEAR = 2e-6, 2e-3
LOW_MU = np.array([-2.1, -1.3, -0.6, 0.1, 0.7, 1.5, 2.2])
HIGH_MU = np.array([-8.3, -7.4, -6.6, 6.2, 7.1, 7.9, 9.0])


@dataclass(frozen=True)
class KlFit:
    """One latent's penalty in the loss's own units: A (mu - centre)^2/2 + B v/2 - C log v/2 + more.

    ``sampled``: the penalty is log q(z) - log p(z) at one fixed draw ``noise``; B is then its expectation, A.

    ``form`` is forward, reversed, mixed (both), extra (forward and one foreign term), dead, fixed (s has no effect),
    spread_only (mu has no effect) or unknown. ``reverse`` weighs the terms of KL(prior || posterior).
    """

    form: str
    head: Head | None = None
    free: tuple[float, ...] = ()
    A: float = 0.0
    B: float = 0.0
    C: float = 0.0
    centre: float = 0.0
    reverse: float = 0.0
    residual: float = np.inf
    extra: str = ""
    coefficients: dict[str, float] = field(default_factory=dict)
    sampled: bool = False
    noise: float = 0.0

    @property
    def parametrisation(self) -> str:
        """The name of the head, in the words of the finding codes."""
        if self.form == "fixed":
            return "fixed_std_1"
        return self.head.name if self.head else "unknown"


def surface(probe: Probe, base: Point, b: int, j: int, mus: Array, ss: Array) -> Array:
    """Loss differences over a grid of (mu, s) of one latent, all others kept, (len(mus), len(ss))."""
    mu, s = base.mu.clone(), base.s.clone()
    table = np.empty((len(mus), len(ss)))
    for row, m in enumerate(mus):
        for column, t in enumerate(ss):
            mu[b, j], s[b, j] = float(m), float(t)
            table[row, column] = probe.value(base.but(mu=mu, s=s))
    return table - table.ravel()[0]


def _solve(columns: list[Array], y: Array) -> tuple[Array, Array]:
    matrix = np.stack([c.ravel() for c in columns], 1)
    scale = np.abs(matrix).max(0)
    scale[scale == 0] = 1.0
    weights, *_ = np.linalg.lstsq(matrix / scale, y, rcond=1e-14)
    return weights / scale, matrix @ (weights / scale) - y


def _columns(head: Head, free: tuple[float, ...], mus: Array, ss: Array) -> dict[str, Array] | None:
    m, s = np.meshgrid(mus, ss, indexing="ij")
    v = head(s, free)
    if not np.all(np.isfinite(v)) or np.any(v <= 1e-12) or np.ptp(v) < 1e-9:
        return None
    return {"1": np.ones_like(m), "mu": m, "mu2": m**2, "v": v, "logv": np.log(v), "s": s, "m": m}


EXTRAS: dict[str, Any] = {
    "s": lambda c: c["s"],
    "s^2": lambda c: c["s"] ** 2,
    "sigma": lambda c: np.sqrt(c["v"]),
    "sigma^4": lambda c: c["v"] ** 2,
    "1/sigma^2": lambda c: 1 / c["v"],
    "s/sigma^2": lambda c: c["s"] / c["v"],
    "s sigma^2": lambda c: c["s"] * c["v"],
    "|mu|": lambda c: np.abs(c["m"]),
    "mu^4": lambda c: c["m"] ** 4,
    "mu^2 s": lambda c: c["m"] ** 2 * c["s"],
    "mu^2 sigma^2": lambda c: c["m"] ** 2 * c["v"],
    "(log v)^2": lambda c: c["logv"] ** 2,
    "v log v": lambda c: c["v"] * c["logv"],
}


def _try(
    head: Head,
    free: tuple[float, ...],
    table: Array,
    mus: Array,
    ss: Array,
    kind: str,
    scale: float,
    sampled: bool = False,
) -> KlFit:
    """Least squares of the surface on the terms of one reading; with ``sampled`` also on those of one draw of noise."""
    c = _columns(head, free, mus, ss)
    if c is None:
        return KlFit("unknown")
    names = ["1", "mu", "mu2", "v", "logv"]
    columns = [c[n] for n in names]
    if kind == "reversed":
        names += ["1/v", "mu/v", "mu2/v"]
        columns += [1 / c["v"], c["m"] / c["v"], c["m"] ** 2 / c["v"]]
    elif kind != "forward":
        names.append(kind)
        columns.append(EXTRAS[kind](c))
    if sampled:
        names += ["mu sigma", "sigma"]
        columns += [c["m"] * np.sqrt(c["v"]), np.sqrt(c["v"])]
    weights, misfit = _solve(columns, table.ravel())
    w = dict(zip(names, (float(t) for t in weights), strict=True))
    a = 2 * w["mu2"]
    fit = KlFit(kind, head, free, a, 2 * w["v"], -2 * w["logv"], -w["mu"] / a if a else 0.0, coefficients=w)
    reverse = 2 * w.get("mu2/v", 0.0)
    form = kind if kind == "forward" else "reversed" if kind == "reversed" else "extra"
    if sampled:
        noise = w["mu sigma"] / a if a else 0.0
        if abs(noise * noise * a - fit.B) > 1e-5 * (abs(fit.B) + abs(a) * 1e-3):
            return KlFit("unknown")
        fit = replace(fit, B=a, sampled=True, noise=noise)
    return replace(
        fit,
        form=form,
        reverse=reverse,
        residual=float(np.abs(misfit).max() / scale),
        extra="" if form != "extra" else kind,
    )


def _fit_free(head: Head, table: Array, mus: Array, ss: Array, scale: float) -> KlFit:
    def misfit(free: Array) -> Array:
        c = _columns(head, tuple(free), mus, ss)
        if c is None:
            return np.full(table.size, 10.0)
        return _solve([c[n] for n in ("1", "mu", "mu2", "v", "logv")], table.ravel())[1] / scale

    start = np.array(head.start)
    found = least_squares(misfit, start, xtol=1e-15, ftol=1e-15, gtol=1e-15, max_nfev=60)
    return _try(head, tuple(float(t) for t in found.x), table, mus, ss, "forward", scale)


def fit_surface(table: Array, mus: Array, ss: Array, noise: float, heads: list[Head] | None = None) -> KlFit:
    """The simplest reading of a response surface that explains it; ``noise`` is the rounding error of its entries."""
    by_mu, by_s = float(np.ptp(table, axis=0).max()), float(np.ptp(table, axis=1).max())
    if not np.all(np.isfinite(table)):
        return KlFit("unknown")
    if by_mu <= noise and by_s <= noise:
        return KlFit("dead", residual=0.0)
    if by_s <= noise:
        weights, misfit = _solve([np.ones_like(mus), mus, mus**2], table[:, 0])
        a, gap = 2 * float(weights[2]), float(np.abs(misfit).max() / by_mu)
        centre = -float(weights[1]) / a if a else 0.0
        return KlFit("fixed" if gap < NEAR else "unknown", A=a, centre=centre, residual=gap)
    scale = max(min(by_mu, by_s) if by_mu > noise else by_s, noise * 1e3)
    given = heads or []
    best = min((_try(h, (), table, mus, ss, "forward", scale) for h in PLAIN), key=lambda f: f.residual)
    if best.residual < EXACT:
        return _named(best, by_mu, noise)
    stages = [lambda: [_try(h, (), table, mus, ss, "forward", scale, True) for h in [*PLAIN, *given]]]
    stages.append(lambda: [_fit_free(h, table, mus, ss, scale) for h in FREE])
    stages.append(lambda: [f for h in PLAIN if _inverse(f := _try(h, (), table, mus, ss, "reversed", scale))])
    stages.append(lambda: [_try(h, (), table, mus, ss, "forward", scale) for h in given])
    stages.append(lambda: [_try(h, (), table, mus, ss, e, scale, True) for h in PLAIN for e in EXTRAS if "sigma" in e])
    stages.append(lambda: [_try(h, (), table, mus, ss, e, scale) for h in PLAIN for e in EXTRAS])
    for stage in stages:
        found = min(stage(), key=lambda f: f.residual, default=KlFit("unknown"))
        if found.residual < min(EXACT, best.residual):
            return _named(found, by_mu, noise)
        best = min(best, found, key=lambda f: f.residual if f.form == "forward" else 10 * f.residual)
    return _named(best, by_mu, noise) if best.residual < NEAR else KlFit("unknown", residual=best.residual)


def _inverse(fit: KlFit) -> bool:
    """Whether a term in mu^2 / sigma^2 is really there."""
    return abs(fit.reverse) > 1e-3 * abs(fit.A)


def _named(fit: KlFit, by_mu: float, noise: float) -> KlFit:
    size = max(abs(fit.A), abs(fit.B), abs(fit.C), abs(fit.reverse))
    if fit.form == "reversed":
        forward = max(abs(fit.A), abs(fit.B)) > 1e-4 * size
        fit = replace(fit, form="mixed" if forward else "reversed")
    if by_mu <= noise:
        return replace(fit, form="spread_only" if fit.form == "forward" else fit.form, A=0.0)
    a, b, c = (0.0 if abs(t) < 1e-7 * size else t for t in (fit.A, fit.B, fit.C))
    return replace(fit, A=a, B=b, C=c)


def coefficients_by_gradient(probe: Probe, base: Point, fit: KlFit) -> dict[str, Array] | None:
    """The same for tensors too large to visit: from gradients at two means and two spreads (None where they fail)."""
    if fit.form != "forward" or fit.sampled or fit.head is None or probe.values_only:
        return None
    ss = [float(t) for t in probe.spreads()[[4, 8]]]
    try:
        pairs = [_slopes(probe, base.but(mu=c * base.mu)) for c in (1.0, 1.3)]
        spread = [_slopes(probe, base.but(s=torch.full_like(base.s, t)))[1] for t in ss]
    except Exception:
        return None
    mu = base.mu.double().numpy()
    a = (pairs[1][0] - pairs[0][0]) / (0.3 * mu)
    v = fit.head(np.array(ss), fit.free)
    rise = (fit.head(np.array(ss) + 1e-6, fit.free) - fit.head(np.array(ss) - 1e-6, fit.free)) / 2e-6
    rows = np.stack([rise / 2, -rise / (2 * v)], 1)
    b, c = np.linalg.solve(rows, np.stack([g.ravel() for g in spread])).reshape(2, *mu.shape)
    centre = mu - pairs[0][0] / np.where(a == 0, 1.0, a)
    return {"A": a, "B": b, "C": c, "centre": np.where(a == 0, 0.0, centre), "noise": np.zeros_like(a)}


def _slopes(probe: Probe, point: Point) -> tuple[Array, Array]:
    mu, s = point.mu.clone().requires_grad_(True), point.s.clone().requires_grad_(True)
    grads = torch.autograd.grad(probe.expected(point.but(mu=mu, s=s)), [mu, s])
    return grads[0].double().numpy(), grads[1].double().numpy()


def element_coefficients(probe: Probe, base: Point, fit: KlFit, mus: Array, ss: Array) -> dict[str, Array]:
    """A, B, C and the centre of every latent of every example (B, Dz), with the head already known."""
    mus, ss = mus[[0, 3, 6]], ss[[1, 4, 6, 8, 11]]
    shape = tuple(base.mu.shape)
    out = {k: np.zeros(shape) for k in ("A", "B", "C", "centre", "noise")}
    for b, j in np.ndindex(*shape):
        table = surface(probe, base, b, j, mus, ss)
        if fit.head is None:
            weights, _ = _solve([np.ones_like(mus), mus, mus**2], table[:, 0])
            one = KlFit("fixed", A=2 * float(weights[2]), centre=-float(weights[1]) / (2 * float(weights[2]) or 1.0))
        else:
            kind = {"forward": "forward", "spread_only": "forward"}.get(fit.form, fit.extra or "reversed")
            one = _try(fit.head, fit.free, table, mus, ss, kind, 1.0, fit.sampled) if kind == "forward" else fit
        for k in out:
            out[k][b, j] = getattr(one, k)
    return out
