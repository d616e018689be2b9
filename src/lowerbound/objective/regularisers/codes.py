"""Codes as critics and kernels need them: draws of q(z|x) and of the prior, and a network that tells two apart."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch.distributions import Distribution
from torch.func import functional_call
from torch.nn import functional as F

from lowerbound.errors import InputError
from lowerbound.maths.terms import Terms
from lowerbound.maths.units import at_least_float32, mean_examples
from lowerbound.model.networks.base import Widths
from lowerbound.model.networks.mlp import MLP

if TYPE_CHECKING:
    from lowerbound.objective.players import Batch


def codes_of(terms: Terms) -> Tensor:
    """The codes z (samples, batch, width) of a ledger, in at least float32."""
    if terms.z is None:
        raise InputError("these terms carry no codes", where="regulariser", mend="ask the model for its own terms")
    return at_least_float32(terms.z)


def fresh_codes(model: Any, batch: Batch) -> Tensor:
    """One new draw of q(z|x) for each example, without gradient: (batch, width)."""
    with torch.no_grad():
        q = model.encode(batch.x, batch.y)
        noise = torch.randn(1, len(batch.x), model.noise_width, dtype=q.mean.dtype, device=batch.x.device)
        return at_least_float32(q.transform(noise)[0])


def prior_codes(p: Distribution, n: int) -> Tensor:
    """n draws of p(z), or one of each p(z|c) where p is one for each example: (n, width); with gradient if p has it."""
    shape = torch.Size() if p.batch_shape else torch.Size((n,))
    return at_least_float32(p.rsample(shape) if p.has_rsample else p.sample(shape))


def prior_of(model: Any, batch: Batch) -> Distribution:
    """p(z), or p(z|c) under the conditions of this batch."""
    return model.prior_at(model.given(batch.x, batch.y)[1])


class Critic(nn.Module):
    """The logit, nats, that a code (..., inputs) comes from the first of two sources: (...)."""

    def __init__(self, inputs: int, hidden: Widths) -> None:
        super().__init__()
        self.inputs = inputs
        self.network = MLP((inputs,), (1,), hidden=hidden)

    def forward(self, z: Tensor) -> Tensor:
        logit = self.network(z.reshape(-1, self.inputs))
        return at_least_float32(logit).reshape(z.shape[:-1])

    def held(self, z: Tensor) -> Tensor:
        """The same logit with the critic held fixed: the gradient goes to the codes alone."""
        return functional_call(self, {k: v.detach() for k, v in self.named_parameters()}, (z,))

    def cross_entropy(self, first: Tensor, second: Tensor) -> Tensor:
        """What telling the two sources apart costs, nats per code: log 2 where they are the same."""
        logits = self(torch.cat([first, second]))  # one pass: one gradient of each weight instead of a sum of two
        n = len(first)
        return 0.5 * (mean_examples(F.softplus(-logits[:n])) + mean_examples(F.softplus(logits[n:])))
