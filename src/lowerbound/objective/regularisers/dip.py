"""The covariance of the aggregate posterior, drawn to the identity."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from lowerbound.maths.terms import Terms
from lowerbound.maths.units import mean_examples
from lowerbound.objective.regularisers.base import REGULARISERS, Regulariser, Weight
from lowerbound.objective.regularisers.codes import codes_of

if TYPE_CHECKING:
    from lowerbound.objective.players import Batch


@REGULARISERS.register("dip")
class Dip(Regulariser):
    r"""The squared distance of the codes' covariance from the identity, off and on the diagonal (DIP-VAE-II).

    .. math:: R = \lambda_o \sum_{i \ne j} C_{ij}^2 + \lambda_d \sum_i (C_{ii} - 1)^2, \qquad C = \mathrm{Cov}_{q(z)}[z]

    C is that of the batch's codes, so that R is biased upward by about width / batch of its weight.

    *Shapes*: a ledger with codes (samples, batch, width) in, a scalar out. *Units and sign*: squared covariances, no
    unit, lower is better; the bound has no such term. *Neutral setting*: ``off=0, on=0``.
    *Source*: Kumar et al. 2018 (1711.00848), eq. 7.

    >>> Dip(784, 2, off=0.0, on=0.0).words()[:16]
    'Regulariser: + 0'
    """

    codes = True

    def __init__(self, parts: int, width: int, *, off: Weight = 5.0, on: Weight = 5.0) -> None:
        super().__init__(parts, width)
        self.off, self.on = off, on

    def forward(self, model: Any, terms: Terms, batch: Batch) -> Tensor:
        if self.off == 0 and self.on == 0:
            return terms.distortion.new_zeros(())
        z = codes_of(terms).flatten(0, 1)
        centred = z - mean_examples(z)
        C = centred.T @ centred / max(len(z) - 1, 1)
        on = torch.diagonal(C)
        return self.off * (C.square().sum() - on.square().sum()) + self.on * (on - 1).square().sum()

    def words(self) -> str:
        return f"Regulariser: + {self.off:g} x squared covariances + {self.on:g} x (variances - 1)^2 of the codes."
