r"""Reverse water-filling: where a beta puts a linear-Gaussian autoencoder on the rate-distortion plane.

.. math:: d_j = \min(\lambda_j,\ \beta\sigma^2), \qquad
          R = \tfrac12 \sum_j \log\frac{\lambda_j}{d_j}, \qquad
          D = \tfrac n2 \log 2\pi\sigma^2 + \frac{1}{2\sigma^2} \sum_j d_j
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from lowerbound.maths.units import sum_latent, sum_parts


def water_filling(
    eigenvalues: Tensor, variance: float, beta: float = 1.0, latent: int | None = None
) -> tuple[Tensor, Tensor]:
    r"""Rate and distortion, nats per example, of the best linear autoencoder for D + beta R.

    The decoder is a Normal of fixed ``variance``; the data have mean 0 (or a bias takes it up) and a covariance with
    these ``eigenvalues`` (parts,). A direction is left with the mean square error d_j: it is coded where its variance
    is above the water level beta sigma^2, and then down to that level. Only the ``latent`` largest can be.

    Source: Cover & Thomas 2006, theorem 10.3.3, with the level from dD/dR = -beta: 1/(2 sigma^2) = beta / (2 d).

    >>> rate, distortion = water_filling(torch.tensor([4.0, 0.5]), variance=1.0)
    >>> rate, distortion
    (tensor(0.6931), tensor(2.5879))
    """
    values = eigenvalues.sort(descending=True).values.clamp(min=0)
    left = values.clamp(max=beta * variance)
    if latent is not None:
        left = torch.cat([left[:latent], values[latent:]])
    coded = left < values
    rate = 0.5 * torch.log(torch.where(coded, values, 1.0) / torch.where(coded, left, 1.0))
    distortion = 0.5 * (math.log(2 * math.pi * variance) + left / variance)
    return sum_latent(rate), sum_parts(distortion, 1)
