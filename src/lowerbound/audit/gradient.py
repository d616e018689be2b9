"""Whether the gradient is that of the value: detached terms, terms under no-grad."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from lowerbound.audit.likelihoods import FIXED
from lowerbound.audit.probe import Point, Probe, Sizes
from lowerbound.audit.reconstruction import ReconFit

NAMES = ("out", "mu", "s")


@dataclass(frozen=True)
class GradientGap:
    """For one argument: slope of the value along a direction, and what the gradient says of it."""

    argument: str
    by_value: float
    by_gradient: float

    @property
    def broken(self) -> bool:
        """More than rounding apart."""
        return abs(self.by_value - self.by_gradient) > 2e-4 * (abs(self.by_value) + abs(self.by_gradient)) + 1e-9


def gradient(probe: Probe, point: Point) -> dict[str, torch.Tensor] | None:
    """Gradients with respect to out, mu and s; zeros where the graph does not reach; None without autograd."""
    leaves = {n: getattr(point, n).clone().requires_grad_(True) for n in NAMES}
    try:
        value = probe.expected(point.but(**leaves))
    except Exception:
        return None
    if not value.requires_grad:
        return {n: torch.zeros_like(t) for n, t in leaves.items()}
    found = torch.autograd.grad(value, list(leaves.values()), allow_unused=True)
    return {n: torch.zeros_like(t) if g is None else g for (n, t), g in zip(leaves.items(), found, strict=True)}


def gaps(probe: Probe, sizes: Sizes, level: float = 1.5) -> list[GradientGap] | None:
    """Compare slopes of the value with the gradient, argument by argument, along random directions."""
    if probe.dtype != torch.float64 or probe.values_only:
        return None
    point = probe.point(sizes, level, salt=2)
    found = gradient(probe, point)
    if found is None:
        return None
    gen, step, out = torch.Generator().manual_seed(4), 1e-5, []
    for name in NAMES:
        here = getattr(point, name)
        way = torch.rand(here.shape, generator=gen, dtype=torch.float64) + 0.5
        sides = [probe.value(point.but(**{name: here + sign * step * way})) for sign in (1, -1)]
        out.append(GradientGap(name, (sides[0] - sides[1]) / (2 * step), float((found[name] * way).sum())))
    return out


def recon_by_gradient(probe: Probe, point: Point) -> ReconFit | None:
    """The family whose derivative is the gradient with respect to the output (what the optimiser sees)."""
    found = gradient(probe, point)
    if found is None:
        return None
    g, x, o = found["out"].double().numpy(), point.x.double().numpy(), point.out.double().numpy()
    best = None
    for family in FIXED:
        with np.errstate(all="ignore"):
            slope = (family.nll(x, o + 1e-6) - family.nll(x, o - 1e-6)) / 2e-6
        if not np.all(np.isfinite(slope)) or not np.any(slope):
            continue
        weight = float((slope * g).sum() / (slope * slope).sum())
        gap = float(np.abs(weight * slope - g).max() / (np.abs(g).max() + 1e-300))
        if best is None or gap < best.residual:
            best = ReconFit(family, residual=gap, weight=weight, weights=np.full(g.shape, weight))
    return best if best is not None and best.residual < 1e-4 else None
