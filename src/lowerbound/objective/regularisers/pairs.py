r"""The estimate of the total correlation for a Normal posterior of independent dimensions, with its gradient by hand.

With the pairs :math:`a_{ijd} = (z_{id} - m_{jd})\,e^{-l_{jd}/2}`, the shares :math:`P_{ij}` of example j in the density
of all at z_i, and :math:`R_{ijd}` in its marginals, and :math:`G = P - R`, over the number of examples

.. math:: \partial z_{id} = -\textstyle\sum_j G a e^{-l_{jd}/2}, \quad \partial m_{jd} = \sum_i G a e^{-l_{jd}/2}, \quad
          \partial l_{jd} = \tfrac12 \sum_i G (a^2 - 1).

What is (latent, batch, batch) large lives only here, and is passed over as seldom as can be: autograd's own way takes
several times as long. It is one operation of torch's; in a compiled step the same terms stand in the shape that the
compiler is quick at (:mod:`lowerbound.objective.regularisers.pairs_compiled`).
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor

from lowerbound.maths.units import at_least_float32
from lowerbound.model.autoencoder import full_precision

NATS = math.log(2)
"""In a bit."""
HALF = 0.5 / NATS
"""Bits in half a nat."""
LEAST = -110
"""2 to this is 0 beside 1, and what is left of it after the divisions here is still a normal number of float32: what is
less takes many times as long to multiply."""


class MeanLogRatio(torch.autograd.Function):
    """The mean over examples of log q(z_i) - sum_d log q(z_id), nats, of z, mean, log variance (batch, latent).

    ``own`` is the weight of example i in the density of all at z_i, ``other`` that of every other example.
    """

    @staticmethod
    def forward(ctx: Any, z: Tensor, mean: Tensor, log_variance: Tensor, own: float, other: float) -> Tensor:
        given = (at_least_float32(a) for a in (z, mean, log_variance))
        with full_precision(z.device):
            value, *gradients = torch.ops.lowerbound.mean_log_ratio(*given, own, other)
        ctx.save_for_backward(*gradients)
        return value

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Any:  # type: ignore[override]
        return *(gradient * saved.mT for saved in ctx.saved_tensors), None, None


def mean_log_ratio(
    z: Tensor, mean: Tensor, log_variance: Tensor, own: float, other: float
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """The value, and its gradients of z, mean and log variance, (latent, batch) each."""
    bits = (-HALF * log_variance.mT).contiguous()  # log2 of 1 / sigma: exp2 takes a quarter of the time of exp
    (latent, n), scale = bits.shape, bits.exp2()
    codes = z.mT.contiguous()  # read row by row from here on, which halves what the next line takes
    a = (codes[:, None] * scale[..., None]).sub_((mean.mT * scale)[..., None])  # (latent, j, i)
    densities = a.new_empty(latent + 1, n, n)
    each, joint = densities[:latent], densities[latent]
    torch.addcmul(below_highest(bits)[..., None], a, a, value=-HALF, out=each)
    torch.sum(each, 0, out=joint)
    densities.diagonal(dim1=-2, dim2=-1).add_(math.log2(own / other))
    highest = joint.amax(0)
    joint.sub_(highest)
    wholes = densities.clamp_(min=LEAST).exp2_().sum(1)
    value = mean_of_logs(wholes[latent], highest, wholes[:latent], other)
    P, R = joint, each
    shares = wholes.mul_(n).reciprocal_()
    G = torch.addcmul(P.mul_(shares[latent]), R, shares[:latent, None], value=-1, out=R)
    total = G.sum(-1)
    pull = G.mul_(a)
    by_z = torch.bmm(scale[:, None], pull).squeeze(1).neg_()
    by_mean = pull.sum(-1).mul_(scale)
    return value, by_z, by_mean, a.mul_(pull).sum(-1).sub_(total).mul_(0.5)


def below_highest(bits: Tensor) -> Tensor:
    """The bits (latent, batch) of the highest densities below the highest of all: no density then exceeds 1.

    What is taken away is the same in the density of all and in its marginals, and leaves their ratio as it is.
    """
    return bits - bits.amax(-1, keepdim=True)


def mean_of_logs(whole: Tensor, highest: Tensor, wholes: Tensor, other: float) -> Tensor:
    """The value, nats, of sums of densities over ``other``: of all (batch,) below 2^highest, and marginals."""
    latent, n = len(wholes), len(whole)
    bits = (whole.log2() + highest).sum() - wholes.log2().sum()
    return NATS / n * bits + (1 - latent) * math.log(other)


_LIB = torch.library.Library("lowerbound", "FRAGMENT")
_LIB.define(
    "mean_log_ratio(Tensor z, Tensor mean, Tensor log_variance, float own, float other)"
    " -> (Tensor, Tensor, Tensor, Tensor)"
)
_LIB.impl("mean_log_ratio", mean_log_ratio, "CompositeExplicitAutograd")


@torch.library.register_fake("lowerbound::mean_log_ratio")
def _shapes(z: Tensor, mean: Tensor, log_variance: Tensor, own: float, other: float) -> tuple[Tensor, ...]:
    return z.new_empty(()), *(torch.empty_like(z.mT, memory_format=torch.contiguous_format) for _ in range(3))
