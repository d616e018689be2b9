r"""The ledger: all that passes from a model to an objective.

.. math:: \log p(x) \ge \underbrace{E_q[\log p(x|z)]}_{-\text{distortion}} - \underbrace{KL(q(z|x)\|p(z))}_{\text{rate}}
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from torch import Tensor
from torch.distributions import Distribution

from lowerbound.errors import InputError
from lowerbound.maths.divergence import Kind, kl, log_ratio_at
from lowerbound.maths.units import at_least_float32, log_mean_exp, mean_samples, sum_latent, sum_parts


@dataclass(frozen=True)
class Terms:
    """The terms of the bound for a batch, in nats.

    *Shapes*: ``distortion`` (samples, batch) = -log p(x|z); ``rate`` (batch, latent), KL per latent dimension where q
    and p factorise, else (batch, 1); ``log_weight`` (samples, batch) = log p(x, z) - log q(z|x), or None where nobody
    asked for it; ``kind`` says whether the rate is "closed" or "sampled", or "none" where there is no bound: the rate
    then has no column. ``z`` (samples, batch, width) are the codes behind the terms, ``q`` and ``p`` their posterior
    and prior: what bounds and regularisers of the code read.
    *Sign*: rate and distortion lower is better; ``elbo`` and ``iwae`` higher is better.
    """

    distortion: Tensor
    rate: Tensor
    kind: Kind
    log_weight: Tensor | None = None
    z: Tensor | None = None
    q: Any = None
    p: Any = None

    def elbo(self) -> Tensor:
        """-(rate + distortion) at beta = 1, nats per example: (batch,)."""
        if self.kind == "none":
            raise InputError("a model without a density over its codes has no bound", mend="use its distortion")
        return -(mean_samples(self.distortion) + sum_latent(self.rate))

    def iwae(self) -> Tensor:
        """The importance-weighted bound, nats per example: (batch,). Burda et al. 2016 (1509.00519), eq. 8."""
        if self.log_weight is None:
            raise InputError("these terms carry no importance weights", mend="ask the model for them: weights=True")
        return log_mean_exp(self.log_weight)


def terms(log_likelihood: Tensor, q: Distribution, p: Distribution, z: Tensor | None = None) -> Terms:
    """The ledger of your own loop, from ``torch.distributions`` objects.

    Args:
        log_likelihood: log p(x|z) in nats, summed over the parts of each example: (batch,) or (samples, batch).
        q, p: posterior and prior over the latent.
        z: the samples (samples, batch, latent) behind ``log_likelihood``; gives the importance weights too.
    """
    if log_likelihood.dim() not in (1, 2):
        what = f"log_likelihood has shape {tuple(log_likelihood.shape)}"
        raise InputError(what, where="terms", mend="sum it over pixels to (batch,) or (samples, batch)")
    distortion = -at_least_float32(log_likelihood).reshape(-1, log_likelihood.shape[-1])
    rate = kl(q, p, z=z)
    if rate.value.dim() != 2 or len(rate.value) != distortion.shape[1]:
        what = f"KL(q || p) has shape {tuple(rate.value.shape)} for {distortion.shape[1]} examples"
        raise InputError(what, where="terms", mend="give q the batch shape (batch,) or (batch, latent)")
    if z is None:
        return Terms(distortion, rate.value, rate.kind, q=q, p=p)
    ratio = log_ratio_at(q, p, z)
    log_weight = -distortion - sum_parts(ratio, ratio.dim() - 2)
    return Terms(distortion, rate.value, rate.kind, log_weight, z, q, p)


def elbo(log_likelihood: Tensor, q: Distribution, p: Distribution) -> Tensor:
    """The evidence lower bound in nats per example, (batch,), higher is better; the bound itself, beta = 1.

    >>> import torch
    >>> q = torch.distributions.Normal(torch.tensor([[1.0, 0.0]]), 1.0)
    >>> elbo(torch.tensor([-10.0]), q, torch.distributions.Normal(0.0, 1.0))
    tensor([-10.5000])
    """
    return terms(log_likelihood, q, p).elbo()
