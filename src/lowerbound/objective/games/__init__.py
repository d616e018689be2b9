"""Games: how a model learns, as the list of players that the one loop moves."""

from lowerbound.objective.games.base import GAMES, Game
from lowerbound.registry import discover

discover(__name__, __path__)

__all__ = ["GAMES", "Game"]
