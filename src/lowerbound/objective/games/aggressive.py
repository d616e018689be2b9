"""Aggressive inference: while a run is young, the encoder is moved several times for every step of the model."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field

from lowerbound.errors import InputError
from lowerbound.objective.games.base import GAMES, Game, recognition, trained
from lowerbound.objective.minimise import Minimised
from lowerbound.objective.players import Player
from lowerbound.objective.schedules import Epochs


@GAMES.register("aggressive")
class Aggressive(Game):
    r"""Two players for one objective: the whole model, and for the first ``epochs`` its encoder alone, ``steps`` times.

    .. math:: \phi \leftarrow \phi - \eta \nabla_\phi L(\theta, \phi) \;\text{(steps times)}, \qquad
              (\theta, \phi) \leftarrow (\theta, \phi) - \eta \nabla L(\theta, \phi)

    A decoder that learns faster than q follows it does without z before z says anything. The paper moves the encoder
    on batches of its own until the loss stops falling, and ends the phase when the mutual information stops rising;
    here both are numbers, and the encoder moves on the batch of the step, with fresh noise.

    *Shapes*: a batch in, two scalars out. *Units and sign*: nats per example, lower is better; the run's ledger is that
    of the model's step. *Neutral setting*: ``steps=0``. *Source*: He et al. 2019 (1901.05534), section 4, algorithm 1.

    >>> Aggressive(19, 16, steps=5, epochs=2.0).moves(2.0)
    0
    """

    def __init__(
        self, parts: int, width: int, *, steps: Annotated[int, Field(ge=0)] = 10, epochs: Epochs = 5.0
    ) -> None:
        super().__init__(parts, width)
        self.steps, self.epochs = steps, epochs

    def moves(self, epoch: float) -> int:
        """How often the encoder moves on the batch of this (fractional) epoch."""
        return self.steps if epoch < self.epochs else 0

    def players(self, model: Any, minimised: Minimised) -> list[Player]:
        together = Player("model", trained(model), minimised)
        if not self.steps:
            return [together]
        if model.encoder is None:
            raise InputError("there is no encoder to move", where="game aggressive", mend="use game alone")
        return [together, Player("encoder", recognition(model), minimised, moves=self.moves)]

    def words(self) -> str:
        return f"Game aggressive: for {self.epochs:g} epochs the encoder moves {self.steps} times more on every batch."
