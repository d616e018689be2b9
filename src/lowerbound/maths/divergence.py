r"""KL divergence in nats **per latent dimension**: closed forms registered on pairs of distribution types.

All closed forms are written with one function that is non-negative and loses no digits near zero,

.. math:: \phi(x) = e^x - 1 - x,

so that no form subtracts nearly equal numbers: the textbook Normal form loses every float32 digit at
\|log variance\| < 1e-4, just where collapse is watched.

.. math::
    KL(N(m_1,e^{l_1}) \| N(m_2,e^{l_2})) &= \tfrac12[\phi(l_1-l_2) + (m_1-m_2)^2 e^{-l_2}] \\
    KL(\mathrm{Cat}(p) \| \mathrm{Cat}(q)) &= \textstyle\sum_i p_i\,\phi(\log q_i - \log p_i) \\
    KL(\mathrm{Laplace}(m_1,b_1) \| \mathrm{Laplace}(m_2,b_2)) &= \phi(r) + e^r\phi(-|m_1-m_2|/b_1),\; r=\log b_1/b_2

Source: Kingma & Welling 2014 (arXiv 1312.6114), appendix B, for the Normal against N(0, 1).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor
from torch.distributions import Bernoulli, Categorical, Distribution, Independent, Laplace, MultivariateNormal, Normal
from torch.nn import functional as F

from lowerbound.errors import LowerboundError
from lowerbound.maths.normal import DiagonalNormal
from lowerbound.maths.units import at_least_float32, mean_samples, sum_latent, sum_parts

Kind = Literal["closed", "sampled"]
Formula = Callable[[Any, Any], Tensor]
DEGREE = {torch.float32: 9, torch.float64: 17}


@dataclass(frozen=True)
class Rate:
    """KL(q || p) in nats.

    *Shapes*: ``value`` (batch, latent), one number per latent dimension, where q and p factorise; else (batch, 1).
    ``kind`` is "closed" for an exact form, "sampled" for a Monte Carlo estimate (which may be negative).
    """

    value: Tensor
    kind: Kind

    def total(self) -> Tensor:
        """Nats per example, summed over latent dimensions: (batch,)."""
        return sum_latent(self.value)


class _Phi(torch.autograd.Function):
    """e^x - 1 - x: a Taylor series for |x| < 1/2, expm1(x) - x beyond. Its derivative is expm1(x)."""

    generate_vmap_rule = True

    @staticmethod
    def forward(x: Tensor) -> Tensor:
        degree = DEGREE[x.dtype]
        series = torch.full_like(x, 1 / math.factorial(degree + 2))
        for power in range(degree + 1, 1, -1):
            series.mul_(x).add_(1 / math.factorial(power))
        return torch.where(x.abs() < 0.5, series.mul_(x).mul_(x), torch.expm1(x) - x.clamp(max=1000.0))

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor], output: Tensor) -> None:
        ctx.save_for_backward(*inputs)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:  # type: ignore[override]
        return gradient * torch.expm1(ctx.saved_tensors[0])


def phi(x: Tensor) -> Tensor:
    r""":math:`\phi(x) = e^x - 1 - x \ge 0`, accurate for every x; half precision is raised to float32 first."""
    return _Phi.apply(at_least_float32(x))


def weighted_phi(log_a: Tensor, log_b: Tensor, h: Tensor | None = None) -> Tensor:
    r"""The share of one outcome in a KL: :math:`a\,\phi(h) = b - a - a h \ge 0`, with h = log(b/a) if it is not given.

    It is b where a = 0, inf where only b = 0, and does not overflow where a underflows.
    """
    h = log_b - log_a if h is None else h
    none, lost = log_a == -torch.inf, (log_b == -torch.inf) & (log_a != -torch.inf)
    h, a = torch.where(none | lost, 0.0, h), log_a.exp()
    share = torch.where(h < 2, a * phi(h.clamp(max=2.0)), log_b.exp() - a * (1 + h))
    return torch.where(lost, torch.inf, torch.where(none, log_b.exp(), share))


def log_ratio(x: Tensor, y: Tensor) -> Tensor:
    """log(x / y) of positive numbers, without loss where they nearly agree."""
    near = (x - y).abs() < 0.5 * y
    ratio = torch.where(near, x - y, 0.0) / torch.where(near, y, 1.0)
    return torch.where(near, torch.log1p(ratio), torch.log(x) - torch.log(y))


def kl_normal(m1: Tensor, l1: Tensor, m2: Tensor | float = 0.0, l2: Tensor | float = 0.0) -> Tensor:
    r"""KL( N(m1, e^l1) || N(m2, e^l2) ) per dimension, nats; ``l`` are **log variances**.

    .. math:: \tfrac12\left[\phi(l_1-l_2) + (m_1-m_2)^2 e^{-l_2}\right] \ge 0

    Its gradients are the pull: d/dm1 = (m1-m2) e^-l2 and d/dl1 = (e^(l1-l2) - 1)/2.
    *Shapes*: all broadcast. *Errors*: none; an overflow is inf, never NaN.

    >>> kl_normal(torch.tensor(1.0), torch.tensor(-1.0))
    tensor(0.6839)
    """
    m1, l1 = at_least_float32(m1), at_least_float32(l1)
    if isinstance(m2, float) and isinstance(l2, float) and m2 == 0.0 and l2 == 0.0:
        return 0.5 * (phi(l1) + m1.square())
    shift = m1 - m2
    scaled = _times(shift, torch.exp(-0.5 * torch.as_tensor(l2, dtype=shift.dtype, device=shift.device)))
    return 0.5 * (phi(l1 - l2) + scaled.square())


def _times(shift: Tensor, precision: Tensor) -> Tensor:
    """shift * precision where 0 * inf is 0 (equal means under a point prior) and inf * 0 is inf."""
    limits = torch.finfo(precision.dtype)
    edge = (shift == 0) | shift.isinf()
    return shift * torch.where(edge, precision.clamp(limits.tiny, limits.max), precision)


def pull(mean: Tensor, log_variance: Tensor) -> tuple[Tensor, Tensor]:
    r"""The pull of N(0, 1): gradient of the KL on mu and on log variance, nats per unit.

    .. math:: \partial KL/\partial\mu = \mu, \qquad \partial KL/\partial\log\sigma^2 = (\sigma^2 - 1)/2
    """
    return at_least_float32(mean), 0.5 * torch.expm1(at_least_float32(log_variance))


_FORMULAS: dict[tuple[type, type], Formula] = {}


def register_kl(q: type, p: type) -> Callable[[Formula], Formula]:
    """Decorator: a closed form KL(q || p), nats per latent dimension, for these two distribution types."""

    def add(formula: Formula) -> Formula:
        _FORMULAS[q, p] = formula
        return formula

    return add


def closed_form(q: type, p: type) -> Formula | None:
    """The registered formula for the nearest pair of base types; None if there is none; ambiguity is refused."""
    ranked = [
        (q.__mro__.index(a) + p.__mro__.index(b), formula)
        for (a, b), formula in _FORMULAS.items()
        if a in q.__mro__ and b in p.__mro__
    ]
    if not ranked:
        return None
    nearest = min(distance for distance, _ in ranked)
    formulas = {formula for distance, formula in ranked if distance == nearest}
    if len(formulas) > 1:
        raise LowerboundError(f"two KL forms fit ({q.__name__}, {p.__name__}) equally well; register that pair")
    return formulas.pop()


def kl(q: Distribution, p: Distribution, *, samples: int = 1, z: Tensor | None = None) -> Rate:
    """KL(q || p) in nats per latent dimension: closed where a form is registered, else sampled and labelled so.

    Args:
        q, p: distributions over the latent; batch shape (batch,) with event (latent,), or batch (batch, latent).
        samples: number of samples of q where there is no closed form.
        z: samples (samples, batch, latent) to use instead of fresh ones.

    >>> kl(Normal(torch.tensor([[1.0, 0.0]]), 1.0), Normal(0.0, 1.0))
    Rate(value=tensor([[0.5000, 0.0000]]), kind='closed')
    """
    formula = closed_form(type(q), type(p))
    value = formula(q, p) if formula else None
    if value is not None:
        return Rate(value, "closed")
    if z is None:
        z = q.rsample((samples,)) if q.has_rsample else q.sample((samples,))
    per_sample = at_least_float32(q.log_prob(z)) - at_least_float32(p.log_prob(z))
    return Rate(mean_samples(sum_parts(per_sample, max(per_sample.dim() - 2, 0)))[..., None], "sampled")


def entropy(q: Distribution) -> Tensor:
    """H(q) in nats per example (for densities it may be negative)."""
    return at_least_float32(q.entropy())


def cross_entropy(q: Distribution, p: Distribution) -> Tensor:
    r"""H(q, p) = -E_q[log p] in nats per example, through KL = H(q, p) - H(q).

    H(q) is *not* a constant of a VAE: the encoder sets it. Minimising H(q, p) alone, as the "KL is cross-entropy up to
    a constant" reading suggests, sends sigma to 0.
    """
    h = entropy(q)
    return kl(q, p).total() + (h.sum(-1) if h.dim() > 1 else h)


def _log_variance(scale: Tensor) -> Tensor:
    return 2 * torch.log(at_least_float32(scale))


@register_kl(Normal, Normal)
def _normal(q: Normal, p: Normal) -> Tensor:
    return kl_normal(q.loc, _log_variance(q.scale), p.loc, _log_variance(p.scale))


@register_kl(DiagonalNormal, DiagonalNormal)
def _diagonal(q: DiagonalNormal, p: DiagonalNormal) -> Tensor:
    return kl_normal(q.mean, q.log_variance, p.mean, p.log_variance)


@register_kl(MultivariateNormal, MultivariateNormal)
def _full(q: MultivariateNormal, p: MultivariateNormal) -> Tensor:
    return _triangular(q.mean, q.scale_tril, p.mean, p.scale_tril)


@register_kl(MultivariateNormal, DiagonalNormal)
def _full_diagonal(q: MultivariateNormal, p: DiagonalNormal) -> Tensor:
    return _triangular(q.mean, q.scale_tril, p.mean, torch.diag_embed(p.stddev))


@register_kl(DiagonalNormal, MultivariateNormal)
def _diagonal_full(q: DiagonalNormal, p: MultivariateNormal) -> Tensor:
    return _triangular(q.mean, torch.diag_embed(q.stddev), p.mean, p.scale_tril)


def _triangular(m1: Tensor, L1: Tensor, m2: Tensor, L2: Tensor) -> Tensor:
    r"""With M = L2^-1 L1: 1/2 [ sum offdiag(M)^2 + sum phi(2 log M_ii) + |L2^-1 (m1-m2)|^2 ], shape (batch, 1)."""
    m1, L1, m2, L2 = (at_least_float32(a) for a in (m1, L1, m2, L2))
    M = torch.linalg.solve_triangular(L2, L1, upper=False)
    shift = torch.linalg.solve_triangular(L2, (m1 - m2).unsqueeze(-1), upper=False)
    diagonal = torch.diagonal(M, dim1=-2, dim2=-1)
    off = torch.tril(M, -1).square().sum((-2, -1))
    return 0.5 * (off + phi(2 * torch.log(diagonal)).sum(-1) + shift.square().sum((-2, -1)))[..., None]


@register_kl(Bernoulli, Bernoulli)
def _bernoulli(q: Bernoulli, p: Bernoulli) -> Tensor:
    """p phi(h1) + (1-p) phi(h0), with h1, h0 the differences of log probability of 1 and 0, p <= 1/2 by symmetry."""
    l1, l2 = at_least_float32(q.logits), at_least_float32(p.logits)
    flip = torch.where(l1 > 0, -1.0, 1.0).to(l1.dtype)
    l1, l2 = flip * l1, flip * l2
    h, prob = l2 - l1, torch.sigmoid(l1)
    near = -torch.log1p(prob * torch.expm1(h.clamp(-1, 1)))
    h0 = torch.where(h.abs() < 1, near, F.softplus(l1) - F.softplus(l2))
    h1 = torch.where(h.abs() < 1, h + near, F.logsigmoid(l2) - F.logsigmoid(l1))
    return torch.where(prob == 0, F.softplus(l2), prob * phi(h1)) + (1 - prob) * phi(h0)


@register_kl(Categorical, Categorical)
def _categorical(q: Categorical, p: Categorical) -> Tensor:
    """sum_i q_i phi(log p_i - log q_i): every term >= 0; a class that q excludes contributes p_i."""
    a, b = at_least_float32(q.logits), at_least_float32(p.logits)
    terms = torch.where(a == -torch.inf, b.exp(), a.exp() * phi(torch.where(a == -torch.inf, 0.0, b - a)))
    return terms.sum(-1)


@register_kl(Laplace, Laplace)
def _laplace(q: Laplace, p: Laplace) -> Tensor:
    """phi(r) + e^r phi(-t), with r = log b1/b2 and t = |m1-m2|/b1."""
    r = torch.log(at_least_float32(q.scale)) - torch.log(at_least_float32(p.scale))
    t = (q.loc - p.loc).abs() / q.scale
    return phi(r) + torch.exp(r) * phi(-t)


@register_kl(Independent, Independent)
def _independent(q: Independent, p: Independent) -> Tensor | None:
    """Per dimension of the base distributions; the reinterpreted axes become the latent axis."""
    formula = closed_form(type(q.base_dist), type(p.base_dist))
    if formula is None or q.reinterpreted_batch_ndims != p.reinterpreted_batch_ndims:
        return None
    value = formula(q.base_dist, p.base_dist)
    return value.flatten(len(value.shape) - q.reinterpreted_batch_ndims)
