"""A point: the code of a deterministic encoder, which has no density."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.distributions import Distribution

from lowerbound.errors import InputError


class Delta(Distribution):
    """All mass at ``mean`` (..., width). KL(Delta || p) is infinite for every density p: there is no bound.

    >>> Delta(torch.ones(2, 3)).transform(torch.zeros(5, 2, 3)).shape
    torch.Size([5, 2, 3])
    """

    arg_constraints = {}
    has_rsample = True

    def __init__(self, mean: Tensor) -> None:
        self.loc = mean
        super().__init__(mean.shape[:-1], mean.shape[-1:], validate_args=False)

    @property
    def mean(self) -> Tensor:
        return self.loc

    def transform(self, noise: Tensor) -> Tensor:
        """The point itself, as often as there are samples."""
        return self.loc.expand(noise.shape[0], *self.loc.shape)

    def rsample(self, sample_shape: Any = ()) -> Tensor:
        return self.loc.expand(self._extended_shape(torch.Size(sample_shape)))

    def log_prob(self, value: Tensor) -> Tensor:
        raise InputError("a deterministic code has no density", where="posterior", mend="use posterior normal")
