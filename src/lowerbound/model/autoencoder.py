"""The symbols joined: x -> q(z|x) -> z -> p(x|z), and the terms of the bound."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.distributions import Distribution

from lowerbound.data.dataset import Summary
from lowerbound.errors import InputError
from lowerbound.maths.terms import Terms
from lowerbound.maths.units import at_least_float32
from lowerbound.model.conditions import Condition, Nothing
from lowerbound.model.corruptions import Clean, Corruption
from lowerbound.model.features import Features
from lowerbound.model.likelihoods import Likelihood
from lowerbound.model.posteriors import Posterior
from lowerbound.model.priors import Prior
from lowerbound.model.step_by_step import StepByStep, run


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

    .. math:: \log p(x|c) \ge E_{q(z|x,c)}[\log p(x|z,c)] - KL(q(z|x,c) \| p(z|c))

    Its forward returns the ledger (:class:`~lowerbound.maths.terms.Terms`); what is made of it is the objective's.
    The condition c is empty unless the model has one. ``why`` is the sentence that says why this likelihood.
    ``width`` counts the numbers of a code, ``noise_width`` the N(0, 1) numbers it is made from, ``rate_width`` the
    columns of the rate.
    """

    def __init__(
        self,
        features: Features,
        encoder: nn.Module | None,
        posterior: Posterior,
        prior: Prior,
        decoder: nn.Module,
        likelihood: Likelihood,
        *,
        condition: Condition | None = None,
        corruption: Corruption | None = None,
        why: str = "",
    ) -> None:
        super().__init__()
        self.features, self.encoder, self.posterior = features, encoder, posterior
        self.prior, self.decoder, self.likelihood = prior, decoder, likelihood
        self.condition = condition or Nothing(Summary("real", (0,), torch.zeros(0), torch.zeros(0)))
        self.corruption = corruption or Clean()
        self.latent, self.shape, self.why = prior.latent, likelihood.shape, why

    @property
    def width(self) -> int:
        """The numbers of a code z."""
        return self.posterior.width

    @property
    def noise_width(self) -> int:
        """The N(0, 1) numbers that one code is made from."""
        return self.posterior.noise_width

    @property
    def rate_width(self) -> int:
        """The columns of the rate: one a latent dimension where q and p factorise, else one; none without a bound."""
        if not self.posterior.density:
            return 0
        return self.latent if self.posterior.factorised and self.prior.factorised else 1

    @property
    def has_bound(self) -> bool:
        """Whether there is a density over codes, and with it a bound on log p(x)."""
        return self.posterior.density

    @property
    def has_chains(self) -> bool:
        """Whether chains can move in its codes, which are real numbers: then p(x) needs no encoder to be estimated."""
        return self.posterior.support == "real" and not self.condition.inferred

    @property
    def names_class(self) -> bool:
        """Whether ``class_logits`` answers."""
        return self.posterior.names_class

    def given(self, x: Tensor, y: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """What is modelled of x (batch, *shape) with labels y (batch,), and the condition c (batch, its width)."""
        return self.condition(x, y)

    def head(self, x: Tensor, c: Tensor | None = None) -> Tensor:
        """The encoder's features of x under condition c: (batch, features)."""
        if self.encoder is None and self.latent == 0:
            return x
        if self.encoder is None:
            raise InputError("this model has no encoder (posterior none)", mend="it can sample, not encode")
        features = self.features(x)
        seen = self.features.ended(self.corruption(features), features)
        if not self.condition.seen and c is not None:
            seen = joined(seen, c, getattr(self.encoder, "inputs", None))
        return self.encoder(seen)

    def encode(self, x: Tensor, y: Tensor | None = None) -> Any:
        """q(z|x) of x (batch, *shape), in data units, or q(z|x, c) where the model has a condition."""
        return self.posterior(self.head(x, None if self.condition.seen else self.given(x, y)[1]))

    def prior_at(self, c: Tensor | None = None) -> Distribution:
        """p(z), or p(z|c): an event is a code (width,)."""
        return self.prior.at(self, c)

    def outputs(self, z: Tensor, c: Tensor | None = None, x: Tensor | None = None) -> Tensor:
        """What the decoder emits: z (..., width), c (batch, its width) -> (..., *output_shape).

        Only an autoregressive decoder reads x (batch, *shape), what comes before each of its steps; without x it reads
        the likeliest of its own.
        """
        seen = self.seen(z, c)
        flat = seen.reshape(-1, seen.shape[-1])
        if not self.autoregressive:
            out = self.decoder(flat)
        elif x is None:
            return run(self, z, c, draw=False)[0]
        else:
            before = self.features(x)
            before = before.expand(*z.shape[:-1], *before.shape[1:]).reshape(-1, *before.shape[1:])
            out = self.decoder(flat, before)
        return out.reshape(*z.shape[:-1], *self.likelihood.output_shape)

    @property
    def autoregressive(self) -> bool:
        """Whether the decoder reads what it emits, so that p(x|z) is a product of p(x_t | x_<t, z)."""
        return getattr(self.decoder, "autoregressive", False)

    def seen(self, z: Tensor, c: Tensor | None = None) -> Tensor:
        """What the decoder sees of codes z (..., width) and conditions c (batch, their width): (..., numbers)."""
        seen = self.posterior.represent(z)
        if self.condition.width:
            if c is None:
                raise InputError("the decoder needs the condition", where="condition", mend="give labels or the part")
            if c.shape[-1] != self.condition.width or c.shape[:-1] not in ((), (1,), z.shape[-2:-1], z.shape[:-1]):
                what = f"codes {tuple(z.shape)} have conditions of the shape {tuple(c.shape)}"
                raise InputError(what, where="condition", mend=f"give {self.condition.width} numbers for each code")
            seen = torch.cat([seen, c.to(seen).expand(*seen.shape[:-1], self.condition.width)], -1)
        return seen

    def decode(self, z: Tensor, c: Tensor | None = None) -> Distribution:
        """p(x|z) of z (..., width): a distribution over (..., *shape)."""
        if self.autoregressive:
            return StepByStep(self, z, c)
        return self.likelihood(at_least_float32(self.outputs(z, c)))

    def decode_mean(self, z: Tensor, c: Tensor | None = None) -> Tensor:
        """The expected x, in data units: z (..., width) -> (..., *shape)."""
        return self.likelihood.mean(self.outputs(z, c))  # not nats: the expected x

    def class_logits(self, x: Tensor) -> Tensor:
        """Logits of the class of x (batch, classes), where the code names one."""
        return self.posterior.class_logits(self.head(x))

    def log_joint(self, z: Tensor, x: Tensor, y: Tensor | None = None) -> Tensor:
        """log p(x|z) + log p(z) in nats: z (samples, batch, width), x (batch, *shape) -> (samples, batch)."""
        target, c = self.given(x, y)
        return self.likelihood.log_prob(self.outputs(z, c, target), target) + self.prior_at(c).log_prob(z)

    def forward(
        self,
        x: Tensor,
        *,
        y: Tensor | None = None,
        noise: Tensor | None = None,
        samples: int = 1,
        weights: bool = False,
    ) -> Terms:
        """The terms of the bound for x (batch, *shape).

        Args:
            y: labels (batch,), where the model's condition asks for them.
            noise: N(0, 1) draws (samples, batch, noise_width); None draws them from torch's own generator.
            samples: latent samples an example, where ``noise`` is None.
            weights: whether to compute ``log_weight`` too, for importance-weighted bounds.
        """
        target, c = self.given(x, y)
        q = self.posterior(self.head(x, c))
        if noise is None:
            noise = torch.randn(samples, len(x), self.noise_width, dtype=x.dtype, device=x.device)
        z = q.transform(noise)
        out = self.outputs(z, c, target)
        with full_precision(x.device):
            log_prob = self.likelihood.log_prob(out, target)
            if not self.posterior.density:
                return Terms(-log_prob, log_prob.new_zeros(len(x), 0), "none", None, z, q, None)
            p = self.prior_at(c)
            rate = self.prior.rate(q, z, p)
            log_weight = log_prob + p.log_prob(z) - q.log_prob(z) if weights else None
        return Terms(-log_prob, rate.value, rate.kind, log_weight, z, q, p)

    def words(self, summary: Summary) -> list[str]:
        """Sentences for people: the likelihood and why, and what is doubtful about it."""
        warning = self.likelihood.warning(summary)
        return [sentence for sentence in (self.why, warning) if sentence]


def joined(features: Tensor, c: Tensor, inputs: tuple[int, ...] | None) -> Tensor:
    """Features and condition as a network of these ``inputs`` takes them: further channels, or further numbers."""
    if inputs is not None and len(inputs) == 2:
        return torch.cat([c.to(features).unsqueeze(1).expand(-1, inputs[0], -1), features], -1)
    if inputs is not None and len(inputs) == 3:
        planes = c[:, :, None, None].expand(-1, -1, *features.shape[2:])
        return torch.cat([features, planes.to(features)], 1)
    return torch.cat([features.flatten(1), c.to(features)], 1)
