"""The linear-Gaussian oracle: the analytic optimum is the pPCA likelihood, and the one loop trains to it."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from lowerbound import data as data_floor
from lowerbound.data import summary
from lowerbound.data.dataset import Data
from lowerbound.maths.divergence import kl
from lowerbound.maths.units import mean_examples
from lowerbound.model.linear import LinearAutoencoder
from lowerbound.training.load import load
from lowerbound.training.loop import train
from tests.training.small import spec


def plane(n: int, parts: int, latent: int, seed: int = 0) -> Data:
    """Rows on a noisy plane, all of them to train on."""
    random = np.random.default_rng(seed)
    x = random.normal(size=(n, latent)) @ random.normal(size=(latent, parts)) + 0.5 * random.normal(size=(n, parts))
    return data_floor.from_array((x + 1.0).astype(np.float32), name="plane", valid=0, test=0)


def best_log_likelihood(x: np.ndarray, latent: int) -> float:
    """The maximum of the average pPCA log-likelihood, from the eigenvalues alone. Tipping & Bishop 1999, eq. 8 ff."""
    d = x.shape[1]
    values = np.sort(np.linalg.eigvalsh(np.cov(x.T, bias=True)))[::-1]
    variance = values[latent:].sum() / (d - latent)
    return -0.5 * (d * math.log(2 * math.pi) + np.log(values[:latent]).sum() + (d - latent) * math.log(variance) + d)


@pytest.mark.parametrize("latent", [1, 2, 4])
def test_at_the_analytic_optimum_the_bound_is_the_likelihood(latent):
    data = plane(300, 7, 3)
    x = data.splits["train"].x.double()
    model = LinearAutoencoder.build(summary(data), latent=latent).double().solve(x)
    exact = best_log_likelihood(x.numpy(), latent)
    assert mean_examples(model.exact_elbo(x)).item() == pytest.approx(exact, abs=1e-9)
    torch.testing.assert_close(model.exact_elbo(x), model.log_evidence(x), rtol=0, atol=1e-9)


def test_anywhere_else_the_gap_is_the_kl_to_the_posterior():
    data = plane(100, 5, 2)
    x = data.splits["train"].x.double()
    model = LinearAutoencoder.build(summary(data), latent=2).double()
    with torch.no_grad():
        gap = kl(model.encode(x), model.exact_posterior(x)).total()
        torch.testing.assert_close(model.exact_elbo(x) + gap, model.log_evidence(x), rtol=0, atol=1e-9)
    assert gap.min() > 0


def test_training_reaches_the_exact_likelihood(tmp_path):
    """Through the one loop, run folder and all: within 1e-3 nats of the best any such model can do."""
    data = plane(256, 5, 2)
    chosen = spec(
        encoder={"name": "mlp", "hidden": []},
        likelihood={"name": "normal"},
        training={
            "epochs": 1200,
            "batch": 256,
            "samples": 16,
            "learning_rate": 0.02,
            "decay": "cosine",
            "precision": "float64",
        },
    )
    train(chosen, data, tmp_path / "run")
    model = LinearAutoencoder.of(load(tmp_path / "run", data).model.double())
    x = data.splits["train"].x.double()
    with torch.no_grad():
        reached = mean_examples(model.exact_elbo(x)).item()
    exact = best_log_likelihood(x.numpy(), 2)
    assert exact - 1e-3 < reached <= exact + 1e-9
