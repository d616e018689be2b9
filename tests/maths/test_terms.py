"""The ledger on models whose log p(x) is known: ELBO + KL(q || posterior) = log p(x), and IWAE climbs to it."""

from __future__ import annotations

import itertools
import math

import pytest
import torch
from torch.distributions import Independent, Laplace, MultivariateNormal, Normal

from lowerbound.errors import InputError
from lowerbound.maths.divergence import kl
from lowerbound.maths.normal import DiagonalNormal, FullNormal
from lowerbound.maths.terms import Terms, elbo, terms
from oracles import Conjugate

DOUBLE = torch.float64


def prior(latent: int) -> DiagonalNormal:
    return DiagonalNormal(torch.zeros(latent).double(), torch.zeros(latent).double())


@pytest.mark.parametrize("seed", range(10))
def test_bound_plus_gap_is_the_evidence(seed):
    """50 random q for each of 10 models: the identity holds to 1e-10 nats."""
    model = Conjugate.draw(latent=3, parts=6, seed=seed)
    x = 2 * torch.randn(50, 6, dtype=DOUBLE)
    q = DiagonalNormal(*torch.randn(2, 50, 3, dtype=DOUBLE))
    expected = model.expected_log_likelihood(x, q.mean, q.variance)
    bound = Terms(-expected[None], kl(q, prior(3)).value, "closed").elbo()
    mean, L = model.posterior(x)
    gap = kl(q, FullNormal(mean, L.expand(50, 3, 3))).total()
    torch.testing.assert_close(bound + gap, model.log_p(x), rtol=0, atol=1e-10)
    assert (bound <= model.log_p(x)).all()


def test_bound_is_tight_at_the_posterior_and_every_weight_is_the_evidence():
    model = Conjugate.draw(latent=2, parts=4, seed=1)
    x = torch.randn(5, 4, dtype=DOUBLE)
    mean, L = model.posterior(x)
    q = FullNormal(mean, L.expand(5, 2, 2))
    z = q.rsample((9,))
    t = terms(model.log_likelihood(x, z), q, prior(2), z)
    torch.testing.assert_close(t.log_weight, model.log_p(x).expand(9, 5), rtol=0, atol=1e-10)
    torch.testing.assert_close(t.iwae(), model.log_p(x), rtol=0, atol=1e-10)


def sloppy(model: Conjugate, x: torch.Tensor) -> Independent:
    """A posterior of the right place and the wrong width, per dimension."""
    mean, L = model.posterior(x)
    return Independent(Normal(mean + 0.3, 1.3 * L.square().sum(-1).sqrt().expand_as(mean)), 1)


def test_iwae_increases_with_samples_and_reaches_the_evidence():
    """Means of 4,000 bounds at K = 1, 4, 16, 64 rise by more than 3 s.e. each (the seed is fixed; the true steps are
    above 10 s.e., so a fresh seed fails below 1e-10); K = 5,000 is within 4 s.e. of log p(x): false alarm 6e-5."""
    model = Conjugate.draw(latent=2, parts=4, seed=2)
    x = torch.randn(1, 4, dtype=DOUBLE)
    q, evidence = sloppy(model, x), model.log_p(x).item()

    def bounds(k: int, replicates: int) -> torch.Tensor:
        wide = x.expand(replicates, 4)
        z = q.rsample((k, replicates)).squeeze(-2)
        ratio = q.log_prob(z[..., None, :])[..., 0] - prior(2).log_prob(z)
        d = -model.log_likelihood(wide, z)
        return Terms(d, torch.zeros(replicates, 1), "sampled", -d - ratio).iwae()

    steps = [bounds(k, 4000) for k in (1, 4, 16, 64)]
    for low, high in itertools.pairwise(steps):
        assert (high.mean() - low.mean()) > 3 * math.hypot(high.std().item(), low.std().item()) / math.sqrt(4000)
    last = bounds(5000, 64)
    assert abs(last.mean().item() - evidence) < 4 * last.std().item() / 8 + 1e-3


def test_elbo_by_hand():
    t = Terms(torch.tensor([[10.0, 20.0], [12.0, 24.0]]), torch.tensor([[1.0, 2.0], [0.0, 0.5]]), "closed")
    assert t.elbo().tolist() == [-14.0, -22.5]


def test_one_sample_iwae_is_the_sampled_bound():
    q, p = DiagonalNormal(*torch.randn(2, 4, 3)), DiagonalNormal(torch.zeros(3), torch.zeros(3))
    z, log_likelihood = q.rsample((1,)), torch.randn(1, 4)
    t = terms(log_likelihood, q, p, z)
    torch.testing.assert_close(t.iwae(), (log_likelihood - q.log_prob(z) + p.log_prob(z))[0])


@pytest.mark.parametrize("sides", [(0, 0), (0, 1), (1, 0), (1, 1)])
def test_weights_do_not_depend_on_how_the_normal_is_written(sides):
    """batch = latent = samples, where a wrong broadcast would pass unseen by shape."""
    m, l = torch.randn(2, 3, 3, dtype=DOUBLE)
    ways = [
        [DiagonalNormal(m, l), Normal(m, (l / 2).exp())],
        [prior(3), Normal(torch.zeros(3).double(), torch.ones(3).double())],
    ]
    z, log_likelihood = torch.randn(3, 3, 3, dtype=DOUBLE), torch.randn(3, 3, dtype=DOUBLE)
    exact = log_likelihood + ways[1][0].log_prob(z) - ways[0][0].log_prob(z)
    t = terms(log_likelihood, ways[0][sides[0]], ways[1][sides[1]], z)
    torch.testing.assert_close(t.log_weight, exact)
    assert t.kind == "closed" and t.rate.shape == (3, 3)


def test_half_precision_is_raised():
    q = DiagonalNormal(torch.randn(4, 3).bfloat16(), torch.randn(4, 3).bfloat16())
    p = DiagonalNormal(torch.zeros(3), torch.zeros(3))
    t = terms(torch.randn(4).bfloat16(), q, p, q.rsample((1,)))
    assert {a.dtype for a in (t.distortion, t.rate, t.log_weight, t.elbo(), t.iwae())} == {torch.float32}


def test_an_infinite_term_is_minus_inf_never_nan():
    inf = torch.tensor([math.inf])
    assert Terms(inf[None], inf[None], "closed").elbo() == -math.inf
    q = DiagonalNormal(torch.zeros(1, 2), torch.full((1, 2), 200.0))
    assert elbo(torch.tensor([-5.0]), q, DiagonalNormal(torch.zeros(2), torch.zeros(2))) == -math.inf


def test_a_sampled_rate_says_so():
    q, p = Normal(torch.zeros(4, 2), 1.0), Laplace(torch.zeros(2), 1.0)
    assert terms(torch.zeros(4), q, p).kind == "sampled"


# Bad input: one line each -------------------------------------------------------------------------------------------


def test_a_likelihood_that_is_not_summed_over_pixels_is_refused():
    q = DiagonalNormal(torch.zeros(4, 2), torch.zeros(4, 2))
    with pytest.raises(InputError, match="sum it over pixels") as error:
        terms(torch.zeros(1, 4, 784), q, q)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    "q",
    [
        DiagonalNormal(torch.zeros(2), torch.zeros(2)),
        DiagonalNormal(torch.zeros(3, 2), torch.zeros(3, 2)),
        Normal(torch.zeros(4), 1.0),
        MultivariateNormal(torch.zeros(2), torch.eye(2)),
    ],
)
def test_a_posterior_that_is_not_one_per_example_is_refused(q):
    """Its KL would be summed over the batch, or spread over it, without a word."""
    with pytest.raises(InputError, match="for 4 examples"):
        terms(torch.zeros(4), q, q)


def test_no_weights_no_iwae():
    with pytest.raises(InputError, match="weights=True"):
        Terms(torch.zeros(1, 1), torch.zeros(1, 1), "closed").iwae()
