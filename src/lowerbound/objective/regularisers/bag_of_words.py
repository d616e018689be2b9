"""What z alone must be able to say, so that a decoder that reads its own output cannot make it useless."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from torch import Tensor, nn
from torch.nn import functional as F

from lowerbound.errors import InputError
from lowerbound.maths.terms import Terms
from lowerbound.maths.units import at_least_float32, mean_examples, mean_samples
from lowerbound.objective.players import Player
from lowerbound.objective.regularisers.base import REGULARISERS, Regulariser, Speed, Weight
from lowerbound.objective.regularisers.codes import codes_of, fresh_codes

if TYPE_CHECKING:
    from lowerbound.objective.players import Batch


@REGULARISERS.register("bag-of-words")
class BagOfWords(Regulariser):
    r"""What x costs a second, linear decoder that sees z and nothing else: of a sequence its symbols, in any order.

    .. math:: R = -w\,E_q\left[\sum_t \log\mathrm{softmax}(Wz + b)_{x_t}\right]

    W and b belong to a second player, which minimises the same cost at codes that it cannot move. The model minimises
    it through z alone, and the bound, which has no such term, is not touched. Beside other data than sequences each
    value has a row of W of its own; a likelihood that learns a deviation, which this would move too, is refused.

    *Shapes*: a ledger with codes (samples, batch, width) in, a scalar out. *Units and sign*: nats per example, lower is
    better. *Neutral setting*: ``weight=0``, which builds no second decoder. *Source*: Zhao et al. 2017 (1703.10960),
    section 3.3.

    >>> BagOfWords(19, 16, weight=0.0).critics(None)
    []
    """

    codes = True

    def __init__(self, parts: int, width: int, *, weight: Weight = 1.0, speed: Speed = 1.0) -> None:
        super().__init__(parts, width)
        self.weight, self.speed = weight, speed
        self.head: nn.Linear | None = None

    def refuse(self, model: Any) -> None:
        super().refuse(model)
        if model.likelihood.sigma() is not None or list(model.likelihood.parameters()):
            what = f"likelihood {model.likelihood.name} learns a deviation, which a second decoder would move too"
            raise InputError(what, where="regulariser bag-of-words", mend="use it for sequences of symbols")

    def forward(self, model: Any, terms: Terms, batch: Batch) -> Tensor:
        if self.weight == 0:
            return terms.distortion.new_zeros(())
        head, z = self._build(model), codes_of(terms)
        out = F.linear(z, head.weight.detach(), head.bias.detach())
        return self.weight * mean_examples(mean_samples(self._cost(model, out, batch)))

    def critics(self, model: Any) -> list[Player]:
        if self.weight == 0:
            return []
        head = self._build(model)

        def loss(batch: Batch) -> tuple[Tensor, None]:
            out = head(fresh_codes(model, batch).unsqueeze(0))
            return mean_examples(mean_samples(self._cost(model, out, batch))), None

        return [Player("bag-of-words", list(head.parameters()), loss, self.speed)]

    def _build(self, model: Any) -> nn.Linear:
        """The second decoder, made where and as precise as the model is: of a sequence the same at every step."""
        if self.head is None:
            shape = model.likelihood.output_shape
            each = shape[0] if model.likelihood.end is not None else math.prod(shape)
            like = next(model.parameters())
            self.head = nn.Linear(self.width, each).to(like.device, like.dtype)
        return self.head

    def _cost(self, model: Any, out: Tensor, batch: Batch) -> Tensor:
        """-log p of x (batch, *shape) at the outputs of the second decoder: (samples, batch), nats."""
        target = model.given(batch.x, batch.y)[0]
        shape = model.likelihood.output_shape
        if model.likelihood.end is not None:
            out = out.unsqueeze(-1).expand(*out.shape, shape[-1])
        return -model.likelihood.log_prob(at_least_float32(out.reshape(*out.shape[:2], *shape)), target)

    def words(self) -> str:
        return (
            f"Regulariser: + {self.weight:g} x what x costs a linear decoder of z alone (a second player): "
            "the bound, which has no such term, is logged beside it."
        )
