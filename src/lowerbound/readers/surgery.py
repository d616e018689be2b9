r"""What the KL of a run is made of: information about x, total correlation, and each dimension's gap to the prior.

The figures are those of :mod:`lowerbound.maths.surgery`, on N examples of a split, and beside them: which dimensions
are in use, and holes, places where the prior draws codes and no example puts one. With log q(z) the log density of the
aggregate posterior and t its 1 % quantile over codes of the examples (each code held against the *other* examples),

.. math:: \text{holes} = P_{z\sim p(z)}\left[\log q(z) < t\right],

which is 0.01 where the aggregate posterior is the prior.
Source: Hoffman & Johnson 2016; Chen et al. 2018 (1802.04942), eq. 2; Burda et al. 2016 (1509.00519), section 5.2;
Rosca et al. 2018 (1802.06847), section 4, for the holes.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from lowerbound.errors import InputError
from lowerbound.maths.normal import DiagonalNormal, FullNormal
from lowerbound.maths.surgery import Part, Parts, aggregate
from lowerbound.maths.surgery import surgery as dissect
from lowerbound.maths.units import Estimate, bits
from lowerbound.readers.by_row import fetched
from lowerbound.readers.words import several
from lowerbound.training.load import Trained
from lowerbound.training.measure import ACTIVE, evaluating
from lowerbound.training.randomness import borrowed, generator, noise_of, reseed

EXAMPLES, CHOICE = 2000, 21
QUANTILE = 0.01
MOVING = 0.01
"""Burda et al. 2016: a dimension is active if the variance over x of its posterior mean is above this."""


@dataclass(frozen=True)
class Surgery:
    """What the rate of N examples is made of; every part in nats an example, ``parts`` adding up to the rate.

    ``moving`` (latent,) is the variance over examples of the posterior mean of each dimension, if there are dimensions.
    """

    parts: Parts
    moving: Tensor
    holes: Estimate
    examples: int
    split: str
    seed: int

    def active(self) -> dict[str, int | None]:
        """How many dimensions are in use, by the rate and by Burda's variance of the mean."""
        rate = self.parts.rate_of
        by_rate = None if rate is None else int((rate > ACTIVE).sum())
        return {"by_rate": by_rate, "by_variance_of_the_mean": int((self.moving > MOVING).sum())}

    def json(self) -> dict[str, Any]:
        """JSON-ready figures with units, errors and brackets."""
        p = self.parts
        pieces = {"information": p.information, "marginal_kl": p.marginal}
        pieces |= {"total_correlation": p.correlation, "dimension_wise_kl": p.dimension_wise}  # type: ignore[dict-item]
        return {
            "split": self.split,
            "examples": self.examples,
            "seed": self.seed,
            "rate": p.rate.json() | {"kind": "sampled" if p.sampled else "closed"},
            **{name: piece.json() if piece is not None else None for name, piece in pieces.items()},
            "information_at_most": min(math.log(self.examples), p.rate.value),
            "rate_per_dimension": None if p.rate_of is None else p.rate_of.tolist(),
            "information_per_dimension": None if p.information_of is None else p.information_of.tolist(),
            "variance_of_the_mean": self.moving.tolist(),
            "active_dimensions": self.active(),
            "active_thresholds": {"by_rate_nats": ACTIVE, "by_variance_of_the_mean": MOVING},
            "holes": self.holes.json()
            | {"what": f"share of prior draws below the {QUANTILE:.0%} quantile of log q(z)"},
        }

    def lines(self) -> list[str]:
        """The figures for people."""
        p = self.parts
        rows: list[tuple[str, Part | None, str]] = [
            ("information", p.information, "what z says of which x it is: I(x; z)"),
            ("marginal KL", p.marginal, "distance of all codes together from the prior: KL(q(z) || p(z))"),
            ("  correlation", p.correlation, "of the dimensions of z with each other: total correlation"),
            ("  each alone", p.dimension_wise, "sum over j of KL(q(z_j) || p(z_j))"),
        ]
        if p.dimension_wise is None:
            rows[2:] = [("correlation", p.correlation, "of the dimensions of z; no part of the sum under this prior")]
        sampled = " (sampled: no closed form)" if p.sampled else ""
        size = f"{p.rate.value:8.3f} ± {p.rate.stderr:.3f} nats = {bits(p.rate.value):.3f} bits"
        head = f"rate           {size}{sampled}, made of"
        shown = [
            f"  {name:<13}{f.value:8.3f} ± {f.stderr:.3f}   {f'[{f.low:.3f}, {f.high:.3f}]':<18} {what}"
            for name, f, what in rows
            if f is not None
        ]
        return [head, *shown, "", *self.words()]

    def words(self) -> list[str]:
        """What the figures mean, in sentences."""
        p, active, n = self.parts, self.active(), self.examples
        cap = math.log(n)
        near = p.information.value > cap - 0.5
        sentences = [
            f"Value ± standard error for {several(n, 'example')} of {self.split}, whose own codes can show at most "
            f"log N = {cap:.2f} nats; in brackets, where it lies for all data like them, noise apart.",
            f"In use: {active['by_variance_of_the_mean']} of {len(self.moving)} dimensions by the variance of the "
            f"posterior mean over x (above {MOVING})"
            + ("." if active["by_rate"] is None else f", {active['by_rate']} by the rate (above {ACTIVE} nats)."),
            f"Holes: {self.holes.value:.1%} ± {self.holes.stderr:.1%} of draws from the prior lie where the codes of "
            f"the examples are rarer than at 99 % of those codes; without holes it would be {QUANTILE:.0%}.",
        ]
        if near:
            sentences.insert(1, "The information is at what so few examples can show: read it as 'at least'.")
        return sentences


def surgery(trained: Trained, split: str = "test", *, examples: int = EXAMPLES, seed: int = 0) -> Surgery:
    """Take the rate of a run apart, on up to ``examples`` rows of a split, chosen by ``seed``.

    Raises:
        InputError: the model has no bound, its prior depends on a condition, or the split has fewer than two examples.
    """
    model, data = trained.model, trained.data
    refuse(trained)
    n = len(data.splits[split]) if split in data.splits else 0
    if min(n, examples) < 2:
        raise InputError(f"has fewer than two examples in split {split!r}", where="split", mend="give another split")
    rows = torch.randperm(n, generator=generator(CHOICE, seed))[:examples].sort().values
    like = next(model.parameters())
    with evaluating(model), borrowed(like.device):
        reseed(like.device, CHOICE, seed)
        x, y = fetched(trained, split, rows, seed)
        q, p = posteriors(model, x.to(like), y), model.prior_at()
        z = q.transform(noise_of(seed, rows, 1, model.noise_width).to(like))[0]
        parts = dissect(q, p, z, model.prior.rate(q, z[None], p))
        holes = hollow(q, p, parts)
    return Surgery(parts, q.mean.double().var(0).cpu(), holes, len(rows), split, seed)


def refuse(trained: Trained) -> None:
    """An InputError for a model whose rate has no such parts."""
    model, where = trained.model, trained.run.path
    if not model.has_bound or not model.width:
        what = "its code has no density, so that there is no rate to take apart"
        raise InputError(what, where=where, mend="use a run with a posterior such as normal")
    if model.prior.conditional or model.condition.inferred:
        what = "its prior, or its code, depends on a label or part of x: there is no one q(z) to hold against one p(z)"
        raise InputError(what, where=where, mend="use a run with an unconditional prior")


def posteriors(model: Any, x: Tensor, y: Tensor | None, batch: int = 1000) -> Any:
    """q(z|x) of all rows of x; Normals are made in batches and joined."""
    pieces = [model.encode(x[i : i + batch], None if y is None else y[i : i + batch]) for i in range(0, len(x), batch)]
    if type(pieces[0]) is DiagonalNormal:
        return DiagonalNormal(torch.cat([q.mean for q in pieces]), torch.cat([q.log_variance for q in pieces]))
    if type(pieces[0]) is FullNormal:
        return FullNormal(torch.cat([q.mean for q in pieces]), torch.cat([q.scale_tril for q in pieces]))
    return pieces[0] if len(pieces) == 1 else model.encode(x, y)


def hollow(q: Any, p: Any, parts: Parts) -> Estimate:
    """The share of as many draws of the prior as there are examples at which log q(z) is below its 1 % quantile."""
    threshold = torch.quantile(parts.others, QUANTILE)
    drawn = aggregate(q, p.sample((len(parts.others),)))
    return Estimate.of((drawn < threshold).double(), "of the prior's draws")
