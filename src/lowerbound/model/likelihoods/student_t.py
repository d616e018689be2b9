"""Real values with outliers."""

from __future__ import annotations

from typing import Annotated

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.distributions import Distribution
from torch.distributions import StudentT as StudentTDistribution

from lowerbound.data.dataset import Summary
from lowerbound.model.likelihoods.base import LIKELIHOODS, TINY, Likelihood


@LIKELIHOODS.register("student-t")
class StudentT(Likelihood):
    r"""Independent real values with a Student t about the decoder's location: an outlier costs a log, not a square.

    .. math:: p(x|z) = \prod_i \tfrac{1}{\sigma}\, t_\nu\!\left(\tfrac{x_i - m_i - s_i o_i}{\sigma}\right)

    with o the decoder's numbers, m and s the data's mean and deviation; one scale sigma is learned for all
    values, and begins where the variance is that of the data.

    *Shapes*: out (samples, batch, 1, \*shape), x (batch, \*shape) -> (samples, batch).
    *Units and sign*: nats per example of a density in the data's own units; it may be positive.
    *Neutral setting*: ``freedom`` toward infinity is ``normal``. *Source*: Lange et al. 1989 (JASA 84), eq. 1.

    >>> s = Summary("real", (2,), torch.zeros(2), torch.ones(2))
    >>> StudentT(s).log_prob(torch.zeros(1, 1, 1, 2), torch.zeros(1, 2))
    tensor([[-1.4264]], grad_fn=...)
    """

    about = "real values with outliers"
    kinds = ("real",)
    centre: Tensor
    scale: Tensor

    def __init__(self, summary: Summary, *, freedom: Annotated[float, Field(gt=2)] = 5.0) -> None:
        super().__init__(summary)
        self.freedom = freedom
        self.register_buffer("centre", summary.mean.clone())
        self.register_buffer("scale", torch.where(summary.std > 0, summary.std, 1.0))
        variance = self.scale.square().sum() / summary.parts
        self.log_variance = nn.Parameter(torch.log(variance * (freedom - 2) / freedom))

    def forward(self, out: Tensor) -> Distribution:
        location = self.centre + self.scale * self._single(out)
        freedom = torch.full_like(location, self.freedom)
        return StudentTDistribution(freedom, location, torch.exp(0.5 * self.log_variance), validate_args=False)

    def mean(self, out: Tensor) -> Tensor:
        return self.centre + self.scale * self._single(out).to(self.centre)  # not nats: the expected x

    def sigma(self) -> Tensor:
        return torch.exp(0.5 * self.log_variance)

    def marginal_variance(self, summary: Summary) -> Tensor:
        return (summary.std.square().sum() / summary.parts).clamp(min=TINY).expand(summary.shape)

    def output_bias(self, summary: Summary) -> Tensor:
        return torch.zeros(self.output_shape)
