"""The Bernoulli likelihood on logits."""

from __future__ import annotations

from torch import Tensor
from torch.distributions import Bernoulli as BernoulliDistribution
from torch.nn import functional as F

from lowerbound.data.dataset import Summary
from lowerbound.maths.units import sum_parts
from lowerbound.model.likelihoods.base import LIKELIHOODS, TINY, Likelihood, logit_of_mean


@LIKELIHOODS.register("bernoulli")
class Bernoulli(Likelihood):
    r"""Independent values 0 or 1; the decoder emits the logit of each.

    .. math:: \log p(x|z) = \sum_i x_i l_i - \log(1 + e^{l_i})

    *Shapes*: out (samples, batch, 1, \*shape), x (batch, \*shape) -> (samples, batch).
    *Units and sign*: nats per example, higher is better. *Neutral setting*: it has no options; logit 0 gives ln 2 a
    value. *Source*: Kingma & Welling 2014 (1312.6114), appendix C.1.

    >>> import torch
    >>> s = Summary("binary", (2,), torch.full((2,), 0.5), torch.full((2,), 0.5))
    >>> Bernoulli(s).log_prob(torch.zeros(1, 1, 1, 2), torch.ones(1, 2))
    tensor([[-1.3863]])
    """

    about = "values that are 0 or 1"
    kinds = ("binary", "unit")

    def __init__(self, summary: Summary) -> None:
        super().__init__(summary)

    def forward(self, out: Tensor) -> BernoulliDistribution:
        return BernoulliDistribution(logits=self._single(out), validate_args=False)

    def log_prob(self, out: Tensor, x: Tensor) -> Tensor:
        logits = self._flat(out).squeeze(-2)
        cost = F.binary_cross_entropy_with_logits(logits, x.flatten(1).expand_as(logits), reduction="none")
        return -sum_parts(cost, 1)

    def marginal_variance(self, summary: Summary) -> Tensor:
        return (summary.mean * (1 - summary.mean)).clamp(min=TINY)

    def output_bias(self, summary: Summary) -> Tensor:
        return logit_of_mean(summary).unsqueeze(0)

    def warning(self, summary: Summary) -> str | None:
        if summary.kind == "binary":
            return None
        return (
            "A Bernoulli on values between 0 and 1 is a likelihood of nothing: its probabilities do not integrate to 1 "
            "there, and its nats cannot be compared with those of any density or of binarised data."
        )
