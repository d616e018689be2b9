"""DIP against the sum written out, and at codes that are what it asks for."""

import torch

from lowerbound.maths.terms import Terms
from lowerbound.objective import REGULARISERS


def terms_of(z: torch.Tensor) -> Terms:
    return Terms(torch.zeros(1, len(z)), torch.zeros(len(z), z.shape[1]), "closed", None, z[None])


def test_it_is_the_squared_distance_of_the_covariance_from_the_identity():
    z = torch.randn(500, 3, generator=torch.Generator().manual_seed(0)) @ torch.tensor(
        [[1.0, 0.5, 0.0], [0.0, 2.0, 0.0], [0.0, 0.0, 0.1]]
    )
    dip = REGULARISERS.build("dip", 5, 3, off=2.0, on=3.0)
    gap = (z - z.mean(0)).T @ (z - z.mean(0)) / 499 - torch.eye(3)
    weight = 2 + torch.eye(3)
    assert torch.allclose(dip(None, terms_of(z), None), (weight * gap.square()).sum(), rtol=1e-4)


def test_codes_of_unit_covariance_cost_nothing():
    z = torch.linalg.qr(torch.randn(50, 2) - 0.0)[0]
    z = torch.linalg.qr(torch.cat([torch.ones(50, 1), z], 1))[0][:, 1:] * 49**0.5
    assert REGULARISERS.build("dip", 5, 2)(None, terms_of(z), None) < 1e-8
