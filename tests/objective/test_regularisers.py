"""Regularisers against oracles: mixtures written out, closed forms, double loops, enumerations, Jacobians of torch.

Where draws decide, the seed is fixed and |z| < 5 is asked for: a false alarm of 6e-7.
"""

from __future__ import annotations

import itertools
import math
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.distributions import MultivariateNormal, Normal
from torch.nn import functional as F

from lowerbound.errors import InputError
from lowerbound.maths.normal import DiagonalNormal, FullNormal
from lowerbound.maths.terms import Terms
from lowerbound.model.assemble import assemble
from lowerbound.objective.players import Batch
from lowerbound.objective.regularisers import REGULARISERS, pairs, pairs_compiled
from lowerbound.objective.regularisers.adversary import one_hot
from lowerbound.objective.regularisers.codes import Critic, fresh_codes
from lowerbound.objective.regularisers.contractive import _gradient
from lowerbound.objective.regularisers.critic import shuffled
from lowerbound.objective.regularisers.mmd import squared_spread
from lowerbound.objective.regularisers.pairs import MeanLogRatio
from lowerbound.objective.regularisers.total_correlation import pair_densities

from ..model.examples import batch as rows
from ..model.examples import summary

WEIGHTED = [name for name in REGULARISERS if "weight" in REGULARISERS.options(name)]
CRITICS = ["critic", "adversary"]


def model(kind: Any = "binary", *, latent: int = 3, **parts: Any) -> Any:
    return assemble(summary(kind), latent=latent, encoder={"name": "mlp", "hidden": [8], "activation": "tanh"}, **parts)


def fitted(name: str) -> Any:
    """A small model that the member fits."""
    if name == "classify":
        return model(posterior={"name": "class-and-style"}, prior={"name": "class-and-style"})
    return model()


def build(name: str, width: int = 3, **options: Any) -> Any:
    if name in CRITICS:
        options = {"hidden": (8,)} | options
    return REGULARISERS.build(name, 6, width, **options)


def some(n: int = 16, **given: Any) -> Batch:
    x = rows("binary", n=n)
    return Batch(x, 0.0, examples=100, labelled=(x, torch.arange(n) % 10), **given)


def ledger(q: Any, z: Tensor) -> Terms:
    """Terms of codes alone."""
    return Terms(torch.zeros(z.shape[:2]), torch.zeros(z.shape[1], 0), "closed", None, z, q, None)


def z_score(draws: Tensor, expected: float) -> float:
    return float((draws.mean() - expected) / (draws.std() / len(draws) ** 0.5))


# --- every member ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", WEIGHTED)
def test_weight_0_is_exactly_nothing_and_costs_nothing(name):
    m, r, batch = fitted(name), build(name, weight=0.0), some()
    terms = m(batch.x, samples=2)
    before = torch.random.get_rng_state()
    added = r(m, terms, batch)
    assert added.shape == () and added.item() == 0.0 and not added.requires_grad
    assert torch.equal(torch.random.get_rng_state(), before), "not even a random number"
    assert r.critics(m) == [] and not list(r.parameters()) and not r.state_dict()
    plain = terms.distortion.sum()
    assert torch.equal(plain + added, plain)


def test_none_is_nothing():
    r, m, batch = REGULARISERS.build("none", 6, 3), model(), some()
    assert r(m, m(batch.x), batch).item() == 0.0 and r.critics(m) == [] and r.words() == "" and not r.codes


@pytest.mark.parametrize("name", WEIGHTED)
def test_it_is_a_finite_scalar_whose_gradient_reaches_the_encoder(name):
    m, r, batch = fitted(name), build(name), some()
    r.critics(m)
    added = r(m, m(batch.x, samples=2), batch)
    assert added.shape == () and torch.isfinite(added)
    added.backward()
    for parameter in m.encoder.parameters():
        assert torch.isfinite(parameter.grad).all() and (parameter.grad != 0).any()
    assert all(p.grad is None for p in r.parameters()), "a critic does not move with the model"


@pytest.mark.parametrize("name", WEIGHTED)
def test_it_is_linear_in_its_weight(name):
    m, batch = fitted(name), some()
    one, three = build(name, weight=1.0), build(name, weight=3.0)
    one.critics(m), three.critics(m)
    three.load_state_dict(one.state_dict())
    terms = m(batch.x)
    torch.manual_seed(1)
    first = one(m, terms, batch)
    torch.manual_seed(1)
    assert torch.allclose(three(m, terms, batch), 3 * first, rtol=1e-5)


@pytest.mark.parametrize("name", WEIGHTED)
def test_words_are_one_line_with_the_weight(name):
    words = build(name, weight=0.25).words()
    assert words.endswith(".") and "\n" not in words and "0.25" in words


@pytest.mark.parametrize("name", CRITICS)
def test_a_critic_moves_every_parameter_of_its_own_and_none_of_the_model(name):
    m, r, batch = model(), build(name, speed=0.5), some()
    (player,) = r.critics(m)
    loss, terms = player.loss(batch)
    assert loss.shape == () and terms is None and player.rate == 0.5
    loss.backward()
    assert {id(p) for p in player.parameters} == {id(p) for p in r.parameters()}
    assert all((p.grad != 0).any() for p in player.parameters)
    assert all(p.grad is None for p in m.parameters())


@pytest.mark.parametrize("name", CRITICS)
def test_a_critic_is_kept_bitwise(name):
    m, batch = model(), some()
    r, fresh = build(name), build(name)
    r.critics(m), fresh.critics(m)
    fresh.load_state_dict({k: v.clone() for k, v in r.state_dict().items()})
    terms = m(batch.x)
    assert torch.equal(r(m, terms, batch), fresh(m, terms, batch))
    assert len(r.critics(m)) == 1 and len(list(r.parameters())) == 4, "asked twice, built once"


@pytest.mark.parametrize("name", [n for n in REGULARISERS if REGULARISERS[n].codes])
def test_terms_without_codes_are_refused(name):
    m, r, batch = model(), build(name), some()
    with pytest.raises(InputError, match="no codes"):
        r(m, Terms(torch.zeros(1, 16), torch.zeros(16, 3), "closed"), batch)


@pytest.mark.parametrize("name", [n for n in WEIGHTED if n not in ("total-correlation", "classify")])
def test_it_stands_beside_a_deterministic_code(name):
    m, r, batch = model(posterior={"name": "deterministic"}), build(name), some()
    assert torch.isfinite(r(m, m(batch.x), batch))


@pytest.mark.parametrize("name", WEIGHTED)
def test_a_batch_of_one_is_finite(name):
    m, r = fitted(name), build(name)
    batch = some(1)
    assert torch.isfinite(r(m, m(batch.x), batch))
    for player in r.critics(m):
        assert torch.isfinite(player.loss(batch)[0])


# --- total correlation ----------------------------------------------------------------------------------------------


def gaussian_codes(
    n: int, latent: int, correlation: float = 0.5, variance: float = 0.5
) -> tuple[Tensor, Tensor, float]:
    """Means and log variances (n, latent) whose aggregate is N(0, C + variance I) for many, and its closed-form TC."""
    C = torch.full((latent, latent), correlation).double() + (1 - correlation) * torch.eye(latent)
    means = torch.randn(n, latent, dtype=torch.float64) @ torch.linalg.cholesky(C).T
    S = C + variance * torch.eye(latent)
    tc = 0.5 * (torch.log(torch.diagonal(S)).sum() - torch.logdet(S))
    return means, torch.full_like(means, math.log(variance)), tc.item()


def estimates(means: Tensor, log_variance: Tensor, size: int, times: int, **options: Any) -> Tensor:
    """The estimate (weight 1) from so many minibatches of this size."""
    r = build("total-correlation", means.shape[1], weight=1.0, **options)
    found = []
    for _ in range(times):
        i = torch.randperm(len(means))[:size]
        q = DiagonalNormal(means[i], log_variance[i])
        found.append(r(None, ledger(q, q.rsample((1,))), Batch(means[i], examples=len(means))))
    return torch.stack(found)


def test_on_all_data_it_is_the_log_ratio_of_the_mixture_written_out():
    means, log_variance = torch.randn(7, 2).double(), torch.randn(7, 2).double()
    q = DiagonalNormal(means, log_variance)
    z = q.rsample((3,))
    found = build("total-correlation", 2).ratio(ledger(q, z), examples=7)
    for s, i in itertools.product(range(3), range(7)):
        densities = Normal(means, (log_variance / 2).exp()).log_prob(z[s, i]).exp()
        joint = densities.prod(1).sum() / 7
        assert torch.allclose(found[s, i], torch.log(joint / (densities.sum(0) / 7).prod()), atol=1e-12)


@pytest.mark.parametrize("own", [0.01, 0.2])
def test_the_gradient_by_hand_is_that_of_the_formula(own):
    """Value and gradient of the pairs against autograd's through the mixture, and against differences."""
    z, mean, log_variance = torch.randn(3, 6, 4, dtype=torch.float64, requires_grad=True)

    def plainly(z: Tensor, mean: Tensor, log_variance: Tensor) -> Tensor:
        joint, each = pair_densities(DiagonalNormal(mean, log_variance), z)
        weights = torch.full((6, 6), 0.15, dtype=torch.float64).fill_diagonal_(own).log()
        marginals = torch.logsumexp(each + weights[..., None], -2).sum(-1)
        return (torch.logsumexp(joint + weights, -1) - marginals).mean()

    given = (z, mean, log_variance)
    assert torch.allclose(MeanLogRatio.apply(*given, own, 0.15), plainly(*given), atol=1e-12)
    assert torch.autograd.gradcheck(lambda *a: MeanLogRatio.apply(*a, own, 0.15), given)
    for found, expected in zip(
        torch.autograd.grad(3 * MeanLogRatio.apply(*given, own, 0.15), given),
        torch.autograd.grad(3 * plainly(*given), given),
        strict=True,
    ):
        assert torch.allclose(found, expected, atol=1e-12)


def test_the_pairs_stay_finite_for_narrow_and_wide_posteriors():
    log_variance = torch.linspace(-30, 5, 20)[:, None].expand(20, 3).clone().requires_grad_()
    mean = 3 * torch.randn(20, 3)
    z = DiagonalNormal(mean, log_variance).rsample()
    value = MeanLogRatio.apply(z, mean, log_variance, 0.001, 0.05)
    value.backward()
    assert torch.isfinite(value) and torch.isfinite(log_variance.grad).all()


@pytest.mark.parametrize(("low", "high"), [(-4.0, 0.0), (-0.1, 0.1), (-8.0, -7.0), (3.0, 5.0)])
@pytest.mark.parametrize("form", [pairs.mean_log_ratio, pairs_compiled.mean_log_ratio], ids=["eager", "compiled"])
def test_both_forms_of_the_pairs_are_good_to_the_last_digits(form, low, high):
    """In float32, against the same in float64: gradients to a hundred thousandth of their length."""
    log_variance, mean = low + (high - low) * torch.rand(60, 5), torch.randn(60, 5)
    z = DiagonalNormal(mean, log_variance).rsample()
    value, *gradients = form(z, mean, log_variance, 1e-4, 0.0169)
    exact, *expected = pairs.mean_log_ratio(z.double(), mean.double(), log_variance.double(), 1e-4, 0.0169)
    assert abs(value - exact) < 1e-5
    for found, wanted in zip(gradients, expected, strict=True):
        assert (found - wanted).norm() < 1e-5 * wanted.norm()


def test_a_power_of_two_by_its_series_is_good_to_the_last_digit():
    x = torch.linspace(-126, 126, 100_001)
    exact = torch.exp2(x.double())
    assert ((pairs_compiled.power_of_two(x) - exact).abs() / exact).max() < 1.5e-7


def test_the_compiled_form_leaves_to_the_operation_what_it_is_not_made_for():
    z = torch.randn(4, 2, dtype=torch.float64)
    assert pairs_compiled.mean_log_ratio(z, z, z, 0.1, 0.3) is NotImplemented


def public_weights(batch: int, examples: int) -> Tensor:
    """The matrix of the authors' code and its many copies: 1/N stands in column 0 instead of on the diagonal."""
    M, W = batch - 1, torch.empty(batch, batch).fill_(1 / (batch - 1))
    W.view(-1)[:: M + 1] = 1 / examples
    W.view(-1)[1 :: M + 1] = (examples - M) / (examples * M)
    W[M - 1, 0] = (examples - M) / (examples * M)
    return W.double()


def average_density(weights: Tensor, densities: Tensor) -> Tensor:
    """The estimate of q(z_0), z_0 a code of example 0, averaged over every minibatch that holds example 0."""
    n, size = len(densities), len(weights)
    each = []
    for others in itertools.permutations(range(1, n), size - 1):
        for place in range(size):
            members = [*others[:place], 0, *others[place:]]
            each.append((weights[place] * densities[members]).sum())
    return torch.stack(each).mean()


def test_the_stratified_density_is_unbiased_over_every_minibatch_and_the_public_matrix_is_not():
    densities = torch.rand(5, dtype=torch.float64)
    weights = build("total-correlation").log_weights(3, 5).exp()
    assert torch.allclose(weights.sum(1), torch.ones(3).double(), atol=1e-12)
    assert torch.allclose(average_density(weights, densities), densities.mean(), atol=1e-12)
    assert (average_density(public_weights(3, 5), densities) - densities.mean()).abs() > 0.01


def test_it_finds_the_total_correlation_of_correlated_gaussians():
    """Closed form 0.387 nats at 5 dimensions. All 2,000 data: within 0.06 of it, which is what 2,000 of infinitely many
    leave. Minibatches of 100: too small, by less than 0.15."""
    means, log_variance, tc = gaussian_codes(2000, 5)
    assert tc == pytest.approx(0.387, abs=1e-3)
    whole = estimates(means, log_variance, 2000, 3).mean().item()
    assert abs(whole - tc) < 0.06
    small = estimates(means, log_variance, 100, 200)
    assert z_score(small, whole) < 0 and abs(small.mean().item() - whole) < 0.15


def test_it_is_nothing_where_the_dimensions_are_independent():
    means, log_variance, tc = gaussian_codes(2000, 3, correlation=0.0)
    assert tc == 0 and estimates(means, log_variance, 2000, 3).mean().abs() < 0.03


def test_the_weighted_estimate_is_off_by_its_known_constant():
    """(latent - 1) log N = 30.4 nats, and within half a nat of the truth without it."""
    means, log_variance, tc = gaussian_codes(2000, 5)
    found = estimates(means, log_variance, 100, 50, estimate="minibatch-weighted").mean().item()
    assert abs(found - 4 * math.log(2000) - tc) < 0.5


def test_a_full_covariance_is_read_jointly_and_by_its_marginals():
    L = torch.tril(torch.randn(6, 3, 3)).double() + 2 * torch.eye(3)
    q = FullNormal(torch.randn(6, 3).double(), L)
    z = q.rsample((2,))
    joint, each = pair_densities(q, z)
    for i, j in itertools.product(range(6), range(6)):
        S = L[j] @ L[j].T
        assert torch.allclose(joint[1, i, j], MultivariateNormal(q.mean[j], S).log_prob(z[1, i]))
        assert torch.allclose(each[1, i, j], Normal(q.mean[j], torch.diagonal(S).sqrt()).log_prob(z[1, i]))


def test_its_gradient_pulls_correlated_codes_apart():
    means, log_variance, _ = gaussian_codes(300, 2, correlation=0.9, variance=0.2)
    means.requires_grad_()
    q = DiagonalNormal(means, log_variance)
    r = build("total-correlation", 2, weight=1.0)
    r(None, ledger(q, q.rsample((1,))), Batch(means, examples=300)).backward()
    moved = (means - 30 * means.grad).detach()
    assert torch.corrcoef(moved.T)[0, 1] < torch.corrcoef(means.detach().T)[0, 1] - 0.02


def test_what_has_no_total_correlation_is_refused():
    m, batch = model(posterior={"name": "deterministic"}), some()
    r = build("total-correlation")
    for refused in (lambda: r(m, m(batch.x), batch), lambda: r.refuse(m)):
        with pytest.raises(InputError, match="a Normal one"):
            refused()
    with pytest.raises(InputError, match="number of training examples"):
        r(model(), model()(batch.x), Batch(batch.x))


# --- the critic -----------------------------------------------------------------------------------------------------


def train(player: Any, batch: Batch, steps: int, rate: float = 0.01) -> None:
    optimiser = torch.optim.Adam(player.parameters, lr=rate)
    for _ in range(steps):
        optimiser.zero_grad()
        player.loss(batch)[0].backward()
        optimiser.step()


def coder(q: Any, p: Any = None) -> Any:
    """A stand-in for a model: every batch is encoded by ``q(noise)`` (n, width), under the prior ``p``."""
    posterior = SimpleNamespace(mean=torch.zeros(1), transform=q)
    parts = [slice(0, p.event_shape[0])] if p else []
    m = torch.nn.Linear(1, 1)
    m.noise_width, m.encode = 2, lambda x, y=None: posterior
    m.given, m.prior_at = lambda x, y=None: (x, x[:, :0]), lambda c=None: p
    m.prior = SimpleNamespace(parts=parts)
    return m


def test_a_trained_critic_finds_the_total_correlation_of_correlated_gaussians():
    """-log(1 - 0.8^2)/2 = 0.511 nats; a critic of 32 units after 1,200 steps is within 0.06."""
    L = torch.linalg.cholesky(torch.tensor([[1.0, 0.8], [0.8, 1.0]]))
    m, r = coder(lambda noise: noise @ L.T), build("critic", 2, weight=1.0, hidden=(32, 32))
    train(r.critics(m)[0], Batch(torch.zeros(1000, 1)), 1200)
    z = torch.randn(1, 20000, 2) @ L.T
    assert abs(r(m, ledger(None, z), Batch(z[0])).item() + 0.5 * math.log(1 - 0.64)) < 0.06


def test_shuffling_keeps_every_column_and_no_row():
    z = torch.arange(40.0).reshape(20, 2)
    s = shuffled(z)
    assert torch.equal(s.sort(0).values, z) and not torch.equal(s, z)
    joined = torch.randn(20000, 1).expand(-1, 2)
    assert torch.corrcoef(shuffled(joined).T)[0, 1].abs() < 5 / 20000**0.5


def test_a_critic_at_chance_costs_log_2():
    critic = Critic(2, ())
    for parameter in critic.parameters():
        torch.nn.init.zeros_(parameter)
    assert critic.cross_entropy(torch.randn(9, 2), torch.randn(5, 2)).item() == pytest.approx(math.log(2))


def test_a_held_critic_says_the_same_and_learns_nothing():
    critic, z = Critic(2, (8,)), torch.randn(3, 5, 2, requires_grad=True)
    assert torch.equal(critic.held(z), critic(z)) and critic(z).shape == (3, 5)
    critic.held(z).sum().backward()
    assert z.grad.abs().sum() > 0 and all(p.grad is None for p in critic.parameters())


# --- mmd ------------------------------------------------------------------------------------------------------------


def by_hand(z: Tensor, p: Tensor, k: Any) -> float:
    """The U-statistic as it is written."""

    def inside(a: Tensor) -> float:
        n = len(a)
        return sum(k(a[i], a[j]) for i in range(n) for j in range(n) if i != j) / (n * (n - 1))

    across = sum(k(a, b) for a in z for b in p) / (len(z) * len(p))
    return inside(z) + inside(p) - 2 * across


@pytest.mark.parametrize("kernel", ["imq", "rbf"])
def test_mmd_is_the_double_loop(kernel):
    z, p, C = torch.randn(6, 3).double(), 2 * torch.randn(4, 3).double(), 6.0
    scales = (0.5, 2.0)

    def k(a: Tensor, b: Tensor) -> float:
        d = float((a - b).square().sum())
        return sum(s * C / (s * C + d) if kernel == "imq" else math.exp(-d / (s * C)) for s in scales)

    found = build("mmd", 3, kernel=kernel, scales=scales).distance(z, p, torch.tensor(C))
    assert found.item() == pytest.approx(by_hand(z, p, k), abs=1e-12)


@pytest.mark.parametrize("kernel", ["imq", "rbf"])
def test_the_gradient_of_the_pairs_by_hand_is_right(kernel):
    r = build("mmd", 2, kernel=kernel)
    z, p = torch.randn(2, 5, 2, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda *a: r.distance(*a, torch.tensor(4.0)), (z, p))


@pytest.mark.parametrize("kernel", ["imq", "rbf"])
def test_mmd_is_unbiased_where_the_codes_are_the_prior(kernel):
    """2,000 pairs of samples of 10 codes: the mean is 0, and about half are below it."""
    r = build("mmd", 2, weight=1.0, kernel=kernel)
    z, p = torch.randn(2, 2000, 10, 2)
    found = r.distance(z, p, torch.tensor(4.0))
    assert abs(z_score(found, 0.0)) < 5 and 0.3 < (found < 0).double().mean() < 0.8


def test_mmd_and_total_correlation_are_not_reduced_in_half_precision():
    q = DiagonalNormal(torch.randn(50, 3), torch.randn(50, 3))
    z, p, batch = q.rsample((1,)), torch.randn(50, 3), Batch(torch.zeros(50, 6), examples=100)
    mmd, tc = build("mmd", 3), build("total-correlation", 3)
    plain = mmd.distance(z[0], p, torch.tensor(6.0)), tc(None, ledger(q, z), batch)
    with torch.autocast("cpu", torch.bfloat16):
        half = mmd.distance(z[0], p, torch.tensor(6.0)), tc(None, ledger(q, z), batch)
    assert all(torch.equal(a, b) for a, b in zip(plain, half, strict=True))


def test_mmd_estimates_the_distance_of_two_normals():
    """E exp(-|a - b|^2 / C) of a Normal difference N(m, 2 s) is known: sqrt(C / (C + 4 s)) exp(-m^2 / (C + 4 s))."""
    r = build("mmd", 1, kernel="rbf", scales=(1.0,))

    def expected(m: float, s: float) -> float:
        return (2 / (2 + 4 * s)) ** 0.5 * math.exp(-(m**2) / (2 + 4 * s))

    z, p = 1 + torch.randn(2000, 20, 1), torch.randn(2000, 20, 1)
    truth = 2 * expected(0, 1) - 2 * expected(1, 1)
    assert truth > 0.1 and abs(z_score(r.distance(z, p, torch.tensor(2.0)), truth)) < 5


def test_mmd_draws_codes_to_the_prior():
    m, r = model(), build("mmd", 3, weight=1.0)
    z = (3 + torch.randn(1, 200, 3)).requires_grad_()
    r(m, ledger(None, z), Batch(torch.zeros(200, 6))).backward()
    assert (z.grad.mean((0, 1)) > 0).all()


def test_the_kernel_is_as_wide_as_the_prior():
    assert squared_spread(DiagonalNormal(torch.zeros(5), torch.full((5,), math.log(4.0)))).item() == pytest.approx(40)
    unknown = model(prior={"name": "class-and-style"}, posterior={"name": "class-and-style"}).prior_at()
    assert squared_spread(unknown).item() == pytest.approx(2 * (0.9 + 3), rel=0.1)


def test_mmd_moves_a_learned_prior_too():
    m, batch = model(prior={"name": "learned-normal"}), some()
    r = build("mmd")
    r(m, m(batch.x), batch).backward()
    assert all((p.grad != 0).any() for p in m.prior.parameters())


# --- the adversary --------------------------------------------------------------------------------------------------


def test_the_best_critic_is_the_log_ratio_of_the_densities():
    """Prior N(0, 1), codes N(1, 1): log p - log q = 1/2 - z, which a linear critic can say; 2 seconds, within 0.1."""
    prior = DiagonalNormal(torch.zeros(1), torch.zeros(1))
    m, r = coder(lambda noise: 1 + noise[..., :1], prior), build("adversary", 1, hidden=())
    (player,) = r.critics(m)
    train(player, Batch(torch.zeros(2000, 1)), 200, rate=0.05)
    weight, bias = (p.item() for p in player.parameters)
    assert abs(weight + 1) < 0.1 and abs(bias - 0.5) < 0.1


def test_the_encoder_is_paid_for_fooling_the_critic():
    m, r, batch = model(), build("adversary", weight=2.0), some()
    r.critics(m)
    terms = m(batch.x, samples=2)
    (critic,) = r.networks
    expected = -2 * torch.log(torch.sigmoid(critic(terms.z))).mean()
    assert torch.allclose(r(m, terms, batch), expected, rtol=1e-5)


def test_every_part_of_a_prior_has_a_critic():
    m = model(posterior={"name": "class-and-style"}, prior={"name": "class-and-style"})
    r, batch = build("adversary", m.width), some()
    (player,) = r.critics(m)
    assert [critic.inputs for critic in r.networks] == [10, 3]
    terms = m(batch.x)
    cost = sum(F.softplus(-c(terms.z[..., part])).mean() for c, part in zip(r.networks, m.prior.parts, strict=True))
    assert torch.allclose(r(m, terms, batch), cost, rtol=1e-5)
    loss, _ = player.loss(batch)
    loss.backward()
    assert all((p.grad != 0).any() for p in player.parameters)


def test_a_label_is_told_beside_the_code_and_unknown_is_a_class():
    assert one_hot(torch.tensor([0, 2, -1]), 3).tolist() == [[1, 0, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]]
    m = model(latent=2, prior={"name": "ten-gaussians"})
    r = build("adversary", 2, labels=True)
    (player,) = r.critics(m)
    assert [critic.inputs for critic in r.networks] == [2 + 11]
    for y in (torch.arange(16) % 10, torch.full((16,), -1)):
        batch = some(y=y)
        assert torch.isfinite(r(m, m(batch.x), batch)) and torch.isfinite(player.loss(batch)[0])


def test_the_prior_draws_from_the_region_of_the_label():
    m = model(latent=2, prior={"name": "ten-gaussians"})
    r = build("adversary", 2, labels=True)
    r.critics(m)
    drawn = r._drawn(m, some(500, y=torch.arange(500) % 10))
    angle = torch.atan2(drawn[:, 1], drawn[:, 0])
    off = torch.remainder(angle - 2 * math.pi * (torch.arange(500) % 10) / 10 + math.pi, 2 * math.pi) - math.pi
    assert off.abs().median() < math.pi / 10


def test_labels_that_cannot_be_told_are_refused():
    with pytest.raises(InputError, match="no region for a label"):
        build("adversary", labels=True).critics(model())
    m = model(latent=2, prior={"name": "ten-gaussians"})
    (player,) = (r := build("adversary", 2, labels=True)).critics(m)
    with pytest.raises(InputError, match="the data have none"):
        player.loss(some())
    with pytest.raises(InputError, match="out of range"):
        player.loss(some(2, y=torch.tensor([0, 10])))
    assert r.labels


def test_a_critic_sees_new_codes_of_the_same_examples():
    m, batch = model(), some()
    one, two = fresh_codes(m, batch), fresh_codes(m, batch)
    assert one.shape == (16, 3) and not one.requires_grad and not torch.equal(one, two)


# --- what makes no sense --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "parts"),
    [
        ("total-correlation", {"posterior": {"name": "flow"}}),
        ("total-correlation", {"posterior": {"name": "deterministic"}}),
        ("classify", {}),
        ("l1", {"condition": {"name": "inferred-labels"}}),
        ("mmd", {"condition": {"name": "inferred-labels"}}),
    ],
)
def test_a_member_refuses_a_model_before_the_first_step(name, parts):
    with pytest.raises(InputError):
        build(name).refuse(assemble(replace(summary("binary"), classes=3), latent=3, **parts))


@pytest.mark.parametrize("name", list(REGULARISERS))
def test_a_member_refuses_nothing_that_it_fits(name):
    build(name).refuse(fitted(name))


def test_contraction_refuses_batch_normalisation():
    m = model()
    m.encoder = torch.nn.Sequential(torch.nn.Linear(6, 4), torch.nn.BatchNorm1d(4))
    with pytest.raises(InputError, match="mixes examples"):
        build("contractive").refuse(m)
    m = model(posterior={"name": "class-and-style", "spread": 4.0}, prior={"name": "class-and-style"})
    with pytest.raises(InputError, match="mixes examples"):
        build("contractive").refuse(m)


# --- l1, contraction, labels ----------------------------------------------------------------------------------------


def test_l1_is_summed_over_the_code_and_averaged_over_examples():
    z = torch.tensor([[[1.0, -2.0], [0.0, 0.5]]])
    assert build("l1", 2, weight=2.0)(None, ledger(None, z), Batch(z[0])).item() == 2 * (3 + 0.5) / 2


def test_contraction_is_the_frobenius_norm_of_torchs_own_jacobian():
    m, batch = model("real"), Batch(rows("real", n=9))
    found = build("contractive").squared_norm(m, batch)
    for i, x in enumerate(batch.x):
        J = torch.func.jacrev(lambda a: m.encode(a[None]).mean[0])(x)
        assert torch.allclose(found[i], J.square().sum(), rtol=1e-4)


def test_contraction_of_a_picture_too():
    s = summary("unit", (1, 8, 8))
    m = assemble(s, latent=2, encoder={"name": "convolutional"})
    x = rows("unit", (1, 8, 8), n=2)
    J = torch.func.jacrev(lambda a: m.encode(a[None]).mean[0])(x[0])
    assert torch.allclose(build("contractive", 2).squared_norm(m, Batch(x))[0], J.square().sum(), rtol=1e-3)


def test_the_random_direction_is_unbiased_by_enumeration():
    """E |J^T v|^2 over all 8 sign vectors v is |J|^2, exactly."""
    m, x = model("real"), rows("real", n=4).requires_grad_()
    mean = m.encode(x).mean
    signs = [torch.tensor(s).expand_as(mean) for s in itertools.product((-1.0, 1.0), repeat=3)]
    average = torch.stack([_gradient(mean, x, v).square().sum(1) for v in signs]).mean(0)
    assert torch.allclose(average, build("contractive").squared_norm(m, Batch(x)), rtol=1e-4)
    r = build("contractive", jacobian="hutchinson")
    assert {float(v) for v in r._directions(torch.zeros(50, 3))[0].flatten()} == {-1.0, 1.0}


def test_a_table_has_a_jacobian_by_its_numbers_where_no_cell_is_missing():
    m, x = model("table"), rows("table")
    assert (build("contractive").squared_norm(m, Batch(x.nan_to_num())) > 0).all()
    with pytest.raises(InputError, match="missing cell"):
        build("contractive").squared_norm(m, Batch(x))


def test_a_code_that_has_no_jacobian_is_refused():
    with pytest.raises(InputError, match="no Jacobian"):
        build("contractive").squared_norm(coder(lambda noise: noise), Batch(torch.zeros(3, 6)))


def test_classification_is_the_cross_entropy_of_the_labelled():
    logits = torch.tensor([[2.0, 0.0, -1.0], [0.0, 1.0, 0.0], [9.0, 9.0, 9.0]], dtype=torch.float64)
    m = SimpleNamespace(class_logits=lambda x: logits[: len(x)])
    x, y = torch.zeros(3, 6), torch.tensor([0, 2, -1])
    r, terms = build("classify", weight=0.5), ledger(None, torch.zeros(1, 3, 3))
    p = [math.exp(2) / (math.exp(2) + 1 + math.exp(-1)), 1 / (2 + math.e)]
    expected = -0.5 * (math.log(p[0]) + math.log(p[1])) / 2
    assert r(m, terms, Batch(x, labelled=(x, y))).item() == pytest.approx(expected, abs=1e-12)


def test_probabilities_in_the_place_of_logits_could_not_be_learnt():
    """The well-known mistake: a second softmax. A perfect classifier of 10 classes still pays 1.46 nats."""
    y = torch.arange(10)
    perfect = SimpleNamespace(class_logits=lambda x: 1000.0 * torch.eye(10))
    doubled = SimpleNamespace(class_logits=lambda x: torch.eye(10))
    r, terms, batch = build("classify", weight=1.0), ledger(None, torch.zeros(1, 10, 3)), torch.zeros(10, 6)
    assert r(perfect, terms, Batch(batch, labelled=(batch, y))).item() == 0.0
    floor = math.log(1 + 9 / math.e)
    assert r(doubled, terms, Batch(batch, labelled=(batch, y))).item() == pytest.approx(floor, abs=1e-6)


@pytest.mark.parametrize(
    ("labelled", "says"),
    [
        (None, "no example is labelled"),
        ((torch.zeros(2, 6), torch.tensor([-1, -1])), "no example is labelled"),
        ((torch.zeros(2, 6), torch.tensor([0, 10])), "out of range"),
    ],
)
def test_labels_that_teach_nothing_are_refused(labelled, says):
    m, batch = fitted("classify"), Batch(rows("binary"), labelled=labelled)
    with pytest.raises(InputError, match=says):
        build("classify")(m, m(batch.x), batch)
