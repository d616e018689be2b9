"""Likelihoods p(x|z): from the decoder's output to a distribution over the data."""

from lowerbound.model.likelihoods.base import LIKELIHOODS, Likelihood
from lowerbound.model.likelihoods.bernoulli import Bernoulli
from lowerbound.model.likelihoods.choice import choose

__all__ = ["LIKELIHOODS", "Bernoulli", "Likelihood", "choose"]
