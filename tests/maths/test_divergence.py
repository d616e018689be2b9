"""The sampled path, labelled and unbiased; the split KL = H(q, p) - H(q); and that H(q) is not a constant."""

from __future__ import annotations

import math

import pytest
import torch
from torch.distributions import Categorical, Independent, MixtureSameFamily, MultivariateNormal, Normal

from lowerbound.maths.divergence import cross_entropy, entropy, kl, log_ratio_at
from lowerbound.maths.normal import DiagonalNormal, FullNormal

DOUBLE = torch.float64


def pair(batch: int = 4, latent: int = 3) -> tuple[DiagonalNormal, DiagonalNormal]:
    return DiagonalNormal(*torch.randn(2, batch, latent)), DiagonalNormal(*torch.randn(2, latent))


class Unregistered(DiagonalNormal):
    """A Normal that hides its closed form behind another class tree."""

    def __init__(self, q: DiagonalNormal) -> None:
        super().__init__(q.mean, q.log_variance)


def hide(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lowerbound.maths.divergence.closed_form", lambda q, p: None)


def test_sampled_is_labelled_and_shaped(monkeypatch):
    q, p = pair()
    assert kl(q, p).kind == "closed"
    hide(monkeypatch)
    assert kl(q, p).kind == "sampled" and kl(q, p).value.shape == (4, 1)
    assert kl(Normal(q.mean, q.stddev), Normal(p.mean, p.stddev)).value.shape == (4, 3)  # it factorises: per dimension


def test_sides_of_different_shape_are_summed_before_they_are_subtracted(monkeypatch):
    """log q per dimension less log p per example must not broadcast."""
    q, p = pair(batch=3, latent=3)
    z = torch.randn(5, 3, 3)
    exact = q.log_prob(z) - p.log_prob(z)
    for a in (q, Normal(q.mean, q.stddev)):
        for b in (p, Normal(p.mean, p.stddev)):
            ratio = log_ratio_at(a, b, z)
            torch.testing.assert_close(ratio.sum(-1) if ratio.dim() == 3 else ratio, exact)


def z_score(estimates: torch.Tensor, exact: torch.Tensor) -> float:
    """The largest |mean - exact| in standard errors; estimates (samples, ...)."""
    error = estimates.mean(0) - exact
    return (error / (estimates.std(0) / math.sqrt(len(estimates)))).abs().max().item()


@pytest.mark.parametrize("kind", ["diagonal", "full"])
def test_sampled_is_unbiased(kind):
    """|z| < 5 for 8 estimates of 200,000 samples; seeded, false-alarm rate below 5e-6 if the seed were drawn afresh."""
    q, p = pair()
    q = q if kind == "diagonal" else FullNormal(q.mean, torch.diag_embed(q.stddev) + torch.randn(4, 3, 3).tril(-1))
    with torch.no_grad():
        z = q.rsample((200_000,))
        assert z_score(log_ratio_at(q, p, z), kl(q, p).total()) < 5


def test_sampled_estimates_follow_their_samples(monkeypatch):
    q, p = pair()
    hide(monkeypatch)
    z = q.rsample((7,))
    torch.testing.assert_close(kl(q, p, z=z).value[:, 0], (q.log_prob(z) - p.log_prob(z)).mean(0))
    assert kl(q, p, samples=3).value.shape == (4, 1)


def test_sampled_keeps_the_pathwise_gradient(monkeypatch):
    """d/dmu of the sampled KL to N(0, 1) averages to mu; |z| < 5 for 3 slopes, false-alarm rate 2e-6."""
    hide(monkeypatch)
    mean = torch.tensor([[1.0, -2.0, 0.5]]).expand(50_000, 3).clone().requires_grad_()
    q, p = DiagonalNormal(mean, torch.zeros_like(mean)), DiagonalNormal(torch.zeros(3), torch.zeros(3))
    slopes = torch.autograd.grad(kl(q, p).value.sum(), mean)[0]
    assert z_score(slopes, mean[0].detach()) < 5


def test_a_mixture_prior_is_sampled():
    q, _ = pair()
    components = Independent(Normal(torch.randn(5, 3), torch.ones(5, 3)), 1)
    rate = kl(q, MixtureSameFamily(Categorical(torch.ones(5)), components), samples=2)
    assert rate.kind == "sampled" and rate.value.shape == (4, 1)


# Entropy ------------------------------------------------------------------------------------------------------------


def test_entropy_is_per_example():
    m, s = torch.randn(4, 3, dtype=DOUBLE), torch.rand(4, 3, dtype=DOUBLE) + 0.5
    ways = [
        Normal(m, s),
        DiagonalNormal(m, 2 * s.log()),
        FullNormal(m, torch.diag_embed(s)),
        Independent(Normal(m, s), 1),
    ]
    for q in ways:
        assert entropy(q).shape == (4,)
        torch.testing.assert_close(entropy(q), entropy(ways[0]), rtol=1e-13, atol=0)
    assert entropy(Normal(m[0], s[0])).shape == () and entropy(Normal(0.0, 1.0)).shape == ()


def test_kl_is_cross_entropy_less_entropy():
    """Against E_q[-log p] in closed form: 1/2 [log 2 pi + l2 + (v1 + (m1-m2)^2)/v2], summed."""
    q, p = (DiagonalNormal(*torch.randn(2, 6, 3, dtype=DOUBLE)) for _ in range(2))
    spread = (q.variance + (q.mean - p.mean).square()) / p.variance
    exact = 0.5 * (math.log(2 * math.pi) + p.log_variance + spread).sum(-1)
    torch.testing.assert_close(cross_entropy(q, p), exact, rtol=1e-13, atol=1e-13)
    torch.testing.assert_close(kl(q, p).total(), exact - entropy(q), rtol=1e-13, atol=1e-13)
    normals = (Normal(d.mean, d.stddev) for d in (q, p))
    torch.testing.assert_close(cross_entropy(*normals), exact, rtol=1e-13, atol=1e-13)
    one = (Normal(d.mean[0], d.stddev[0]) for d in (q, p))  # a single posterior, no batch axis
    torch.testing.assert_close(cross_entropy(*one), exact[0], rtol=1e-13, atol=1e-13)


def descend(loss, steps: int = 400) -> torch.Tensor:
    """The log variance that gradient descent reaches from 1/2."""
    l = torch.full((1, 1), 0.5, dtype=DOUBLE, requires_grad=True)
    for _ in range(steps):
        (slope,) = torch.autograd.grad(loss(DiagonalNormal(torch.zeros_like(l), l)).sum(), l)
        l = (l - 0.5 * slope).detach().requires_grad_()
    return l.detach()


def test_the_entropy_is_not_a_constant():
    """Minimise the KL and sigma goes to 1; minimise the cross-entropy "up to a constant" and sigma runs to 0.

    In a classifier q is the data, its entropy is fixed and the two have the same minimum. In a VAE q is the encoder.
    """
    p = DiagonalNormal(torch.zeros(1).double(), torch.zeros(1).double())
    assert descend(lambda q: kl(q, p).total()).abs() < 1e-6
    shrunk = [descend(lambda q: cross_entropy(q, p), steps).item() for steps in (100, 400, 1_600)]
    assert shrunk[0] > shrunk[1] > shrunk[2] and shrunk[2] < -5  # log variance ~ -log(steps): it never settles
    l = torch.zeros(1, 1, dtype=DOUBLE, requires_grad=True)
    (slope,) = torch.autograd.grad(entropy(DiagonalNormal(torch.zeros_like(l), l)).sum(), l)
    assert slope == 0.5  # half a nat for every unit of log variance, at every sigma


def test_the_entropy_of_an_encoder_varies_over_its_examples():
    q = DiagonalNormal(torch.zeros(4, 2), torch.tensor([[0.0, 0], [-1, 0], [-2, -2], [-5, 2]]))
    assert len(set(entropy(q).tolist())) == 4


# The Normals of the house -------------------------------------------------------------------------------------------


def test_diagonal_normal_is_a_normal():
    q, _ = pair()
    same, z = Independent(Normal(q.mean, q.stddev), 1), torch.randn(5, 4, 3)
    torch.testing.assert_close(q.log_prob(z), same.log_prob(z))
    torch.testing.assert_close(q.entropy(), same.entropy())
    torch.testing.assert_close(q.variance, same.variance)
    assert torch.equal(q.mode, q.mean) and q.rsample((5,)).shape == (5, 4, 3)


def test_transform_is_the_sample():
    q, _ = pair()
    noise = torch.randn(2, 4, 3)
    torch.testing.assert_close(q.transform(noise), q.mean + q.stddev * noise)
    L = torch.linalg.cholesky(torch.eye(3) + 0.5)
    full = FullNormal(q.mean, L.expand(4, 3, 3))
    torch.testing.assert_close(full.transform(noise), q.mean + noise @ L.T)
    torch.testing.assert_close(
        full.log_prob(noise), MultivariateNormal(q.mean, L @ L.T).log_prob(noise), rtol=1e-5, atol=1e-4
    )


def test_log_prob_does_not_overflow_where_the_variance_does():
    """sd = e^-60: e^(-log variance) overflows float32, (z - mu)/sd does not."""
    q = DiagonalNormal(torch.zeros(1), torch.tensor([-120.0]))
    z = q.transform(torch.tensor([1.0]))
    assert q.log_prob(z).item() == pytest.approx(-0.5 * (math.log(2 * math.pi) - 120 + 1), rel=1e-5)
    assert q.log_prob(torch.zeros(1)).item() == pytest.approx(-0.5 * (math.log(2 * math.pi) - 120), rel=1e-6)


def test_half_precision_is_raised_before_it_is_summed():
    q = DiagonalNormal(torch.full((1, 3000), 1.0, dtype=torch.bfloat16), torch.zeros(1, 3000, dtype=torch.bfloat16))
    z = torch.zeros(1, 3000, dtype=torch.bfloat16)
    exact = -0.5 * 3000 * (math.log(2 * math.pi) + 1)
    assert q.log_prob(z).dtype == torch.float32 and q.entropy().dtype == torch.float32
    assert q.log_prob(z).item() == pytest.approx(exact, rel=1e-6)
    assert q.entropy().item() == pytest.approx(-exact, rel=1e-6)
