r"""The sum of softplus over many logits, with few logarithms, for the Bernoulli likelihood of 0 and 1.

.. math:: \log p(x|z) = -\sum_i \log(1 + e^{s_i l_i}), \quad s_i = 1 - 2x_i, \qquad
          \sum_{i \in G} \log(1 + e^{a_i}) = \log \prod_{i \in G} (1 + e^{a_i})

One power of two a logit (of logits in bits: torch's exp2 takes a quarter of the time of its exp) and one logarithm for
every eight. Every term is >= 0, so nothing cancels. A product leaves float32 only where eight logits are wrong by more
than 88 nats together: then the plain form is used.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor

from lowerbound.model.likelihoods.bernoulli import Bernoulli

GROUP = 8
BITS = 1 / math.log(2)
"""Bits in a nat."""


def sum_softplus_(a: Tensor) -> Tensor:
    """Sum over the last axis of log(1 + e^a), a (n, parts) -> (n,) in float64; ``a`` is overwritten. May overflow.

    >>> sum_softplus_(torch.zeros(1, 9)) / 9
    tensor([0.6931], dtype=torch.float64)
    """
    return sum_softplus_of_bits_(a.mul_(BITS))


def sum_softplus_of_bits_(a: Tensor) -> Tensor:
    """The same, in nats too, of logits in bits: sum of log(1 + 2^a)."""
    a.exp2_().add_(1)
    m = a.shape[1] // GROUP
    product = torch.prod(a[:, : GROUP * m].unflatten(1, (GROUP, m)), 1) if m else a[:, :0]
    total = product.log_().sum(1, dtype=torch.float64)
    return total + a[:, GROUP * m :].log().sum(1, dtype=torch.float64) if a.shape[1] % GROUP else total


def signs(x: Tensor) -> Tensor | None:
    """1 - 2x of x (batch, parts) whose values are all 0 or 1; None where they are not."""
    return 1 - 2 * x if bool(((x == 0) | (x == 1)).all()) else None


def log_bernoulli(likelihood: Any, out: Tensor, x: Tensor) -> Tensor | None:
    """log p(x|z) of decoder outputs (samples, batch, 1, *shape), float64 (samples, batch); None where it is not for it.

    It is for a Bernoulli of 0 and 1; the likelihood's own ``log_prob`` stays the truth, and is asked on overflow.
    """
    if type(likelihood) is not Bernoulli or (s := signs(x.flatten(1))) is None:
        return None
    logits = likelihood._flat(out).squeeze(-2)
    total = sum_softplus_((logits * s).flatten(0, 1)).view(logits.shape[:2])
    return -total if bool(total.isfinite().all()) else None
