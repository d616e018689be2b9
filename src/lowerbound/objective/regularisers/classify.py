"""What labelled examples teach a model that can classify."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from torch import Tensor
from torch.nn import functional as F

from lowerbound.errors import InputError
from lowerbound.maths.terms import Terms
from lowerbound.maths.units import at_least_float32, mean_examples
from lowerbound.objective.regularisers.base import REGULARISERS, Regulariser, Weight

if TYPE_CHECKING:
    from lowerbound.objective.players import Batch


@REGULARISERS.register("classify")
class Classify(Regulariser):
    r"""The cross-entropy of the labelled examples under the model's own class probabilities.

    .. math:: R = \alpha\,E_{\text{labelled}}[-\log q(y|x)] = -\alpha\,E[l_y - \log\textstyle\sum_k e^{l_k}]

    with l the model's ``class_logits(x)``. They must be logits: of probabilities the formula takes a second softmax,
    and a loss that cannot fall below log(1 + (K - 1)/e), 1.46 nats at 10 classes, for a perfect classifier. ``twice``
    makes that mistake on purpose, to show what a well-known implementation does.

    *Shapes*: labelled examples x (n, \*shape), y (n,) in, a scalar out. *Units and sign*: nats per labelled example,
    lower is better. *Neutral setting*: ``weight=0``. *Source*: Kingma et al. 2014 (1406.5298), eq. 9, whose alpha is
    0.1 N for a sum over N examples: ``weight=0.1`` here; Makhzani et al. 2015 (1511.05644), section 4.

    >>> Classify(784, 10).words()[:20]
    'Regulariser: + 0.1 x'
    """

    def __init__(self, parts: int, width: int, *, weight: Weight = 0.1, twice: bool = False) -> None:
        super().__init__(parts, width)
        self.weight, self.twice = weight, twice
        self.labelled = weight > 0

    def forward(self, model: Any, terms: Terms, batch: Batch) -> Tensor:
        if self.weight == 0:
            return terms.distortion.new_zeros(())
        x, y = labelled(batch)
        logits = at_least_float32(model.class_logits(x))
        if int(y.max()) >= logits.shape[-1]:
            what = f"label {int(y.max())} is out of range: the model has {logits.shape[-1]} classes"
            mend = "raise their number: posterior.classes and prior.classes"
            raise InputError(what, where="regulariser classify", mend=mend)
        if self.twice:
            logits = F.softmax(logits, -1)
        return self.weight * mean_examples(F.cross_entropy(logits, y, reduction="none"))

    def refuse(self, model: Any) -> None:
        if self.weight and not model.names_class:
            what = f"the code (posterior {getattr(model.posterior, 'name', 'normal')}) names no class to classify"
            mend = "use posterior class-and-style or condition inferred-labels"
            raise InputError(what, where="supervision", mend=mend)

    def words(self) -> str:
        return f"Regulariser: + {self.weight:g} x cross-entropy of the labelled examples, in nats."


def labelled(batch: Batch) -> tuple[Tensor, Tensor]:
    """The labelled examples beside this batch, those of unknown label (-1) left out."""
    x, y = batch.labelled if batch.labelled is not None else (batch.x[:0], batch.x.new_zeros(0).long())
    known = y >= 0
    if not known.any():
        raise InputError("no example is labelled", where="regulariser classify", mend="give labels to a few")
    return x[known], y[known].long()
