r"""Categorical codes as one-hot vectors, drawn through the Concrete (Gumbel-softmax) relaxation.

.. math:: g = -\log(-\log u), \qquad y = \mathrm{softmax}((\ell + g) / \tau), \qquad z = \mathrm{onehot}(\arg\max y)

z is an exact draw of the categorical; its gradient is taken as that of y ("straight-through"), which is biased, while
every value computed from z belongs to the categorical itself.
Source: Maddison et al. 2017 (1611.00712), eq. 10; Jang et al. 2017 (1611.01144), eq. 1 and section 2.2.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.distributions import Distribution
from torch.nn import functional as F

from lowerbound.maths.forms import register_kl
from lowerbound.maths.phi import weighted_phi
from lowerbound.maths.units import sum_latent


class OneHot(Distribution):
    """Independent categoricals, each a one-hot block of the code.

    *Shapes*: ``logits`` (..., groups, classes); one event is the flat code (groups x classes,).
    *Units*: ``log_prob`` and ``entropy`` in nats per example, exact for a one-hot code.

    >>> OneHot(torch.zeros(2, 4)).log_prob(torch.eye(4)[:2].flatten())
    tensor(-2.7726)
    """

    arg_constraints = {}
    has_rsample = True

    def __init__(self, logits: Tensor, temperature: float = 1.0, hard: bool = True) -> None:
        self.logits = F.log_softmax(logits, -1)
        self.temperature, self.hard = temperature, hard
        groups, classes = logits.shape[-2:]
        super().__init__(logits.shape[:-2], torch.Size([groups * classes]), validate_args=False)

    @property
    def mean(self) -> Tensor:
        """The probabilities, (..., groups x classes)."""
        return self.logits.exp().flatten(-2)

    def transform(self, noise: Tensor) -> Tensor:
        """The code of N(0, 1) noise (samples, ..., groups x classes), which Phi makes uniform and -log(-log) Gumbel."""
        gumbel = -torch.log(-torch.special.log_ndtr(noise.unflatten(-1, self.logits.shape[-2:])))
        y = F.softmax((self.logits + gumbel) / self.temperature, -1)
        if self.hard:
            y = torch.zeros_like(y).scatter(-1, y.argmax(-1, keepdim=True), 1.0) + (y - y.detach())
        return y.flatten(-2)

    def rsample(self, sample_shape: Any = ()) -> Tensor:
        shape = self._extended_shape(torch.Size(sample_shape))
        return self.transform(torch.randn(shape, dtype=self.logits.dtype, device=self.logits.device))

    def sample(self, sample_shape: Any = ()) -> Tensor:
        with torch.no_grad():
            return OneHot(self.logits).rsample(sample_shape)

    def log_prob(self, value: Tensor) -> Tensor:
        return sum_latent(value * self.logits.flatten(-2))

    def entropy(self) -> Tensor:
        return -sum_latent((self.logits.exp() * self.logits).flatten(-2))


@register_kl(OneHot, OneHot)
def _one_hot(q: OneHot, p: OneHot) -> Tensor:
    """Nats per categorical, exact: (..., groups)."""
    return weighted_phi(q.logits, p.logits.expand_as(q.logits)).sum(-1)
