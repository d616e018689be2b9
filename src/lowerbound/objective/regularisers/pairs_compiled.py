r"""The pairs of :mod:`lowerbound.objective.regularisers.pairs` as torch's compiler is quick at them.

It makes one loop of what eager code passes over many times, and takes half of the time, if two things are settled
for it: which numbers are laid down in memory instead of found anew wherever they are read, and how a power of two is
taken, since the way it knows is slow.

.. math:: 2^x = 2^n \textstyle\sum_{k=0}^{7} \frac{(f \ln 2)^k}{k!}, \qquad n = \lfloor x \rceil, \quad f = x - n
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor

from lowerbound.objective.regularisers.pairs import HALF, LEAST, below_highest, mean_of_logs

SERIES = [math.log(2) ** k / math.factorial(k) for k in range(8)]
"""Of 2^x; what is left out is below 6e-9 where |x| is at most a half."""


def mean_log_ratio(z: Tensor, mean: Tensor, log_variance: Tensor, own: float, other: float) -> Any:
    """What the operation of this name gives, by other operations; NotImplemented where they are no quicker."""
    if z.dtype != torch.float32 or z.device.type != "cpu":
        return NotImplemented
    n = len(z)
    bits = -HALF * log_variance.mT  # not laid down: the compiler would write what lies below over what scale reads
    scale = laid(bits.exp2())
    z, shift, below = laid(z.mT)[..., None], laid(mean.mT * scale)[:, None], laid(below_highest(bits))[:, None]
    a = z * scale[:, None] - shift  # (latent, i, j)
    each, nearer = below - HALF * a * a, laid(torch.eye(n) * math.log2(own / other))
    joint = each.sum(0) + nearer
    highest = joint.amax(-1, keepdim=True)
    P, R = power_of_two((joint - highest).clamp(min=LEAST)), laid(power_of_two((each + nearer).clamp(min=LEAST)))
    whole, wholes = P.sum(-1, keepdim=True), R.sum(-1, keepdim=True)
    G = laid(P / (n * whole)) - R * (1 / (n * wholes))
    pull = G * a
    by_z, by_mean = -(pull * scale[:, None]).sum(-1), pull.sum(1) * scale
    value = mean_of_logs(whole.squeeze(-1), highest.squeeze(-1), wholes.squeeze(-1), other)
    return value, by_z, by_mean, 0.5 * (pull * a - G).sum(1)


def power_of_two(x: Tensor) -> Tensor:
    """2^x to the last digits of float32, -126 <= x < 127, by operations that any processor does many of at once."""
    n = torch.round(x)
    f, found = x - n, torch.full_like(x, SERIES[-1])
    for term in reversed(SERIES[:-1]):
        found = found * f + term
    return found * ((n + 127).to(torch.int32) * 2**23).view(torch.float32)


def laid(a: Tensor) -> Tensor:
    """``a``, laid down in memory row by row: what is read by strides has to lie there."""
    a = a.contiguous()
    return a.as_strided(a.shape, a.stride())
