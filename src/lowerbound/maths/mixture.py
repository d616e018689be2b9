r"""A mixture of any distributions of one event.

.. math:: \log p(z) = \log \textstyle\sum_k e^{w_k} p_k(z), \qquad \sum_k e^{w_k} = 1
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.distributions import Categorical, Distribution
from torch.nn import functional as F

from lowerbound.maths.normal import DiagonalNormal, log_normals

CHUNK = 256
"""Draws at a time: of each, every component is drawn and one is kept."""


class Mixture(Distribution):
    """A mixture of the ``components``, a distribution whose last batch axis counts them.

    *Shapes*: ``logits`` (components,), any real numbers; an event is the components'. *Units*: nats.

    >>> Mixture(DiagonalNormal(torch.zeros(3, 2), torch.zeros(3, 2)), torch.zeros(3)).log_prob(torch.zeros(2))
    tensor(-1.8379)
    """

    arg_constraints = {}

    def __init__(self, components: Distribution, logits: Tensor) -> None:
        self.components, self.logits = components, F.log_softmax(logits, -1)
        super().__init__(components.batch_shape[:-1], components.event_shape, validate_args=False)

    @property
    def mean(self) -> Tensor:
        return (self.logits.exp().unsqueeze(-1) * self.components.mean).sum(-2)

    def log_prob(self, value: Tensor) -> Tensor:
        return torch.logsumexp(self.logits + self._each(value), -1)

    def _each(self, value: Tensor) -> Tensor:
        """The log density of every value under every component: (..., components), nats."""
        q = self.components
        if self.as_one_product:
            return log_normals(value, q.mean, q.log_variance)  # type: ignore[attr-defined]
        return q.log_prob(value.unsqueeze(-2))

    @property
    def as_one_product(self) -> bool:
        """Whether the densities are those of independent Normals, which take one matrix product."""
        return isinstance(self.components, DiagonalNormal) and not self.batch_shape

    def sample(self, sample_shape: Any = ()) -> Tensor:
        return self.sample_of(Categorical(logits=self.logits).sample(torch.Size(sample_shape)))

    def sample_of(self, component: Tensor) -> Tensor:
        """One draw of the component of each number of ``component`` (...): (..., *event)."""
        with torch.no_grad():
            parts = [self._drawn(part) for part in component.flatten().split(CHUNK)]
        return torch.cat(parts).reshape(*component.shape, *self.event_shape)

    def _drawn(self, component: Tensor) -> Tensor:
        every = self.components.sample(component.shape)
        return every[torch.arange(len(component), device=component.device), component]
