"""Runs in columns: their samples' figures beside each other, and what only some models have, or "none"."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from lowerbound.maths.units import Estimate
from lowerbound.readers.fidelity.run import WARNINGS, Fidelity

NONE = "none"


@dataclass(frozen=True)
class Column:
    """A run: what its samples are like, and beside it what a model without encoder or density has not (None).

    ``distortion`` and ``bound`` in nats per example, on the same split; ``codes`` is the two-sample test of its codes
    against its prior.
    """

    name: str
    recipe: str
    samples: Fidelity
    distortion: Estimate | None = None
    bound: Estimate | None = None
    codes: Any = None

    def json(self) -> dict[str, Any]:
        """JSON-ready figures; null for what the model has not."""
        rest = {"distortion": self.distortion, "bound": self.bound, "codes_match_prior": self.codes}
        found = {"run": self.name, "recipe": self.recipe} | self.samples.json()
        del found["warnings"]
        return found | {name: None if one is None else one.json() for name, one in rest.items()}

    def cells(self) -> list[str]:
        """The column for people, from top to bottom."""
        copies, codes = self.samples.copies, self.codes
        return [
            self.recipe or NONE,
            *(figure(one.value, one.stderr) for one in self.samples.figures),
            f"{'found' if copies.copied else 'none found'} (C_T {copies.score:+.1f})",
            NONE if self.distortion is None else figure(self.distortion.value, self.distortion.stderr),
            NONE if codes is None else f"{'no' if codes.differs else 'not told apart'} (p {codes.p_value:.3f})",
            NONE if self.bound is None else figure(self.bound.value, self.bound.stderr),
        ]


def figure(value: float, stderr: float) -> str:
    """A figure with its spread.

    >>> figure(249.036, 13.897), figure(0.367, 0.078)
    ('249.0 ± 13.9', '0.367 ± 0.078')
    """
    digits = 1 if abs(value) >= 10 else 3
    return f"{value:.{digits}f} ± {stderr:.{digits}f}"


@dataclass(frozen=True)
class SideBySide:
    """Runs of the same data, in the order given; ``cautions`` say which of their figures are not of one thing."""

    columns: Sequence[Column]
    cautions: Sequence[str] = ()

    def json(self) -> dict[str, Any]:
        """JSON-ready figures of every run, and what they do not say."""
        return {"runs": [one.json() for one in self.columns], "warnings": [*self.cautions, *WARNINGS]}

    def rows(self) -> list[list[str]]:
        """The table for people: a row a figure, a column a run, and last what training examples reach."""
        first = self.columns[0].samples
        names = ["recipe", *(one.name for one in first.figures), "copies of training examples"]
        names += ["distortion, nats", "codes match the prior", "bound, nats"]
        real = ["", *(f"{one.real:.{1 if one.real >= 10 else 3}f}" for one in first.figures), *[""] * 4]
        head = ["", *(one.name for one in self.columns), "training examples"]
        return [head, *map(list, zip(names, *(one.cells() for one in self.columns), real, strict=True))]

    def lines(self) -> list[str]:
        """What the figures are of, and after that what they do not say: the sentences round the table."""
        first = self.columns[0].samples
        others = [one for one in self.columns if one.samples.samples != first.samples]
        return [
            f"{first.n:,} samples of each run ({first.samples}) against as many {first.split} examples, in features: "
            f"{first.features}",
            *(f"{one.name}: its samples are {one.samples.samples}." for one in others),
            "± is the spread over random halves for figures of samples, the standard error over examples for nats.",
            *self.cautions,
            *WARNINGS,
        ]

    def table(self) -> tuple[list[str], list[list[Any]]]:
        """Head and rows of a CSV: a row a run, each figure with its standard error; empty where there is none."""
        names = [one.name for one in self.columns[0].samples.figures] + ["distortion", "bound"]
        head = ["run", "recipe", *(word for name in names for word in (name, f"{name} ±")), "C_T", "codes match, p"]
        rows = []
        for one in self.columns:
            known: list[Any] = [*one.samples.figures, one.distortion, one.bound]
            pairs = [x for e in known for x in ((None, None) if e is None else (e.value, e.stderr))]
            p = None if one.codes is None else one.codes.p_value
            rows.append([one.name, one.recipe, *pairs, one.samples.copies.score, p])
        return head, rows
