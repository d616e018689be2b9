"""Measure a model on a split: per-example figures that no batch size, order or batch boundary can change."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from lowerbound.data.dataset import Data
from lowerbound.maths.units import Estimate, mean_examples, mean_samples, sum_latent
from lowerbound.training.randomness import noise

ACTIVE = 0.01
"""Nats: a latent dimension whose average rate is above this is active (the threshold is stated wherever it is used)."""


@dataclass(frozen=True)
class Measured:
    """Per-example figures of one split, float64 on the CPU, in nats.

    *Shapes*: ``distortion`` (n,), ``rate`` (n, latent) or (n, 1), ``mean`` (n, latent), posterior means, if asked.
    """

    distortion: Tensor
    rate: Tensor
    mean: Tensor | None = None

    @property
    def elbo(self) -> Tensor:
        """-(distortion + rate) per example, (n,), higher is better."""
        return -(self.distortion + sum_latent(self.rate))

    def rate_per_dimension(self) -> Tensor:
        """Average nats per latent dimension, (latent,)."""
        return mean_examples(self.rate)

    def active(self) -> int:
        """How many dimensions carry more than ``ACTIVE`` nats on average."""
        return int((self.rate_per_dimension() > ACTIVE).sum())

    def row(self) -> dict[str, Any]:
        """The line of the metrics file; one example alone has no standard error."""
        bound = Estimate.of(self.elbo)
        return {
            "bound": bound.value,
            "bound_stderr": bound.stderr if math.isfinite(bound.stderr) else None,
            "rate": Estimate.of(sum_latent(self.rate)).value,
            "distortion": Estimate.of(self.distortion).value,
            "rate_per_dimension": self.rate_per_dimension().tolist(),
            "active_dimensions": self.active(),
        }


@contextmanager
def evaluating(model: torch.nn.Module) -> Iterator[None]:
    """Evaluation mode without gradients; the former mode afterwards."""
    before = model.training
    model.eval()
    try:
        with torch.no_grad():
            yield
    finally:
        model.train(before)


def measure(
    model: Any,
    data: Data,
    split: str = "valid",
    *,
    samples: int = 1,
    seed: int = 0,
    batch: int = 1000,
    means: bool = False,
) -> Measured:
    """Distortion and rate of every example of ``split``, and with ``means`` its posterior mean.

    Args:
        model: an :class:`~lowerbound.model.autoencoder.Autoencoder`.
        samples: latent samples an example for the distortion.
        seed: of the noise, which is keyed by the example's row: the same for any batch size.
        batch: rows at a time; changes memory and speed only.
    """
    parameter = next(model.parameters())
    distortion, rate, mean = [], [], []
    with evaluating(model):
        for first in range(0, len(data.splits[split]), batch):
            last = min(first + batch, len(data.splits[split]))
            x = data.batch(split, torch.arange(first, last)).to(parameter.device)
            x = x.double() if parameter.dtype == torch.float64 else x
            drawn = noise(seed, first, last, samples, model.latent).to(parameter.device, parameter.dtype)
            ledger = model(x, noise=drawn)
            distortion.append(mean_samples(ledger.distortion.double()).cpu())
            rate.append(ledger.rate.double().cpu())
            if means:
                mean.append(model.encode(x).mean.double().cpu())
    return Measured(torch.cat(distortion), torch.cat(rate), torch.cat(mean) if means else None)
