"""Everything that is measured about one loss, gathered in one place before anything is judged."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import torch

from lowerbound.audit import divergence as dv
from lowerbound.audit.floors import Bend, bends
from lowerbound.audit.gradient import GradientGap, gaps, gradient, recon_by_gradient
from lowerbound.audit.heads import Head
from lowerbound.audit.measure import KlWeight, Likelihood, measure_k, measure_r
from lowerbound.audit.numerics import Break, breaks
from lowerbound.audit.odd import Oddities, oddities
from lowerbound.audit.probe import Probe, Sizes, prepare
from lowerbound.audit.reconstruction import ReconFit, fit_groups, fit_reconstruction
from lowerbound.audit.reductions import Scaling, scale
from lowerbound.audit.sampler import Agreement, SamplerFit, agreement, fit_sampler

HIGH, LOW = 7.0, 0.4


@dataclass
class Evidence:
    """Facts only; the judge reads them."""

    probe: Probe
    small: Sizes
    sizes: Sizes
    kl: dv.KlFit
    recon: ReconFit
    level: float = HIGH
    elements: dict[str, np.ndarray] = field(default_factory=dict)
    bend: Bend | None = None
    k: Scaling = field(default_factory=lambda: Scaling(math.nan))
    r: Scaling = field(default_factory=lambda: Scaling(math.nan))
    weight: KlWeight | None = None
    likelihood: Likelihood | None = None
    learned: bool = False
    masked: str = ""
    groups: int = 0
    sampler: SamplerFit | None = None
    agreement: Agreement | None = None
    gradient: list[GradientGap] | None = None
    breaks: list[Break] = field(default_factory=list)
    odd: Oddities = field(default_factory=Oddities)
    offset: float | None = None
    min_spread: float = 0.0

    @property
    def learned_prior(self) -> bool:
        """The prior differs from latent to latent (but each is a Gaussian, and the weight is one)."""
        if self.kl.form != "forward" or not self.elements:
            return False
        a, c, m = (self.elements[n] for n in ("A", "C", "centre"))
        live = c != 0
        if not live.any():
            return False
        spread = np.ptp(a[live]) > 1e-4 * abs(a[live]).max() or np.abs(m[live]).max() > 1e-4
        return bool(spread and np.ptp(c[live]) < 1e-4 * np.abs(c[live]).max())


def rounding(probe: Probe, small: Sizes, level: float) -> float:
    """The size of a difference that is only rounding."""
    scale_ = abs(probe.value(probe.point(small, level))) + 1e-6
    return scale_ * (3e-13 if probe.dtype == torch.float64 else 1e-5)


def gather(probe: Probe, sizes: Sizes, sampler: Any = None) -> Evidence:
    """Run every probe on a loss."""
    small, user = prepare(probe, sizes)
    ss = probe.spreads()
    given = fit_sampler(sampler, ss, probe.positive) if sampler is not None else None
    kl, level = fit_kl(probe, small, sampler_heads(sampler, given, probe))
    probe.one_draw = kl.sampled
    e = Evidence(probe, small, user, kl, ReconFit(None, "dead"), level, sampler=given)
    e.odd = oddities(probe, small, kl, level)
    locate_prior(e)
    fit_recon(e)
    e.gradient = gaps(probe, small)
    by_gradient(e)
    weigh(e)
    if kl.form in ("forward", "fixed", "spread_only") and not e.odd.dead_by:
        e.bend = _bend(e)
    if kl.form == "unknown" and e.odd.coupled:
        bend = _bend(e)
        e.bend = bend if bend is not None and bend.kind == "squared_capacity" else None
    judge_sampler(e)
    e.offset = offset(e)
    e.breaks = breaks(probe, small, kl)
    return e


def sampler_heads(sampler: Any, given: SamplerFit | None, probe: Probe) -> list[Head]:
    """The sampler's own deviation as one more reading of s."""
    if given is None or given.constant or np.any(given.deviation <= 0):
        return []

    def variance(s: np.ndarray) -> np.ndarray:
        fitted = fit_sampler(sampler, np.asarray(s, dtype=float).ravel(), probe.positive)
        return np.full(s.shape, np.nan) if fitted is None else (fitted.deviation**2).reshape(s.shape)

    table: dict[float, float] = {}

    def cached(s: np.ndarray) -> np.ndarray:
        new = [t for t in np.unique(s) if t not in table]
        if new:
            table.update(zip(new, np.ravel(variance(np.array(new))), strict=True))
        return np.vectorize(table.__getitem__, otypes=[float])(s)

    return [Head("custom", cached, words="sigma as in the sampler")]


def fit_kl(probe: Probe, small: Sizes, heads: list[Head]) -> tuple[dv.KlFit, float]:
    """The penalty's form where the KL is large; where that is dead, near the prior."""
    best, at = dv.KlFit("dead", residual=0.0), HIGH
    for level, mus in ((HIGH, dv.HIGH_MU), (LOW, dv.LOW_MU)):
        base, noise = probe.point(small, level), rounding(probe, small, level) * 4
        for b, j in ((0, 0), (small.B - 1, small.Dz - 1), (0, small.Dz // 2)):
            fit = dv.fit_surface(
                dv.surface(probe, base, b, j, mus, probe.spreads()), mus, probe.spreads(), noise, heads
            )
            if fit.form != "dead":
                break
        if fit.form not in ("dead", "unknown"):
            return fit, level
        if best.form == "dead":
            best, at = fit, level
    return best, at


def locate_prior(e: Evidence) -> None:
    """Where the penalty is smallest: its centre per latent and the spread there."""
    probe, small = e.probe, e.small
    base = probe.point(small, e.level)
    centre, s = torch.zeros_like(base.mu), torch.full_like(base.s, 1.0 if probe.positive else 0.0)
    mus = dv.HIGH_MU if e.level == HIGH else dv.LOW_MU
    if e.kl.form in ("forward", "fixed") and small.B * small.Dz <= 200:
        e.elements = dv.element_coefficients(probe, base, e.kl, mus, probe.spreads())
        centre = torch.as_tensor(e.elements["centre"], dtype=base.mu.dtype)
    elif e.kl.form == "forward" and (found := dv.coefficients_by_gradient(probe, base, e.kl)) is not None:
        e.elements = found
        centre = torch.as_tensor(found["centre"], dtype=base.mu.dtype)
    head = e.kl.head
    if head is not None and e.kl.B * e.kl.C > 0:
        t = e.elements["C"] / np.where(e.elements["B"] == 0, 1, e.elements["B"]) if e.elements else np.ones(s.shape)
        t = np.full(s.shape, t.flat[0]) if np.ptp(t) < 1e-6 else t
        s = torch.as_tensor(invert(head, e.kl.free, np.asarray(t), probe.positive), dtype=s.dtype)
    probe.prior_point = (centre, s)


def invert(head: Head, free: tuple[float, ...], target: np.ndarray, positive: bool) -> np.ndarray:
    """s with head(s) = target, on a fine grid refined twice."""
    out = np.empty(target.shape)
    if target.size > 1 and np.ptp(target) == 0:
        return np.full(target.shape, invert(head, free, target.ravel()[:1], positive)[0])
    for place, t in np.ndenumerate(target):
        grid = np.geomspace(1e-3, 30, 400) if positive else np.linspace(-12, 12, 481)
        best = grid[0]
        for _ in range(4):
            v = np.nan_to_num(head(grid, free), nan=np.inf)
            i = int(np.argmin(np.abs(v - max(t, 1e-12))))
            best, step = grid[i], np.diff(grid).max()
            grid = np.linspace(best - step, best + step, 201)
            grid = grid[grid > 0] if positive else grid
        out[place] = best
    return out


def fit_recon(e: Evidence) -> None:
    """The reconstruction term at the small sizes."""
    if e.probe.out_space == "none":
        return
    base, noise = e.probe.point(e.small, e.level), rounding(e.probe, e.small, e.level) * 4
    e.recon = fit_reconstruction(e.probe, base, noise)


def by_gradient(e: Evidence) -> None:
    """Where value and gradient of the output disagree, read the reconstruction from the gradient."""
    if e.gradient is None or not any(g.broken and g.argument == "out" for g in e.gradient):
        return
    if e.recon.kind == "unknown" or e.recon.residual > 1e-6:
        found = recon_by_gradient(e.probe, e.probe.point(e.small, e.level))
        e.recon = replace(found, kind="gradient") if found is not None else e.recon


def weigh(e: Evidence) -> None:
    """k and r at the caller's sizes with their exponents."""
    probe, tied = e.probe, e.probe.x_space == "adj"
    cache: dict[Sizes, KlWeight] = {}

    def k(sizes: Sizes) -> float:
        if sizes not in cache:
            cache[sizes] = measure_k(probe, sizes, e.kl, e.level)
        return cache[sizes].C if e.learned_prior else cache[sizes].k

    if e.kl.form == "unknown":
        e.k = Scaling(math.nan, {**e.odd.exponents, "Dx": 0})
    else:
        e.k = scale(probe, e.small, e.sizes, k, tied, own="Dz")
        e.weight = cache.get(e.small)
    e.learned = _learned(e)
    seen: dict[Sizes, Likelihood] = {}

    def r(sizes: Sizes) -> float:
        if sizes not in seen:
            seen[sizes] = _likelihood(e, sizes)
        return seen[sizes].r

    e.r = scale(probe, e.small, e.sizes, r, tied)
    e.likelihood = seen.get(e.small)
    _masks(e, seen)


def _masks(e: Evidence, seen: dict[Sizes, Likelihood]) -> None:
    """A mean over the parts that are not masked: r times their number is one constant."""
    kept = [v for v in seen.values() if v.live and math.isfinite(v.r)]
    e.groups = seen[e.small].total // e.small.B if e.recon.kind == "grouped" and e.small in seen else 0
    if len(kept) < 3 or all(v.live == v.total for v in kept):
        return
    products = np.array([v.r * v.live for v in kept])
    if np.ptp(products) < 1e-6 * np.abs(products).max():
        e.masked = "mean over the parts that are not masked"
        e.r = replace(e.r, exponents={"B": -1, "Dx": -1 if e.recon.kind != "grouped" else 0, "Dz": 0})
        last = seen.get(e.sizes, seen[e.small])
        value = float(products[0]) / last.live if e.sizes in seen else e.r.value
        e.r = replace(e.r, value=value, constant=value * e.sizes.B * (e.sizes.Dx if e.recon.kind != "grouped" else 1))


def _likelihood(e: Evidence, sizes: Sizes) -> Likelihood:
    fit = e.recon
    if fit.kind == "gradient" and fit.family is not None:
        point = e.probe.point(sizes, e.level)
        found = gradient(e.probe, point)
        x, o = point.x.double().numpy(), point.out.double().numpy()
        slope = (fit.family.nll(x, o + 1e-6) - fit.family.nll(x, o - 1e-6)) / 2e-6
        assert found is not None
        g = found["out"].double().numpy()
        return Likelihood(float((slope * g).sum() / (slope * slope).sum()), g.size, g.size)
    if fit.kind == "grouped" and sizes != e.small:
        again = fit_groups(e.probe, e.probe.point(sizes, e.level), rounding(e.probe, sizes, e.level) * 4)
        fit = again if again is not None and again.family is not None else fit
    shift = 0.0
    if e.learned and e.kl.form == "forward" and e.kl.B * e.kl.C < 0:  # no minimum: the textbook's constant at sigma = 1
        w = measure_k(e.probe, sizes, e.kl, e.level)
        shift = 0.5 * w.live * (w.B - w.A)
    return measure_r(e.probe, sizes, fit, e.learned, e.level, shift)


def _learned(e: Evidence) -> bool:
    """Whether a Gaussian's scale may be carried by the loss, with its normaliser."""
    return e.recon.family is not None and e.recon.name.startswith("gaussian") and e.recon.kind == "elementwise"


def _bend(e: Evidence) -> Bend | None:
    assert e.probe.prior_point is not None
    centre, s = e.probe.prior_point
    base = e.probe.point(e.small, LOW).but(s=s.clone())
    t = np.ones(tuple(base.mu.shape))
    if e.elements and e.kl.form == "forward":
        a, c = e.elements["A"], e.elements["C"]
        good = (a > 0) & (c > 0) if e.kl.A > 0 else (a < 0) & (c < 0)
        t = np.where(good, c / np.where(a == 0, 1, a), 1.0)
    return bends(e.probe, base, centre.double().numpy(), np.sqrt(t))


def judge_sampler(e: Evidence) -> None:
    """Compare the sampler's deviation with the one that the KL is computed for."""
    if e.sampler is None:
        return
    ss = e.probe.spreads()
    if e.kl.form == "fixed":
        e.agreement = agreement(e.sampler, np.ones_like(ss)) if e.sampler.constant else None
    elif e.kl.head is not None:
        variance = e.kl.head(ss, e.kl.free)
        if e.kl.form == "forward" and e.kl.A > 0 and dv_close(e.kl.A, e.kl.C) and not dv_close(e.kl.A, e.kl.B):
            scaled = agreement(e.sampler, variance * e.kl.B / e.kl.A)
            if scaled.agrees:
                e.agreement = scaled
                return
        e.agreement = agreement(e.sampler, variance)


def dv_close(a: float, b: float) -> bool:
    """Equal to one part in 10^4."""
    return abs(a - b) < 1e-4 * max(abs(a), abs(b))


def offset(e: Evidence) -> float | None:
    """What is left of the loss at the prior after the reconstruction: a constant (None where it cannot be told)."""
    if (
        e.recon.family is None
        or e.recon.kind != "elementwise"
        or e.likelihood is None
        or e.kl.form in ("unknown", "dead")
    ):
        return None
    if e.recon.two or e.recon.residual > 1e-6 or e.bend is not None:
        return None
    base = e.probe.point(e.small, e.level)
    assert e.probe.prior_point is not None
    centre, s = e.probe.prior_point
    parts = e.recon.parts(base.x.double().numpy(), base.out.double().numpy())
    weights = e.recon.weights if e.recon.weights is not None else np.full(parts.shape, e.likelihood.r)
    if not np.all(np.isfinite(weights)):
        weights = np.full(parts.shape, e.likelihood.r)
    left = e.probe.value(base.but(mu=centre, s=s)) - float((weights * parts).sum())
    if e.kl.sampled and e.elements:  # what one draw leaves: k (eps^2 - 1) / 2
        extra = float((e.elements["C"] * (e.elements["noise"] ** 2 - 1)).sum()) / 2
        return 0.0 if abs(left - extra) < 1e-6 * abs(extra) else left
    return left
