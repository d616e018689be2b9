"""Likelihoods p(x|z): from the decoder's output to a distribution over the data."""

from lowerbound.model.likelihoods.base import LIKELIHOODS, Likelihood
from lowerbound.model.likelihoods.bernoulli import Bernoulli
from lowerbound.model.likelihoods.choice import choose
from lowerbound.model.likelihoods.columns import Columns
from lowerbound.model.likelihoods.continuous_bernoulli import ContinuousBernoulli
from lowerbound.model.likelihoods.counts import NegativeBinomial, Poisson
from lowerbound.model.likelihoods.levels import Categorical, DiscretisedLogistic
from lowerbound.model.likelihoods.location import Laplace, Normal
from lowerbound.model.likelihoods.tokens import Tokens
from lowerbound.registry import discover

discover(__name__, __path__)

__all__ = [
    "LIKELIHOODS",
    "Bernoulli",
    "Categorical",
    "Columns",
    "ContinuousBernoulli",
    "DiscretisedLogistic",
    "Laplace",
    "Likelihood",
    "NegativeBinomial",
    "Normal",
    "Poisson",
    "Tokens",
    "choose",
]
