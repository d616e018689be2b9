"""What a closed form cannot show: dead terms, categorical codes, coupled latents, weights that depend on the data."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np
import torch

from lowerbound.audit.divergence import KlFit
from lowerbound.audit.measure import measure_k
from lowerbound.audit.probe import Point, Probe, Sizes


@dataclass
class Oddities:
    """``dead_by``: zero, clamp or absent; ``codes``: classes of a categorical code; ``fold`` divides every Dz."""

    dead_by: str = ""
    spread_dead: bool = False
    codes: int = 0
    fold: int = 1
    coupled: bool = False
    depends_on_data: bool = False
    batch_mixed: bool = False
    flat_near_prior: bool = False
    proper_entropy: bool = False
    exponents: dict[str, int | None] = field(default_factory=dict)


def oddities(probe: Probe, small: Sizes, kl: KlFit, level: float) -> Oddities:
    """Run the probes that need no closed form."""
    odd = Oddities(fold=fold(probe, small))
    base = probe.point(small, level)
    noise = 1e-10 * (abs(probe.value(base)) + 1)
    if kl.form == "dead":
        odd.dead_by = dead_by(probe, base)
    odd.spread_dead = kl.form in ("dead", "fixed")
    if kl.form == "unknown":
        odd.codes = codes(probe, base, noise)
        odd.spread_dead = abs(probe.value(base.but(s=base.s + 0.4)) - probe.value(base)) < noise
        odd.exponents = tiled(probe, small, level, odd.codes)
        odd.flat_near_prior = flat(probe, small)
        odd.proper_entropy = entropy_is_kept(probe, base)
    elif kl.form != "dead":
        one, two = measure_k(probe, small, kl, level), measure_k(probe, small, kl, level, data=6)
        odd.depends_on_data = abs(one.k - two.k) > 1e-5 * abs(one.k)
    odd.coupled = kl.form != "dead" and coupled(probe, base, noise)
    return odd


def dead_by(probe: Probe, base: Point) -> str:
    """Why the KL has no effect: feed it NaN and infinity."""
    odd = probe.value(base.but(mu=torch.full_like(base.mu, math.nan)))
    if math.isfinite(odd):
        return "absent"
    huge = probe.value(base.but(mu=torch.full_like(base.mu, 1e200)))
    return "clamp" if math.isfinite(huge) else "zero"


def fold(probe: Probe, small: Sizes) -> int:
    """The number that Dz must be a multiple of (1 when any Dz will do)."""
    fits = [z for z in range(1, 9) if probe.legal(small.but(Dz=z))]
    return math.gcd(*fits) if fits else 1


def codes(probe: Probe, base: Point, noise: float) -> int:
    """Classes per categorical code when mu are logits: a shift of all logits of a code changes nothing."""
    reference, dz = probe.value(base), base.mu.shape[1]
    for size in (v for v in range(2, dz + 1) if dz % v == 0):
        mu = base.mu.clone()
        mu[0, :size] += 0.9
        if abs(probe.value(base.but(mu=mu)) - reference) < noise:
            return size
    return 0


def tiled(probe: Probe, small: Sizes, level: float, codes: int) -> dict[str, int | None]:
    """Exponents of the penalty when rows or columns of mu and s are repeated (any form of penalty)."""
    base = probe.point(small, level)

    def penalty(p: Point) -> float:
        flat_ = p.but(mu=torch.zeros_like(p.mu))
        return probe.value(p) - probe.value(flat_)

    def repeat(rows: int, columns: int, wide: int) -> Point:
        return Point(
            base.x.repeat(rows, wide),
            base.out.repeat(rows, wide),
            base.mu.repeat(rows, columns),
            base.s.repeat(rows, columns),
        )

    one, found = penalty(base), {}
    for name, args, own in (("B", (2, 1, 1), 1), ("Dx", (1, 1, 2), 0), ("Dz", (1, 2, 1), 1)):
        try:
            power = math.log2(penalty(repeat(*args)) / one) - own
            found[name] = round(power) if abs(power - round(power)) < 1e-3 else None
        except (ValueError, RuntimeError, ZeroDivisionError):
            found[name] = None
    return found


def flat(probe: Probe, small: Sizes) -> bool:
    """Whether small moves near agreement of posterior and prior change nothing at all (a floor)."""
    base = probe.point(small, 0.05)
    same = base.but(mu=base.s.clone())
    moved = same.but(
        mu=same.mu + 0.02 * torch.randn(same.mu.shape, generator=torch.Generator().manual_seed(1)).to(same.mu)
    )
    far = same.but(mu=same.mu * 1.0 + torch.linspace(-4, 4, same.mu.numel()).reshape(same.mu.shape).to(same.mu))
    start = probe.value(same)
    return abs(probe.value(moved) - start) < 1e-12 * (1 + abs(start)) and abs(probe.value(far) - start) > 1e-6


def entropy_is_kept(probe: Probe, base: Point) -> bool:
    """Whether a narrow posterior costs -k log sigma, at any mean: then the penalty may be a KL to some other prior."""
    slopes = []
    for shift in (0.0, 0.4, -0.7):
        values = []
        for s in (-14.0, -15.0, -16.0):
            values.append(probe.value(base.but(mu=base.mu * 0.2 + shift, s=torch.full_like(base.s, s))))
        slopes += [values[1] - values[0], values[2] - values[1]]
    return bool(np.all(np.isfinite(slopes)) and np.ptp(slopes) < 1e-2 * abs(slopes[0]) and slopes[0] > 0)


def coupled(probe: Probe, base: Point, noise: float) -> bool:
    """Whether two latents act together (a regulariser that is no sum over latents)."""
    values = []
    for a, b in ((0.0, 0.0), (0.7, 0.0), (0.0, 0.6), (0.7, 0.6)):
        mu = base.mu.clone()
        mu[0, 0] += a
        mu[0, -1] += b
        values.append(probe.value(base.but(mu=mu)))
    return abs(values[3] - values[2] - values[1] + values[0]) > max(noise, 1e-7 * abs(values[1] - values[0]))
