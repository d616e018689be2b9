"""Whether the noise that is added to the mean has the deviation that the KL is computed for."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from lowerbound.audit.heads import PLAIN
from lowerbound.audit.noise import DesignedNoise, NoiseCounter, seeded

Array = np.ndarray
Sampler = Callable[..., Any]


@dataclass(frozen=True)
class SamplerFit:
    """The sampler as z = mu + deviation(s) eps: its deviation at chosen s, and what is odd about it."""

    deviation: Array
    centred: bool
    linear: bool
    shared: bool
    constant: bool
    normal: bool = True
    parametrisation: str = "unknown"


@dataclass(frozen=True)
class Agreement:
    """log deviation of the sampler = log scale + power x log deviation of the KL."""

    agrees: bool
    scale: float
    power: float
    straight: bool


def _call(sampler: Sampler, mu: torch.Tensor, s: torch.Tensor, eps: torch.Tensor) -> torch.Tensor:
    try:
        return torch.as_tensor(sampler(mu, s, eps))
    except TypeError:
        with seeded(0):
            return torch.as_tensor(sampler(mu, s))


def _draws(sampler: Sampler) -> bool:
    """Whether the sampler takes no eps and draws its own noise."""
    t = torch.zeros(2, 2, dtype=torch.float64)
    try:
        sampler(t, t + 1, t)
    except TypeError:
        return True
    except Exception:
        return False
    return False


def fit_sampler(sampler: Sampler, ss: Array, positive: bool) -> SamplerFit | None:
    """Measure the sampler on a grid of s; None where it cannot be called."""
    n, own = len(ss), _draws(sampler)
    s = torch.as_tensor(ss).reshape(1, n).repeat(3, 1)
    mu, zero = torch.full_like(s, 0.3), torch.zeros_like(s)

    def z(m: torch.Tensor, node: float) -> torch.Tensor:
        if not own:
            return _call(sampler, m, s, torch.full_like(s, node))
        with DesignedNoise(node):
            return _call(sampler, m, s, zero)

    try:
        at = {node: z(mu, node) for node in (0.0, 1.0, 2.0, -1.0)}
        moved = z(mu + 1.0, 1.0)
    except Exception:
        return None
    deviation = (at[1.0] - at[0.0]).double()
    linear = bool(((at[2.0] - at[0.0]) - 2 * deviation).abs().max() < 1e-6 * (1 + deviation.abs().max()))
    linear = linear and bool(((at[-1.0] - at[0.0]) + deviation).abs().max() < 1e-6 * (1 + deviation.abs().max()))
    centred = bool((at[0.0] - mu).abs().max() < 1e-6) and bool((moved - at[1.0] - 1.0).abs().max() < 1e-6)
    d = deviation[0].abs().numpy()
    shared, normal = _own_noise(sampler, float(ss[n // 2])) if own else (_shares(sampler, mu, s), True)
    kind = name_of(d, ss)
    return SamplerFit(d, centred, linear, shared, bool(np.ptp(d) < 1e-9 * (1 + d.max())), normal, kind)


def name_of(d: Array, ss: Array) -> str:
    """The plain head whose deviation this is, up to a scale."""
    for head in PLAIN:
        v = head(ss)
        if np.all(np.isfinite(v)) and np.all(v > 0) and np.ptp(v) > 0 and np.all(d > 0):
            ratio = np.log(d) - 0.5 * np.log(v)
            if np.ptp(ratio) < 1e-4:
                return head.name
    return "unknown"


def _shares(sampler: Sampler, mu: torch.Tensor, s: torch.Tensor) -> bool:
    """Whether one number of eps moves more than its own latent, or none."""
    eps = torch.zeros_like(s)
    before = _call(sampler, mu, s, eps)
    bump = eps.clone()
    bump[0, 1] = 1.0
    last = eps.clone()
    last[-1, -1] = 1.0
    for changed, place in ((bump, (0, 1)), (last, (s.shape[0] - 1, s.shape[1] - 1))):
        gap = (_call(sampler, mu, s, changed) - before).abs()
        own = float(gap[place])
        if float(gap.sum()) - own > 1e-9 or own == 0:
            return True
    return False


def _own_noise(sampler: Sampler, s: float) -> tuple[bool, bool]:
    """(shared over the batch, normal) of a sampler that draws its own noise, from 4000 x 4 real draws."""
    with seeded(1):
        t = torch.zeros(4000, 4, dtype=torch.float64)
        with NoiseCounter() as counter:
            z = torch.as_tensor(sampler(t, t + s)).double()
        shared = bool((z - z[:1]).abs().max() < 1e-9) or bool((z - z[:, :1]).abs().max() < 1e-9)
    centred = z - z.sum() / z.numel()  # not nats: a moment of the noise
    second = (centred**2).sum() / z.numel()  # not nats: a moment of the noise
    kurtosis = float((centred**4).sum() / z.numel() / second**2)  # not nats: a moment of the noise
    return shared, shared or counter.draws > 0 or abs(kurtosis - 3.0) < 0.3


def agreement(fit: SamplerFit, variance: Array) -> Agreement:
    """Regress the sampler's log deviation on that of the KL."""
    good = (fit.deviation > 1e-12) & np.isfinite(variance) & (variance > 0)
    if not good.any():
        return Agreement(False, 0.0, 0.0, True)
    y, t = np.log(fit.deviation[good]), 0.5 * np.log(variance[good])
    if np.ptp(t) < 1e-9:
        scale = float(np.exp(y.sum() / y.size - t.sum() / t.size))
        return Agreement(abs(scale - 1) < 2e-3 and np.ptp(y) < 2e-3, scale, 1.0 if np.ptp(y) < 2e-3 else 0.0, True)
    power, offset = np.polyfit(t, y, 1)
    straight = bool(np.abs(power * t + offset - y).max() < 2e-3 * (1 + np.abs(y).max()))
    same = bool(np.abs(y - t).max() < 2e-3)
    return Agreement(same, float(np.exp(offset)), float(power), straight)
