"""Floor 3: reads the ledger, returns what is minimised; the bound itself is never changed here."""

from lowerbound.objective.objectives import OBJECTIVES, Objective, Weights
from lowerbound.objective.players import Player, players
from lowerbound.objective.schedules import SCHEDULES, Schedule

__all__ = ["OBJECTIVES", "SCHEDULES", "Objective", "Player", "Schedule", "Weights", "players"]
