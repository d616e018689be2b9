"""Mixtures: their density, by one product where the components are independent Normals."""

import pytest
import torch

from lowerbound.maths.mixture import Mixture
from lowerbound.maths.normal import DiagonalNormal, FullNormal, log_normal, log_normals


def parts(dtype: torch.dtype, sigma: float = 1.0) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """z (4, 3, latent) near some of 7 components, their means and log variances (7, latent)."""
    draw = torch.Generator().manual_seed(0)
    mean = 3 * torch.randn(7, 5, generator=draw, dtype=torch.float64)
    log_variance = 2 * torch.tensor(sigma).log() + torch.randn(7, 5, generator=draw, dtype=torch.float64)
    which = torch.randint(7, (4, 3), generator=draw)
    z = mean[which] + (0.5 * log_variance[which]).exp() * torch.randn(4, 3, 5, generator=draw, dtype=torch.float64)
    return z.to(dtype), mean.to(dtype), log_variance.to(dtype)


@pytest.mark.parametrize("sigma", [3.0, 0.1, 1e-3])
def test_one_product_gives_every_density(sigma: float) -> None:
    """To the rounding of the squares that are subtracted from each other."""
    z, mean, log_variance = parts(torch.float64, sigma)
    each = log_normal(z.unsqueeze(-2), mean, log_variance).sum(-1)
    squares = (z.unsqueeze(-2).square() + mean.square()) * torch.exp(-log_variance)
    off = (log_normals(z, mean, log_variance) - each).abs()
    assert (off <= 8 * torch.finfo(torch.float64).eps * (1 + squares.sum(-1))).all()


@pytest.mark.parametrize("sigma", [1.0, 0.1, 1e-2])
def test_in_float32_the_product_is_nearer_the_truth_than_the_sum(sigma: float) -> None:
    z, mean, log_variance = parts(torch.float32, sigma)
    truth = log_normal(*(a.double() for a in (z.unsqueeze(-2), mean, log_variance))).sum(-1)
    found = log_normals(z, mean, log_variance)
    assert found.dtype == torch.float32
    near = truth > -1e3
    summed = log_normal(z.unsqueeze(-2), mean, log_variance).sum(-1)
    assert (found - truth)[near].abs().max() <= (summed - truth)[near].abs().max() + 1e-6


def test_its_gradient_is_that_of_the_density() -> None:
    given = [a.requires_grad_() for a in parts(torch.float64)]
    assert torch.autograd.gradcheck(log_normals, given)


@pytest.mark.parametrize("full", [False, True])
def test_a_mixture_integrates_its_components(full: bool) -> None:
    _, mean, log_variance = parts(torch.float64)
    q = FullNormal(mean, torch.diag_embed((0.5 * log_variance).exp())) if full else DiagonalNormal(mean, log_variance)
    logits = torch.linspace(-1, 1, 7, dtype=torch.float64)
    mixture = Mixture(q, logits)
    assert mixture.as_one_product == (not full)
    z = parts(torch.float64)[0]
    weights = torch.softmax(logits, -1)
    expected = (weights * log_normal(z.unsqueeze(-2), mean, log_variance).sum(-1).exp()).sum(-1).log()
    assert torch.allclose(mixture.log_prob(z), expected, rtol=1e-12, atol=1e-11)


def test_half_precision_is_raised_first() -> None:
    z, mean, log_variance = parts(torch.bfloat16)
    found = log_normals(z, mean, log_variance)
    assert found.dtype == torch.float32
    assert torch.equal(found, log_normals(*(a.float() for a in (z, mean, log_variance))))
