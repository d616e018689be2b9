"""No regulariser."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from torch import Tensor

from lowerbound.maths.terms import Terms
from lowerbound.objective.regularisers.base import REGULARISERS, Regulariser

if TYPE_CHECKING:
    from lowerbound.objective.players import Batch


@REGULARISERS.register("none")
class Nothing(Regulariser):
    r"""Adds nothing: the objective alone is minimised.

    .. math:: R = 0

    *Shapes*: a ledger and a batch in, a scalar out. *Units and sign*: nats per example. *Neutral setting*: always.
    *Source*: Kingma & Welling 2014 (1312.6114), eq. 10: the bound has no further term.

    >>> Nothing(784, 2).words()
    ''
    """

    def forward(self, model: Any, terms: Terms, batch: Batch) -> Tensor:
        return terms.distortion.new_zeros(())

    def words(self) -> str:
        return ""
