"""The likelihood of symbols in a sequence: a categorical at every step, up to and with the end."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.distributions import Categorical as CategoricalDistribution
from torch.nn import functional as F

from lowerbound.data.dataset import Summary
from lowerbound.errors import InputError
from lowerbound.maths.units import sum_parts
from lowerbound.model.likelihoods.base import LIKELIHOODS, Likelihood

RAREST = 1e-4
"""The least share of a symbol that a decoder starts from."""


class TokensDistribution(CategoricalDistribution):
    """Symbols (..., steps) from logits (..., steps, symbols), the last symbol the end; after the end stands NaN.

    ``log_prob`` is per step, 0 where NaN stands; ``mean`` holds the most probable symbols, for symbols have no average.
    """

    def log_prob(self, value: Tensor) -> Tensor:
        missing = torch.isnan(value)
        return torch.where(missing, 0.0, super().log_prob(torch.where(missing, 0.0, value)))

    @property
    def mean(self) -> Tensor:
        return self._closed(self.likeliest())

    def likeliest(self) -> Tensor:
        """The most probable symbol of each step on its own."""
        return self.logits.argmax(-1).to(self.logits.dtype)

    def drawn(self, sample_shape: Any = torch.Size()) -> Tensor:
        """A symbol of each step, drawn on its own."""
        return super().sample(sample_shape).to(self.logits.dtype)

    def sample(self, sample_shape: Any = torch.Size()) -> Tensor:
        return self._closed(self.drawn(sample_shape))

    def _closed(self, codes: Tensor) -> Tensor:
        ended = codes == self.logits.shape[-1] - 1
        return torch.where(ended.cumsum(-1) - ended.long() > 0, torch.nan, codes)


@LIKELIHOODS.register("tokens")
class Tokens(Likelihood):
    r"""A free probability for each symbol at each step of a sequence, up to and with its end.

    .. math:: \log p(x|z) = \sum_{t \le \text{end}} l_{t,x_t} - \log\textstyle\sum_k e^{l_{tk}}

    Over all sequences that end within T steps, and the beginnings of length T of those that do not, the probabilities
    add up to 1. What stands after the end (NaN) costs exactly 0 nats and moves no gradient.

    *Shapes*: out (samples, batch, symbols, T), logits; x (batch, T) -> (samples, batch). *Units and sign*: nats of a
    probability, at most 0, higher is better. *Neutral setting*: equal logits cost ln(symbols) nats a step.
    *Source*: Bowman et al. 2016 (1511.06349), section 3.

    >>> s = Summary("sequence", (3,), torch.ones(3), torch.ones(3), levels=4)
    >>> Tokens(s).log_prob(torch.zeros(1, 1, 4, 3), torch.tensor([[0.0, 3.0, torch.nan]]))
    tensor([[-2.7726]])
    """

    about = "sequences of symbols"
    kinds = ("sequence",)

    def __init__(self, summary: Summary) -> None:
        if summary.kind == "sequence" and summary.levels < 2:
            raise InputError(
                f"sequences of {summary.levels} symbols", where="likelihood", mend="load them as sequences"
            )
        super().__init__(summary, numbers=summary.levels)
        self.levels, self.end = summary.levels, summary.levels - 1

    def forward(self, out: Tensor) -> TokensDistribution:
        return TokensDistribution(logits=out.movedim(-2, -1), validate_args=False)

    def log_prob(self, out: Tensor, x: Tensor) -> Tensor:
        logits = self._flat(out)
        codes = torch.where(torch.isnan(x), -100.0, x).long().expand(*logits.shape[:-2], -1)
        cost = F.cross_entropy(logits.flatten(0, -3), codes.flatten(0, -2), reduction="none", ignore_index=-100)
        return -sum_parts(cost, 1).reshape(logits.shape[:-2])

    def each(self, out: Tensor, draw: bool) -> Tensor:
        d = self(out)
        return d.drawn() if draw else d.likeliest()

    def marginal_variance(self, summary: Summary) -> Tensor:
        """The variance of the codes: a stand-in, for symbols have no distance."""
        return summary.std.square().clamp(min=1e-3).clone()

    def output_bias(self, summary: Summary) -> Tensor:
        """The shares of the symbols in the training split, the same at every step."""
        if summary.frequencies is None:
            return torch.zeros(self.output_shape)
        return torch.log(summary.frequencies.clamp(min=RAREST)).unsqueeze(-1).expand(self.output_shape).clone()
