"""Floor 3: reads the ledger, returns what is minimised; the bound itself is never changed here."""

from lowerbound.objective.bounds import BOUNDS, Bound
from lowerbound.objective.games import GAMES, Game
from lowerbound.objective.minimise import Minimised
from lowerbound.objective.objectives import OBJECTIVES, Objective, Weights
from lowerbound.objective.players import Batch, Player
from lowerbound.objective.regularisers import REGULARISERS, Regulariser
from lowerbound.objective.schedules import SCHEDULES, Schedule
from lowerbound.registry import discover

discover(__name__, __path__)

__all__ = [
    "BOUNDS",
    "GAMES",
    "OBJECTIVES",
    "REGULARISERS",
    "SCHEDULES",
    "Batch",
    "Bound",
    "Game",
    "Minimised",
    "Objective",
    "Player",
    "Regulariser",
    "Schedule",
    "Weights",
]
