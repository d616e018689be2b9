"""What may be added to an objective: every member, found by name in ``REGULARISERS``."""

from lowerbound.objective.regularisers.adversary import Adversary
from lowerbound.objective.regularisers.base import REGULARISERS, Regulariser
from lowerbound.objective.regularisers.classify import Classify
from lowerbound.objective.regularisers.contractive import Contractive
from lowerbound.objective.regularisers.critic import TotalCorrelationCritic
from lowerbound.objective.regularisers.mmd import MMD
from lowerbound.objective.regularisers.none import Nothing
from lowerbound.objective.regularisers.sparsity import L1
from lowerbound.objective.regularisers.total_correlation import TotalCorrelation

__all__ = [
    "L1",
    "MMD",
    "REGULARISERS",
    "Adversary",
    "Classify",
    "Contractive",
    "Nothing",
    "Regulariser",
    "TotalCorrelation",
    "TotalCorrelationCritic",
]
