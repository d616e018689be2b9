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
from lowerbound.errors import InputError
from lowerbound.maths.units import Estimate, log_mean_exp, mean_examples, mean_samples, sum_latent
from lowerbound.training.randomness import noise

ACTIVE = 0.01
"""Nats: a latent dimension whose average rate is above this is active (the threshold is stated wherever it is used)."""
MOST = 100_000
"""Samples an example, which are held in memory together."""


@dataclass(frozen=True)
class Measured:
    """Per-example figures of one split, float64 on the CPU, in nats.

    *Shapes*: ``distortion`` (n,), ``rate`` (n, latent), (n, 1), or (n, 0) where the model has no bound, ``mean``
    (n, width), posterior means, if asked; ``iwae`` (n,), the importance-weighted bound, if asked.
    """

    distortion: Tensor
    rate: Tensor
    mean: Tensor | None = None
    iwae: Tensor | None = None
    blind: bool = False

    @property
    def bounded(self) -> bool:
        """Whether the model has a bound: a rate, and with it a density over codes."""
        return self.rate.shape[1] > 0 or self.blind

    @property
    def bound(self) -> Tensor:
        """The importance-weighted bound where it was asked for, else the ELBO: (n,), higher is better."""
        return self.elbo if self.iwae is None else self.iwae

    @property
    def elbo(self) -> Tensor:
        """-(distortion + rate) per example, (n,), higher is better."""
        if not self.bounded:
            raise InputError("the model has no density over its codes, and so no bound", mend="use its distortion")
        return -(self.distortion + sum_latent(self.rate))

    def rate_per_dimension(self) -> Tensor:
        """Average nats per latent dimension, (latent,)."""
        return mean_examples(self.rate)

    def active(self) -> int:
        """How many dimensions carry more than ``ACTIVE`` nats on average."""
        return int((self.rate_per_dimension() > ACTIVE).sum())

    def row(self) -> dict[str, Any]:
        """The line of the metrics file; one example alone has no standard error."""
        bound = Estimate.of(self.bound) if self.bounded else None
        row = {} if self.iwae is None else {"elbo": Estimate.of(self.elbo).value}
        return row | {
            "bound": bound.value if bound else None,
            "bound_stderr": bound.stderr if bound and math.isfinite(bound.stderr) else None,
            "rate": Estimate.of(sum_latent(self.rate)).value if bound else None,
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
    weighted: bool = False,
) -> Measured:
    """Distortion and rate of every example of ``split``, and with ``means`` its posterior mean.

    Args:
        model: an :class:`~lowerbound.model.autoencoder.Autoencoder`.
        samples: latent samples an example for the distortion.
        seed: of the noise, which is keyed by the example's row: the same for any batch size.
        batch: rows at a time; changes memory and speed only.
        weighted: whether to measure the importance-weighted bound of these samples too.

    Raises:
        InputError: more samples than are held at a time.
    """
    if samples > MOST:
        what, mend = f"{samples:,} samples an example", f"give at most {MOST:,}; method importance takes more"
        raise InputError(what, where="samples", mend=mend)
    parameter = next(model.parameters())
    batch = max(1, batch // samples)
    distortion, rate, mean, iwae = [], [], [], []
    with evaluating(model):
        for first in range(0, len(data.splits[split]), batch):
            last = min(first + batch, len(data.splits[split]))
            x = data.batch(split, torch.arange(first, last)).to(parameter.device)
            x = x.double() if parameter.dtype == torch.float64 else x
            y = labels_for(model, data, split, torch.arange(first, last))
            drawn = noise(seed, first, last, samples, model.noise_width).to(parameter.device, parameter.dtype)
            ledger = model(x, y=y, noise=drawn, weights=weighted)
            distortion.append(mean_samples(ledger.distortion.double()).cpu())
            rate.append(ledger.rate.double().cpu())
            if means:
                mean.append(model.encode(x, y).mean.double().cpu())
            if weighted:
                iwae.append(log_mean_exp(ledger.log_weight.double()).cpu())
    return Measured(
        torch.cat(distortion),
        torch.cat(rate),
        torch.cat(mean) if means else None,
        torch.cat(iwae) if weighted else None,
        blind=model.has_bound and not model.rate_width,
    )


def labels_for(model: Any, data: Data, split: str, rows: Tensor) -> Tensor | None:
    """The labels of ``rows`` where the model is conditioned on them and does not infer them; else None."""
    condition = model.condition
    if not condition.labelled or condition.inferred:
        return None
    y = data.labels(split, rows)
    if y is None:
        raise InputError("the model is conditioned on labels, and these data have none", where=data.name)
    return y.to(next(model.parameters()).device)
