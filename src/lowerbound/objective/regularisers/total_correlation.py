"""Total correlation of the aggregate posterior, estimated from a minibatch."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

import torch
from torch import Tensor

from lowerbound.errors import InputError
from lowerbound.maths.normal import DiagonalNormal, log_normal
from lowerbound.maths.terms import Terms
from lowerbound.maths.units import mean_examples, mean_samples, sum_latent
from lowerbound.objective.regularisers.base import REGULARISERS, Regulariser, Weight
from lowerbound.objective.regularisers.codes import codes_of
from lowerbound.objective.regularisers.pairs import MeanLogRatio

if TYPE_CHECKING:
    from lowerbound.objective.players import Batch

Estimate = Literal["minibatch-stratified", "minibatch-weighted"]


@REGULARISERS.register("total-correlation")
class TotalCorrelation(Regulariser):
    r"""The dependence between the dimensions of the code, over all data (beta-TCVAE; ``weight`` is its beta - 1).

    .. math:: R = w\,KL(q(z) \| \textstyle\prod_j q(z_j)), \qquad q(z) = \tfrac1N \sum_n q(z|x_n)

    A minibatch of B examples stands for all N. With stratified weights the estimate of q(z) is unbiased, and exact at
    B = N; its logarithm is not unbiased, and the result is usually too small while B is far below N. With
    ``minibatch-weighted`` it is too large by about (latent - 1) log N, which hardly touches its gradient. Exact for a
    Normal posterior only; a batch of one example has no estimate and costs 0.

    *Shapes*: a ledger with codes (samples, batch, latent) in, a scalar out; memory grows with batch^2 x latent.
    *Units and sign*: nats per example, lower is better; an estimate may be negative. *Neutral setting*: ``weight=0``.
    *Source*: Chen et al. 2018 (1802.04942), eq. 2 and appendix C, averaged over which of the other examples is
    taken for the last stratum, which the paper leaves to chance.

    >>> TotalCorrelation(784, 2).log_weights(3, 6).exp()[0]
    tensor([0.1667, 0.4167, 0.4167], dtype=torch.float64)
    """

    codes = True

    def __init__(
        self, parts: int, width: int, *, weight: Weight = 5.0, estimate: Estimate = "minibatch-stratified"
    ) -> None:
        super().__init__(parts, width)
        self.weight, self.estimate = weight, estimate

    def forward(self, model: Any, terms: Terms, batch: Batch) -> Tensor:
        if self.weight == 0 or len(batch.x) == 1:
            return terms.distortion.new_zeros(())
        if not batch.examples:
            raise InputError("the number of training examples is not known", where="total-correlation")
        if not isinstance(terms.q, DiagonalNormal):
            return self.weight * mean_examples(mean_samples(self.ratio(terms, batch.examples)))
        z, (own, other) = codes_of(terms), self.shares(len(batch.x), batch.examples)
        values = [MeanLogRatio.apply(draw, terms.q.mean, terms.q.log_variance, own, other) for draw in z]
        return self.weight * mean_samples(torch.stack(values))

    def refuse(self, model: Any) -> None:
        super().refuse(model)
        with torch.no_grad():
            q = model.posterior(next(model.parameters()).new_zeros(1, model.posterior.features))
        refuse_unknown_marginals(q)

    def ratio(self, terms: Terms, examples: int) -> Tensor:
        """log q(z) - sum_j log q(z_j) at every code, nats: (samples, batch)."""
        joint, each = pair_densities(terms.q, codes_of(terms))
        weights = self.log_weights(joint.shape[-1], examples).to(joint)
        log_marginals = torch.logsumexp(each + weights[..., None], -2)
        return torch.logsumexp(joint + weights, -1) - sum_latent(log_marginals)

    def log_weights(self, batch: int, examples: int) -> Tensor:
        """log of the weight of example j in q(z_i): (batch, batch)."""
        own, other = self.shares(batch, examples)
        return torch.full((batch, batch), other, dtype=torch.float64).fill_diagonal_(own).log()

    def shares(self, batch: int, examples: int) -> tuple[float, float]:
        """The weight in q(z_i) of example i, and of every other one of the batch."""
        n = max(examples, batch)
        if self.estimate == "minibatch-weighted":
            return 1 / (n * batch), 1 / (n * batch)
        return 1 / n, (n - 1) / (n * (batch - 1))

    def words(self) -> str:
        return (
            f"Regulariser: + {self.weight:g} x total correlation of the code, {self.estimate} estimate: "
            f"beta {1 + self.weight:g} of beta-TCVAE; the bound, which has no such term, is logged beside it."
        )


def pair_densities(q: Any, z: Tensor) -> tuple[Tensor, Tensor]:
    """log q(z_i|x_j), jointly (samples, batch, batch) and in each dimension (samples, batch, batch, latent), nats."""
    refuse_unknown_marginals(q)
    codes = z.unsqueeze(-2)
    log_variance = q.log_variance if hasattr(q, "log_variance") else q.variance.log()
    each = log_normal(codes, q.mean, log_variance)
    return (q.log_prob(codes) if hasattr(q, "scale_tril") else sum_latent(each)), each


def refuse_unknown_marginals(q: Any) -> None:
    """An InputError unless q is Normal, so that the density of one dimension is known."""
    if not hasattr(q, "log_variance") and not hasattr(q, "scale_tril"):
        what = "total-correlation needs a posterior whose dimensions have a known density, a Normal one"
        raise InputError(what, where="regulariser", mend="use regulariser critic, which only needs codes")
