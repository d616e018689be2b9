"""The designed inputs and the one way in which a loss is called: value in nats, same noise at every call."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from lowerbound.audit.noise import DesignedNoise, NoiseCounter, NoiseRecorder, normal_nodes, seeded
from lowerbound.errors import InputError

Loss = Callable[..., Any]
X_SPACES = ("unit", "binary", "real", "onehot", "count", "adj")
OUT_SPACES = ("prob", "logit", "real", "rate", "none")


@dataclass(frozen=True)
class Sizes:
    """Batch B, parts of one example Dx, latents Dz."""

    B: int
    Dx: int
    Dz: int

    def but(self, **changes: int) -> Sizes:
        """The same sizes with some of them changed."""
        return Sizes(**{"B": self.B, "Dx": self.Dx, "Dz": self.Dz, **changes})


@dataclass
class Point:
    """One set of arguments of the loss, all (B, Dx) or (B, Dz) and of one dtype."""

    x: Tensor
    out: Tensor
    mu: Tensor
    s: Tensor

    def but(self, **changes: Tensor) -> Point:
        """The same point with some arguments replaced."""
        return Point(**{"x": self.x, "out": self.out, "mu": self.mu, "s": self.s, **changes})


class Probe:
    """Calls a loss ``loss(x, out, mu, s)`` at designed points and returns its value as a float.

    A vector over examples counts as its average (the framework takes it later). Random numbers drawn inside the loss
    are replaced by designed ones, and the value is their expectation (Gauss-Hermite nodes).
    """

    def __init__(self, loss: Loss, x: str = "unit", out: str = "prob", seed: int = 0) -> None:
        self.loss, self.x_space, self.out_space, self.seed = loss, x, out, seed
        self.dtype, self.positive, self.stochastic, self.calls = torch.float64, False, False, 0
        self.values_only = bool(getattr(loss, "values_only", False))
        self.residual_noise, self.one_draw = False, False
        self.chosen_draws: frozenset[int] | None = None
        self.pick: Callable[[Any], Any] = first_tensor
        self.prior_point: tuple[Tensor, Tensor] | None = None

    def raw(self, p: Point) -> Tensor:
        """The loss at a point, as a 0-d tensor, still attached to its graph."""
        self.calls += 1
        with seeded(self.seed):
            value = self.pick(self.loss(p.x, p.out, p.mu, p.s))
        value = value if isinstance(value, Tensor) else torch.as_tensor(np.asarray(value, dtype=float))
        return value.sum() / max(value.numel(), 1)  # not nats: whatever unit the audited loss has

    def expected(self, p: Point) -> Tensor:
        """The loss in expectation over the noise that it draws."""
        if not self.stochastic:
            return self.raw(p)
        total = torch.zeros((), dtype=torch.float64)
        for node, weight in normal_nodes(6 if p.mu.numel() < 20_000 else 3):
            with DesignedNoise(node, self.chosen_draws):
                total = total + weight * self.raw(p)
        return total

    def value(self, p: Point) -> float:
        """The loss at a point as a number (NaN where the loss is NaN)."""
        with torch.no_grad():
            return float(self.expected(p))

    def legal(self, sizes: Sizes) -> bool:
        """Whether the loss accepts tensors of these sizes."""
        try:
            self.value(self.point(sizes))
        except Exception:
            return False
        return True

    def point(self, sizes: Sizes, level: float = 1.0, salt: int = 0) -> Point:
        """A generic point: posterior means of size ``level``, spreads near 1, data and output in their spaces."""
        gen = torch.Generator().manual_seed(977 * self.seed + 31 * salt + 5)
        x, out = self.data(sizes, gen), self.output(sizes, gen)
        sign = torch.where(torch.rand(sizes.B, sizes.Dz, generator=gen, dtype=torch.float64) < 0.5, -1.0, 1.0)
        mu = sign * level * (1 + 0.3 * torch.rand(sizes.B, sizes.Dz, generator=gen, dtype=torch.float64))
        s = 0.6 * torch.rand(sizes.B, sizes.Dz, generator=gen, dtype=torch.float64) - 0.3
        s = 1 + s if self.positive else s
        return Point(*(t.to(self.dtype) for t in (x, out, mu, s)))

    def data(self, sizes: Sizes, gen: torch.Generator) -> Tensor:
        """Data of the declared space, (B, Dx)."""
        shape = (sizes.B, sizes.Dx)
        u = torch.rand(*shape, generator=gen, dtype=torch.float64)
        n = torch.randn(*shape, generator=gen, dtype=torch.float64)
        table = {"unit": 0.05 + 0.9 * u, "binary": (u < 0.5) * 1.0, "real": n, "onehot": (u < 0.3) * 1.0}
        table |= {"adj": (u < 0.4) * 1.0, "count": torch.floor(4 * u) + (u < 0.1)}
        data = table[self.x_space]
        if self.x_space in ("binary", "onehot", "adj") and data.numel() > 1:
            data.view(-1)[0], data.view(-1)[1] = 1.0, 0.0
        return data

    def output(self, sizes: Sizes, gen: torch.Generator) -> Tensor:
        """Decoder output of the declared space, (B, Dx)."""
        u = torch.rand(sizes.B, sizes.Dx, generator=gen, dtype=torch.float64)
        n = torch.randn(sizes.B, sizes.Dx, generator=gen, dtype=torch.float64)
        return {"prob": 0.05 + 0.9 * u, "logit": 1.5 * n, "real": n, "rate": 0.3 + 3 * u, "none": n}[self.out_space]

    def grid(self) -> np.ndarray:
        """Values of one output element that its space allows."""
        spaces = {"prob": (0.03, 0.97), "logit": (-4.0, 4.0), "rate": (0.15, 6.0)}
        low, high = spaces.get(self.out_space, (-3.0, 3.0))
        return low + (high - low) * np.array(
            [0.0, 0.08, 0.17, 0.24, 0.33, 0.41, 0.47, 0.56, 0.63, 0.74, 0.82, 0.91, 1.0]
        )

    def spreads(self) -> np.ndarray:
        """Values of the spread parameter: any sign where the loss allows it, else positive."""
        if self.positive:
            return np.array([0.2, 0.31, 0.42, 0.55, 0.7, 0.88, 1.0, 1.17, 1.4, 1.7, 2.1, 2.6, 3.1])
        return np.array([-2.9, -2.3, -1.8, -1.35, -0.9, -0.5, -0.2, 0.15, 0.45, 0.8, 1.2, 1.7, 2.2])


def first_tensor(value: Any) -> Any:
    """The loss itself out of what a function returns: the value, or the first of a tuple, or a dict's loss."""
    if isinstance(value, dict):
        total = next((k for k in ("loss", "total_loss", "total") if k in value), next(iter(value)))
        return first_tensor(value[total])
    if isinstance(value, (tuple, list)):
        return first_tensor(value[0])
    return getattr(value, "loss", value) if not isinstance(value, Tensor) else value


def prepare(probe: Probe, sizes: Sizes) -> tuple[Sizes, Sizes]:
    """Make the probe fit the loss: dtype, sign of s, noise. Returns (small sizes to probe at, the caller's sizes)."""
    error = _first_error(probe, sizes)
    if (error is not None and "dtype" in str(error).lower()) or "expected" in str(error).lower():
        probe.dtype = torch.float32
        error = _first_error(probe, sizes) or None
    small = smallest(probe, sizes)
    if small is None:
        raise InputError(
            f"the loss cannot be called with x, out (B, Dx) and mu, s (B, Dz): {type(error).__name__}: {error}",
            where="loss",
            mend="give loss(x, out, mu, s) and --sizes B,Dx,Dz that it accepts",
        )
    point = probe.point(small)
    if not np.isfinite(probe.value(point)):
        probe.positive = True
        if not np.isfinite(probe.value(probe.point(small))):
            probe.positive = False
    elif not np.isfinite(probe.value(point.but(s=-point.s.abs()))) or not np.isfinite(
        probe.value(point.but(s=torch.full_like(point.s, -2.0)))
    ):
        probe.positive = True
    detect_noise(probe, small)
    return small, sizes


def _first_error(probe: Probe, sizes: Sizes) -> Exception | None:
    try:
        probe.value(probe.point(sizes))
    except Exception as error:
        return error
    return None


def smallest(probe: Probe, sizes: Sizes) -> Sizes | None:
    """The smallest generic sizes that the loss accepts (B, Dx, Dz all different, none of them 1)."""
    if probe.x_space == "adj":
        options = [Sizes(n, n, z) for n in (5, 7, sizes.B) for z in (4, 3, sizes.Dz)]
    else:
        wide = (10, 12, 16, 9, sizes.Dx)
        options = [Sizes(b, d, z) for d in wide for b in (3, sizes.B) for z in (4, 6, 12, 5, sizes.Dz)]
    options = sorted(options, key=lambda o: o.B * (o.Dx + o.Dz))
    return next((o for o in [*options, sizes] if probe.legal(o)), None)


def detect_noise(probe: Probe, sizes: Sizes) -> None:
    """Find out whether the loss draws random numbers, and whether the draws can be designed."""
    point = probe.point(sizes)
    with NoiseCounter() as counter:
        probe.raw(point)
    probe.stochastic = counter.draws > 0 and _feels_noise(probe, point)
    if _shakes(probe, point):
        runs = []
        for _ in range(2):
            with NoiseRecorder() as recorder:
                probe.raw(point)
            runs.append(recorder.results)
        moving = frozenset(
            i for i, (a, b) in enumerate(zip(*runs, strict=False)) if a.shape != b.shape or not torch.equal(a, b)
        )
        probe.chosen_draws, probe.stochastic = moving or None, bool(moving) or probe.stochastic
    probe.residual_noise = _shakes(probe, point)


def _feels_noise(probe: Probe, point: Point) -> bool:
    """Whether the draws reach the loss at all."""
    values = []
    for node in (0.0, 1.3):
        with DesignedNoise(node), torch.no_grad():
            values.append(float(probe.raw(point)))
    return abs(values[0] - values[1]) > 1e-12 * (1 + abs(values[0]))


def _shakes(probe: Probe, point: Point) -> bool:
    first, second = probe.value(point), probe.value(point)
    return bool(abs(first - second) > 1e-9 * (1 + abs(first)))
