r"""Score examples: the bound of each in nats with its Monte Carlo error, and what each of its values costs.

.. math::
    \text{elbo} = \tfrac1K\textstyle\sum_k \left[\log p(x|z_k)\right] - \text{rate}, \qquad
    \text{iwae} = \log \tfrac1K\textstyle\sum_k w_k, \quad w_k = \frac{p(x, z_k)}{q(z_k|x)}, \quad z_k \sim q(z|x).

Both lie below log p(x) in expectation; a strange example has a low bound. The error of the first is the deviation over
samples over the root of K; that of the second is that of the mean weight, divided by it (the delta method):
sqrt((K / ess - 1) / (K - 1)), with ess = (sum w)^2 / sum w^2. Both tell of noise, not of the gap to log p(x).
Source: Kingma & Welling 2014 (1312.6114), eq. 3; Burda et al. 2016 (1509.00519), eq. 8; Owen 2013, ch. 9, for ess.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor

from lowerbound.data.dataset import Data
from lowerbound.data.load import from_array
from lowerbound.errors import InputError, nearest
from lowerbound.maths.terms import Terms
from lowerbound.maths.units import Estimate, at_least_float32, log_mean_exp, mean_samples, sum_latent
from lowerbound.training.load import Trained
from lowerbound.training.measure import evaluating, labels_for
from lowerbound.training.randomness import BLOCK, borrowed, mix, noise, reseed

Estimator = Literal["elbo", "iwae"]
ESTIMATORS = ("elbo", "iwae")
SAMPLES, PIECE, STREAM = 16, 16, 31
"""Latent samples an example; samples that are decoded at a time; the key of what is drawn besides."""


@dataclass(frozen=True)
class Scores:
    """Figures of each example, float64 arrays in nats.

    *Shapes*: ``bound``, ``stderr``, ``rate``, ``distortion`` (n,); ``features`` (n, *shape), the distortion of each
    value, which sum to ``distortion``, or None; ``ess`` (n,) for iwae; ``rows`` (n,), positions in the source.
    *Sign*: ``bound`` higher is better; the others lower. ``stderr`` is NaN for one sample. ``bounded`` is what is.
    """

    bound: np.ndarray
    stderr: np.ndarray
    rate: np.ndarray
    distortion: np.ndarray
    features: np.ndarray | None
    ess: np.ndarray | None
    rows: np.ndarray
    labels: np.ndarray | None
    estimator: Estimator
    samples: int
    seed: int
    names: tuple[str, ...]
    bounded: str = "log p(x)"

    @property
    def strangeness(self) -> np.ndarray:
        """-bound, nats: an upper bound on -log p(x) in expectation. The higher, the stranger the example."""
        return -self.bound

    def strangest(self, n: int) -> np.ndarray:
        """The places (n,) of the examples with the lowest bounds, lowest first; ties in order."""
        return np.argsort(self.bound, kind="stable")[:n]

    def columns(self) -> dict[str, np.ndarray]:
        """One column a figure, in the order of a table; the distortion of a value is called distortion:NAME."""
        found = {"row": self.rows, "bound": self.bound, "stderr": self.stderr}
        found |= {"rate": self.rate, "distortion": self.distortion}
        if self.ess is not None:
            found["ess"] = self.ess
        if self.labels is not None:
            found["label"] = self.labels
        if self.features is not None:
            flat = self.features.reshape(len(self.bound), -1)
            found |= {f"distortion:{name}": flat[:, j] for j, name in enumerate(self.names)}
        return found

    def json(self, top: int = 10) -> dict[str, Any]:
        """JSON-ready: the mean with its error over examples, and the strangest examples."""
        return {
            "bound": Estimate.of(torch.from_numpy(self.bound)).json()
            | {"what": f"lower bound on {self.bounded}" + ("" if self.estimator == "elbo" else " in expectation")},
            "estimator": self.estimator,
            "samples": self.samples,
            "seed": self.seed,
            "examples": len(self.bound),
            "unit": "nats",
            "strangest": [
                {
                    "row": int(self.rows[i]),
                    "bound": float(self.bound[i]),
                    "stderr": float(self.stderr[i]) if np.isfinite(self.stderr[i]) else None,
                    "rate": float(self.rate[i]),
                    "distortion": float(self.distortion[i]),
                    "dearest": dict(self.dearest(int(i))),
                }
                for i in self.strangest(top)
            ],
        }

    def dearest(self, i: int, n: int = 3) -> list[tuple[str, float]]:
        """The n values of example i that cost most nats, with what they cost."""
        if self.features is None:
            return []
        cost = self.features[i].reshape(-1)
        return [(self.names[j], float(cost[j])) for j in np.argsort(-cost, kind="stable")[:n]]

    def lines(self, top: int = 10) -> list[str]:
        """The figures for people: the whole, then the strangest examples."""
        mean = Estimate.of(torch.from_numpy(self.bound))
        known = self.stderr[np.isfinite(self.stderr)]
        error = f"; Monte Carlo error of one: median {np.median(known):.3f} nats" if len(known) else ""
        head = f"{self.estimator} on {self.bounded}, {self.samples} sample(s) an example: {mean}{error}"
        rows = [f"{'row':>8}{'bound':>12}{'± MC':>9}{'rate':>9}{'distortion':>12}   dearest values, nats"]
        for i in self.strangest(top):
            dear = ", ".join(f"{name} {cost:.2f}" for name, cost in self.dearest(int(i)))
            spread = f"{self.stderr[i]:.3f}" if np.isfinite(self.stderr[i]) else "-"
            figures = f"{self.bound[i]:12.3f}{spread:>9}{self.rate[i]:9.3f}{self.distortion[i]:12.3f}"
            rows.append(f"{self.rows[i]:>8}{figures}   {dear}".rstrip())
        return [head, "strangest examples, lowest bound first:", *rows]


def score(
    trained: Trained,
    x: Any = None,
    *,
    split: str = "test",
    samples: int = SAMPLES,
    estimator: Estimator = "elbo",
    seed: int = 0,
    batch: int = 500,
    features: bool = True,
) -> Scores:
    """Score examples by a trained run.

    Args:
        x: an array (n, *shape) or Data to be read as those of training were; None is the run's own ``split``.
        samples: latent samples an example; up to 16, the elbo is that of ``evaluate`` with the same seed.
        estimator: "elbo", or "iwae" (tighter, and closer to log p(x) the more samples).
        batch: rows at a time; changes no figure.
        features: whether to say what each value costs; not known where a label is summed over.

    Raises:
        InputError: the model has no bound, or x is not like the data of training.
    """
    if not trained.model.has_bound:
        what = "its code has no density, so that there is no bound to score by"
        raise InputError(what, where=trained.run.path, mend="use a run with a posterior such as normal")
    if estimator not in ESTIMATORS:
        raise InputError(f"unknown estimator {estimator!r}", where="estimator", mend=nearest(estimator, ESTIMATORS))
    if samples < 1:
        raise InputError(f"must be at least 1, got {samples}", where="samples", mend="give a positive number")
    data, name = source(trained, x, split)
    features = features and not trained.model.condition.inferred
    pieces = [
        measured(trained.model, *rows, samples, estimator, seed, features)
        for rows in batches(data, name, trained.model, seed, batch)
    ]
    joined = [torch.cat(column).numpy() if column[0] is not None else None for column in zip(*pieces, strict=True)]
    part = data.splits[name]
    rows = part.rows if part.rows is not None else np.arange(len(part))
    told = estimator, samples, seed, value_names(trained), trained.model.condition.bounded
    return Scores(*joined, rows, part.labels, *told)  # type: ignore


def source(trained: Trained, x: Any, split: str) -> tuple[Data, str]:
    """The data to score, and the name of the split."""
    if x is not None:
        return (x if isinstance(x, Data) else from_array(x, like=trained.run.record())), "train"
    if split not in trained.data.splits or not len(trained.data.splits[split]):
        known = ", ".join(name for name, part in trained.data.splits.items() if len(part))
        raise InputError(f"the run has no examples in split {split!r}", where="split", mend=f"it has: {known}")
    return trained.data, split


def value_names(trained: Trained) -> tuple[str, ...]:
    """The names of the values that are modelled."""
    parts = math.prod(trained.model.likelihood.shape)
    names = trained.run.record().get("column_names") or ()
    return tuple(names) if len(names) == parts else tuple(f"x{j}" for j in range(parts))


def batches(
    data: Data, split: str, model: Any, seed: int, batch: int
) -> Iterator[tuple[Tensor, Tensor | None, int, int]]:
    """x, labels, first and last row: read in blocks whose draws are keyed by the block, handed on in batches."""
    like, n = next(model.parameters()), len(data.splits[split])
    for start in range(0, n, BLOCK):
        rows = torch.arange(start, min(start + BLOCK, n))
        with borrowed(torch.device("cpu")):
            reseed(torch.device("cpu"), STREAM, seed, start // BLOCK)
            x = data.batch(split, rows)
        x = x.to(like) if like.dtype == torch.float64 else x.to(like.device)
        for first in range(0, len(rows), batch):
            last = min(first + batch, len(rows))
            y = labels_for(model, data, split, rows[first:last])
            yield x[first:last], y, start + first, start + last


def measured(
    model: Any,
    x: Tensor,
    y: Tensor | None,
    first: int,
    last: int,
    samples: int,
    estimator: str,
    seed: int,
    features: bool,
) -> tuple[Tensor | None, ...]:
    """bound, stderr, rate, distortion, features and ess of the rows first..last-1, float64 on the CPU."""
    bounds, distortions, rates, costs = [], [], [], torch.zeros((), dtype=torch.float64)
    weights = estimator == "iwae" or not model.condition.inferred
    with evaluating(model):
        for piece, begin in enumerate(range(0, samples, PIECE)):
            count = min(PIECE, samples - begin)
            drawn = noise(seed if piece == 0 else mix(seed, piece), first, last, count, model.noise_width)
            terms = model(x, y=y, noise=drawn.to(x.device, next(model.parameters()).dtype), weights=weights)
            distortions.append(terms.distortion.double().cpu())
            rates.append(count * sum_latent(terms.rate.double()).cpu())
            weighted = weights and (estimator == "iwae" or terms.kind == "sampled")
            bounds.append((terms.log_weight if weighted else one_by_one(terms)).double().cpu())
            if features:
                costs = costs + of_each(model, x, y, terms.z).sum(0)
    each, distortion = torch.cat(bounds), mean_samples(torch.cat(distortions))
    rate = torch.stack(rates).sum(0) / samples
    shares = torch.softmax(each, 0)
    ess = 1 / shares.square().sum(0) if estimator == "iwae" else None
    bound = log_mean_exp(each) if estimator == "iwae" else mean_samples(each)
    return bound, error(each, bound, estimator), rate, distortion, costs / samples if features else None, ess


def one_by_one(terms: Terms) -> Tensor:
    """The bound from each sample alone, (samples, batch), with the closed rate."""
    return -(terms.distortion + sum_latent(terms.rate))


def of_each(model: Any, x: Tensor, y: Tensor | None, z: Tensor) -> Tensor:
    """-log p of each value, (samples, batch, *shape), nats, float64."""
    target, c = model.given(x, y)
    log_prob = model.likelihood(at_least_float32(model.outputs(z, c, target))).log_prob(target)
    return -log_prob.double().cpu()


def error(each: Tensor, bound: Tensor, estimator: str) -> Tensor:
    """The Monte Carlo standard error of the bound of each example, nats; NaN from one sample."""
    k = len(each)
    if k == 1:
        return torch.full_like(bound, math.nan)
    gap = torch.expm1(each - bound) if estimator == "iwae" else each - bound
    return (gap.square().sum(0) / (k * (k - 1))).sqrt()
