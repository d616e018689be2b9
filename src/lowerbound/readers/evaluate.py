"""Evaluate a run: the bound, rate and distortion of a split, each with its standard error."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from lowerbound.data.scan import blocks
from lowerbound.errors import InputError
from lowerbound.maths.units import Estimate, bits, bits_per_part, sum_latent
from lowerbound.training.load import Trained
from lowerbound.training.measure import ACTIVE, Measured, measure

DISCRETE = ("binary", "levels", "count", "sequence")
"""Kinds of data whose nats are those of a code, so that bits may be spoken of."""


@dataclass(frozen=True)
class Evaluation:
    """The figures of one split of one run, in nats per example.

    *Sign*: ``elbo`` higher is better; ``rate`` and ``distortion`` lower is better. ``elbo`` and ``rate`` are None where
    the model has no density over its codes, and so no bound. ``parts`` counts the values of an example, of sequences
    the symbols of one on average, ends included.
    """

    elbo: Estimate | None
    rate: Estimate | None
    distortion: Estimate
    rate_per_dimension: list[float]
    active_dimensions: int
    examples: int
    split: str
    binarisation: str
    samples: int
    seed: int
    kind: str
    parts: float
    sha256: str

    @property
    def discrete(self) -> bool:
        """Whether the bound is one on a probability, so that it is a code length too."""
        return self.kind in DISCRETE

    @property
    def part(self) -> str:
        """What an example is made of."""
        return "symbol" if self.kind == "sequence" else "value"

    def json(self) -> dict[str, Any]:
        """JSON-ready figures; every one with its unit."""
        out: dict[str, Any] = {
            "elbo": self.elbo.json() | {"what": "lower bound on log p(x), beta = 1"} if self.elbo else None,
            "rate": self.rate.json() if self.rate else None,
            "distortion": self.distortion.json(),
            "rate_per_dimension": self.rate_per_dimension,
            "active_dimensions": self.active_dimensions,
            "active_threshold_nats": ACTIVE,
            "latent_dimensions": len(self.rate_per_dimension),
            "examples": self.examples,
            "split": self.split,
            "binarisation": self.binarisation,
            "samples": self.samples,
            "seed": self.seed,
            "kind": self.kind,
            "data_sha256": self.sha256,
        }
        if self.discrete and self.elbo:
            per_part = {"value": bits_per_part(-self.elbo.value, self.parts), "unit": f"bits per {self.part}"}
            out["bits_per_dimension"] = per_part | {"stderr": bits_per_part(self.elbo.stderr, self.parts)}
        return out

    def lines(self) -> list[str]:
        """The figures for people, a line each."""
        if self.elbo is None or self.rate is None:
            return [
                "bound       none: the model has no density over its codes",
                f"distortion  {self.distortion}",
                f"split       {self.split}, {self.examples} examples, binarisation {self.binarisation}",
            ]
        lines = [
            f"bound       {self.elbo}   lower bound on log p(x), higher is better",
            f"rate        {self.rate}   {bits(self.rate.value):.3f} bits",
            f"distortion  {self.distortion}",
            f"active      {self.active_dimensions} of {len(self.rate_per_dimension)} latents (above {ACTIVE} nats)",
            f"split       {self.split}, {self.examples} examples, binarisation {self.binarisation}, "
            f"{self.samples} sample(s) an example",
        ]
        if self.discrete:
            lines.insert(
                3,
                f"            {bits_per_part(-self.elbo.value, self.parts):.4f} bits per {self.part}, "
                "as a code would spend",
            )
        return lines


def evaluate(
    trained: Trained, split: str = "test", *, samples: int = 1, seed: int = 0, batch: int = 1000
) -> Evaluation:
    """The bound of a run on one of its splits.

    Args:
        samples: latent samples an example; the bound's expectation is the same for any, its noise is not.
        seed: of the noise, which belongs to the example's row: no batch size changes a figure.

    Raises:
        InputError: the run has no such split, or it is empty.
    """
    data = trained.data
    if split not in data.splits or not len(data.splits[split]):
        known = ", ".join(name for name, part in data.splits.items() if len(part))
        raise InputError(f"the run has no examples in split {split!r}", where="split", mend=f"it has: {known}")
    measured = measure(trained.model, data, split, samples=samples, seed=seed, batch=batch)
    return summarise(trained, measured, split, samples, seed)


def summarise(trained: Trained, measured: Measured, split: str, samples: int, seed: int) -> Evaluation:
    """The figures of what was measured."""
    record = trained.run.record()
    return Evaluation(
        elbo=Estimate.of(measured.elbo) if measured.bounded else None,
        rate=Estimate.of(sum_latent(measured.rate)) if measured.bounded else None,
        distortion=Estimate.of(measured.distortion),
        rate_per_dimension=measured.rate_per_dimension().tolist(),
        active_dimensions=measured.active(),
        examples=len(measured.distortion),
        split=split,
        binarisation=record["binarisation"],
        samples=samples,
        seed=seed,
        kind=record["kind"],
        parts=parts_of(trained, split),
        sha256=record["sha256"],
    )


def parts_of(trained: Trained, split: str) -> float:
    """The values of an example; of sequences, the symbols of one on average."""
    record = trained.run.record()
    if record["kind"] != "sequence":
        return math.prod(record["shape"])
    x = trained.data.splits[split].x
    there = [~np.isnan(block) for _, block in blocks(x)]
    return sum(int(part.sum()) for part in there) / len(x)
