"""The oracles themselves against quadrature and exact sums: two ways that share no algebra."""

from __future__ import annotations

import mpmath
import pytest
import torch
from mpmath import mpf

import oracles


def log_normal(m: float, l: float):
    return lambda z: -(mpmath.log(2 * mpmath.pi) + l + (z - m) ** 2 * mpmath.exp(-l)) / 2


def log_laplace(m: float, b: float):
    return lambda z: -abs(z - m) / b - mpmath.log(2 * mpf(b))


@pytest.mark.parametrize("m1, l1, m2, l2", [(1.0, -1.0, 0.0, 0.0), (-2.0, 1.5, 0.5, -0.75), (0.0, 0.01, 0.0, 0.0)])
def test_normal_against_quadrature(m1, l1, m2, l2):
    spread = 14 * float(mpmath.exp(l1 / 2))
    points = [m1 + spread * i / 4 for i in range(-4, 5)]
    value = oracles.kl_quadrature(log_normal(m1, l1), log_normal(m2, l2), points)
    assert oracles.relative(value, oracles.kl_normal(m1, l1, m2, l2)) < 1e-12


@pytest.mark.parametrize("m1, b1, m2, b2", [(1.0, 0.5, 0.0, 1.0), (-0.25, 2.0, 1.0, 0.75), (3.0, 1.0, 3.0, 1.5)])
def test_laplace_against_quadrature(m1, b1, m2, b2):
    points = sorted({m1 + b1 * k for k in (-80, -10, -3, 0, 3, 10, 80)} | {m2})
    value = oracles.kl_quadrature(log_laplace(m1, b1), log_laplace(m2, b2), points)
    assert oracles.relative(value, oracles.kl_laplace(m1, b1, m2, b2)) < 1e-12


def test_pulls_are_the_derivatives_of_the_oracle():
    at = (0.75, -1.25, 0.5, 0.25)
    with mpmath.mp.workdps(60):
        slopes = [mpmath.diff(oracles.kl_normal, at, n) for n in ((1, 0, 0, 0), (0, 1, 0, 0))]
    for slope, pull in zip(slopes, oracles.kl_normal_pulls(*at), strict=True):
        assert oracles.relative(slope, pull) < 1e-12


def test_full_covariance_reduces_to_the_diagonal():
    m1, m2 = torch.tensor([1.0, -2.0]).double(), torch.tensor([0.5, 0.0]).double()
    s1, s2 = torch.tensor([0.5, 2.0]).double(), torch.tensor([1.5, 0.25]).double()
    split = sum(oracles.kl_normal_scale(*a) for a in zip(*(t.tolist() for t in (m1, s1, m2, s2)), strict=True))
    assert oracles.relative(oracles.kl_full(m1, torch.diag(s1), m2, torch.diag(s2)), split) < 1e-14


def test_bernoulli_two_ways():
    assert oracles.relative(oracles.kl_bernoulli(0.0, 0.0), mpf(0)) == 0
    exact = oracles.kl_bernoulli_probs(0.5, 0.25)
    assert oracles.relative(oracles.kl_bernoulli(0.0, -mpmath.log(3)), exact) < 1e-14


def test_conjugate_model_by_bayes():
    """log p(x|z) + log p(z) - log p(z|x) is log p(x), at any z."""
    model = oracles.Conjugate.draw(2, 5, seed=1)
    x, z = torch.randn(4, 5).double(), torch.randn(4, 2).double()
    mean, L = model.posterior(x)
    normal = torch.distributions.MultivariateNormal
    prior = normal(torch.zeros(2).double(), torch.eye(2).double()).log_prob(z)
    joint = model.log_likelihood(x, z) + prior - normal(mean, scale_tril=L).log_prob(z)
    torch.testing.assert_close(joint, model.log_p(x), rtol=0, atol=1e-10)
