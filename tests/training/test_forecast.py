"""The forecast of collapse: linear theory, exact where the model is linear."""

import numpy as np
import pytest
import torch

from lowerbound import data as data_floor
from lowerbound.data import summary
from lowerbound.model.likelihoods import LIKELIHOODS
from lowerbound.training.forecast import collapse_forecast, spectrum


def axes(deviations, n=4000, seed=0):
    """Real data with independent columns of exactly these deviations."""
    random = np.random.default_rng(seed)
    x = np.linalg.qr(random.normal(size=(n, len(deviations))) - 0.0)[0]
    x = (x - x.sum(0) / n) * np.sqrt(n) * np.array(deviations)
    return data_floor.from_array(x.astype(np.float32), valid=0.0, test=0.0)


@pytest.mark.parametrize("beta, alive", [(0.5, 3), (1.5, 2), (5.0, 1), (10.0, 0)])
def test_a_dimension_lives_where_its_eigenvalue_exceeds_beta_sigma_squared(beta, alive):
    data = axes([3.0, 2.0, 1.0])
    likelihood = LIKELIHOODS.build("normal", summary(data), variance="fixed", sigma=1.0)
    forecast = collapse_forecast(data, summary(data), likelihood, beta=beta, latent=3)
    assert forecast.can_live == alive
    assert forecast.eigenvalues[:3].tolist() == pytest.approx([9.0, 4.0, 1.0], rel=2e-2)
    assert ("total collapse" in forecast.words()) == (alive == 0)


def test_sigma_enters_squared():
    data = axes([3.0, 2.0, 1.0])
    likelihood = LIKELIHOODS.build("normal", summary(data), variance="fixed", sigma=2.5)
    assert collapse_forecast(data, summary(data), likelihood, beta=1.0, latent=3).can_live == 1


def test_the_spectrum_is_the_same_from_rows_or_columns():
    x = torch.randn(20, 50, generator=torch.Generator().manual_seed(0))
    wide = spectrum(x, torch.ones(50))
    tall = spectrum(torch.cat([x, x, x]), torch.ones(50))
    assert wide[:19].tolist() == pytest.approx(tall[:19].tolist(), rel=1e-9)
