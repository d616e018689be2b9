"""phi and kl_normal against 120-digit mpmath: values, gradients, laws, and what must be inf."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

import oracles
from lowerbound.maths.divergence import kl, kl_normal, phi, pull
from lowerbound.maths.normal import DiagonalNormal

INF = math.inf
DOUBLE, SINGLE = torch.float64, torch.float32


def signed(low: float, high: float) -> st.SearchStrategy[float]:
    """0 or ±10^e, e uniform: the exponents are what matters."""
    return st.one_of(
        st.just(0.0), st.builds(lambda s, e: s * 10.0**e, st.sampled_from([-1.0, 1.0]), st.floats(low, high))
    )


means = signed(-10, 10)
log_variances = st.one_of(signed(-18, math.log10(92.1)), st.floats(1, 92.1), st.floats(-92.1, -1))  # sigma 1e-20..1e20


def double(*values: float) -> list[torch.Tensor]:
    return [torch.tensor(v, dtype=DOUBLE) for v in values]


def log_variance_grid(dtype: torch.dtype) -> torch.Tensor:
    """8,000 log variances: ±(1e-18..80) evenly in the exponent, and every neighbour of the thresholds at ±1/2."""
    sizes = torch.logspace(-18, math.log10(80), 3984, dtype=DOUBLE).to(dtype)
    at = torch.tensor(0.5, dtype=dtype)
    near = [at]
    for _ in range(8):
        near = [torch.nextafter(near[0], at * 0), *near, torch.nextafter(near[-1], at * 2)]
    sizes = torch.cat([sizes, torch.stack(near)[:16]])
    return torch.cat([sizes, -sizes])


def worst_ulps(values: torch.Tensor, exact: list) -> float:
    return max(oracles.ulps(v, e, values.dtype) for v, e in zip(values.tolist(), exact, strict=True))


# Values -------------------------------------------------------------------------------------------------------------


@given(means, log_variances, means, log_variances)
def test_general_pair_in_float64(m1, l1, m2, l2):
    assert oracles.relative(kl_normal(*double(m1, l1, m2, l2)).item(), oracles.kl_normal(m1, l1, m2, l2)) <= 1e-12


@given(means, log_variances)
def test_against_the_standard_normal_in_float64(m1, l1):
    assert oracles.relative(kl_normal(*double(m1, l1)).item(), oracles.kl_normal(m1, l1)) <= 1e-12


@given(means, log_variances, st.floats(-18, 0), st.floats(-18, 0), st.sampled_from([-1, 1]))
def test_nearly_equal_pair_in_float64(m1, l1, a, b, sign):
    """Where posterior and prior almost agree, a difference of large terms would lose every digit."""
    m2, l2 = m1 * (1 + sign * 10**a), l1 * (1 + sign * 10**b)
    assert oracles.relative(kl_normal(*double(m1, l1, m2, l2)).item(), oracles.kl_normal(m1, l1, m2, l2)) <= 1e-12


@pytest.mark.parametrize("dtype", [SINGLE, DOUBLE])
@pytest.mark.parametrize("mean", [0.0, 1e-9, 1e-3, 1.0, 300.0])
def test_four_ulp_on_eight_thousand_points(dtype, mean):
    l = log_variance_grid(dtype)
    assert len(l) == 8000
    m = torch.full_like(l, mean)
    exact = [oracles.kl_normal(*a) for a in zip(oracles.numbers(m), oracles.numbers(l), strict=True)]
    assert worst_ulps(kl_normal(m, l), exact) <= 4


def test_phi_four_ulp():
    for dtype in (SINGLE, DOUBLE):
        x = log_variance_grid(dtype)
        assert worst_ulps(phi(x), [oracles.phi(a) for a in oracles.numbers(x)]) <= 4


def test_general_prior_in_float32_within_the_rounding_of_the_difference():
    """4 ulp and one ulp per nat of log variance, the rounding of l1 - l2 that exp amplifies."""
    m1, m2 = 3 * torch.randn(2, 2000)
    l1, l2 = (10 * torch.randn(2, 2000)).clamp(-35, 35)
    columns = zip(*(oracles.numbers(a) for a in (m1, l1, m2, l2)), strict=True)
    exact = [oracles.kl_normal(*a) for a in columns]
    allowed = 4 + (l1 - l2).abs() + l2.abs() + 4 * (m1.abs() + m2.abs()) / (m1 - m2).abs()
    for value, true, limit in zip(kl_normal(m1, l1, m2, l2).tolist(), exact, allowed.tolist(), strict=True):
        assert oracles.ulps(value, true, SINGLE) <= limit


@pytest.mark.parametrize("half", [torch.bfloat16, torch.float16])
def test_half_precision_is_raised_first(half):
    m, l = torch.tensor([300.0, 0.0]).to(half), torch.tensor([0.0, 1e-3]).to(half)
    value = kl_normal(m, l)
    assert value.dtype == SINGLE
    assert torch.equal(value, kl_normal(m.float(), l.float()))
    assert torch.equal(
        kl_normal(m, l, m.flip(0), l.flip(0)), kl_normal(*(a.float() for a in (m, l, m.flip(0), l.flip(0))))
    )
    assert all(a.dtype == SINGLE for a in pull(m, l))
    assert phi(l).dtype == SINGLE


def test_under_autocast_nothing_is_lowered():
    m, l = torch.randn(2, 100)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert torch.equal(kl_normal(m, l), kl_normal(m, l))
        low = kl_normal(m, l)
    assert torch.equal(low, kl_normal(m, l))


# Gradients ----------------------------------------------------------------------------------------------------------


@given(means, log_variances, means, log_variances)
def test_pulls_in_float64(m1, l1, m2, l2):
    leaves = [a.requires_grad_() for a in double(m1, l1, m2, l2)]
    gradients = torch.autograd.grad(kl_normal(*leaves), leaves)
    for value, exact in zip(gradients[:2], oracles.kl_normal_pulls(m1, l1, m2, l2), strict=True):
        assert oracles.relative(value.item(), exact) <= 1e-12
    assert gradients[2] == -gradients[0]


@pytest.mark.parametrize("dtype", [SINGLE, DOUBLE])
def test_pulls_four_ulp(dtype):
    l = log_variance_grid(dtype)
    m = torch.randn(len(l), dtype=dtype)
    leaves = [m.requires_grad_(), l.requires_grad_()]
    exact = [oracles.kl_normal_pulls(*a) for a in zip(oracles.numbers(m), oracles.numbers(l), strict=True)]
    for values in (torch.autograd.grad(kl_normal(*leaves).sum(), leaves), pull(*leaves)):
        for value, column in zip(values, zip(*exact, strict=True), strict=True):
            assert worst_ulps(value, list(column)) <= 4


def test_gradcheck_and_second_derivatives():
    g = torch.Generator().manual_seed(3)
    inputs = [torch.randn(50, generator=g, dtype=DOUBLE).requires_grad_() for _ in range(4)]
    assert torch.autograd.gradcheck(kl_normal, inputs)
    assert torch.autograd.gradgradcheck(kl_normal, inputs)
    assert torch.autograd.gradcheck(kl_normal, inputs[:2])
    assert torch.autograd.gradgradcheck(kl_normal, inputs[:2])


def test_second_derivative_at_the_prior_is_the_fisher_information():
    hessian = torch.autograd.functional.hessian(
        lambda a: kl_normal(*a.unbind(), *double(0.0, 0.0)), torch.zeros(2).double()
    )
    torch.testing.assert_close(hessian, torch.diag(torch.tensor([1.0, 0.5]).double()), rtol=0, atol=0)


def test_function_transforms_see_the_same_pull():
    m, l = torch.randn(2, 5)
    slope = torch.func.vmap(torch.func.grad(lambda m, l: kl_normal(m, l), argnums=1))(m, l)
    torch.testing.assert_close(slope, pull(m, l)[1], rtol=0, atol=0)


@pytest.mark.parametrize("dtype", [SINGLE, DOUBLE])
def test_gradients_are_finite_far_out(dtype):
    l = torch.tensor([-100.0, -50.0, 0.0, 50.0, 88.0], dtype=dtype, requires_grad=True)
    m = torch.zeros_like(l, requires_grad=True)
    for second in ((), (m.detach(), l.detach())):
        value = kl_normal(m, l, *second)
        gradients = torch.autograd.grad(value.sum(), (m, l))
        assert all(a.isfinite().all() for a in (value, *gradients))


# Laws ---------------------------------------------------------------------------------------------------------------


@given(means, log_variances)
def test_identity_is_exactly_zero(m, l):
    for dtype in (SINGLE, DOUBLE):
        m_, l_ = (a.to(dtype) for a in double(m, l))
        assert kl_normal(m_, l_, m_, l_) == 0
    assert kl_normal(*double(0.0, 0.0)) == 0


@pytest.mark.parametrize("dtype", [SINGLE, DOUBLE])
def test_never_negative_in_a_million_draws(dtype):
    m1, m2 = 10 ** (4 * torch.randn(2, 500_000, dtype=dtype))
    l1, l2 = torch.randn(2, 500_000, dtype=dtype) * 10 ** (2 * torch.randn(500_000, dtype=dtype)).clamp(max=20)
    for value in (kl_normal(m1, l1, m2, l2), kl_normal(m1, l1)):
        assert (value >= 0).all()  # also says that none is NaN


def test_invariant_under_a_joint_shift_and_scale():
    m1, l1, m2, l2 = torch.randn(4, 1000, dtype=DOUBLE)
    c = math.log(2.0) * 4  # a scale by 4 multiplies variances by 16
    moved = kl_normal(4 * m1 + 1, l1 + c, 4 * m2 + 1, l2 + c)
    torch.testing.assert_close(moved, kl_normal(m1, l1, m2, l2), rtol=1e-12, atol=1e-14)


def test_one_number_per_latent_dimension_and_they_add():
    q, p = (DiagonalNormal(*torch.randn(2, 7, 5, dtype=DOUBLE)) for _ in range(2))
    rate = kl(q, p)
    assert rate.kind == "closed" and rate.value.shape == (7, 5) and rate.total().shape == (7,)
    for j in range(5):
        one = kl(*(DiagonalNormal(d.mean[:, [j]], d.log_variance[:, [j]]) for d in (q, p)))
        assert torch.equal(one.value[:, 0], rate.value[:, j])
    torch.testing.assert_close(rate.total(), rate.value @ torch.ones(5, dtype=DOUBLE), rtol=1e-15, atol=0)


# inf, never NaN -----------------------------------------------------------------------------------------------------

INFINITE = {
    "variance overflows": (0.0, 89.0, 0.0, 0.0),
    "deviation 1e20 against 1": (0.0, 92.1, 0.0, 0.0),
    "infinite log variance": (0.0, INF, 0.0, 0.0),
    "zero variance": (0.0, -INF, 0.0, 0.0),
    "mean squared overflows": (1e20, 0.0, 0.0, 0.0),
    "infinite mean": (INF, 0.0, 0.0, 0.0),
    "prior collapsed": (0.0, 0.0, 0.0, -89.0),
    "prior a point": (0.0, 0.0, 0.0, -INF),
    "prior a point elsewhere": (0.0, 0.0, 1.0, -INF),
    "prior flat": (0.0, 0.0, 0.0, INF),
    "infinite mean, flat prior": (INF, 0.0, 0.0, 1e4),
    "far means, narrow prior": (1e10, -60.0, -1e10, -92.1),
    "all at once": (-1e10, 92.1, 1e10, -92.1),
    "log variances overflow": (0.0, 3e38, 0.0, -3e38),
}


@pytest.mark.parametrize("case", INFINITE)
def test_overflow_is_inf_in_float32(case):
    m1, l1, m2, l2 = (torch.tensor(a) for a in INFINITE[case])
    assert kl_normal(m1, l1, m2, l2) == INF
    if m2 == l2 == 0:
        assert kl_normal(m1, l1) == INF


@pytest.mark.parametrize(
    "case",
    [(0.0, -200.0, 0.0, -200.0), (0.0, 300.0, 0.0, 300.0), (1e-30, -176.0, 0.0, -176.0), (1e20, 180.0, 0.0, 180.0)],
)
def test_what_is_finite_stays_right_in_float32_beyond_the_range_of_the_variance(case):
    exact = oracles.kl_normal(*oracles.numbers(torch.tensor(case)))
    assert oracles.relative(kl_normal(*(torch.tensor(a) for a in case)).item(), exact) < 1e-4
