"""Priors p(z) over the code."""

from lowerbound.model.priors.base import PRIORS, Prior
from lowerbound.registry import discover

discover(__name__, __path__)

__all__ = ["PRIORS", "Prior"]
