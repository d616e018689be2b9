"""Each likelihood against an independent oracle, its normalisation, its gradients, its extremes."""

from __future__ import annotations

import math

import mpmath
import numpy as np
import pytest
import scipy.stats
import torch
from torch import Tensor

from lowerbound.data.dataset import Column, Summary
from lowerbound.data.kinds import KINDS
from lowerbound.errors import InputError
from lowerbound.model.likelihoods import LIKELIHOODS, choose
from lowerbound.model.likelihoods.continuous_bernoulli import langevin, logits_of_mean

from .examples import (
    COLUMNS,
    batch,
    flat,
    log_bernoulli,
    log_continuous_bernoulli,
    log_discretised_logistic,
    log_negative_binomial,
    log_poisson,
    summary,
)

LOGITS = [0.0, 1e-12, -1e-8, 1e-4, -0.01, 0.3, 1.9, -1.999, 2.0, 2.001, -7.0, 36.0, -40.0, 300.0, -1e4]
ALL = sorted(LIKELIHOODS)


def one(name: str, s: Summary, out: Tensor, x: Tensor, **options: object) -> Tensor:
    """log p of single values, in float64: out (k, n), x (n,) -> (n,)."""
    likelihood = LIKELIHOODS.build(name, s, **options).double()
    return likelihood.log_prob(out.double().T.reshape(1, len(x), *likelihood.output_shape), x.double().reshape(-1, 1))[
        0
    ]


def close(values: Tensor, exact: list, tolerance: float = 1e-10) -> None:
    for value, truth in zip(values.tolist(), exact, strict=True):
        assert abs(value - float(truth)) <= tolerance * max(1.0, abs(float(truth))), (value, truth)


def grid(*axes: list) -> list[Tensor]:
    return [a.flatten() for a in torch.meshgrid(*[torch.tensor(a, dtype=torch.float64) for a in axes], indexing="ij")]


def test_bernoulli_against_mpmath():
    logits, x = grid(LOGITS, [0.0, 1.0, 0.25])
    truth = [log_bernoulli(b, a) for a, b in zip(logits.tolist(), x.tolist(), strict=True)]
    close(one("bernoulli", flat(0.5, 0.5, "binary"), logits[None], x), truth)


def test_continuous_bernoulli_against_mpmath_also_near_one_half():
    logits, x = grid(LOGITS, [0.0, 1.0, 0.5, 0.123])
    truth = [log_continuous_bernoulli(b, a) for a, b in zip(logits.tolist(), x.tolist(), strict=True)]
    values = one("continuous-bernoulli", flat(0.5, 0.3, "unit"), logits[None], x)
    close(values, truth)
    small = logits.abs() < 0.1
    for value, exact in zip(values[small].tolist(), [t for t, s in zip(truth, small, strict=True) if s], strict=True):
        assert abs(value - float(exact)) <= 1e-15


def test_the_mean_of_a_continuous_bernoulli_and_its_inverse():
    for h in (1e-9, 0.01, 0.5, 0.999, 1.0, 1.001, 5.0, 400.0, -3.0):
        with mpmath.workdps(50):
            exact = mpmath.coth(mpmath.mpf(h)) - 1 / mpmath.mpf(h)
        assert abs(float(langevin(torch.tensor(h, dtype=torch.float64))) - float(exact)) <= 1e-13 * abs(float(exact))
    mean = torch.tensor([1e-4, 0.1, 0.5, 0.77, 0.999], dtype=torch.float64)
    assert torch.allclose(0.5 + 0.5 * langevin(0.5 * logits_of_mean(mean)), mean, atol=1e-12)


def test_normal_and_laplace_against_scipy():
    out, x = grid([-2.0, 0.0, 3.0], [-1.0, 0.5, 40.0])
    s = flat(1.5, 2.0)
    location = 1.5 + 2.0 * out.numpy()
    normal = scipy.stats.norm.logpdf(x.numpy(), location, 0.7)
    close(one("normal", s, out[None], x, variance="fixed", sigma=0.7), normal.tolist(), 1e-6)
    laplace = scipy.stats.laplace.logpdf(x.numpy(), location, 0.7 / math.sqrt(2))
    close(one("laplace", s, out[None], x, variance="fixed", sigma=0.7), laplace.tolist(), 1e-6)


@pytest.mark.parametrize("name", ["normal", "laplace"])
@pytest.mark.parametrize("shared", [True, False])
def test_location_and_scale_to_ten_digits(name, shared):
    """As above to 1e-10: sigma set in float64."""
    likelihood = LIKELIHOODS.build(name, flat(1.5, 2.0, parts=3), shared=shared).double()
    likelihood.set_variance(torch.tensor(0.49, dtype=torch.float64))
    out, x = torch.randn(2, 4, 1, 3).double(), torch.randn(4, 3).double()
    location = 1.5 + 2.0 * out[:, :, 0].numpy()
    oracle = scipy.stats.norm(location, 0.7) if name == "normal" else scipy.stats.laplace(location, 0.7 / math.sqrt(2))
    truth = oracle.logpdf(x.numpy()[None]).sum(-1)
    assert np.abs(likelihood.log_prob(out, x).detach().numpy() - truth).max() < 1e-10
    assert torch.allclose(likelihood.sigma(), torch.tensor(0.7).double(), atol=1e-12)


def test_discretised_logistic_against_mpmath():
    likelihood = LIKELIHOODS.build("discretised-logistic", flat(7.0, 3.0, "levels", 16)).double()
    location, raw, x = grid([-1.5, 0.0, 0.4, 1.0, 5.0], [-6.0, -2.0, 0.0, 3.0, 20.0], [0.0, 1.0, 8.0, 15.0])
    out = torch.stack([location, raw]).T.reshape(1, -1, 2, 1)
    d = likelihood(out[0])
    truth = [
        log_discretised_logistic(int(k), m, s, 16)
        for k, m, s in zip(x.tolist(), d.location.flatten().tolist(), d.log_scale.flatten().tolist(), strict=True)
    ]
    close(likelihood.log_prob(out, x[:, None])[0], truth)


def test_categorical_against_scipy():
    logits = torch.randn(16, 40).double() * 5
    x = torch.arange(40.0) % 16
    truth = logits.numpy()[x.long().numpy(), np.arange(40)] - scipy.special.logsumexp(logits.numpy(), 0)
    close(one("categorical", flat(7.0, 3.0, "levels", 16), logits, x), truth.tolist())


def test_poisson_against_mpmath_also_for_large_counts():
    out, x = grid([-8.0, 0.0, 2.5, 11.0], [0.0, 1.0, 17.0, 60000.0])
    truth = [log_poisson(int(k), a) for a, k in zip(out.tolist(), x.tolist(), strict=True)]
    close(one("poisson", flat(1.0, 1.0, "count"), out[None], x), truth)


@pytest.mark.parametrize("deviation", [1.001, 2.0, 50.0])
def test_negative_binomial_against_mpmath(deviation):
    s = flat(1.0, deviation, "count")
    size = LIKELIHOODS.build("negative-binomial", s).double().log_size.item()
    out, x = grid([-8.0, 0.0, 2.5, 11.0], [0.0, 1.0, 17.0, 60000.0])
    truth = [log_negative_binomial(int(k), a, size) for a, k in zip(out.tolist(), x.tolist(), strict=True)]
    close(one("negative-binomial", s, out[None], x), truth)


@pytest.mark.parametrize("levels", [2, 16, 256])
@pytest.mark.parametrize("name", ["discretised-logistic", "categorical"])
def test_the_probabilities_of_all_levels_sum_to_one(name, levels):
    likelihood = LIKELIHOODS.build(name, flat(levels / 2, levels / 5, "levels", levels)).double()
    x = torch.arange(levels).double()[:, None]
    for scale in (0.1, 1.0, 10.0):
        out = (scale * torch.randn(50, 1, *likelihood.output_shape).double()).expand(-1, levels, -1, -1)
        assert (likelihood.log_prob(out, x).exp().sum(1) - 1).abs().max() < 1e-12


@pytest.mark.parametrize("name", ["poisson", "negative-binomial"])
def test_the_probabilities_of_counts_sum_to_one(name):
    likelihood = LIKELIHOODS.build(name, flat(3.0, 4.0, "count")).double()
    x = torch.arange(20000).double()[:, None]
    for out in (-5.0, 0.0, 3.0):
        total = likelihood.log_prob(torch.full((1, len(x), 1, 1), out, dtype=torch.float64), x).exp().sum()
        assert abs(total.item() - 1) < 1e-10


@pytest.mark.parametrize(
    ("name", "kind", "low", "high"),
    [("continuous-bernoulli", "unit", 0, 1), ("normal", "real", -200, 200), ("laplace", "real", -200, 200)],
)
def test_densities_integrate_to_one(name, kind, low, high):
    likelihood = LIKELIHOODS.build(name, flat(0.5, 2.0, kind)).double()
    nodes, weights = np.polynomial.legendre.leggauss(64)
    edges = np.unique(np.concatenate([np.linspace(low, high, 200), [0.5 + 2.0 * a for a in (-2.0, 0.0, 1.5)]]))
    edges = edges[(edges >= low) & (edges <= high)]
    half, middle = np.diff(edges) / 2, (edges[1:] + edges[:-1]) / 2
    x = torch.tensor(middle[:, None] + half[:, None] * nodes).flatten()[:, None]
    w = torch.tensor(half[:, None] * weights).flatten()
    for out in (-2.0, 0.0, 1.5):
        density = likelihood.log_prob(torch.full((1, len(x), 1, 1), out, dtype=torch.float64), x)[0].exp()
        assert abs((density * w).sum().item() - 1) < 1e-10


def data_of(name: str) -> Summary:
    return summary(LIKELIHOODS[name].kinds[0], (2, 3))


@pytest.mark.parametrize("name", ALL)
def test_the_fast_sum_is_the_distributions_own(name):
    s = data_of(name)
    likelihood = LIKELIHOODS.build(name, s).double().eval()
    x = batch(s.kind, s.shape, levels=s.levels).double()
    out = torch.randn(3, len(x), *likelihood.output_shape).double()
    slow = likelihood(out).log_prob(x).flatten(2).sum(-1)
    assert torch.allclose(likelihood.log_prob(out, x), slow, rtol=1e-12, atol=1e-10)


@pytest.mark.parametrize("name", ALL)
def test_gradients_are_those_of_finite_differences(name):
    s = data_of(name)
    likelihood = LIKELIHOODS.build(name, s).double().eval()
    x = batch(s.kind, s.shape, 4, levels=s.levels).double()
    out = torch.randn(2, 4, *likelihood.output_shape).double().requires_grad_()
    assert torch.autograd.gradcheck(lambda o: likelihood.log_prob(o, x), out)


@pytest.mark.parametrize("extreme", [1e2, 1e4, 1e8])
@pytest.mark.parametrize("name", ALL)
def test_extreme_outputs_have_finite_gradients_and_never_nan(name, extreme):
    s = data_of(name)
    likelihood = LIKELIHOODS.build(name, s).eval()
    x = batch(s.kind, s.shape, 8, levels=s.levels)
    signs = torch.randint(0, 2, (4, 8, *likelihood.output_shape)) * 2.0 - 1
    out = (extreme * signs).requires_grad_()
    log_prob = likelihood.log_prob(out, x)
    assert not torch.isnan(log_prob).any()
    (gradient,) = torch.autograd.grad(log_prob.sum(), out)
    assert torch.isfinite(gradient).all()


@pytest.mark.parametrize("name", ["normal", "laplace", "poisson", "bernoulli"])
def test_an_overflow_is_inf_never_nan(name):
    s = data_of(name)
    likelihood = LIKELIHOODS.build(name, s).eval()
    x = batch(s.kind, s.shape, 2, levels=s.levels)
    out = torch.full((1, 2, *likelihood.output_shape), 3e38)
    assert not torch.isnan(likelihood.log_prob(out, x)).any()


@pytest.mark.parametrize("name", ALL)
def test_half_precision_is_summed_in_float32(name):
    s = data_of(name)
    likelihood = LIKELIHOODS.build(name, s).eval()
    x = batch(s.kind, s.shape, levels=s.levels)
    out = torch.randn(1, len(x), *likelihood.output_shape).bfloat16()
    value = likelihood.log_prob(out, x)
    assert value.dtype == torch.float32
    assert torch.allclose(value, likelihood.log_prob(out.float(), x))


@pytest.mark.parametrize("name", [n for n in ALL if n not in ("columns", "tokens")])
def test_samples_have_the_mean_and_variance_that_are_claimed(name):
    """40,000 draws; |z| < 5 for the mean, a false alarm of 6e-7 each."""
    s = data_of(name)
    likelihood = LIKELIHOODS.build(name, s).eval()
    d = likelihood(likelihood.output_bias(s).detach())
    draws = d.sample((40000,))
    assert draws.shape == (40000, *s.shape)
    z = (draws.mean(0) - d.mean) / (draws.std(0) / 200)
    assert z.abs().max() < 5
    assert draws.dtype == torch.float32
    claimed = likelihood.marginal_variance(s)
    assert (claimed > 0).all() and claimed.shape == s.shape
    bell = name in ("categorical", "discretised-logistic")  # the data are uniform over the levels, the start is a bell
    assert (draws.var(0) / claimed).log().abs().max() < (0.5 if bell else 0.25)


@pytest.mark.parametrize("name", ALL)
def test_the_output_bias_is_near_the_best_constant_output(name):
    s = data_of(name)
    likelihood = LIKELIHOODS.build(name, s).eval()
    x = batch(s.kind, s.shape, 200, levels=s.levels)
    start = likelihood.output_bias(s).detach()
    assert start.shape == likelihood.output_shape
    out = start.clone().requires_grad_()
    optimiser = torch.optim.Adam([out, *likelihood.parameters()], lr=0.05)
    costs = []
    for _ in range(300):
        cost = -likelihood.log_prob(out.expand(1, len(x), *out.shape), x).sum() / len(x)
        costs.append(cost.item())
        optimiser.zero_grad()
        cost.backward()
        optimiser.step()
    assert costs[0] - min(costs) < 0.15 * x[0].numel() + (1.0 if name == "columns" else 0.0)


def test_an_optimal_variance_is_the_mean_squared_error_of_the_batch():
    s = flat(0.0, 1.0, parts=4)
    likelihood = LIKELIHOODS.build("normal", s, variance="optimal").double()
    out, x = torch.randn(2, 50, 1, 4).double(), torch.randn(50, 4).double()
    variance = float((out[:, :, 0] - x).square().mean())
    truth = scipy.stats.norm(out[:, :, 0].numpy(), math.sqrt(variance)).logpdf(x.numpy()).sum(-1)
    assert np.abs(likelihood.log_prob(out, x).numpy() - truth).max() < 1e-10


def test_an_optimal_variance_in_evaluation_does_not_depend_on_the_batch():
    likelihood = LIKELIHOODS.build("normal", flat(0.0, 1.0, parts=4), variance="optimal").double()
    out, x = torch.randn(1, 50, 1, 4).double(), torch.randn(50, 4).double()
    for _ in range(200):
        likelihood.log_prob(0.1 * out, x)
    likelihood.eval()
    before = likelihood.sigma().clone()
    whole = likelihood.log_prob(out, x)
    parts = torch.cat([likelihood.log_prob(out[:, i : i + 7], x[i : i + 7]) for i in range(0, 50, 7)], 1)
    assert torch.equal(whole, parts) and torch.equal(before, likelihood.sigma())
    assert torch.allclose(before, (0.1 * out[:, :, 0] - x).square().mean().sqrt(), rtol=1e-6)


def test_the_gradient_at_the_optimal_variance_needs_no_gradient_through_it():
    """At its optimum the bound is flat in the variance: both gradients are the same."""
    likelihood = LIKELIHOODS.build("normal", flat(0.0, 1.0, parts=4), variance="optimal").double()
    out, x = torch.randn(1, 50, 1, 4).double().requires_grad_(), torch.randn(50, 4).double()
    (ours,) = torch.autograd.grad(likelihood.log_prob(out, x).sum(), out)
    error = (out[:, :, 0] - x).square()
    through = -0.5 * error.numel() * torch.log(error.mean())
    (other,) = torch.autograd.grad(through, out)
    assert torch.allclose(ours, other, atol=1e-12)


@pytest.mark.parametrize("name", ["normal", "laplace"])
def test_a_perfect_decoder_meets_the_floor_not_infinity(name):
    likelihood = LIKELIHOODS.build(name, flat(0.0, 1.0, parts=4), variance="optimal")
    value = likelihood.log_prob(torch.zeros(1, 3, 1, 4), torch.zeros(3, 4))
    assert torch.isfinite(value).all()


def test_missing_cells_are_left_out_and_have_no_gradient():
    s = summary("table")
    likelihood = LIKELIHOODS.build("columns", s)
    x = batch("table")
    out = torch.randn(1, len(x), *likelihood.output_shape, requires_grad=True)
    per_column = likelihood(out).log_prob(x)
    assert (per_column[0][torch.isnan(x)] == 0).all() and (per_column[0][~torch.isnan(x)] != 0).all()
    likelihood.log_prob(out, x).sum().backward()
    assert torch.isfinite(out.grad).all()
    assert all(torch.isfinite(p.grad).all() for p in likelihood.parameters())
    likelihood.zero_grad()
    out.grad = None
    likelihood.log_prob(out, torch.full_like(x, torch.nan)).sum().backward()
    assert (out.grad == 0).all()


def test_a_table_is_the_sum_of_its_columns_own_likelihoods():
    s = summary("table")
    likelihood = LIKELIHOODS.build("columns", s).double()
    x = batch("table").double().nan_to_num(1.0)
    out = torch.randn(1, len(x), *likelihood.output_shape).double()
    values = likelihood(out).log_prob(x)[0]
    numeric, count, binary, category = out[0].split([2, 1, 1, 5], -1)
    sigma = likelihood.members["numeric"].sigma()
    for column, place in ((0, 0), (4, 1)):
        location = s.mean[column].double() + s.std[column].double() * numeric[:, place]
        truth = torch.distributions.Normal(location, sigma[place]).log_prob(x[:, column])
        assert torch.allclose(values[:, column], truth, atol=1e-10)
    assert torch.allclose(values[:, 3], torch.distributions.Bernoulli(logits=binary[:, 0]).log_prob(x[:, 3]))
    for column, logits in ((1, category[:, :3]), (5, category[:, 3:])):
        assert torch.allclose(values[:, column], torch.distributions.Categorical(logits=logits).log_prob(x[:, column]))
    size = likelihood.members["count"].log_size.item()
    close(
        values[:, 2],
        [log_negative_binomial(int(k), a, size) for k, a in zip(x[:, 2], count[:, 0].tolist(), strict=True)],
    )


def test_a_category_means_its_most_probable_code_and_draws_codes():
    s = summary("table")
    likelihood = LIKELIHOODS.build("columns", s)
    d = likelihood(torch.randn(7, *likelihood.output_shape))
    assert d.mean.shape == (7, len(COLUMNS)) and set(d.mean[:, 1].tolist()) <= {0.0, 1.0, 2.0}
    draws = d.sample((100,))
    assert draws.shape == (100, 7, len(COLUMNS)) and draws[..., 5].max() <= 1 and torch.isfinite(draws).all()


def test_the_kind_chooses_the_likelihood_and_says_why():
    chosen = {k: choose(summary(k))[0] for k in KINDS}
    assert chosen == {
        "binary": "bernoulli",
        "unit": "continuous-bernoulli",
        "levels": "discretised-logistic",
        "real": "normal",
        "count": "negative-binomial",
        "table": "columns",
        "sequence": "tokens",
        "series": "normal",
    }
    assert choose(flat(1, 1, "levels", 3))[0] == "categorical"
    assert all(choose(summary(k))[1].startswith(f"Likelihood {v}, because") for k, v in chosen.items())


def test_a_bernoulli_on_grey_values_is_a_likelihood_of_nothing():
    likelihood = LIKELIHOODS.build("bernoulli", summary("unit"))
    assert "likelihood of nothing" in likelihood.warning(summary("unit"))
    assert likelihood.warning(summary("binary")) is None


@pytest.mark.parametrize(
    ("name", "kind"), [("normal", "levels"), ("laplace", "count"), ("continuous-bernoulli", "binary")]
)
def test_a_density_of_discrete_values_is_warned_of(name, kind):
    assert "no upper limit" in LIKELIHOODS.build(name, summary(kind)).warning(summary(kind))


@pytest.mark.parametrize(
    ("name", "kind"),
    [("bernoulli", "real"), ("categorical", "real"), ("poisson", "real"), ("columns", "real"), ("normal", "table")],
)
def test_a_likelihood_refuses_data_that_it_is_not_of(name, kind):
    with pytest.raises(InputError, match=name):
        LIKELIHOODS.build(name, summary(kind))


def test_a_constant_value_and_a_neutral_summary_give_finite_starts():
    """A loaded run builds its model from mean 0 and deviation 1 whatever the data; a constant has deviation 0."""
    for name in ALL:
        kind = LIKELIHOODS[name].kinds[0]
        for mean, std in ((0.0, 1.0), (0.0, 0.0), (1.0, 0.0)):
            s = summary(kind)
            neutral = Summary(kind, s.shape, s.mean * 0 + mean, s.std * 0 + std, s.levels, s.columns)
            likelihood = LIKELIHOODS.build(name, neutral)
            assert torch.isfinite(likelihood.output_bias(neutral)).all(), name
            assert torch.isfinite(likelihood.marginal_variance(neutral)).all(), name
            assert all(torch.isfinite(t).all() for t in likelihood.state_dict().values()), name


def test_one_column_of_one_level_is_certain():
    s = Summary("table", (1,), torch.zeros(1), torch.zeros(1), 0, (Column("only", "category", ("a",)),))
    likelihood = LIKELIHOODS.build("columns", s)
    assert float(likelihood.log_prob(torch.randn(1, 1, 1), torch.zeros(1, 1))) == 0


def test_a_likelihood_of_0_and_1_says_how_grey_values_become_that():
    grey = Summary("levels", (1, 2, 2), torch.zeros(1, 2, 2), torch.ones(1, 2, 2), levels=17)
    with pytest.raises(InputError, match="--binarise threshold, or fresh"):
        LIKELIHOODS.build("bernoulli", grey)
    counts = Summary("count", (3,), torch.zeros(3), torch.ones(3))
    with pytest.raises(InputError, match='leave it at "auto"'):
        LIKELIHOODS.build("bernoulli", counts)
