"""The model whose log p(x) is known: every way to the same number."""

from __future__ import annotations

import math

import numpy as np
import pytest
import scipy.stats
import torch
from sklearn.decomposition import PCA

from lowerbound.data.dataset import Summary
from lowerbound.errors import InputError
from lowerbound.model.assemble import assemble
from lowerbound.model.linear import LinearAutoencoder, sigma_points


def rows(n: int = 300, parts: int = 7, seed: int = 0) -> torch.Tensor:
    g = torch.Generator().manual_seed(seed)
    mix = torch.randn(parts, parts, generator=g) * torch.tensor([5.0, 3, 2, 1, 0.5, 0.4, 0.3])[:parts, None]
    return (torch.randn(n, parts, generator=g) @ mix + 10 * torch.randn(parts, generator=g)).double()


def model_of(x: torch.Tensor, latent: int = 3) -> LinearAutoencoder:
    s = Summary("real", tuple(x.shape[1:]), x.mean(0).float(), x.std(0, correction=0).float())
    return LinearAutoencoder.build(s, latent).double()


@pytest.mark.parametrize("latent", [1, 3, 5])
def test_at_the_analytic_optimum_the_elbo_is_log_p(latent):
    x = rows()
    model = model_of(x, latent).solve(x)
    assert (model.exact_elbo(x) - model.log_evidence(x)).abs().max() < 1e-9


def test_log_p_is_that_of_probabilistic_principal_components():
    x = rows()
    model = model_of(x).solve(x)
    W, b, variance = (a.detach().numpy() for a in model.loading())
    truth = scipy.stats.multivariate_normal(b, W @ W.T + variance * np.eye(len(b))).logpdf(x.numpy())
    assert np.abs(model.log_evidence(x).detach().numpy() - truth).max() < 1e-9
    pca = PCA(3).fit(x.numpy())
    scale = len(x) / (len(x) - 1)  # scikit-learn divides by n - 1
    assert abs(float(variance) * scale - pca.noise_variance_) < 1e-9
    assert np.abs(W @ W.T * scale - (pca.get_covariance() - pca.noise_variance_ * np.eye(7))).max() < 1e-9


def test_no_direction_raises_the_likelihood_of_the_optimum():
    x = rows()
    model = model_of(x).solve(x)
    model.log_evidence(x).sum().backward()
    assert max(p.grad.abs().max() for p in model.decoder.parameters()) < 1e-6
    assert model.likelihood.raw.grad.abs() < 1e-6


def test_away_from_the_optimum_the_gap_is_the_kl_to_the_exact_posterior():
    x = rows()
    torch.manual_seed(4)
    model = model_of(x)
    q, p = model.encode(x), model.exact_posterior(x)
    gap = model.log_evidence(x) - model.exact_elbo(x)
    covariance = torch.diag_embed(q.variance)
    between = torch.distributions.kl_divergence(torch.distributions.MultivariateNormal(q.mean, covariance), p)
    assert torch.allclose(gap, between, rtol=1e-9, atol=1e-9) and (gap > 0).all()


def test_the_sigma_points_have_the_moments_of_the_standard_normal():
    points = sigma_points(4)
    assert points.sum(0).abs().max() == 0
    assert torch.allclose(points.T @ points / len(points), torch.eye(4).double())


def test_the_sampled_bound_agrees_with_the_exact_one():
    """2,000 samples; |z| < 5 in 20 examples: a false alarm of 1e-5."""
    x = rows()[:20]
    model = model_of(rows()).solve(rows())
    distortion = model(x, samples=2000).distortion.detach()
    bound = -distortion.mean(0) - model(x).rate.sum(-1)
    stderr = distortion.std(0) / math.sqrt(2000)
    assert ((bound - model.exact_elbo(x)).abs() / stderr).max() < 5


def test_gradient_training_reaches_the_exact_evidence():
    """In float64, the exact bound as the objective: within 1e-3 nats of the best log p(x)."""
    x = rows(parts=4)
    torch.manual_seed(0)
    model = model_of(x, 2)
    best = (model_of(x, 2).solve(x).log_evidence(x).sum() / len(x)).item()
    optimiser = torch.optim.Adam(model.parameters(), lr=3e-2)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, 1500)
    for _ in range(1500):
        loss = -model.exact_elbo(x).sum() / len(x)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        schedule.step()
    assert best + loss.item() < 1e-3


def test_as_many_latents_as_values_are_refused():
    with pytest.raises(InputError, match="no variance over"):
        model_of(rows(), 7).solve(rows())


def test_a_model_that_is_not_linear_is_refused():
    x = rows()
    s = Summary("real", (7,), x.mean(0).float(), x.std(0).float())
    with pytest.raises(InputError, match="not linear"):
        LinearAutoencoder.of(assemble(s, latent=2, encoder={"name": "mlp", "hidden": [5]}))
