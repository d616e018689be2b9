r"""The estimate of the total correlation for a Normal posterior of independent dimensions, with its gradient by hand.

With the pairs :math:`a_{ijd} = (z_{id} - m_{jd})\,e^{-l_{jd}/2}`, the shares :math:`P_{ij}` of example j in the density
of all at z_i, and :math:`R_{ijd}` in its marginals, and :math:`G = P - R`, over the number of examples

.. math:: \partial z_{id} = -\textstyle\sum_j G a e^{-l_{jd}/2}, \quad \partial m_{jd} = \sum_i G a e^{-l_{jd}/2}, \quad
          \partial l_{jd} = \tfrac12 \sum_i G (a^2 - 1).

What is (latent, batch, batch) large lives only here, and is passed over as seldom as can be: autograd's own way takes
several times as long. It is one operation of torch's, so that a compiled step calls it as it is: the compiler's own
loops over the pairs take three times as long.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor

from lowerbound.maths.units import mean_examples

NATS = math.log(2)
"""In a bit."""
LEAST = -126
"""2 to this is the least normal number of float32; what is less takes four times as long, and is 0 beside 1."""


class MeanLogRatio(torch.autograd.Function):
    """The mean over examples of log q(z_i) - sum_d log q(z_id), nats, of z, mean, log variance (batch, latent).

    ``own`` is the weight of example i in the density of all at z_i, ``other`` that of every other example.
    """

    @staticmethod
    def forward(ctx: Any, z: Tensor, mean: Tensor, log_variance: Tensor, own: float, other: float) -> Tensor:
        value, *gradients = torch.ops.lowerbound.mean_log_ratio(z, mean, log_variance, own, other)
        ctx.save_for_backward(*gradients)
        return value

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Any:  # type: ignore[override]
        return *(gradient * saved.mT for saved in ctx.saved_tensors), None, None


def mean_log_ratio(
    z: Tensor, mean: Tensor, log_variance: Tensor, own: float, other: float
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """The value, and its gradients of z, mean and log variance, (latent, batch) each."""
    z, mean, log_variance = torch.stack([z, mean, log_variance]).mT.contiguous()
    scale, n = torch.exp(-0.5 * log_variance), z.shape[1]
    across = scale[:, None, :]
    a = torch.addcmul((-mean * scale)[:, None, :], z[:, :, None], across)
    bits = torch.mul(a, a)  # of log density, from here on: exp2 takes a quarter of the time of exp
    torch.sub((-0.5 / NATS) * log_variance[:, None, :], bits, alpha=0.5 / NATS, out=bits)
    joint, nearer = bits.sum(0), math.log2(own / other)
    for each in (bits, joint):
        each.diagonal(dim1=-2, dim2=-1).add_(nearer)
    P, log_joint = shares_(joint)
    R, log_marginals = shares_(bits)
    value = NATS * mean_examples(log_joint - log_marginals.sum(0)) + (1 - len(z)) * math.log(other)
    G = torch.sub(P, R, out=R)
    whole = G.sum(1)
    by_mean = G.mul_(a).sum(1).mul_(scale / n)
    by_log_variance = a.mul_(G).sum(1).sub_(whole).mul_(0.5 / n)
    by_z = G.mul_(across).sum(-1).mul_(-1 / n)
    return value, by_z, by_mean, by_log_variance


def shares_(bits: Tensor) -> tuple[Tensor, Tensor]:
    """2^bits over its sum along the last axis, in the place of ``bits``, and log2 of the sum, without that axis."""
    highest = bits.amax(-1, keepdim=True)
    whole = bits.sub_(highest).clamp_(min=LEAST).exp2_().sum(-1, keepdim=True)
    return bits.div_(whole), whole.log2_().add_(highest).squeeze(-1)


_LIB = torch.library.Library("lowerbound", "FRAGMENT")
_LIB.define(
    "mean_log_ratio(Tensor z, Tensor mean, Tensor log_variance, float own, float other)"
    " -> (Tensor, Tensor, Tensor, Tensor)"
)
_LIB.impl("mean_log_ratio", mean_log_ratio, "CompositeExplicitAutograd")


@torch.library.register_fake("lowerbound::mean_log_ratio")
def _shapes(z: Tensor, mean: Tensor, log_variance: Tensor, own: float, other: float) -> tuple[Tensor, ...]:
    return z.new_empty(()), *(torch.empty_like(z.mT, memory_format=torch.contiguous_format) for _ in range(3))
