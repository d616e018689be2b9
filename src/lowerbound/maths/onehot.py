r"""Categorical codes as one-hot vectors, drawn through the Concrete (Gumbel-softmax) relaxation.

.. math:: g = -\log e, \quad e = \tfrac12(\epsilon_1^2 + \epsilon_2^2), \qquad y = \mathrm{softmax}((\ell + g) / \tau),
          \qquad z = \mathrm{onehot}(\arg\max y)

Half the squared length of two N(0, 1) numbers is exponential, so that g is Gumbel. z is an exact draw of the
categorical; its gradient is taken as that of y ("straight-through"), which is biased, while every value computed from
z belongs to the categorical itself.
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


class _Hard(torch.autograd.Function):
    """The one-hot of the highest score (..., classes); the gradient is that of softmax(scores / temperature)."""

    generate_vmap_rule = True

    @staticmethod
    def forward(scores: Tensor, temperature: float) -> Tensor:
        return torch.zeros_like(scores).scatter_(-1, scores.argmax(-1, keepdim=True), 1.0)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor, float], output: Tensor) -> None:
        ctx.save_for_backward(inputs[0])
        ctx.temperature = inputs[1]

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Any:  # type: ignore[override]
        y = _softmax(ctx.saved_tensors[0] / ctx.temperature)
        pulled = y * gradient
        return (pulled - y * pulled.sum(-1, keepdim=True)) / ctx.temperature, None


def _softmax(scores: Tensor) -> Tensor:
    """Softmax over classes: torch's own takes twice as long for a handful of them."""
    return F.log_softmax(scores, -1).exp()


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
        """The code (samples, ..., groups x classes) of twice as many N(0, 1) numbers."""
        first, second = noise.unflatten(-1, (2, *self.logits.shape[-2:])).unbind(-3)
        exponential = 0.5 * (first.square() + second.square())
        scores = self.logits - exponential.clamp(min=torch.finfo(noise.dtype).tiny).log()
        y = _Hard.apply(scores, self.temperature) if self.hard else _softmax(scores / self.temperature)
        return y.flatten(-2)

    def rsample(self, sample_shape: Any = ()) -> Tensor:
        shape = (*sample_shape, *self.batch_shape, 2 * self.event_shape.numel())
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
