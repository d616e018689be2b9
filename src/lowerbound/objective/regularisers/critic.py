"""Total correlation by a critic that tells codes from codes with shuffled dimensions."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from lowerbound.maths.terms import Terms
from lowerbound.maths.units import mean_examples, mean_samples
from lowerbound.model.networks.base import Widths
from lowerbound.objective.players import Player
from lowerbound.objective.regularisers.base import REGULARISERS, Regulariser, Speed, Weight
from lowerbound.objective.regularisers.codes import Critic, codes_of, fresh_codes

if TYPE_CHECKING:
    from lowerbound.objective.players import Batch


@REGULARISERS.register("critic")
class TotalCorrelationCritic(Regulariser):
    r"""The dependence between the dimensions of the code, by a critic's log density ratio (FactorVAE).

    .. math:: R = w\,E_{q(z)}[D(z)], \qquad D \approx \log \frac{q(z)}{\prod_j q(z_j)}

    A second player trains the logit D to tell codes from codes whose dimensions are shuffled over the batch, each by
    itself. At the best D the expectation is the total correlation; a critic that is behind gives too small a value.
    The paper shuffles a second batch; here it is a second draw of the codes of the same one. ``speed`` is the critic's
    learning rate over the model's.

    *Shapes*: a ledger with codes (samples, batch, width) in, a scalar out. *Units and sign*: nats per example, lower
    is better. *Neutral setting*: ``weight=0``, which builds no critic. *Source*: Kim & Mnih 2018 (1802.05983), eq. 2
    and 3, algorithm 2; their critic has ``hidden`` of six layers of 1000, their ``weight`` (gamma) is 6 to 40.

    >>> len(list(TotalCorrelationCritic(784, 2, hidden=(8,)).parameters()))
    4
    """

    codes = True

    def __init__(
        self, parts: int, width: int, *, weight: Weight = 6.0, hidden: Widths = (200, 200), speed: Speed = 1.0
    ) -> None:
        super().__init__(parts, width)
        self.weight, self.speed = weight, speed
        self.critic = Critic(width, hidden) if weight else None

    def forward(self, model: Any, terms: Terms, batch: Batch) -> Tensor:
        if self.critic is None:
            return terms.distortion.new_zeros(())
        return self.weight * mean_examples(mean_samples(self.critic.held(codes_of(terms))))

    def critics(self, model: Any) -> list[Player]:
        critic = self.critic
        if critic is None:
            return []

        def loss(batch: Batch) -> tuple[Tensor, None]:
            return critic.cross_entropy(fresh_codes(model, batch), shuffled(fresh_codes(model, batch))), None

        return [Player("critic", list(critic.parameters()), loss, self.speed)]

    def words(self) -> str:
        return (
            f"Regulariser: + {self.weight:g} x total correlation of the code, by a critic (a second player); "
            "the bound, which has no such term, is logged beside it."
        )


def shuffled(z: Tensor) -> Tensor:
    """Every column of z (batch, width) in an order of its own: draws of the product of the marginals."""
    return z.gather(0, torch.rand_like(z).argsort(0))
