"""The Student t likelihood against scipy, and what an outlier costs."""

import numpy as np
import scipy.stats
import torch

from lowerbound.data.dataset import Summary
from lowerbound.model.likelihoods import LIKELIHOODS


def likelihood(freedom: float):
    s = Summary("real", (3,), torch.tensor([1.0, -2.0, 0.0]), torch.tensor([2.0, 2.0, 2.0]))
    return LIKELIHOODS.build("student-t", s, freedom=freedom)


def test_it_is_scipy_s_density_in_data_units():
    x, out = torch.tensor([[4.0, -1.0, 30.0]]), torch.tensor([[[[0.5, 0.0, -1.0]]]])
    location = np.array([1.0, -2.0, 0.0]) + 2 * np.array([0.5, 0.0, -1.0])
    expected = scipy.stats.t(4.0, location, 2.0 * 0.5**0.5).logpdf(x.numpy()).sum()
    assert torch.allclose(likelihood(4.0).log_prob(out, x).squeeze().double(), torch.tensor(expected), atol=1e-5)


def test_an_outlier_costs_a_logarithm():
    out, robust, s = torch.zeros(1, 1, 1, 3), likelihood(3.0), Summary("real", (3,), torch.zeros(3), torch.ones(3))
    normal = LIKELIHOODS.build("normal", s)
    far, further = (torch.tensor([[0.0, 0.0, v]]) for v in (1e3, 1e4))
    assert robust.log_prob(out, far) - robust.log_prob(out, further) < 10
    assert normal.log_prob(out, far) - normal.log_prob(out, further) > 1e6
