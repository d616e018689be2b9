"""The Parzen-window log-likelihood of the GAN papers, which is none: shown only beside a real estimate, with why."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from lowerbound.errors import InputError
from lowerbound.maths.units import Estimate, log_mean_exp, mean_examples
from lowerbound.readers import pictures
from lowerbound.training.load import Trained

WIDTHS = tuple(float(s) for s in np.logspace(-2, 0.5, 26))
"""Widths tried, in units of the deviation of the samples."""

SAMPLES = 10_000
BLOCK = 500
WARNINGS = (
    "The Parzen figure is no log-likelihood of the model. It is that of a blur of its samples: a density over real "
    "numbers, so in another unit than the figure above it where the data are discrete, and in more than a few "
    "dimensions below the model's own by nats that grow with the dimension.",
    "It does not even order models: the cluster centres of the training set beat draws from the true distribution "
    "(Theis et al. 2016, table 1; Wu et al. 2017). It is here so that old tables can be read, not to be compared.",
)


def parzen(samples: Tensor, x: Tensor, width: float) -> Tensor:
    r"""log of a mixture of equal Normals around the samples, nats per example, higher is better: (n,) float64.

    .. math:: \log \frac1m \sum_i N(x; s_i, \sigma^2 I)

    *Shapes*: ``samples`` (m, D), ``x`` (n, D). *Source*: Parzen 1962; as Goodfellow et al. 2014, section 5, use it.

    >>> parzen(torch.zeros(1, 2), torch.zeros(1, 2), 1.0)
    tensor([-1.8379], dtype=torch.float64)
    """
    s, D = samples.double(), x.shape[1]
    return torch.cat([windowed(torch.cdist(s, block), D, width) for block in x.double().split(BLOCK)])


def windowed(distance: Tensor, D: int, width: float) -> Tensor:
    """The log density at n points in D dimensions from their distances (m, n) to the samples: (n,) nats."""
    return log_mean_exp(-(distance**2) / (2 * width**2)) - 0.5 * D * math.log(2 * math.pi * width**2)


def best_width(samples: Tensor, valid: Tensor) -> float:
    """The width of :data:`WIDTHS`, times the deviation of the samples, that gives the validation rows (n, D) most."""
    s, D = samples.double(), valid.shape[1]
    widths = [w * (float(s.std()) or 1.0) for w in WIDTHS]
    found: list[list[Tensor]] = [[] for _ in widths]
    for block in valid.double().split(BLOCK):
        distance = torch.cdist(s, block)
        for kept, width in zip(found, widths, strict=True):
            kept.append(windowed(distance, D, width))
    return widths[int(np.argmax([mean_examples(torch.cat(kept)).item() for kept in found]))]


@dataclass(frozen=True)
class Beside:
    """A Parzen figure and the real estimate that it must stand beside; there is no way to print the one alone."""

    parzen: Estimate
    width: float
    samples: int
    real: Estimate
    what: str
    split: str
    values: str

    def json(self) -> dict[str, Any]:
        """JSON-ready figures."""
        return {
            "log_likelihood": self.real.json() | {"what": self.what},
            "parzen": self.parzen.json() | {"what": "density of a blur of samples, not of the model"},
            "width": self.width,
            "samples": self.samples,
            "values": self.values,
            "split": self.split,
            "warnings": list(WARNINGS),
        }

    def lines(self) -> list[str]:
        """The real figure first, then the other, then why they differ."""
        return [
            f"log p(x)  {self.real}   {self.what}",
            f"Parzen    {self.parzen}   window {self.width:.3g} around {self.samples:,} samples, {self.values}",
            *WARNINGS,
        ]


def parzen_beside(
    trained: Trained,
    real: Estimate,
    what: str,
    split: str = "test",
    *,
    rows: Tensor | None = None,
    samples: int = SAMPLES,
    seed: int = 0,
) -> Beside:
    """The Parzen figure of a run, by the protocol of the GAN papers, beside a real estimate of log p(x).

    Samples are expected values, as there; the width is chosen on the validation split; levels are scaled to [0, 1].

    Args:
        real: the real estimate of the same examples, by annealed importance sampling or importance sampling.
        what: what that estimate is, in words.
        rows: which examples of the split; None means all.
        samples: how many the window is laid around.
        seed: of the samples.

    Raises:
        InputError: the data are a table, or the run has no validation split to choose the width on.
    """
    data = trained.data
    if data.kind == "table":
        raise InputError("rows of mixed columns have no window", where="data", mend="use the bound: evaluate")
    for name in ("valid", split):
        if name not in data.splits or not len(data.splits[name]):
            raise InputError(f"the run has no examples in split {name!r}", where="split", mend="the window needs both")
    top = data.levels - 1 if data.levels else 1
    made = pictures.sample(trained, samples, seed=seed).flatten(1) / top
    chosen = torch.arange(len(data.splits[split])) if rows is None else rows
    valid = data.batch("valid", torch.arange(len(data.splits["valid"]))).flatten(1) / top
    x = data.batch(split, chosen).flatten(1) / top
    width = best_width(made, valid)
    values = "values scaled to [0, 1]" if data.levels else "in the units of the data"
    return Beside(Estimate.of(parzen(made, x, width)), width, samples, real, what, split, values)
