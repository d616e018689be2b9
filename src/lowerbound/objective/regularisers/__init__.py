"""What may be added to an objective: every member, found by name in ``REGULARISERS`` because its file is here."""

from lowerbound.objective.regularisers.base import REGULARISERS, Regulariser
from lowerbound.registry import discover

discover(__name__, __path__)

__all__ = ["REGULARISERS", "Regulariser"]
