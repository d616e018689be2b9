"""Reverse water-filling against a numerical optimum, its known points, and the linear oracle at its optimum."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy.optimize import minimize

from lowerbound.maths.water_filling import water_filling

VALUES = [5.0, 2.0, 0.7, 0.3]


@pytest.mark.parametrize("beta", [0.05, 0.4, 1.0, 2.5, 20.0])
@pytest.mark.parametrize("variance", [0.5, 3.0])
def test_no_other_allocation_of_error_is_cheaper(beta, variance):
    """The same D + beta R, minimised over the errors d_j in (0, lambda_j] by a general optimiser."""
    lam = np.array(VALUES)

    def cost(log_share):
        d = lam * np.exp(-np.square(log_share))
        return np.sum(0.5 * (math.log(2 * math.pi * variance) + d / variance) + beta * 0.5 * np.log(lam / d))

    found = min(minimize(cost, np.full(4, start), tol=1e-14).fun for start in (0.3, 1.0, 2.0))
    rate, distortion = water_filling(torch.tensor(VALUES, dtype=torch.float64), variance, beta)
    assert (distortion + beta * rate).item() == pytest.approx(found, abs=1e-8)


def test_at_beta_1_and_the_best_variance_it_is_the_likelihood_of_probabilistic_pca():
    lam = torch.tensor(VALUES, dtype=torch.float64)
    variance = (0.7 + 0.3) / 2
    rate, distortion = water_filling(lam, variance, latent=2)
    # Tipping & Bishop 1999: -log p = (n log 2 pi + sum log lambda + (n - k) log sigma^2 + n) / 2
    exact = 0.5 * (4 * math.log(2 * math.pi) + math.log(5.0 * 2.0) + 2 * math.log(variance) + 4)
    assert (rate + distortion).item() == pytest.approx(exact, abs=1e-12)


def test_the_curve_falls_by_beta_nats_of_distortion_for_a_nat_of_rate():
    lam = torch.tensor(VALUES, dtype=torch.float64)
    for beta in (0.1, 0.5, 1.0, 1.5):
        (r1, d1), (r2, d2) = (water_filling(lam, 1.0, beta * (1 + e)) for e in (-1e-5, 1e-5))
        assert ((d2 - d1) / (r2 - r1)).item() == pytest.approx(-beta, rel=1e-6)


def test_directions_below_the_level_and_beyond_the_latents_are_not_coded():
    lam = torch.tensor(VALUES, dtype=torch.float64)
    assert water_filling(lam, 1.0, 6.0)[0] == 0
    all_of_them, one = water_filling(lam, 0.1, 1.0)[0], water_filling(lam, 0.1, 1.0, latent=1)[0]
    assert one.item() == pytest.approx(0.5 * math.log(5.0 / 0.1))
    assert one < all_of_them
