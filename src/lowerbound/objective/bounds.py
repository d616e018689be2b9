r"""Bounds on log p(x), and the estimators of their gradients.

.. math:: \text{ELBO} = -(\text{distortion} + \text{rate}) \le
          L_k = \log \tfrac1k \textstyle\sum_i w_i \le \log p(x), \qquad w_i = \frac{p(x, z_i)}{q(z_i|x)}

What is reported is always the bound's own value; a surrogate, whose gradient is wanted and whose value means nothing,
is never logged.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import replace
from typing import Annotated, ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor

from lowerbound.errors import InputError
from lowerbound.maths.divergence import Rate, log_ratio_at
from lowerbound.maths.terms import Terms
from lowerbound.maths.units import log_mean_exp, mean_examples, mean_samples
from lowerbound.objective.objectives import Objective
from lowerbound.registry import Registry

MOST = 10_000
"""Samples of the code an example in one step of training: a batch of more hardly fits in memory."""


class Bound(ABC):
    """A bound on log p(x): how many samples it takes, its value, and what to minimise so that it rises.

    ``weighted`` says that it needs importance weights; ``samples`` is how many codes an example it draws, or None for
    the number that training asks for.
    """

    name: ClassVar[str]
    weighted = False
    samples: int | None = None

    def prepare(self, terms: Terms) -> Terms:
        """The ledger as the objective is to read it; what is logged is the model's own."""
        return terms

    @abstractmethod
    def value(self, terms: Terms) -> Tensor:
        """The bound, nats per example, higher is better: (batch,)."""

    def loss(self, terms: Terms, objective: Objective, epoch: float) -> Tensor:
        """The scalar to minimise: by default what the objective makes of the ledger."""
        return objective(terms, epoch)

    @abstractmethod
    def words(self) -> str:
        """The bound in one sentence, as printed at the start of a run; empty for the plain ELBO."""


BOUNDS: Registry[Bound] = Registry("bound")


@BOUNDS.register("elbo")
class Elbo(Bound):
    r"""The evidence lower bound, with its KL in closed form where there is one, or sampled.

    .. math:: \text{A}: E_q[\log p(x,z) - \log q(z|x)], \qquad \text{B}: E_q[\log p(x|z)] - KL(q(z|x)\|p(z))

    ``estimator="sampled"`` is the paper's SGVB estimator A, also where a closed form is known; ``"closed"`` its
    estimator B, refused where there is none; ``"auto"`` takes B where it can.

    *Shapes*: a ledger -> (batch,). *Units and sign*: nats per example, higher is better.
    *Neutral setting*: ``estimator="auto"``. *Source*: Kingma & Welling 2014 (1312.6114), eq. 6 (A) and eq. 7 (B).

    >>> Elbo().samples is None
    True
    """

    def __init__(self, *, estimator: Literal["auto", "closed", "sampled"] = "auto") -> None:
        self.estimator = estimator

    def prepare(self, terms: Terms) -> Terms:
        if self.estimator == "closed" and terms.kind != "closed":
            what = "the rate of this posterior against this prior has no closed form"
            raise InputError(what, where="bound.estimator", mend="use auto, or posterior normal and a Normal prior")
        if self.estimator != "sampled" or terms.kind != "closed" or terms.z is None:
            return terms
        sampled = mean_samples(log_ratio_at(terms.q, terms.p, terms.z))
        rate = Rate(sampled if sampled.dim() == 2 else sampled[:, None], "sampled")
        return replace(terms, rate=rate.value, kind=rate.kind)

    def value(self, terms: Terms) -> Tensor:
        return terms.elbo()

    def words(self) -> str:
        return "" if self.estimator == "auto" else f"The rate is {self.estimator} in training."


@BOUNDS.register("iwae")
class Iwae(Bound):
    r"""The importance-weighted bound of k samples, with three estimators of its gradient.

    .. math:: L_k = E\left[\log \tfrac1k \textstyle\sum_i w_i\right], \qquad
              \nabla_\phi L_k = E\left[\textstyle\sum_i \tilde w_i^2\, \frac{\partial \log w_i}{\partial z_i}
              \frac{\partial z_i}{\partial \phi}\right]

    with :math:`\tilde w_i = w_i / \sum_j w_j`. ``gradient="plain"`` differentiates the bound; ``"dreg"`` is the right
    side above, as unbiased, and its signal does not vanish as k grows; ``"stl"`` leaves the score of q out of the plain
    one: unbiased for k = 1, biased for more.

    *Shapes*: a ledger with importance weights (k, batch) -> (batch,). *Units and sign*: nats, higher is better.
    *Neutral setting*: ``k=1`` is the ELBO with its rate sampled. *Source*: Burda et al. 2016 (1509.00519), eq. 8 and
    13; Roeder et al. 2017 (1703.09194), eq. 8 (stl); Tucker et al. 2019 (1810.04152), eq. 8 (dreg).

    >>> Iwae(k=50).samples
    50
    """

    weighted = True

    def __init__(
        self, *, k: Annotated[int, Field(ge=1, le=MOST)] = 5, gradient: Literal["plain", "stl", "dreg"] = "plain"
    ) -> None:
        self.samples, self.gradient = k, gradient

    def value(self, terms: Terms) -> Tensor:
        return terms.iwae()

    def loss(self, terms: Terms, objective: Objective, epoch: float) -> Tensor:
        """A scalar of value -L_k whose gradient is that of the chosen estimator."""
        log_weight = terms.log_weight
        if log_weight is None or terms.z is None:
            raise ValueError("terms without weights")
        if self.gradient != "plain":
            log_weight = log_weight + without_value(terms.q.log_prob(terms.z.detach()))
        if self.gradient == "plain" or len(log_weight) == 1:  # one sample has all of the weight
            return -mean_examples(log_mean_exp(log_weight))
        share = torch.softmax(log_weight.detach(), 0)
        if self.gradient == "dreg" and terms.z.requires_grad:
            terms.z.register_hook(lambda g: g * share.unsqueeze(-1))
        surrogate = mean_examples((share * log_weight).sum(0))
        return -surrogate + (surrogate - mean_examples(log_mean_exp(log_weight))).detach()

    def words(self) -> str:
        kind = {"plain": "", "stl": ", gradients sticking the landing", "dreg": ", doubly reparameterised gradients"}
        return f"The bound is importance-weighted with k = {self.samples} samples{kind[self.gradient]}."


def without_value(a: Tensor) -> Tensor:
    """Zeros with the gradient of ``a``."""
    return a - a.detach()
