"""A density over values of which some are not there."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.distributions import Distribution


class Observed(Distribution):
    """Independent values of a density; ``log_prob`` is per value, 0 where the value is NaN.

    >>> Observed(torch.distributions.Normal(torch.zeros(2), 1.0)).log_prob(torch.tensor([0.0, torch.nan]))
    tensor([-0.9189,  0.0000])
    """

    arg_constraints: dict[str, Any] = {}

    def __init__(self, base: Distribution) -> None:
        self.base = base
        super().__init__(base.batch_shape, validate_args=False)

    def log_prob(self, value: Tensor) -> Tensor:
        missing = torch.isnan(value)
        return torch.where(missing, 0.0, self.base.log_prob(torch.where(missing, 0.0, value)))

    @property
    def mean(self) -> Tensor:
        return self.base.mean

    @property
    def variance(self) -> Tensor:
        return self.base.variance

    def sample(self, sample_shape: Any = ()) -> Tensor:
        return self.base.sample(torch.Size(sample_shape))
