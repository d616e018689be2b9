"""log p(x) of examples: by importance sampling, annealing, appendix D of the AEVB paper, quadrature, or exactly."""

from lowerbound.readers.log_likelihood.estimate import METHODS, SAMPLES, bracket, log_likelihood
from lowerbound.readers.log_likelihood.result import Bracket, LogLikelihood

__all__ = ["METHODS", "SAMPLES", "Bracket", "LogLikelihood", "bracket", "log_likelihood"]
