"""KL divergence in nats **per latent dimension**: closed where a form is registered, else sampled and labelled so.

The pair of types chooses the form (:mod:`lowerbound.maths.forms`); :func:`register_kl` adds one.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from torch import Tensor
from torch.distributions import Distribution

from lowerbound.maths.forms import closed_form, register_kl
from lowerbound.maths.phi import kl_normal, phi, pull
from lowerbound.maths.units import at_least_float32, mean_samples, sum_latent, sum_parts

__all__ = ["Kind", "Rate", "closed_form", "cross_entropy", "entropy", "kl", "kl_normal", "phi", "pull", "register_kl"]

Kind = Literal["closed", "sampled", "none"]


@dataclass(frozen=True)
class Rate:
    """KL(q || p) in nats.

    *Shapes*: ``value`` (batch, latent), one number per latent dimension, where q and p factorise; else (batch, 1).
    ``kind`` is "closed" for an exact form, "sampled" for a Monte Carlo estimate (which may be negative), "none" where
    the divergence is not defined (a deterministic code): ``value`` then has no column.
    """

    value: Tensor
    kind: Kind

    def total(self) -> Tensor:
        """Nats per example, summed over latent dimensions: (batch,)."""
        return sum_latent(self.value)


def kl(q: Distribution, p: Distribution, *, samples: int = 1, z: Tensor | None = None) -> Rate:
    """KL(q || p) in nats per latent dimension: closed where a form is registered, else sampled and labelled so.

    Args:
        q, p: distributions over the latent; batch shape (batch,) with event (latent,), or batch (batch, latent):
            the last axis is always the latent one, also of a Categorical.
        samples: number of samples of q where there is no closed form.
        z: samples (samples, batch, latent) to use instead of fresh ones.

    >>> import torch
    >>> from torch.distributions import Normal
    >>> kl(Normal(torch.tensor([[1.0, 0.0]]), 1.0), Normal(0.0, 1.0))
    Rate(value=tensor([[0.5000, 0.0000]]), kind='closed')
    """
    formula = closed_form(type(q), type(p))
    value = formula(q, p) if formula else None
    if value is not None:
        return Rate(value, "closed")
    if z is None:
        z = q.rsample((samples,)) if q.has_rsample else q.sample((samples,))
    sampled = mean_samples(log_ratio_at(q, p, z))
    return Rate(sampled if sampled.dim() == z.dim() - 1 else sampled[..., None], "sampled")


def log_ratio_at(q: Distribution, p: Distribution, z: Tensor) -> Tensor:
    """log q(z) - log p(z), nats: per latent dimension where both sides factorise, else per sample and example."""
    log_q, log_p = at_least_float32(q.log_prob(z)), at_least_float32(p.log_prob(z))
    axes = min(log_q.dim(), log_p.dim())
    return sum_parts(log_q, log_q.dim() - axes) - sum_parts(log_p, log_p.dim() - axes)


def entropy(q: Distribution) -> Tensor:
    """H(q) in nats per example (for densities it may be negative)."""
    h = at_least_float32(q.entropy())
    return h if q.event_shape or not q.batch_shape else sum_latent(h)


def cross_entropy(q: Distribution, p: Distribution) -> Tensor:
    r"""H(q, p) = -E_q[log p] in nats per example, through KL = H(q, p) - H(q).

    H(q) is *not* a constant of a VAE: the encoder sets it. Minimising H(q, p) alone, as the "KL is cross-entropy up to
    a constant" reading suggests, sends sigma to 0.
    """
    return kl(q, p).total() + entropy(q)
