"""Where the loss overflows or turns NaN, in float32, float16 and bfloat16."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from lowerbound.audit.divergence import KlFit
from lowerbound.audit.probe import Point, Probe, Sizes

TYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}
STEPS = (5.0, 10.0, 20.0, 40.0, 60.0, 90.0, 120.0, 200.0)


@dataclass(frozen=True)
class Break:
    """The smallest probed value of one argument at which value or gradient is not finite."""

    dtype: str
    argument: str
    at: float
    what: str


def breaks(probe: Probe, sizes: Sizes, kl: KlFit) -> list[Break]:
    """Walk each argument outwards, in each type, until the loss or its gradient is no longer finite."""
    home, found = probe.dtype, []
    for name, dtype in TYPES.items():
        probe.dtype = dtype
        try:
            found += [b for a in arguments(probe) for b in _walk(probe, sizes, name, a) if avoidable(b, kl)]
        except Exception:
            continue
        finally:
            probe.dtype = home
    return found


def avoidable(b: Break, kl: KlFit) -> bool:
    """Whether the right value would have fitted the type: a KL that is truly infinite there is no fault of the code."""
    if b.argument == "out":
        return True
    head = kl.head
    v = float(head(np.array([b.at if b.argument == "s" else 0.5]), kl.free)[0]) if head is not None else 1.0
    with np.errstate(all="ignore"):
        nats = 0.5 * (v - np.log(v) + (b.at**2 if b.argument == "mu" else 0.0)) if v > 0 else 0.0
    return bool(nats < {"float32": 1e36, "bfloat16": 1e36, "float16": 2e3}[b.dtype])


def arguments(probe: Probe) -> list[str]:
    """The arguments that may become large: output unless it is a probability, mu, s."""
    return [a for a in ("out", "mu", "s") if a != "out" or probe.out_space in ("logit", "real")]


def _walk(probe: Probe, sizes: Sizes, dtype: str, argument: str) -> list[Break]:
    point = probe.point(sizes)
    if not torch.isfinite(_loss(probe, point)):
        return [Break(dtype, "any", 0.0, "value")]
    for sign in (1.0,) if argument == "s" and probe.positive else (1.0, -1.0):
        for size in STEPS:
            value = 1.0 / size**4 if argument == "s" and probe.positive else sign * size
            what = _finite(probe, point, argument, value)
            if what:
                return [Break(dtype, argument, value, what)]
    return []


def _loss(probe: Probe, point: Point) -> torch.Tensor:
    return probe.raw(point)


def _finite(probe: Probe, point: Point, argument: str, value: float) -> str:
    leaf = getattr(point, argument).clone()
    leaf[0, 0] = value
    leaf.requires_grad_(True)
    loss = _loss(probe, point.but(**{argument: leaf}))
    if not torch.isfinite(loss):
        return "value"
    if not loss.requires_grad:
        return ""
    (grad,) = torch.autograd.grad(loss, leaf, allow_unused=True)
    return "" if grad is None or bool(torch.isfinite(grad).all()) else "gradient"
