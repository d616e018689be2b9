"""Wake-sleep: the decoder learns from data, the encoder from dreams."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from lowerbound.errors import InputError
from lowerbound.maths.units import mean_examples
from lowerbound.objective.games.base import GAMES, Game, generative, recognition
from lowerbound.objective.minimise import Minimised
from lowerbound.objective.players import Batch, Player


@GAMES.register("wake-sleep")
class WakeSleep(Game):
    r"""Two players: in the wake phase the decoder is fitted to codes of data, in the sleep phase the encoder to dreams.

    .. math:: \text{wake}: \max_\theta E_{q_\phi(z|x)}[\log p_\theta(x, z)], \qquad
              \text{sleep}: \max_\phi E_{p_\theta(x, z)}[\log q_\phi(z|x)]

    The sleep phase minimises KL(p(z|x) || q(z|x)) over dreamt x, which is no bound's gradient: the ELBO of the same
    model is logged, but nothing in the game maximises it over q.

    *Shapes*: a batch in, two scalars out. *Units and sign*: nats per example, lower is better; the run's ledger is that
    of the wake phase. *Neutral setting*: none. *Source*: Hinton et al. 1995 (Science 268); Kingma & Welling 2014
    (1312.6114), section 5, where it is what AEVB is compared with.

    >>> WakeSleep(784, 2).encodes
    True
    """

    def players(self, model: Any, minimised: Minimised) -> list[Player]:
        if not model.has_bound:
            what = f"wake-sleep fits log q(z|x), and posterior {model.posterior.name} has no density"
            raise InputError(what, where="game", mend="use posterior normal")

        if not minimised.plain:
            what = "the encoder learns from dreams alone, and nothing weighs its rate or adds to it"
            raise InputError(what, where="game wake-sleep", mend="use beta 1 and no regulariser, or game alone")
        if getattr(model.condition, "inferred", False):
            what = "a label that is inferred has no phase that teaches its classifier"
            raise InputError(what, where="game wake-sleep", mend="use condition labels, or game alone")

        def sleep(batch: Batch) -> tuple[Tensor, None]:
            with torch.no_grad():
                z, x = dream(model, batch)
            return -mean_examples(model.encode(x, batch.y).log_prob(z)), None

        return [
            Player("wake", generative(model), minimised),
            Player("sleep", recognition(model), sleep),
        ]

    def words(self) -> str:
        return "Game wake-sleep: the decoder maximises the bound on data, the encoder log q(z|x) on dreams."


def dream(model: Any, batch: Batch) -> tuple[Tensor, Tensor]:
    """As many (z, x) as the batch has examples, from the model itself, under the batch's own conditions."""
    _, c = model.given(batch.x, batch.y)
    n = len(batch.x)
    z = model.prior_at(c).sample(() if model.prior.conditional else (n,))
    x = model.decode(z, c).sample().to(batch.x)
    return z, model.condition.whole(x, c)
