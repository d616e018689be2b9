"""What may be added to an objective: every member, found by name in ``REGULARISERS``."""

from lowerbound.objective.regularisers.base import REGULARISERS, Regulariser
from lowerbound.objective.regularisers.none import Nothing

__all__ = ["REGULARISERS", "Nothing", "Regulariser"]
