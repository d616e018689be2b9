r"""Closed forms of KL(q || p) in nats per latent dimension, registered on pairs of distribution types.

.. math::
    KL(N(m_1,e^{l_1}) \| N(m_2,e^{l_2})) &= \tfrac12[\phi(l_1-l_2) + (m_1-m_2)^2 e^{-l_2}] \\
    KL(\mathrm{Cat}(p) \| \mathrm{Cat}(q)) &= \textstyle\sum_i p_i\,\phi(\log q_i - \log p_i) \\
    KL(\mathrm{Laplace}(m_1,b_1) \| \mathrm{Laplace}(m_2,b_2)) &= \phi(r) + e^r\phi(-|m_1-m_2|/b_1),\; r=\log b_1/b_2

Every term is non-negative and none cancels; an overflow is inf, never NaN.
Source: Kingma & Welling 2014 (arXiv 1312.6114), appendix B, for the Normal against N(0, 1).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.distributions import Bernoulli, Categorical, Independent, Laplace, MultivariateNormal, Normal
from torch.nn import functional as F

from lowerbound.errors import LowerboundError
from lowerbound.maths.normal import DiagonalNormal
from lowerbound.maths.phi import kl_normal, log_ratio, phi, times, weighted_phi
from lowerbound.maths.units import at_least_float32

Formula = Callable[[Any, Any], Tensor | None]

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


@register_kl(Normal, Normal)
def _normal(q: Normal, p: Normal) -> Tensor:
    s1, s2 = at_least_float32(q.scale), at_least_float32(p.scale)
    shift = at_least_float32(q.loc) - at_least_float32(p.loc)
    return 0.5 * (phi(2 * log_ratio(s1, s2)) + times(shift, 1 / s2).square())


@register_kl(DiagonalNormal, DiagonalNormal)
def _diagonal(q: DiagonalNormal, p: DiagonalNormal) -> Tensor:
    return kl_normal(q.mean, q.log_variance, p.mean, p.log_variance)


@register_kl(Normal, DiagonalNormal)
def _normal_diagonal(q: Normal, p: DiagonalNormal) -> Tensor:
    return kl_normal(q.loc, 2 * torch.log(at_least_float32(q.scale)), p.mean, p.log_variance)


@register_kl(DiagonalNormal, Normal)
def _diagonal_normal(q: DiagonalNormal, p: Normal) -> Tensor:
    return kl_normal(q.mean, q.log_variance, p.loc, 2 * torch.log(at_least_float32(p.scale)))


@register_kl(MultivariateNormal, MultivariateNormal)
def _full(q: MultivariateNormal, p: MultivariateNormal) -> Tensor:
    return _triangular(q.mean, q.scale_tril, p.mean, p.scale_tril)


@register_kl(MultivariateNormal, DiagonalNormal)
def _full_diagonal(q: MultivariateNormal, p: DiagonalNormal) -> Tensor:
    """No system to solve: the rows of L1 are divided by the prior's deviations."""
    l2, L1 = at_least_float32(p.log_variance), at_least_float32(q.scale_tril)
    inverse = torch.exp(-0.5 * l2)
    logs = 2 * torch.log(torch.diagonal(L1, dim1=-2, dim2=-1)) - l2
    off = torch.tril(L1 * inverse[..., None], -1)
    distance = at_least_float32(q.mean) - p.mean
    return _joint(logs, off, times(distance, inverse), distance.sum(-1) + L1.sum((-2, -1)))


@register_kl(DiagonalNormal, MultivariateNormal)
def _diagonal_full(q: DiagonalNormal, p: MultivariateNormal) -> Tensor:
    return _triangular(q.mean, torch.diag_embed(q.stddev), p.mean, p.scale_tril)


def _triangular(m1: Tensor, L1: Tensor, m2: Tensor, L2: Tensor) -> Tensor:
    """From two Cholesky factors. The difference is taken before the solve, so that KL(q, q) is exactly 0."""
    m1, L1, m2, L2 = (at_least_float32(a) for a in (m1, L1, m2, L2))
    gap, distance = L1 - L2, m1 - m2
    off = torch.tril(torch.linalg.solve_triangular(L2, gap, upper=False), -1)
    shift = torch.linalg.solve_triangular(L2, distance.unsqueeze(-1), upper=False).squeeze(-1)
    logs = 2 * log_ratio(torch.diagonal(L1, dim1=-2, dim2=-1), torch.diagonal(L2, dim1=-2, dim2=-1))
    return _joint(logs, off, shift, distance.sum(-1) + gap.sum((-2, -1)))


def _joint(logs: Tensor, off: Tensor, shift: Tensor, given: Tensor) -> Tensor:
    r"""With M = L2^-1 L1: 1/2 [ sum phi(2 log M_ii) + sum offdiag(M)^2 + |L2^-1 (m1-m2)|^2 ], shape (batch, 1).

    Every term is non-negative: a NaN that is not in what was ``given`` is an overflow of the solve, and is inf.
    """
    value = 0.5 * (phi(logs).sum(-1) + off.square().sum((-2, -1)) + shift.square().sum(-1))
    overflow = value.isnan() & ~given.isnan() & ~logs.isnan().any(-1)
    return torch.where(overflow, torch.inf, value)[..., None]


@register_kl(Bernoulli, Bernoulli)
def _bernoulli(q: Bernoulli, p: Bernoulli) -> Tensor:
    """a phi(h1) + (1-a) phi(h0), with h1, h0 the differences of log probability of 1 and of 0."""
    if _by_probs(q) and _by_probs(p):
        a, b = at_least_float32(q.probs), at_least_float32(p.probs)
        return _outcome(a, b, b - a) + _outcome(1 - a, 1 - b, a - b)
    return _bernoulli_logits(_logits(q), _logits(p))


def _bernoulli_logits(l1: Tensor, l2: Tensor) -> Tensor:
    """The more likely outcome of q is named 0, by symmetry, so that nothing near 1 is subtracted from 1."""
    flip = torch.where(l1 > 0, -1.0, 1.0).to(l1.dtype)
    l1, l2 = flip * l1, flip * l2
    logs1, logs2 = (F.logsigmoid(l1), F.logsigmoid(-l1)), (F.logsigmoid(l2), F.logsigmoid(-l2))
    near = (l2 - l1).abs() < 1
    h = torch.where(near, l2 - l1, 0.0)
    h0 = -torch.log1p(torch.sigmoid(l1) * torch.expm1(h))
    ones = weighted_phi(logs1[0], logs2[0], torch.where(near, h + h0, logs2[0] - logs1[0]))
    return ones + weighted_phi(logs1[1], logs2[1], torch.where(near, h0, logs2[1] - logs1[1]))


def _outcome(a: Tensor, b: Tensor, gap: Tensor) -> Tensor:
    """One outcome's share from its two probabilities, gap = b - a; finite gradients at probability 0."""
    both = (a > 0) & (b > 0)
    x, y, gap = torch.where(both, b, 1.0), torch.where(both, a, 1.0), torch.where(both, gap, 0.0)
    return weighted_phi(_log(a), _log(b), log_ratio(x, y, gap))


def _log(a: Tensor) -> Tensor:
    return torch.where(a > 0, torch.log(torch.where(a > 0, a, 1.0)), -torch.inf)


def _by_probs(d: Any) -> bool:
    """Whether ``d`` was made from probabilities; its lazy logits are clamped and may not be used then."""
    return "probs" in d.__dict__ and d._param is d.__dict__["probs"]


def _logits(d: Bernoulli) -> Tensor:
    return torch.logit(at_least_float32(d.probs)) if _by_probs(d) else at_least_float32(d.logits)


def _log_probabilities(d: Categorical) -> Tensor:
    return _log(at_least_float32(d.probs)) if _by_probs(d) else at_least_float32(d.logits)


@register_kl(Categorical, Categorical)
def _categorical(q: Categorical, p: Categorical) -> Tensor:
    """sum_i q_i phi(log p_i - log q_i): every term >= 0; a class that q excludes contributes p_i."""
    if _by_probs(q) and _by_probs(p):
        a, b = at_least_float32(q.probs), at_least_float32(p.probs)
        return _outcome(a, b, b - a).sum(-1)
    return weighted_phi(_log_probabilities(q), _log_probabilities(p)).sum(-1)


@register_kl(Laplace, Laplace)
def _laplace(q: Laplace, p: Laplace) -> Tensor:
    """phi(r) + e^r phi(-t), r = log b1/b2, d = |m1-m2|, t = d/b1; for large t, e^r phi(-t) = d/b2 + e^r expm1(-t)."""
    b1, b2 = at_least_float32(q.scale), at_least_float32(p.scale)
    d = (at_least_float32(q.loc) - at_least_float32(p.loc)).abs()
    r, t = log_ratio(b1, b2), d / b1
    ratio = torch.exp(r).clamp(max=torch.finfo(r.dtype).max)
    return phi(r) + torch.where(t < 2, ratio * phi(-t.clamp(max=2.0)), d / b2 + ratio * torch.expm1(-t))


@register_kl(Independent, Independent)
def _independent(q: Independent, p: Independent) -> Tensor | None:
    """Per dimension of the base distributions; the reinterpreted axes become the latent axis."""
    formula = closed_form(type(q.base_dist), type(p.base_dist))
    if formula is None or q.reinterpreted_batch_ndims != p.reinterpreted_batch_ndims:
        return None
    value = formula(q.base_dist, p.base_dist)
    axes = q.reinterpreted_batch_ndims + min(1, len(q.base_dist.event_shape))
    return value if value is None or axes < 2 else value.flatten(-axes)


@register_kl(Independent, DiagonalNormal)
def _independent_diagonal(q: Independent, p: DiagonalNormal) -> Tensor | None:
    return _normal_diagonal(q.base_dist, p) if _one_axis_normal(q) else None


@register_kl(DiagonalNormal, Independent)
def _diagonal_independent(q: DiagonalNormal, p: Independent) -> Tensor | None:
    return _diagonal_normal(q, p.base_dist) if _one_axis_normal(p) else None


def _one_axis_normal(d: Independent) -> bool:
    return type(d.base_dist) is Normal and d.reinterpreted_batch_ndims == 1
