"""Maximum mean discrepancy between the codes and the prior."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, Annotated, Any, Literal

import torch
from pydantic import Field
from torch import Tensor
from torch.distributions import Distribution

from lowerbound.maths.terms import Terms
from lowerbound.maths.units import at_least_float32, mean_samples, sum_latent
from lowerbound.model.autoencoder import full_precision
from lowerbound.objective.regularisers.base import REGULARISERS, Regulariser, Weight
from lowerbound.objective.regularisers.codes import codes_of, prior_codes, prior_of

if TYPE_CHECKING:
    from lowerbound.objective.players import Batch

Kernel = Literal["imq", "rbf"]
Scales = Annotated[tuple[Annotated[float, Field(gt=0)], ...], Field(min_length=1)]


@REGULARISERS.register("mmd")
class MMD(Regulariser):
    r"""The distance between all codes and the prior, as a kernel sees it (WAE-MMD; InfoVAE).

    .. math:: R = w\,[E\,k(z,z') + E\,k(p,p') - 2E\,k(z,p)], \qquad z, z' \sim q(z),\; p, p' \sim p(z)

    with :math:`k(a,b) = \sum_s C_s/(C_s+|a-b|^2)` ("imq") or :math:`\sum_s e^{-|a-b|^2/C_s}` ("rbf"), C_s = s C and
    C the expected squared distance of two draws of the prior. As many draws of the prior as codes; the U-statistic
    without pairs of one draw with itself is unbiased, so it is below 0 half of the time where q(z) is the prior. A
    batch of one example has no estimate and costs 0.

    *Shapes*: a ledger with codes (samples, batch, width) in, a scalar out. *Units and sign*: lower is better; the
    squared distance has no unit, ``weight`` gives it nats. *Neutral setting*: ``weight=0``. *Source*: Tolstikhin et
    al. 2018 (1711.01558), algorithm 2; Zhao et al. 2017 (1706.02262), section 3.2.

    >>> MMD(784, 1, scales=(1.0,)).distance(torch.zeros(2, 1), torch.full((2, 1), 2.0), torch.tensor(4.0))
    tensor(1.)
    """

    codes = True

    def __init__(
        self,
        parts: int,
        width: int,
        *,
        weight: Weight = 10.0,
        kernel: Kernel = "imq",
        scales: Scales = (0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0),
    ) -> None:
        super().__init__(parts, width)
        self.weight, self.family, self.scales = weight, kernel, scales

    def forward(self, model: Any, terms: Terms, batch: Batch) -> Tensor:
        if self.weight == 0 or len(batch.x) == 1:
            return terms.distortion.new_zeros(())
        z, prior = codes_of(terms), prior_of(model, batch)
        p = torch.stack([prior_codes(prior, len(batch.x)) for _ in z])
        return self.weight * mean_samples(self.distance(z, p, squared_spread(prior)))

    def distance(self, z: Tensor, p: Tensor, spread: Tensor) -> Tensor:
        """MMD^2, unbiased, of codes z (..., n, width) and draws of the prior p (..., m, width): (...)."""
        weights = pair_weights(z.shape[-2], p.shape[-2], z.dtype, z.device)
        return PairSum.apply(torch.cat([z, p], -2) / spread.detach().to(z).sqrt(), weights, self.scales, self.family)

    def words(self) -> str:
        return (
            f"Regulariser: + {self.weight:g} x MMD^2(codes, prior), {self.family} kernel of {len(self.scales)} scales; "
            "the bound, which has no such term, is logged beside it where there is one."
        )


class PairSum(torch.autograd.Function):
    r"""sum_ij w_ij k(|a_i - a_j|^2) over points a (..., n, width) with symmetric weights w (n, n): (...).

    Its gradient, :math:`4 \sum_j w_{ij} k'_{ij} (a_i - a_j)`, is made beside it, which takes half of autograd's time.
    """

    @staticmethod
    def forward(ctx: Any, a: Tensor, weights: Tensor, sizes: Sequence[float], family: str) -> Tensor:
        shape, a = a.shape, a.reshape(-1, *a.shape[-2:])
        squares = sum_latent(a.square())
        apart = squares[:, :, None] + squares[:, None, :]
        with full_precision(a.device):
            squared = torch.baddbmm(apart, a, a.mT, alpha=-2).clamp_(min=0)
        value, slope, k = torch.zeros_like(squared), torch.zeros_like(squared), torch.empty_like(squared)
        for size in sizes:
            if family == "imq":  # k = size / (size + squared)
                torch.add(squared, size, out=k).reciprocal_()
                value.add_(k, alpha=size)
                slope.addcmul_(k, k, value=-size)
            else:
                torch.mul(squared, -1 / size, out=k).clamp_(min=-80).exp_()
                value.add_(k)
                slope.add_(k, alpha=-1 / size)
        pull = slope.mul_(weights)
        with full_precision(a.device):
            ctx.save_for_backward(torch.baddbmm(pull.sum(-1, keepdim=True) * a, pull, a, alpha=-1).mul_(4).view(shape))
        return value.mul_(weights).sum((-2, -1)).view(shape[:-2])

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Any:  # type: ignore[override]
        return gradient[..., None, None] * ctx.saved_tensors[0], None, None, None


@lru_cache(maxsize=4)
def pair_weights(n: int, m: int, dtype: torch.dtype, device: torch.device) -> Tensor:
    """What each pair of n codes and m draws of the prior weighs in the U-statistic: (n + m, n + m), the same object."""
    weights = torch.full((n + m, n + m), -1 / (n * m), dtype=dtype, device=device)
    weights[:n, :n] = 1 / (n * (n - 1))
    weights[n:, n:] = 1 / (m * (m - 1))
    return weights.fill_diagonal_(0)


def squared_spread(p: Distribution) -> Tensor:
    """The expected squared distance of two draws of p: twice its total variance, measured where it is not known."""
    with torch.no_grad():
        try:
            variance = at_least_float32(p.variance)
        except NotImplementedError:
            variance = prior_codes(p, 1000).var(0)  # not nats: a size of the kernel, from draws of its own
        total = sum_latent(variance)
        return 2 * (total if not total.dim() else total.mean())  # not nats: a size of the kernel
