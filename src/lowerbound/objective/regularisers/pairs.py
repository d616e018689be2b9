r"""The estimate of the total correlation for a Normal posterior of independent dimensions, with its gradient by hand.

With the pairs :math:`a_{ijd} = (z_{id} - m_{jd})\,e^{-l_{jd}/2}`, the shares :math:`P_{ij}` of example j in the density
of all at z_i, and :math:`R_{ijd}` in its marginals, and :math:`G = P - R` over the number of examples,

.. math:: \partial z_{id} = -\textstyle\sum_j G a e^{-l_{jd}/2}, \quad \partial m_{jd} = \sum_i G a e^{-l_{jd}/2}, \quad
          \partial l_{jd} = \tfrac12 \sum_i G (a^2 - 1).

What is (latent, batch, batch) large lives only here: autograd's own way takes five times as long.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor

from lowerbound.maths.units import mean_examples

LOWEST = -50.0  # of a log density below the highest: e^-50 is nothing beside 1, and a processor is slow below 1e-38


class MeanLogRatio(torch.autograd.Function):
    """The mean over examples of log q(z_i) - sum_d log q(z_id), nats, of z, mean, log variance (batch, latent).

    ``own`` is the weight of example i in the density of all at z_i, ``other`` that of every other example.
    """

    @staticmethod
    def forward(ctx: Any, z: Tensor, mean: Tensor, log_variance: Tensor, own: float, other: float) -> Tensor:
        z, mean, log_variance = torch.stack([z, mean, log_variance]).mT.contiguous()
        scale = torch.exp(-0.5 * log_variance)
        a = (z[:, :, None] - mean[:, None, :]).mul_(scale[:, None, :])
        peak = -0.5 * log_variance
        top = peak.amax(-1, keepdim=True)  # at most e^0 then, and z_i, drawn from q_i, keeps the sum from 0
        log_density = (a * a).mul_(-0.5).add_((peak - top)[:, None, :])
        joint = log_density.sum(0).add_(math.log(other))
        joint.diagonal().add_(math.log(own / other))
        density = log_density.clamp_(min=LOWEST).exp_()
        density.diagonal(dim1=-2, dim2=-1).mul_(own / other)
        marginal = density.sum(-1, keepdim=True)
        highest = joint.amax(-1, keepdim=True)
        share = joint.sub_(highest).clamp_(min=LOWEST).exp_()
        total, n = share.sum(-1, keepdim=True), z.shape[1]
        share.div_(total * n)
        log_q = (highest + total.log()).squeeze(-1)
        log_marginals = marginal.log().add_(math.log(other)).sum((0, -1))
        G = density.mul_(marginal.mul_(-n).reciprocal_()).add_(share)
        ctx.save_for_backward(*_gradients(G, a, scale))
        return mean_examples(log_q - log_marginals)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Any:  # type: ignore[override]
        return *(gradient * saved for saved in ctx.saved_tensors), None, None


def _gradients(G: Tensor, a: Tensor, scale: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Of z, mean, log variance, (batch, latent) each; G (latent, batch, batch) is used up."""
    whole = G.sum(1)
    moved = G.mul_(a).mul_(scale[:, None, :])
    z, mean = -moved.sum(-1), moved.sum(1)
    log_variance = 0.5 * (moved.mul_(a).sum(1) / scale - whole)
    return z.mT, mean.mT, log_variance.mT
