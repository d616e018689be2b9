"""What an estimate of log p(x) is, in numbers and in words."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from lowerbound.data.kinds import coded, part
from lowerbound.maths.units import Estimate, bits_per_part
from lowerbound.readers.words import several

NORMAL_95 = 1.959964
"""Standard errors on each side of a 95 % interval."""
DOUBTFUL = 0.7
"""Pareto k above which an importance estimate is not to be trusted (Vehtari et al. 2015)."""


@dataclass(frozen=True)
class LogLikelihood:
    """log p(x) of the examples of one split, or log p(x | label), nats per example, higher is better.

    *Shapes*, all float64 and in the order of ``rows`` (n,): ``log_p`` (n,); ``weights`` (n,), how many weights were
    counted; ``effective`` (n,), the effective sample size; ``pareto_k`` (n,), the shape of the tail of the weights; NaN
    where a method has none. ``what`` says what the numbers are: a bound and on which side, an estimate, or exact.
    ``precision_error`` is the measured error of a decoder in less than the model's precision, nats. ``bounded`` is what
    they are of, with the condition; ``warning`` why their nats are those of no probability; ``parts`` counts the values
    that are modelled of an example, of sequences the symbols of one on average.
    """

    log_p: Tensor
    weights: Tensor
    effective: Tensor
    pareto_k: Tensor
    rows: Tensor
    method: str
    what: str
    split: str
    binarisation: str
    samples: int
    seed: int
    kind: str
    parts: float
    sha256: str
    bounded: str = "log p(x)"
    warning: str = ""
    precision: str = "float32"
    precision_error: float | None = None
    settings: dict[str, Any] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    @property
    def discrete(self) -> bool:
        """Whether its nats are those of a probability, so that it is a code length too."""
        return coded(self.kind, self.warning)

    @property
    def estimate(self) -> Estimate:
        """The mean over examples, with its standard error over examples."""
        return Estimate.of(self.log_p)

    @property
    def nll(self) -> Estimate:
        """-log p(x): lower is better."""
        return Estimate.of(-self.log_p)

    @property
    def interval(self) -> tuple[float, float]:
        """A 95 % interval for the mean log p(x) of examples such as these."""
        e = self.estimate
        return e.value - NORMAL_95 * e.stderr, e.value + NORMAL_95 * e.stderr

    @property
    def doubtful(self) -> int:
        """How many examples have a Pareto k above 0.7."""
        return int((self.pareto_k > DOUBTFUL).sum())

    def arrays(self) -> dict[str, Any]:
        """The per-example arrays, NumPy."""
        names = {"rows": self.rows, "log_p": self.log_p, "weights": self.weights}
        names |= {"effective_samples": self.effective, "pareto_k": self.pareto_k}
        return {name: value.cpu().numpy() for name, value in names.items()}

    def json(self) -> dict[str, Any]:
        """JSON-ready figures; every one with its unit and with what it was computed from."""
        low, high = self.interval
        interval = {"low": low, "high": high, "level": 0.95, "unit": "nats"} if math.isfinite(high - low) else None
        out: dict[str, Any] = {
            "log_p": self.estimate.json() | {"of": self.bounded, "what": self.what, "interval": interval},
            "nll": self.nll.json() | {"what": f"-{self.bounded}, lower is better"},
            "method": self.method,
            "samples": self.samples,
            "weights_counted": int(self.weights.sum()),
            "examples": len(self.log_p),
            "split": self.split,
            "binarisation": self.binarisation,
            "seed": self.seed,
            "kind": self.kind,
            "precision": self.precision,
            "data_sha256": self.sha256,
        } | self.settings
        if self.precision_error is not None:
            out["precision_error"] = {"value": self.precision_error, "unit": "nats"}
        if not self.effective.isnan().all():
            out["effective_samples"] = {"median": middle(self.effective), "least": self.effective.min().item()}
        if not self.pareto_k.isnan().all():
            out["pareto_k"] = {"median": middle(self.pareto_k), "largest": self.pareto_k.max().item()}
            out["pareto_k"]["above_0.7"] = self.doubtful
        if self.discrete:
            of = f"bits per {part(self.kind)}"
            value, stderr = (bits_per_part(nats, self.parts) for nats in (self.nll.value, self.nll.stderr))
            out["bits_per_dimension"] = Estimate(value, stderr, of, self.nll.n).json()
        return out | {"notes": list(self.notes)}

    def lines(self) -> list[str]:
        """The figures for people, a line each."""
        low, high = self.interval
        examples = several(len(self.log_p), "example")
        lines = [f"{self.bounded:<11} {self.estimate}   {self.what}"]
        if math.isfinite(high - low):
            lines.append(f"            95 % interval over examples {low:.3f} to {high:.3f} nats, higher is better")
        if self.discrete:
            lines.append(f"            {bits_per_part(self.nll.value, self.parts):.4f} bits per {part(self.kind)}")
        if not self.effective.isnan().all():
            effective = f"median {middle(self.effective):,.0f}, least {self.effective.min().item():,.1f}"
            lines.append(f"weights     {self.samples:,} an example; effective {effective}")
        if not self.pareto_k.isnan().all():
            k = f"median {middle(self.pareto_k):.2f}, largest {self.pareto_k.max().item():.2f}"
            lines.append(f"Pareto k    {k}; above {DOUBTFUL} in {self.doubtful} of {examples}")
        lines.append(f"split       {self.split}, {examples}, binarisation {self.binarisation}, seed {self.seed}")
        return lines + [f"note        {note}" for note in self.notes]


def middle(a: Tensor) -> float:
    """The median of the numbers that are numbers."""
    return torch.nanmedian(a).item()  # not nats: a number of samples, or a shape


@dataclass(frozen=True)
class Bracket:
    """log p(x) of data drawn from the model itself, from both sides: ``lower`` and ``upper`` hold in expectation."""

    lower: LogLikelihood
    upper: LogLikelihood

    @property
    def gap(self) -> Estimate:
        """upper - lower, nats per example: as wide as the estimator's error on either side together."""
        return Estimate.of(self.upper.log_p - self.lower.log_p)

    def arrays(self) -> dict[str, Any]:
        """The per-example arrays of both sides, NumPy."""
        sides = {"lower": self.lower, "upper": self.upper}
        return {f"{side}_{name}": a for side, found in sides.items() for name, a in found.arrays().items()}

    def json(self) -> dict[str, Any]:
        """JSON-ready figures of both sides and their gap."""
        return {"lower": self.lower.json(), "upper": self.upper.json(), "gap": self.gap.json()}

    def lines(self) -> list[str]:
        """The bracket for people."""
        return [
            f"lower       {self.lower.estimate}   {self.lower.what}",
            f"upper       {self.upper.estimate}   {self.upper.what}",
            f"gap         {self.gap}",
            f"examples    {len(self.lower.log_p)} drawn from the model itself, seed {self.lower.seed}",
            *[f"note        {note}" for note in self.lower.notes],
        ]
