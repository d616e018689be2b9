"""A sparse code, by its absolute values."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from torch import Tensor

from lowerbound.maths.terms import Terms
from lowerbound.maths.units import mean_examples, mean_samples, sum_latent
from lowerbound.objective.regularisers.base import REGULARISERS, Regulariser, Weight
from lowerbound.objective.regularisers.codes import codes_of

if TYPE_CHECKING:
    from lowerbound.objective.players import Batch


@REGULARISERS.register("l1")
class L1(Regulariser):
    r"""The absolute values of the code, which draws numbers that say little to 0.

    .. math:: R = w\,\textstyle\sum_j |z_j|

    *Shapes*: a ledger with codes (samples, batch, width) in, a scalar out. *Units and sign*: nats per example, lower
    is better; ``weight`` in nats per unit of z. A weight beside a loss averaged over D values, as Keras has it, is D
    times as large here. *Neutral setting*: ``weight=0``. *Source*: "Building autoencoders in Keras" (2016), sparse
    autoencoder; with a Laplace prior of scale 1/w it is the maximum a posteriori code of Olshausen & Field 1996.

    >>> L1(784, 32, weight=784e-4).weight
    0.0784
    """

    codes = True

    def __init__(self, parts: int, width: int, *, weight: Weight = 0.1) -> None:
        super().__init__(parts, width)
        self.weight = weight

    def forward(self, model: Any, terms: Terms, batch: Batch) -> Tensor:
        if self.weight == 0:
            return terms.distortion.new_zeros(())
        return self.weight * mean_examples(mean_samples(sum_latent(codes_of(terms).abs())))

    def words(self) -> str:
        return (
            f"Regulariser: + {self.weight:g} x sum |z|; "
            "the bound, which has no such term, is logged beside it where there is one."
        )
