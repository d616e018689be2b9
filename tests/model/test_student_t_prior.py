"""The heavy-tailed prior against scipy, and against the Normal that it becomes."""

import scipy.stats
import torch

from lowerbound.model.priors import PRIORS


def test_its_density_is_the_product_of_student_t():
    z = torch.linspace(-30, 30, 14, dtype=torch.float64).reshape(7, 2)
    found = PRIORS.build("student-t", 2, freedom=4.0).double()().log_prob(z)
    assert torch.allclose(found, torch.tensor(scipy.stats.t(4.0).logpdf(z.numpy()).sum(1)))


def test_with_many_degrees_of_freedom_it_is_the_standard_normal():
    z = torch.randn(100, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    wide = PRIORS.build("student-t", 3, freedom=1e7).double()().log_prob(z)
    assert torch.allclose(wide, PRIORS.build("standard-normal", 3).double()().log_prob(z), atol=1e-5)
