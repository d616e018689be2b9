"""What the loss does with (x, out): which negative log-likelihood it is, on which parts, with which weight."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import torch
from scipy.optimize import least_squares

from lowerbound.audit.likelihoods import FIXED, FREE, Family, bernoulli_onehot, categorical
from lowerbound.audit.probe import Point, Probe

Array = np.ndarray
EXACT, NEAR = 2e-6, 2e-3


@dataclass(frozen=True)
class ReconFit:
    """The reconstruction term: a family, the softmax groups where it has them, and its weight per element.

    ``weights`` is (B, Dx) at the small sizes; ``two`` are the weights of the x and the 1 - x halves of a Bernoulli.
    """

    family: Family | None
    kind: str = "elementwise"  # elementwise, grouped, profile, dead, unknown, linear
    free: tuple[float, ...] = ()
    group: int = 0
    strided: bool = False
    residual: float = np.inf
    weights: Array | None = None
    two: tuple[float, float] | None = None
    weight: float = 0.0

    @property
    def name(self) -> str:
        """The family in the words of the reports."""
        return (
            self.family.name
            if self.family
            else {"dead": "none", "profile": "gaussian_profile"}.get(self.kind, "unknown")
        )

    def parts(self, x: Array, out: Array) -> Array:
        """Nats per part: (B, Dx) elementwise, (B, groups) for softmaxes."""
        if self.family is None:
            raise ValueError("no family")
        with np.errstate(all="ignore"):
            if self.kind == "grouped":
                return self.family.nll(self.fold(x), self.fold(out))
            return self.family.nll(x, out, *self.free)

    def fold(self, t: Array) -> Array:
        """(B, Dx) to (B, groups, classes)."""
        batch, dx = t.shape
        if self.strided:
            return t.reshape(batch, self.group, dx // self.group).transpose(0, 2, 1)
        return t.reshape(batch, dx // self.group, self.group)


def curves(probe: Probe, base: Point, b: int, i: int) -> tuple[Array, Array, Array]:
    """(x, out, difference of the loss) as one output element moves, at a few values of its datum."""
    data = {"unit": (0.2, 0.55, 0.9), "real": (-0.8, 0.3, 1.1), "count": (0.0, 1.0, 3.0)}.get(probe.x_space, (0.0, 1.0))
    xs, outs, values = [], [], []
    x, out = base.x.clone(), base.out.clone()
    for xv in data:
        x[b, i] = xv
        for ov in probe.grid():
            out[b, i] = float(ov)
            xs.append(xv)
            outs.append(float(ov))
            values.append(probe.value(base.but(x=x, out=out)))
    shape = (len(data), -1)
    table = np.array(values).reshape(shape)
    return np.array(xs).reshape(shape), np.array(outs).reshape(shape), table - table[:, :1]


def _relative(family: Family, free: tuple[float, ...], x: Array, o: Array) -> Array:
    with np.errstate(all="ignore"):
        nats = np.asarray(family.nll(x, o, *free))
        return nats - nats[:, :1]


def _fit_one(family: Family, free: tuple[float, ...], x: Array, o: Array, y: Array) -> ReconFit:
    shape = _relative(family, free, x, o)
    size = float((shape * shape).sum()) if np.all(np.isfinite(shape)) else 0.0
    if size == 0.0:
        return ReconFit(None)
    weight = float((shape * y).sum()) / size
    residual = float(np.abs(weight * shape - y).max() / np.abs(y).max())
    return ReconFit(family, "elementwise", free, residual=residual, weight=weight)


def _fit_free(family: Family, x: Array, o: Array, y: Array) -> ReconFit:
    def misfit(free: Array) -> Array:
        one = _fit_one(family, tuple(free), x, o, y)
        if one.family is None:
            return np.full(y.size, 10.0)
        return ((one.weight * _relative(family, tuple(free), x, o) - y) / np.abs(y).max()).ravel()

    found = least_squares(misfit, np.array(family.start), xtol=1e-15, ftol=1e-15, gtol=1e-15, max_nfev=60)
    return _fit_one(family, tuple(float(t) for t in found.x), x, o, y)


def _fit_two(x: Array, o: Array, y: Array) -> ReconFit:
    """Bernoulli with different weights on the ones and the zeros."""
    best = ReconFit(None)
    for family in FIXED[:2]:
        one = _relative(family, (), np.ones_like(o), o) * x
        zero = _relative(family, (), np.zeros_like(o), o) * (1 - x)
        matrix = np.stack([one.ravel(), zero.ravel()], 1)
        if not np.all(np.isfinite(matrix)):
            continue
        w, *_ = np.linalg.lstsq(matrix, y.ravel(), rcond=None)
        gap = float(np.abs(matrix @ w - y.ravel()).max() / np.abs(y).max())
        if gap < best.residual:
            best = ReconFit(family, residual=gap, weight=float(w[1]), two=(float(w[0]), float(w[1])))
    return best


def fit_curves(x: Array, o: Array, y: Array, noise: float) -> ReconFit:
    """The simplest elementwise family that explains the curves."""
    if np.abs(y).max() <= noise:
        return ReconFit(None, "dead", residual=0.0)
    exact = max(EXACT, 20 * noise / float(np.abs(y).max()))
    best = min((_fit_one(f, (), x, o, y) for f in FIXED), key=lambda r: r.residual)
    if best.residual < exact:
        return best
    two = _fit_two(x, o, y)
    if two.residual < exact:
        return two
    slope = (y[:, -1] - y[:, 0]) / (o[:, -1] - o[:, 0])
    if (
        np.abs(slope[:, None] * (o - o[:, :1]) - y).max() < exact * np.abs(y).max()
        and np.ptp(slope) < 1e-6 * np.abs(slope).max()
    ):
        return ReconFit(None, "linear", residual=0.0, weight=float(slope[0]))
    found = min((_fit_free(f, x, o, y) for f in FREE), key=lambda r: r.residual)
    if found.residual < exact or (found.residual < best.residual and found.residual < NEAR):
        return found
    return best if best.residual < NEAR else replace(best, family=None, kind="unknown")


def groups(probe: Probe, base: Point, noise: float) -> tuple[int, bool] | None:
    """Size and layout of the softmax groups, found by their invariance to a shift of all their logits."""
    dx, reference = base.out.shape[1], probe.value(base)
    for size in (v for v in range(2, dx + 1) if dx % v == 0):
        for strided in (False, True):
            index = torch.arange(size) * (dx // size) if strided else torch.arange(size)
            out = base.out.clone()
            out[0, index] += 0.7
            if abs(probe.value(base.but(out=out)) - reference) <= noise:
                return size, strided
    return None


def fit_groups(probe: Probe, base: Point, noise: float) -> ReconFit | None:
    """Categorical (or Bernoulli on a softmax) over groups of outputs."""
    found = groups(probe, base, noise)
    if found is None:
        return None
    size, strided = found
    shell = ReconFit(None, "grouped", group=size, strided=strided)
    base = base.but(x=one_hot(base.x, shell)) if probe.x_space in ("onehot", "binary") else base
    gen = torch.Generator().manual_seed(3)
    outs, y = [base.out], [probe.value(base)]
    for _ in range(12):
        out = base.out + torch.randn(base.out.shape, generator=gen, dtype=torch.float64).to(base.out.dtype)
        outs.append(out)
        y.append(probe.value(base.but(out=out)))
    live = live_parts(probe, base, shell)
    best = None
    for name, rule in (("categorical", categorical), ("bernoulli_onehot", bernoulli_onehot)):
        title = (
            "multinomial" if size == base.out.shape[1] and probe.x_space == "count" and name == "categorical" else name
        )
        trial = replace(shell, family=Family(title, rule, words=f"{title} over groups of {size}"))
        t = np.array([(trial.parts(base.x.numpy(), o.numpy()) * live).sum() for o in outs])
        shape, diff = t - t[0], np.array(y) - y[0]
        weight = float((shape * diff).sum() / (shape * shape).sum())
        gap = float(np.abs(weight * shape - diff).max() / np.abs(diff).max())
        if best is None or gap < best.residual:
            best = replace(trial, residual=gap, weight=weight, weights=weight * live)
    return best


def one_hot(x: torch.Tensor, fit: ReconFit) -> torch.Tensor:
    """The same data made one-hot in every group of ``fit``."""
    gen = torch.Generator().manual_seed(11)
    scores = torch.rand(x.shape, generator=gen, dtype=torch.float64).numpy()
    folded = fit.fold(scores)
    hot = (folded == folded.max(-1, keepdims=True)) * 1.0
    flat = hot.transpose(0, 2, 1).reshape(x.shape) if fit.strided else hot.reshape(x.shape)
    return torch.as_tensor(flat, dtype=x.dtype)


def live_parts(probe: Probe, base: Point, fit: ReconFit) -> Array:
    """1 for each part (element or group) that the loss looks at, 0 for those masked out."""
    out = base.out.clone().requires_grad_(True)
    try:
        value = probe.expected(base.but(out=out))
        (grad,) = torch.autograd.grad(value, out, allow_unused=True)
    except Exception:
        grad = None
    if grad is None or not bool((grad != 0).any()):
        shape = base.out.shape
        return np.ones((shape[0], shape[1] // fit.group) if fit.kind == "grouped" else tuple(shape))
    alive = (grad.abs() > 0).double().numpy()
    return (fit.fold(alive).max(-1) if fit.kind == "grouped" else alive) * 1.0


def profile(probe: Probe, base: Point) -> float | None:
    """Slope of the loss in log of the residual's size, where that is constant (a scale fitted to the batch)."""
    gap = base.out - base.x
    values, logs = [], np.log([1.0, 1.7, 2.9, 4.3])
    for t in logs:
        values.append(probe.value(base.but(out=base.x + float(np.exp(t)) * gap)))
    slopes = np.diff(values) / np.diff(logs)
    mid = float(np.median(slopes))
    flat = mid != 0 and np.isfinite(mid) and bool(np.ptp(slopes) < 0.01 * abs(mid))
    return mid if flat else None


def probing_places(probe: Probe, base: Point) -> list[tuple[int, int]]:
    """Elements to probe: those that the loss looks at first."""
    shape = tuple(base.out.shape)
    alive = np.argwhere(live_parts(probe, base, ReconFit(None)) > 0)
    usual = [(0, 0), (1 % shape[0], shape[1] // 2), (0, shape[1] - 1)]
    return [(int(b), int(i)) for b, i in alive[[0, len(alive) // 2, -1]]] + usual


def fit_reconstruction(probe: Probe, base: Point, noise: float) -> ReconFit:
    """The reconstruction term at one size."""
    shape = tuple(base.out.shape)
    first = ReconFit(None, "dead", residual=0.0)
    for b, i in probing_places(probe, base):
        first = fit_curves(*curves(probe, base, b, i), noise)
        if first.kind != "dead":
            break
    if first.family is not None and first.family.name == "student_t":
        slope = profile(probe, base)
        if slope is not None:
            return ReconFit(None, "profile", weight=slope / (shape[0] * shape[1]), residual=0.0)
    if first.kind == "unknown" or first.residual > EXACT:
        grouped = fit_groups(probe, base, noise)
        if grouped is not None and grouped.residual < max(1e-4, first.residual * 0.1):
            return grouped
        slope = profile(probe, base)
        if slope is not None:
            return ReconFit(None, "profile", weight=slope / (shape[0] * shape[1]), residual=0.0)
    if first.kind in ("dead", "unknown", "linear"):
        return first
    return replace(first, weights=element_weights(probe, base, first))


def element_weights(probe: Probe, base: Point, fit: ReconFit) -> Array:
    """The weight of every element (up to 400 of them; the others repeat the first rows), (B, Dx)."""
    shape = tuple(base.out.shape)
    weights = np.full(shape, np.nan)
    reference = probe.value(base)
    moved = base.out + (0.5 * (1 - base.out) if probe.out_space == "prob" else 0.9)
    here, there = fit.parts(base.x.numpy(), base.out.numpy()), fit.parts(base.x.numpy(), moved.numpy())
    for count, (b, i) in enumerate(np.ndindex(*shape)):
        if count >= 400:
            break
        out = base.out.clone()
        out[b, i] = moved[b, i]
        gap = there[b, i] - here[b, i]
        value = probe.value(base.but(out=out)) - reference
        if fit.two:
            x = float(base.x[b, i])
            value = (
                value / (x * fit.two[0] + (1 - x) * fit.two[1]) if abs(x * fit.two[0] + (1 - x) * fit.two[1]) else 0.0
            )
        weights[b, i] = value / gap if abs(gap) > 1e-9 else np.nan
    return weights
