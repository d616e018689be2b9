"""The symbols joined: x -> q(z|x) -> z -> p(x|z), and the terms of the bound."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn
from torch.distributions import Distribution

from lowerbound.data.dataset import Summary
from lowerbound.maths.terms import Terms
from lowerbound.maths.units import at_least_float32
from lowerbound.model.features import Features
from lowerbound.model.likelihoods import Likelihood
from lowerbound.model.posteriors import Posterior
from lowerbound.model.priors import Prior


@contextmanager
def full_precision(device: torch.device) -> Iterator[None]:
    """Autocast off: what is reduced is reduced in at least float32."""
    if not torch.is_autocast_enabled(device.type):
        yield
        return
    with torch.autocast(device.type, enabled=False):
        yield


class Autoencoder(nn.Module):
    r"""A variational autoencoder: encoder and posterior q(z|x), prior p(z), decoder and likelihood p(x|z).

    .. math:: \log p(x) \ge E_{q(z|x)}[\log p(x|z)] - KL(q(z|x) \| p(z))

    Its forward returns the ledger (:class:`~lowerbound.maths.terms.Terms`); what is made of it is the objective's.
    ``why`` is the sentence that says why this likelihood.
    """

    def __init__(
        self,
        features: Features,
        encoder: nn.Module,
        posterior: Posterior,
        prior: Prior,
        decoder: nn.Module,
        likelihood: Likelihood,
        *,
        why: str = "",
    ) -> None:
        super().__init__()
        self.features, self.encoder, self.posterior = features, encoder, posterior
        self.prior, self.decoder, self.likelihood = prior, decoder, likelihood
        self.latent, self.shape, self.why = prior.latent, likelihood.shape, why

    def encode(self, x: Tensor) -> Distribution:
        """q(z|x) of x (batch, *shape), in data units."""
        return self.posterior(self.encoder(self.features(x)))

    def outputs(self, z: Tensor) -> Tensor:
        """What the decoder emits: z (..., latent) -> (..., *output_shape)."""
        out = self.decoder(z.reshape(-1, self.latent))
        return out.reshape(*z.shape[:-1], *self.likelihood.output_shape)

    def decode(self, z: Tensor) -> Distribution:
        """p(x|z) of z (..., latent): a distribution over (..., *shape)."""
        return self.likelihood(at_least_float32(self.outputs(z)))

    def decode_mean(self, z: Tensor) -> Tensor:
        """The expected x, in data units: z (..., latent) -> (..., *shape)."""
        return self.likelihood.mean(self.outputs(z))  # not nats: the expected x

    def forward(self, x: Tensor, *, noise: Tensor | None = None, samples: int = 1, weights: bool = False) -> Terms:
        """The terms of the bound for x (batch, *shape).

        Args:
            noise: N(0, 1) draws (samples, batch, latent); None draws them from torch's own generator.
            samples: latent samples an example, where ``noise`` is None.
            weights: whether to compute ``log_weight`` too, for importance-weighted bounds.
        """
        q = self.encode(x)
        if noise is None:
            noise = torch.randn(samples, len(x), self.latent, dtype=q.mean.dtype, device=x.device)
        z = q.transform(noise)  # type: ignore[attr-defined]
        out = self.outputs(z)
        with full_precision(x.device):
            log_prob = self.likelihood.log_prob(out, x)
            rate = self.prior.rate(q, z)
            log_weight = log_prob + self.prior().log_prob(z) - q.log_prob(z) if weights else None
        return Terms(-log_prob, rate.value, rate.kind, log_weight)

    def words(self, summary: Summary) -> list[str]:
        """Sentences for people: the likelihood and why, and what is doubtful about it."""
        warning = self.likelihood.warning(summary)
        return [sentence for sentence in (self.why, warning) if sentence]
