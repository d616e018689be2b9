r"""One function that is non-negative and loses no digits near zero, and what is built from it.

.. math:: \phi(x) = e^x - 1 - x

The closed forms of the KL are written with it so that none of them subtracts nearly equal numbers: the textbook Normal
form loses every float32 digit at \|log variance\| < 1e-4, just where collapse is watched.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor

from lowerbound.maths.units import at_least_float32

DEGREE = {torch.float32: 9, torch.float64: 17}


class _Phi(torch.autograd.Function):
    """e^x - 1 - x: a Taylor series for |x| < 1/2, expm1(x) - x beyond. Its derivative is expm1(x)."""

    generate_vmap_rule = True

    @staticmethod
    def forward(x: Tensor) -> Tensor:
        degree = DEGREE[x.dtype]
        series = torch.full_like(x, 1 / math.factorial(degree + 2))
        for power in range(degree + 1, 1, -1):
            series.mul_(x).add_(1 / math.factorial(power))
        return torch.where(x.abs() < 0.5, series.mul_(x).mul_(x), torch.expm1(x) - x.clamp(max=1000.0))

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor], output: Tensor) -> None:
        ctx.save_for_backward(*inputs)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:  # type: ignore[override]
        return gradient * torch.expm1(ctx.saved_tensors[0])


def phi(x: Tensor) -> Tensor:
    r""":math:`\phi(x) = e^x - 1 - x \ge 0`, accurate for every x; half precision is raised to float32 first."""
    return _Phi.apply(at_least_float32(x))


def weighted_phi(log_a: Tensor, log_b: Tensor, h: Tensor | None = None) -> Tensor:
    r"""The share of one outcome in a KL: :math:`a\,\phi(h) = b - a - a h \ge 0`, with h = log(b/a) if it is not given.

    It is b where a = 0, inf where only b = 0, and does not overflow where a underflows.
    """
    return _Share.apply(*torch.broadcast_tensors(log_a, log_b)) if h is None else _share(log_a, log_b, h)


def _share(log_a: Tensor, log_b: Tensor, h: Tensor) -> Tensor:
    none, lost = log_a == -torch.inf, (log_b == -torch.inf) & (log_a != -torch.inf)
    h, a = torch.where(none | lost, 0.0, h), log_a.exp()
    share = torch.where(h < 2, a * phi(h.clamp(max=2.0)), log_b.exp() - a * (1 + h))
    return torch.where(lost, torch.inf, torch.where(none, log_b.exp(), share))


class _Share(torch.autograd.Function):
    """``weighted_phi`` of h = log_b - log_a. Its derivatives are -a h of log a and b - a of log b."""

    generate_vmap_rule = True

    @staticmethod
    def forward(log_a: Tensor, log_b: Tensor) -> Tensor:
        return _share(log_a, log_b, log_b - log_a)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor, Tensor], output: Tensor) -> None:
        ctx.save_for_backward(*inputs)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Any:  # type: ignore[override]
        log_a, log_b = ctx.saved_tensors
        a, h = log_a.exp(), log_b - log_a
        edge = (log_a == -torch.inf) | (log_b == -torch.inf)
        return -gradient * a * torch.where(edge, 0.0, h), gradient * (log_b.exp() - a)


def log_ratio(x: Tensor, y: Tensor, difference: Tensor | None = None) -> Tensor:
    """log(x / y) of positive numbers, without loss where they nearly agree; ``difference`` is x - y if known better."""
    gap = x - y if difference is None else difference
    near = gap.abs() < 0.5 * y
    ratio = torch.where(near, gap, 0.0) / torch.where(near, y, 1.0)
    return torch.where(near, torch.log1p(ratio), torch.log(x) - torch.log(y))


def times(shift: Tensor, precision: Tensor) -> Tensor:
    """shift * precision where 0 * inf is 0 (equal means under a point prior) and inf * 0 is inf."""
    limits = torch.finfo(precision.dtype)
    edge = (shift == 0) | shift.isinf()
    return shift * torch.where(edge, precision.clamp(limits.tiny, limits.max), precision)


def kl_normal(m1: Tensor, l1: Tensor, m2: Tensor | float = 0.0, l2: Tensor | float = 0.0) -> Tensor:
    r"""KL( N(m1, e^l1) || N(m2, e^l2) ) per dimension, nats; ``l`` are **log variances**.

    .. math:: \tfrac12\left[\phi(l_1-l_2) + (m_1-m_2)^2 e^{-l_2}\right] \ge 0

    Its gradients are the pull: d/dm1 = (m1-m2) e^-l2 and d/dl1 = (e^(l1-l2) - 1)/2.
    *Shapes*: all broadcast. *Errors*: none; an overflow is inf, never NaN.

    >>> kl_normal(torch.tensor(1.0), torch.tensor(-1.0))
    tensor(0.6839)
    """
    m1, l1 = at_least_float32(m1), at_least_float32(l1)
    if isinstance(m2, float) and isinstance(l2, float) and m2 == 0.0 and l2 == 0.0:
        return 0.5 * (phi(l1) + m1.square())
    shift = m1 - m2
    scaled = times(shift, torch.exp(-0.5 * torch.as_tensor(l2, dtype=shift.dtype, device=shift.device)))
    return 0.5 * (phi(l1 - l2) + scaled.square())


def pull(mean: Tensor, log_variance: Tensor) -> tuple[Tensor, Tensor]:
    r"""The pull of N(0, 1): gradient of the KL on mu and on log variance, nats per unit.

    .. math:: \partial KL/\partial\mu = \mu, \qquad \partial KL/\partial\log\sigma^2 = (\sigma^2 - 1)/2
    """
    return at_least_float32(mean), 0.5 * torch.expm1(at_least_float32(log_variance))
