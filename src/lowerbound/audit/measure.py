"""The weights k (of the KL) and r (of the likelihood) at any sizes, from differences of the loss over whole batches."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch

from lowerbound.audit.divergence import EXTRAS, KlFit
from lowerbound.audit.probe import Point, Probe, Sizes
from lowerbound.audit.reconstruction import ReconFit, live_parts, one_hot

Array = np.ndarray
LOG2PI = math.log(2 * math.pi)


@dataclass(frozen=True)
class KlWeight:
    """Weights per nat of one latent of one example: of mu^2/2 (A), v/2 (B), -log v/2 (C); k is the one that counts."""

    A: float
    B: float
    C: float
    k: float
    live: int


def live_latents(probe: Probe, base: Point) -> Array:
    """1 for each latent that the loss looks at."""
    mu, s = base.mu.clone().requires_grad_(True), base.s.clone().requires_grad_(True)
    try:
        grads = torch.autograd.grad(probe.expected(base.but(mu=mu, s=s)), [mu, s], allow_unused=True)
    except Exception:
        return np.ones(tuple(base.mu.shape))
    alive = sum((g.abs() for g in grads if g is not None), torch.zeros(()))
    if alive.ndim != 2 or not bool((alive > 0).any()):
        return np.ones(tuple(base.mu.shape))
    return (alive > 0).double().numpy()


def measure_k(probe: Probe, sizes: Sizes, kl: KlFit, level: float, data: int = 0) -> KlWeight:
    """A, B, C and k at these sizes; another ``data`` keeps the posterior and changes x and out."""
    other = probe.point(sizes, level, data)
    base = probe.point(sizes, level).but(x=other.x, out=other.out)
    if kl.form in ("dead", "unknown"):
        return KlWeight(0.0, 0.0, 0.0, 0.0 if kl.form == "dead" else math.nan, 0)
    live = live_latents(probe, base)
    n, squares = float(live.sum()), float((live * base.mu.double().numpy() ** 2).sum())
    if kl.form in ("reversed", "mixed"):
        return _reversed(probe, base, kl, live)
    grow = 1.3
    even = [probe.value(base.but(mu=c * base.mu)) for c in (grow, -grow, 1.0, -1.0)]
    a = (even[0] + even[1] - even[2] - even[3]) / (squares * (grow**2 - 1))
    if kl.head is None:
        return KlWeight(a, 0.0, 0.0, a, int(n))
    b, c = _spread_weights(probe, base, kl, n)
    b = a if kl.sampled else b
    return KlWeight(a, b, c, which(a, b, c, kl), int(n))


def _spread_weights(probe: Probe, base: Point, kl: KlFit, n: float) -> tuple[float, float]:
    assert kl.head is not None
    ss = probe.spreads()[[1, 2, 4, 6, 8, 10]]
    values = [probe.value(base.but(s=torch.full_like(base.s, float(t)))) for t in ss]
    v = kl.head(ss, kl.free)
    columns = [np.ones_like(v), v, np.log(v)]
    if kl.extra in ("s", "s^2", "sigma", "sigma^4", "1/sigma^2", "s/sigma^2", "s sigma^2", "(log v)^2", "v log v"):
        columns.append(EXTRAS[kl.extra]({"s": ss, "v": v, "logv": np.log(v), "m": 0 * ss}))
    if kl.sampled:
        columns.append(np.sqrt(v))
    matrix = np.stack(columns, 1)
    weights, *_ = np.linalg.lstsq(matrix, np.array(values) - values[0], rcond=1e-14)
    return 2 * float(weights[1]) / n, -2 * float(weights[2]) / n


def _reversed(probe: Probe, base: Point, kl: KlFit, live: Array) -> KlWeight:
    assert kl.head is not None
    s = float(probe.spreads()[7])
    v = float(kl.head(np.array([s]), kl.free)[0])
    fixed = base.but(s=torch.full_like(base.s, s))
    squares = float((live * base.mu.double().numpy() ** 2).sum())
    even = [probe.value(fixed.but(mu=c * base.mu)) for c in (1.3, -1.3, 1.0, -1.0)]
    k = (even[0] + even[1] - even[2] - even[3]) / (squares * 0.69) * v
    if kl.form == "mixed" and kl.reverse:
        k *= kl.reverse / (kl.reverse + kl.A * v)
    return KlWeight(0.0, 0.0, 0.0, k, int(live.sum()))


def close(a: float, b: float, tolerance: float = 1e-5) -> bool:
    """Relative equality."""
    return abs(a - b) <= tolerance * max(abs(a), abs(b), 1e-300)


def which(a: float, b: float, c: float, kl: KlFit) -> float:
    """The weight of the KL among three that may differ: log's weight where mu and sigma^2 agree (another prior)."""
    if kl.form == "spread_only":
        return c or b
    tolerance = max(1e-5, 20 * kl.residual)
    if close(a, b, tolerance):
        return c if c and c * a > 0 else a
    return a if a else b


def parts_of(probe: Probe, base: Point, fit: ReconFit) -> Point:
    """The point with data that the family can explain (one-hot in its groups)."""
    return base.but(x=one_hot(base.x, fit)) if fit.kind == "grouped" and probe.x_space in ("onehot", "binary") else base


@dataclass(frozen=True)
class Likelihood:
    """r per nat of the likelihood; ``live`` parts; the fitted sigma^2 where the loss carries its normaliser."""

    r: float
    live: int
    total: int
    variance: float | None = None
    constant: str = ""


def measure_r(probe: Probe, sizes: Sizes, fit: ReconFit, learned: bool, level: float, shift: float = 0.0) -> Likelihood:
    """The weight of the reconstruction at these sizes; ``shift`` is what the penalty leaves at the prior."""
    base = parts_of(probe, probe.point(sizes, level), fit)
    other = probe.point(sizes, level, salt=1)
    n = sizes.B * sizes.Dx
    if fit.kind == "profile":
        gap = base.out - base.x
        pair = [probe.value(base.but(out=base.x + c * gap)) for c in (1.5, 3.0)]
        return Likelihood((pair[1] - pair[0]) / math.log(2.0) / n, n, n)
    if fit.kind == "linear":
        step = probe.value(base.but(out=base.out + 1.0)) - probe.value(base)
        return Likelihood(step / n, n, n)
    if fit.family is None:
        return Likelihood(0.0 if fit.kind == "dead" else math.nan, 0, n)
    live = live_parts(probe, base, fit)
    parts = [fit.parts(base.x.double().numpy(), t.double().numpy()) for t in (base.out, other.out)]
    if fit.two:
        x = base.x.double().numpy()
        parts = [_two_halves(fit, x, t.double().numpy()) for t in (base.out, other.out)]
    nats = float(((parts[1] - parts[0]) * live).sum())
    r = (probe.value(base.but(out=other.out)) - probe.value(base)) / nats
    if learned:
        own = _normalised(probe, base, fit, live, r, sizes, shift)
        if own is not None:
            return own
    return Likelihood(r, int(live.sum()), live.size)


def _two_halves(fit: ReconFit, x: Array, out: Array) -> Array:
    assert fit.two is not None and fit.family is not None
    one, zero = fit.family.nll(np.ones_like(x), out), fit.family.nll(np.zeros_like(x), out)
    return fit.two[0] / fit.two[1] * x * one + (1 - x) * zero


def curvature(probe: Probe, base: Point, fit: ReconFit, live: Array) -> Array:
    """Weight of every element, from the gradient with respect to the output, (B, Dx)."""
    out = base.out.clone().requires_grad_(True)
    (grad,) = torch.autograd.grad(probe.expected(base.but(out=out)), out)
    step = 1e-6
    x, o = base.x.double().numpy(), base.out.double().numpy()
    slope = (fit.parts(x, o + step) - fit.parts(x, o - step)) / (2 * step)
    with np.errstate(all="ignore"):
        return np.where((np.abs(slope) > 1e-12) & (live > 0), grad.double().numpy() / slope, np.nan)


def _normalised(
    probe: Probe, base: Point, fit: ReconFit, live: Array, r: float, sizes: Sizes, shift: float
) -> Likelihood | None:
    """Solve  constant = r sum [ log(r / q) / 2 + log(2 pi) / 2 ]  for r; q = r / sigma^2 weighs each element."""
    try:
        q = curvature(probe, base, fit, live)
    except Exception:
        q = np.where(live > 0, r, np.nan)
    q = q[np.isfinite(q) & (q > 0)]
    if q.size == 0:
        return None
    constant = zero_constant(probe, base, fit)
    constant = None if constant is None else constant - shift
    if constant is None or abs(constant) < 1e-9 * abs(r) * q.size:
        return None
    for name, h in (("", 0.5 * LOG2PI), ("log 2 pi dropped", 0.0)):
        for root in _roots(constant, q, h):
            if natural(root, sizes):
                typical = np.exp(np.log(q).mean())  # not nats: the geometric mean of curvatures
                return Likelihood(root, q.size, live.size, float(root / typical), name)
    return None


def zero_constant(probe: Probe, base: Point, fit: ReconFit) -> float | None:
    """The loss where residual and KL vanish: only constants are left. Needs ``probe.prior`` (centre, s) to be known."""
    prior = probe.prior_point
    if prior is None or probe.out_space == "prob":
        return None
    centre, s = prior
    target = {"gaussian_mse_tanh": torch.tanh, "gaussian_mse_sigmoid": torch.sigmoid}.get(fit.name, lambda t: t)(
        base.out
    )
    if centre.shape != base.mu.shape:
        centre, s = torch.full_like(base.mu, float(centre.ravel()[0])), torch.full_like(base.s, float(s.ravel()[0]))
    return probe.value(base.but(mu=centre, s=s, x=target))


def _roots(constant: float, q: Array, h: float) -> list[float]:
    """All r with  r (n (log r / 2 + h) - sum log q / 2) = constant."""
    n, slack = q.size, 0.5 * float(np.log(q).sum())

    def gap(log_r: float) -> float:
        return math.exp(log_r) * (n * (0.5 * log_r + h) - slack) - constant

    grid = np.linspace(-25, 12, 741)
    values = [gap(t) for t in grid]
    found = []
    for a, b, ga, gb in zip(grid[:-1], grid[1:], values[:-1], values[1:], strict=True):
        if ga * gb > 0:
            continue
        for _ in range(80):
            mid = 0.5 * (a + b)
            a, b = (mid, b) if gap(mid) * ga > 0 else (a, mid)
        found.append(math.exp(0.5 * (a + b)))
    return found


def natural(r: float, sizes: Sizes) -> bool:
    """Whether a weight is a short number over a product of sizes."""
    for b in (1, sizes.B):
        for d in (1, sizes.Dx):
            c = r * b * d
            if any(abs(c * m - round(c * m)) < 1e-7 * c * m and 0 < round(c * m) < 2001 for m in (1, 2, 3, 10)):
                return True
    return False
