"""The rate-distortion plane: where each run of a sweep stands, what it costs, and which bound is the best.

The ELBO is -(rate + distortion), so runs with the same bound lie on a line that falls by one nat of distortion for each
nat of rate; and where training has found the optimum for its beta, the curve has the slope -beta.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from lowerbound.errors import InputError
from lowerbound.maths.units import Estimate, sum_latent, with_error
from lowerbound.training.load import Trained
from lowerbound.training.measure import ACTIVE, measure


@dataclass(frozen=True)
class Point:
    """One run on the plane, nats per example; rate and distortion lower is better, elbo higher is better."""

    run: str
    beta: float
    rate: Estimate
    distortion: Estimate
    elbo: Estimate
    active: int

    def json(self) -> dict[str, Any]:
        """JSON-ready figures, each with its unit."""
        figures = {name: getattr(self, name).json() for name in ("rate", "distortion", "elbo")}
        return {"run": self.run, "beta": self.beta} | figures | {"active_dimensions": self.active}


@dataclass(frozen=True)
class Curve:
    """The points of a sweep by rising beta, and what they were measured on."""

    points: tuple[Point, ...]
    data: str
    split: str
    samples: int
    seed: int
    binarisation: str
    sha256: str

    @property
    def best(self) -> Point:
        """The run with the highest bound."""
        return max(self.points, key=lambda point: point.elbo.value)

    def json(self) -> dict[str, Any]:
        """JSON-ready: the points, and what they were computed from."""
        of = {name: getattr(self, name) for name in ("data", "split", "samples", "seed", "binarisation")}
        of |= {"examples": self.points[0].elbo.n, "unit": "nats per example", "active_threshold_nats": ACTIVE}
        return of | {"data_sha256": self.sha256, "best": self.best.run, "points": [p.json() for p in self.points]}

    def rows(self) -> list[tuple[str, ...]]:
        """A table for people, its heads first; the best bound is marked."""
        heads = ("beta", "rate", "distortion", "bound", "active", "")
        return [heads, *(row(point, point is self.best) for point in self.points)]

    def words(self) -> str:
        """What was measured, in a sentence."""
        best = self.best
        return (
            f"Nats per example with standard errors over {best.elbo.n:,} examples of {self.data} ({self.split} split, "
            f"binarisation {self.binarisation}, {self.samples} sample(s) an example). The bound is -(rate + "
            f"distortion), lower than log p(x); the best is {best.elbo.value:.2f} at beta {best.beta:g}."
        )


def row(point: Point, best: bool) -> tuple[str, ...]:
    """One line of the table."""
    figures = (point.rate, point.distortion, point.elbo)
    return (
        f"{point.beta:g}",
        *(with_error(e.value, e.stderr, 2) for e in figures),
        str(point.active),
        "best" if best else "",
    )


def rate_distortion(
    runs: Iterable[Trained], split: str = "test", *, samples: int = 1, seed: int = 0, batch: int = 1000
) -> Curve:
    """Measure every run on the same split with the same noise.

    Args:
        runs: finished runs on the same data; each has objective ``elbo`` and its own beta.
        samples, seed, batch: as in :func:`~lowerbound.training.measure.measure`.

    Raises:
        InputError: no run, runs of different data, or one without a bound or with another objective.
    """
    given = list(runs)
    if not given:
        raise InputError("no run to draw", where="rate-distortion", mend="give at least one")
    record = given[0].run.record()
    for trained in given:
        refuse_other(trained, record)
    points = sorted((point_of(t, split, samples, seed, batch) for t in given), key=lambda point: point.beta)
    binarisation, sha256 = record["binarisation"], record["sha256"]
    return Curve(tuple(points), record["name"], split, samples, seed, binarisation, sha256)


def refuse_other(trained: Trained, record: dict[str, Any]) -> None:
    """An InputError where a run does not belong on the same plane."""
    its, where = trained.run.record(), trained.run.path
    if (its["sha256"], its["binarisation"]) != (record["sha256"], record["binarisation"]):
        raise InputError("was trained on other data than the first run", where=where, mend="leave it out")
    if trained.spec.objective.name != "elbo":
        what = f"has objective {trained.spec.objective.name}, which has no single beta"
        raise InputError(what, where=where, mend="leave it out")


def point_of(trained: Trained, split: str, samples: int, seed: int, batch: int) -> Point:
    """One run on the plane."""
    if not len(trained.data.splits[split]):
        raise InputError(f"the run has no examples in {split!r}", where=trained.run.path, mend="choose another split")
    measured = measure(trained.model, trained.data, split, samples=samples, seed=seed, batch=batch)
    beta = trained.spec.objective.options().get("beta", 1.0)
    rate = Estimate.of(sum_latent(measured.rate))
    return Point(
        trained.run.path.name,
        float(beta),
        rate,
        Estimate.of(measured.distortion),
        Estimate.of(measured.elbo),
        measured.active(),
    )
