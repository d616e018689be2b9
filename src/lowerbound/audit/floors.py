"""Floors, free bits, caps and capacities: how the loss grows with the KL, and at which level it bites."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from lowerbound.audit.probe import Point, Probe

Array = np.ndarray


@dataclass(frozen=True)
class Bend:
    """The response to the KL is not linear.

    ``kind`` is floor, cap, capacity, squared_capacity, threshold, warp; ``level`` is latent, example, batch or
    latent_batch (an average over the batch per latent); ``nats`` is where it bites, at that level; ``weights`` are
    the slopes of the loss per nat of one latent of one example, below and above.
    """

    kind: str
    level: str
    nats: float
    weights: tuple[float, float]


def sweep(probe: Probe, base: Point, centre: Array, mask: Array, kappas: Array, spread: Array) -> Array:
    """Loss where the masked latents have kappa nats each (through mu, at the prior's spread) and the others none.

    For one fixed draw of noise, its even part in mu - centre.
    """
    values = []
    for kappa in kappas:
        step = mask * np.sqrt(2 * kappa) * spread
        sides = [
            torch.as_tensor(centre + sign * step, dtype=base.mu.dtype) for sign in (1, -1)[: 2 if probe.one_draw else 1]
        ]
        values.append(sum(probe.value(base.but(mu=mu)) for mu in sides) / len(sides))
    return np.array(values)


def patterns(shape: tuple[int, int]) -> dict[str, Array]:
    """Which latents carry the KL: all, one latent of every example, all of one example, exactly one."""
    everything = np.ones(shape)
    column, row, one = np.zeros(shape), np.zeros(shape), np.zeros(shape)
    column[:, 0], row[0, :], one[0, 0] = 1, 1, 1
    return {"all": everything, "column": column, "row": row, "one": one}


def _kinks(kappas: Array, values: Array) -> tuple[list[float], Array]:
    """Places where the slope changes or the value jumps, and the slopes between grid points."""
    slopes = np.diff(values) / np.diff(kappas)
    change = np.abs(np.diff(slopes))
    top = np.abs(slopes).max() + 1e-300
    where = [i for i in range(len(change)) if change[i] > 1e-5 * top]
    groups: list[list[int]] = []
    for i in where:
        if groups and i - groups[-1][-1] <= 1:
            groups[-1].append(i)
        else:
            groups.append([i])
    return [float(kappas[g[len(g) // 2] + 1]) if len(g) < 6 else -1.0 for g in groups], slopes


def _locate(kappas: Array, values: Array) -> float | None:
    """The kink by intersecting the straight lines on both sides."""
    places, slopes = _kinks(kappas, values)
    if not places or places[0] < 0:
        return None
    a, b = slopes[0], slopes[-1]
    if abs(a - b) < 1e-9 * (abs(a) + abs(b)):
        return places[0]
    cross = (values[-1] - b * kappas[-1] - values[0] + a * kappas[0]) / (a - b)
    near = abs(cross - places[0]) < 3 * np.diff(kappas).max()
    return float(cross) if near else places[0]


def bends(probe: Probe, base: Point, centre: Array, spread: Array) -> Bend | None:
    """The first non-linearity of the loss in the KL, or None when it is linear."""
    shape = (base.mu.shape[0], base.mu.shape[1])
    masks = patterns(shape)
    n, dz = shape[0] * shape[1], shape[1]
    for top in (12.0, 120.0, 1500.0):
        kappas = np.linspace(0.003, 1.0, 121) * top
        values = sweep(probe, base, centre, masks["all"], kappas, spread)
        places, slopes = _kinks(kappas, values)
        if places:
            break
    else:
        return None
    low, high = float(slopes[0]) / n, float(slopes[-1]) / n
    if places[0] < 0:
        second = np.diff(slopes)
        constant = np.ptp(second) < 1e-4 * np.abs(second).max()
        if constant:
            zero = kappas[:-1][0] - slopes[0] / (second[0] / np.diff(kappas)[0]) + np.diff(kappas)[0] / 2
            return Bend("squared_capacity", "batch", float(zero) * dz, (low, high))
        return Bend("warp", "batch", float("nan"), (low, high))
    at = _locate(kappas, values) or places[0]
    level = _level(probe, base, centre, spread, masks, at, shape)
    nats = at * {"latent": 1, "latent_batch": 1, "example": dz, "batch": dz}[level]
    return Bend(_kind(low, high, slopes, places), level, nats, (low, high))


def _kind(low: float, high: float, slopes: Array, places: list[float]) -> str:
    size = max(abs(low), abs(high))
    if abs(low) < 1e-6 * size:
        jump = np.abs(slopes).max() > 3 * abs(slopes[-1])
        return "threshold" if jump else "floor"
    if abs(high) < 1e-6 * size:
        return "cap"
    return "capacity" if low * high < 0 else "bend"


def _level(
    probe: Probe, base: Point, centre: Array, spread: Array, masks: dict[str, Array], at: float, shape: tuple[int, int]
) -> str:
    """Compare where the kink lies when one latent, one example or one number alone carries the KL."""
    batch, dz = shape
    kappas = np.linspace(0.01, 1.6 * batch * dz, 481) * at
    found = {}
    for name in ("column", "row", "one"):
        values = sweep(probe, base, centre, masks[name], kappas, spread)
        found[name] = _locate(kappas, values)
    ratio = {k: (v / at if v else 0.0) for k, v in found.items()}
    if abs(ratio["column"] - 1) < 0.12:
        return "latent" if abs(ratio["row"] - 1) < 0.12 else "latent_batch"
    return "example" if abs(ratio["row"] - 1) < 0.12 else "batch"
