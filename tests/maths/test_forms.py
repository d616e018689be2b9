"""The registered closed forms against mpmath, their laws, their dispatch, and what must be inf."""

from __future__ import annotations

import math

import mpmath
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.distributions import (
    Bernoulli,
    Categorical,
    Distribution,
    Gamma,
    Independent,
    Laplace,
    LowRankMultivariateNormal,
    MultivariateNormal,
    Normal,
)

import oracles
from lowerbound.errors import LowerboundError
from lowerbound.maths import forms
from lowerbound.maths.divergence import closed_form, kl, register_kl
from lowerbound.maths.normal import DiagonalNormal, FullNormal

INF, DOUBLE = math.inf, torch.float64


def double(values: object) -> torch.Tensor:
    return torch.tensor(values, dtype=DOUBLE)


def value(q: Distribution, p: Distribution) -> float:
    rate = kl(q, p)
    assert rate.kind == "closed"
    return rate.value.item()


def powers(low: float, high: float) -> st.SearchStrategy[float]:
    return st.builds(lambda e: 10.0**e, st.floats(low, high))


def signed(low: float, high: float) -> st.SearchStrategy[float]:
    return st.one_of(st.just(0.0), st.builds(lambda s, a: s * a, st.sampled_from([-1.0, 1.0]), powers(low, high)))


scales, means = powers(-20, 20), signed(-10, 10)
nearby = st.one_of(st.just(0.0), signed(-12, -1))


# 1e-12 in float64 ---------------------------------------------------------------------------------------------------


@given(means, scales, means, scales)
def test_normal(m1, s1, m2, s2):
    q, p = (Normal(double(m), double(s)) for m, s in ((m1, s1), (m2, s2)))
    assert oracles.relative(value(q, p), oracles.kl_normal_scale(m1, s1, m2, s2)) <= 1e-12


@given(means, scales, nearby, nearby)
def test_nearly_equal_normals(m1, s1, a, b):
    m2, s2 = m1 + s1 * a, s1 * (1 + b)
    q, p = (Normal(double(m), double(s)) for m, s in ((m1, s1), (m2, s2)))
    assert oracles.relative(value(q, p), oracles.kl_normal_scale(m1, s1, m2, s2)) <= 1e-12


@given(means, scales, means, scales)
def test_laplace(m1, b1, m2, b2):
    q, p = (Laplace(double(m), double(b)) for m, b in ((m1, b1), (m2, b2)))
    assert oracles.relative(value(q, p), oracles.kl_laplace(m1, b1, m2, b2)) <= 1e-12


@given(means, scales, nearby, nearby)
def test_nearly_equal_laplaces(m1, b1, a, b):
    m2, b2 = m1 + b1 * a, b1 * (1 + b)
    q, p = (Laplace(double(m), double(s)) for m, s in ((m1, b1), (m2, b2)))
    assert oracles.relative(value(q, p), oracles.kl_laplace(m1, b1, m2, b2)) <= 1e-12


@given(signed(-9, 2.8), signed(-9, 2.8))
def test_bernoulli_on_logits(l1, l2):
    q, p = (Bernoulli(logits=double(a)) for a in (l1, l2))
    assert oracles.relative(value(q, p), oracles.kl_bernoulli(l1, l2)) <= 1e-12


@given(signed(-9, 1.5), nearby)
def test_nearly_equal_bernoulli_on_logits(l1, a):
    q, p = (Bernoulli(logits=double(l)) for l in (l1, l1 + a))
    assert oracles.relative(value(q, p), oracles.kl_bernoulli(l1, l1 + a)) <= 1e-12


@given(powers(-12, 0), powers(-12, 0), st.booleans(), st.booleans(), nearby)
def test_bernoulli_on_probabilities(a, b, flip_a, flip_b, near):
    a, b = 1 - a if flip_a else a, 1 - b if flip_b else b
    for x, y in ((a, b), (a, min(1.0, a * (1 + near)))):
        q, p = (Bernoulli(probs=double(c)) for c in (x, y))
        assert oracles.relative(value(q, p), oracles.kl_bernoulli_probs(x, y)) <= 1e-12


categories = st.integers(2, 12)
ROUNDING = 1e-30  # of the normalised probabilities themselves, whose sum is 1 to about 1e-16: its square in nats


@given(categories, st.integers(0, 10**9), powers(-8, 2.5), nearby)
def test_categorical_on_logits(n, seed, size, near):
    g = torch.Generator().manual_seed(seed)
    a, b, c = torch.randn(3, n, generator=g, dtype=DOUBLE)
    for x, y in ((size * a, size * b), (a, a + near * c)):
        q, p = Categorical(logits=x), Categorical(logits=y)
        exact = oracles.kl_categorical(*(oracles.numbers(d.logits) for d in (q, p)))
        assert abs(value(q, p) - exact) <= 1e-12 * exact + ROUNDING


@given(categories, st.integers(0, 10**9), nearby)
def test_categorical_on_probabilities(n, seed, near):
    g = torch.Generator().manual_seed(seed)
    a, b, c = torch.rand(3, n, generator=g, dtype=DOUBLE) ** 3
    for x, y in ((a, b), (a, a * (1 + near * c))):
        q, p = Categorical(probs=x), Categorical(probs=y)
        with mpmath.mp.workdps(oracles.DIGITS):
            logs = [[mpmath.log(v) for v in oracles.numbers(d.probs)] for d in (q, p)]
        exact = oracles.kl_categorical(*logs)
        assert abs(value(q, p) - exact) <= 1e-12 * exact + ROUNDING


def cholesky(n: int, g: torch.Generator, exponent: float) -> torch.Tensor:
    """A Cholesky factor with deviations 10^±exponent and correlations of order one."""
    unit = torch.tril(torch.randn(n, n, generator=g, dtype=DOUBLE), -1) + torch.eye(n, dtype=DOUBLE)
    return 10 ** ((2 * torch.rand(n, 1, generator=g, dtype=DOUBLE) - 1) * exponent) * unit


@given(st.integers(1, 4), st.integers(0, 10**9), st.floats(0, 20), nearby)
def test_full_covariance(n, seed, exponent, near):
    g = torch.Generator().manual_seed(seed)
    m1, m2 = torch.randn(2, n, generator=g, dtype=DOUBLE) * 10 ** (10 * torch.rand(2, n, generator=g, dtype=DOUBLE))
    L1, L2 = (cholesky(n, g, exponent) for _ in range(2))
    shift = L1 @ torch.randn(n, generator=g, dtype=DOUBLE)
    for m, L in ((m2, L2), (m1 + near * shift, L1 * (1 + near))):
        q, p = FullNormal(m1, L1), MultivariateNormal(m, scale_tril=L)
        assert oracles.relative(value(q, p), oracles.kl_full(m1, L1, m, L)) <= 1e-12


@given(st.integers(1, 4), st.integers(0, 10**9), st.floats(0, 20))
def test_full_against_diagonal_and_back(n, seed, exponent):
    g = torch.Generator().manual_seed(seed)
    m1, m2, l = torch.randn(3, n, generator=g, dtype=DOUBLE)
    L, l = cholesky(n, g, exponent), 2 * exponent * l
    full, diagonal = FullNormal(m1, L), DiagonalNormal(m2, l)
    with mpmath.mp.workdps(oracles.DIGITS):
        scale = [mpmath.exp(a / 2) for a in oracles.numbers(l)]
    exact = oracles.kl_full(m1, L, m2, Exact(scale))
    assert oracles.relative(value(full, diagonal), exact) <= 1e-12
    back = oracles.kl_full(m2, Exact(scale), m1, L)
    assert oracles.relative(value(diagonal, full), back) <= 1e-12


class Exact:
    """A diagonal matrix of multiple-precision numbers, as far as the oracle reads a tensor."""

    def __init__(self, diagonal: list) -> None:
        self.diagonal = diagonal

    def tolist(self) -> list[list]:
        n = len(self.diagonal)
        return [[self.diagonal[i] if i == j else 0 for j in range(n)] for i in range(n)]


# Laws ---------------------------------------------------------------------------------------------------------------


def members(g: torch.Generator, dtype: torch.dtype, batch: int = 6, latent: int = 3) -> dict[str, Distribution]:
    """One distribution of every registered kind, batch by latent."""
    a, b = torch.randn(2, batch, latent, generator=g).to(dtype)
    L = torch.tril(torch.randn(batch, latent, latent, generator=g).to(dtype), -1) + torch.diag_embed(b.exp())
    logits = torch.randn(batch, latent, 4, generator=g).to(dtype)
    return {
        "normal": Normal(a, b.exp()),
        "diagonal": DiagonalNormal(a, b),
        "full": FullNormal(a, L),
        "multivariate": MultivariateNormal(a, L @ L.mT),
        "bernoulli": Bernoulli(logits=a),
        "bernoulli-probs": Bernoulli(probs=a.sigmoid()),
        "categorical": Categorical(logits=logits),
        "categorical-probs": Categorical(probs=logits.softmax(-1)),
        "laplace": Laplace(a, b.exp()),
        "independent": Independent(Normal(a, b.exp()), 1),
    }


KINDS = list(members(torch.Generator().manual_seed(0), DOUBLE))


@pytest.mark.parametrize("dtype", [torch.float32, DOUBLE])
@pytest.mark.parametrize("kind", KINDS)
def test_identity_zero_and_otherwise_positive(kind, dtype):
    g = torch.Generator().manual_seed(1)
    for _ in range(50):
        q, p = members(g, dtype)[kind], members(g, dtype)[kind]
        assert (kl(q, q).value == 0).all()
        assert (kl(q, p).value >= 0).all() and (kl(q, p).value > 0).any()
        assert kl(q, p).value.dtype == dtype


@pytest.mark.parametrize("kind", KINDS)
def test_shapes(kind):
    g = torch.Generator().manual_seed(2)
    q, p = members(g, DOUBLE)[kind], members(g, DOUBLE)[kind]
    latent = 1 if kind in ("full", "multivariate") else 3
    assert kl(q, p).value.shape == (6, latent)
    assert kl(q, p).total().shape == (6,)


@pytest.mark.parametrize("kind", KINDS)
def test_agrees_with_torch_in_its_comfortable_range(kind):
    g = torch.Generator().manual_seed(3)
    q, p = members(g, DOUBLE)[kind], members(g, DOUBLE)[kind]
    if kind == "diagonal":
        q, p = (Independent(Normal(d.mean, d.stddev), 1) for d in (q, p))
    theirs = torch.distributions.kl_divergence(q, p)
    theirs = theirs if theirs.dim() == 1 else theirs.sum(-1)
    torch.testing.assert_close(kl(q, p).total(), theirs, rtol=1e-11, atol=1e-13)


def test_full_covariance_adds_over_independent_blocks():
    g = torch.Generator().manual_seed(4)
    (m1, L1, m2, L2), (n1, K1, n2, K2) = (
        [torch.randn(2, generator=g).double() if i % 2 == 0 else cholesky(2, g, 1) for i in range(4)] for _ in range(2)
    )
    joint = kl(
        FullNormal(torch.cat([m1, n1]), torch.block_diag(L1, K1)),
        FullNormal(torch.cat([m2, n2]), torch.block_diag(L2, K2)),
    )
    split = kl(FullNormal(m1, L1), FullNormal(m2, L2)).value + kl(FullNormal(n1, K1), FullNormal(n2, K2)).value
    torch.testing.assert_close(joint.value, split, rtol=1e-14, atol=0)


@pytest.mark.parametrize("pair", ["laplace", "bernoulli", "categorical", "full", "full-diagonal", "normal"])
def test_gradcheck(pair):
    g = torch.Generator().manual_seed(5)
    a, b, c, d = (torch.randn(4, 3, generator=g, dtype=DOUBLE).requires_grad_() for _ in range(4))
    L, M = (cholesky(3, g, 0.3).expand(4, 3, 3).clone().requires_grad_() for _ in range(2))
    functions = {
        "laplace": (lambda a, b, c, d: kl(Laplace(a, b.exp()), Laplace(c, d.exp())).value, (a, b, c, d)),
        "normal": (lambda a, b, c, d: kl(Normal(a, b.exp()), Normal(c, d.exp())).value, (a, b, c, d)),
        "bernoulli": (lambda a, b: kl(Bernoulli(logits=4 * a), Bernoulli(logits=4 * b)).value, (a, b)),
        "categorical": (lambda a, b: kl(Categorical(logits=4 * a), Categorical(logits=4 * b)).value, (a, b)),
        "full": (lambda a, L, c, M: kl(FullNormal(a, L.tril()), FullNormal(c, M.tril())).value, (a, L, c, M)),
        "full-diagonal": (lambda a, L, c, d: kl(FullNormal(a, L.tril()), DiagonalNormal(c, d)).value, (a, L, c, d)),
    }
    function, inputs = functions[pair]
    assert torch.autograd.gradcheck(function, inputs)
    assert torch.autograd.gradgradcheck(function, inputs)


@pytest.mark.parametrize("kind", ["bernoulli", "categorical"])
def test_gradients_are_finite_at_impossible_outcomes(kind):
    """A logit of 500 or a masked class of -inf must not poison the step."""
    a = torch.tensor([[500.0, -500.0, 0.0]], requires_grad=True)
    b = torch.tensor([[-1.0, 2.0, 0.5]], requires_grad=True)
    if kind == "categorical":
        mask = torch.tensor([[0.0, 0.0, -INF]])
        q, p = Categorical(logits=a + mask), Categorical(logits=b)
    else:
        q, p = Bernoulli(logits=a), Bernoulli(logits=b)
    assert all(t.isfinite().all() for t in torch.autograd.grad(kl(q, p).value.sum(), (a, b)))


def test_half_precision_is_raised():
    for half in (torch.bfloat16, torch.float16):
        a, b = torch.randn(2, 4).to(half), torch.rand(4).add(0.5).to(half)
        for make in (Normal, Laplace):
            low, high = kl(make(a, b), make(-a, b / 2)), kl(make(a.float(), b.float()), make(-a.float(), b.float() / 2))
            assert low.value.dtype == torch.float32
            assert torch.equal(low.value, high.value)
        assert kl(Bernoulli(logits=a), Bernoulli(logits=-a)).value.dtype == torch.float32
        assert kl(DiagonalNormal(a, b), DiagonalNormal(-a, b)).value.dtype == torch.float32


# inf, never NaN -----------------------------------------------------------------------------------------------------


def single(*values: float) -> list[torch.Tensor]:
    return [torch.tensor(v) for v in values]


INFINITE = {
    "bernoulli certain no": lambda: (Bernoulli(probs=0.3), Bernoulli(probs=0.0)),
    "bernoulli certain yes": lambda: (Bernoulli(probs=0.3), Bernoulli(probs=1.0)),
    "bernoulli certain against certain": lambda: (Bernoulli(probs=1.0), Bernoulli(probs=0.0)),
    "bernoulli tiny but possible": lambda: (Bernoulli(probs=1e-30), Bernoulli(probs=0.0)),
    "bernoulli logits to a point": lambda: (Bernoulli(logits=0.0), Bernoulli(logits=torch.tensor(-INF))),
    "bernoulli underflow to a point": lambda: (Bernoulli(logits=-200.0), Bernoulli(logits=torch.tensor(-INF))),
    "categorical excluded class": lambda: (
        Categorical(probs=torch.ones(3)),
        Categorical(probs=torch.tensor([1.0, 1, 0])),
    ),
    "categorical excluded logit": lambda: (Categorical(torch.ones(2)), Categorical(logits=torch.tensor([0.0, -INF]))),
    "normal wide": lambda: (Normal(0.0, 1e20), Normal(0.0, 1.0)),
    "normal wide on narrow": lambda: (Normal(0.0, 1e30), Normal(0.0, 1e-30)),
    "normal far": lambda: (Normal(1e25, 1.0), Normal(0.0, 1.0)),
    "laplace wide on narrow": lambda: (Laplace(0.0, 1e30), Laplace(0.0, 1e-30)),
    "laplace far": lambda: (Laplace(1e30, 1.0), Laplace(0.0, 1e-30)),
    "full wide": lambda: (FullNormal(torch.zeros(2), 1e20 * torch.eye(2)), FullNormal(torch.zeros(2), torch.eye(2))),
    "full on narrow": lambda: (
        FullNormal(torch.ones(2), torch.tensor([[1.0, 0], [1, 1]])),
        FullNormal(torch.zeros(2), torch.tensor([[1e-30, 0], [-1e-10, 1e-30]])),
    ),
    "full on a narrow diagonal": lambda: (
        FullNormal(torch.ones(2), torch.eye(2)),
        DiagonalNormal(torch.ones(2), torch.tensor([0.0, -300.0])),
    ),
}


@pytest.mark.parametrize("case", INFINITE)
def test_overflow_is_inf(case):
    assert kl(*INFINITE[case]()).total() == INF


FINITE = {
    "bernoulli of a point": (lambda: (Bernoulli(probs=0.0), Bernoulli(probs=0.3)), -math.log(0.7)),
    "bernoulli two equal points": (lambda: (Bernoulli(probs=1.0), Bernoulli(probs=1.0)), 0.0),
    "bernoulli logits, two points": (lambda: (Bernoulli(logits=torch.tensor(-INF)),) * 2, 0.0),
    "bernoulli underflowing": (lambda: (Bernoulli(logits=-90.0), Bernoulli(logits=0.0)), math.log(2)),
    "bernoulli underflowed": (lambda: (Bernoulli(logits=-1e4), Bernoulli(logits=0.0)), math.log(2)),
    "bernoulli logits against probabilities": (
        lambda: (Bernoulli(logits=0.0), Bernoulli(probs=0.25)),
        0.1438410362258904,
    ),
    "categorical logits against probabilities": (
        lambda: (Categorical(logits=torch.zeros(2)), Categorical(probs=torch.tensor([0.25, 0.75]))),
        0.1438410362258904,
    ),
    "categorical excluded by both": (lambda: (Categorical(probs=torch.tensor([1.0, 0.0])),) * 2, 0.0),
    "categorical excluded by q": (
        lambda: (Categorical(probs=torch.tensor([1.0, 0])), Categorical(probs=torch.ones(2))),
        math.log(2),
    ),
    "categorical underflowing": (
        lambda: (Categorical(logits=torch.tensor([-95.0, 0])), Categorical(logits=torch.zeros(2))),
        math.log(2),
    ),
    "laplace: narrow and far": (lambda: (Laplace(1e10, 1e-30), Laplace(0.0, 1.0)), 1e10 + 30 * math.log(10) - 1),
    "laplace: narrow and far, wide prior": (lambda: (Laplace(1e10, 1e-30), Laplace(0.0, 1e10)), 40 * math.log(10)),
}


@pytest.mark.parametrize("case", FINITE)
def test_edges_that_are_finite(case):
    pair, exact = FINITE[case]
    assert kl(*pair()).value.item() == pytest.approx(exact, rel=1e-6)


def test_what_is_not_a_number_stays_so():
    """NaN in is NaN out: only an overflow may become inf."""
    q = FullNormal(torch.tensor([math.nan, 0.0]), torch.eye(2))
    assert kl(q, FullNormal(torch.zeros(2), torch.eye(2))).value.isnan()
    assert kl(q, DiagonalNormal(torch.zeros(2), torch.zeros(2))).value.isnan()


# Dispatch -----------------------------------------------------------------------------------------------------------


def test_every_pair_of_normals_is_closed_and_agrees():
    m, s = torch.randn(5, 3, dtype=DOUBLE), torch.rand(5, 3, dtype=DOUBLE) + 0.5
    n, t = torch.randn(3, dtype=DOUBLE), torch.rand(3, dtype=DOUBLE) + 0.5

    def ways(loc, scale):
        log_variance = 2 * scale.log()
        yield from (Normal(loc, scale), DiagonalNormal(loc, log_variance), Independent(Normal(loc, scale), 1))
        yield FullNormal(loc, torch.diag_embed(scale))

    exact = kl(Normal(m, s), Normal(n, t)).total()
    for q in ways(m, s):
        for p in ways(n, t):
            if {type(q), type(p)} in ({Normal, Independent}, {Normal, FullNormal}, {Independent, FullNormal}):
                continue  # sampled, and said so
            rate = kl(q, p)
            assert rate.kind == "closed", (q, p)
            torch.testing.assert_close(rate.total(), exact, rtol=1e-12, atol=0)


def test_independent_makes_its_axes_the_latent_axis():
    base, prior = Normal(torch.randn(4, 2, 3), 1.0), Normal(torch.zeros(4, 2, 3), 1.0)
    assert kl(Independent(base, 2), Independent(prior, 2)).value.shape == (4, 6)
    assert kl(Independent(base, 1), Independent(prior, 1)).value.shape == (4, 2, 3)
    assert kl(Independent(base, 0), Independent(prior, 0)).value.shape == (4, 2, 3)
    sequence = [DiagonalNormal(torch.randn(4, 5, 3), torch.zeros(4, 5, 3)) for _ in range(2)]
    assert kl(*(Independent(d, 1) for d in sequence)).value.shape == (4, 15)
    torch.testing.assert_close(kl(*(Independent(d, 1) for d in sequence)).total(), kl(*sequence).value.sum((-2, -1)))


def test_independents_that_do_not_match_are_sampled():
    q, p = Independent(Normal(torch.zeros(4, 3), 1.0), 1), Independent(Laplace(torch.zeros(4, 3), 1.0), 1)
    rate = kl(q, p)
    assert rate.kind == "sampled" and rate.value.shape == (4, 1)


class Wide(Normal):
    """A subclass must find its parent's form."""


class Left(Normal):
    pass


class Right(Normal):
    pass


@pytest.fixture
def registry(monkeypatch):
    monkeypatch.setattr(forms, "_FORMULAS", dict(forms._FORMULAS))


def test_a_subclass_inherits_and_the_nearest_form_wins(registry):
    assert closed_form(Wide, Normal) is closed_form(Normal, Normal)

    @register_kl(Wide, Normal)
    def mine(q, p):
        return torch.full_like(q.loc, 7.0)

    assert value(Wide(torch.zeros(()), 1.0), Normal(0.0, 1.0)) == 7
    assert value(Normal(torch.zeros(()), 1.0), Normal(0.0, 1.0)) == 0


def test_ambiguity_is_refused(registry):
    register_kl(Left, Normal)(lambda q, p: q.loc)
    register_kl(Normal, Right)(lambda q, p: q.loc)
    with pytest.raises(LowerboundError, match=r"two KL forms fit \(Left, Right\)"):
        kl(Left(0.0, 1.0), Right(0.0, 1.0))


def test_no_form_is_no_form():
    assert closed_form(Gamma, Normal) is None
    assert closed_form(LowRankMultivariateNormal, MultivariateNormal) is None
