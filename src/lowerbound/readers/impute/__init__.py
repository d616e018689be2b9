"""Missing cells: draws from what the model expects there given the rest, and whether they cover the truth."""

from lowerbound.readers.impute.coverage import Coverage, coverage
from lowerbound.readers.impute.draw import Imputed, impute

__all__ = ["Coverage", "Imputed", "coverage", "impute"]
