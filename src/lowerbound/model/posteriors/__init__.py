"""Posteriors q(z|x): from the encoder's features to a distribution over the code."""

from lowerbound.model.posteriors.base import POSTERIORS, Posterior
from lowerbound.registry import discover

discover(__name__, __path__)

__all__ = ["POSTERIORS", "Posterior"]
