r"""Runs side by side: bound or log p(x), rate, distortion, and the paired difference of each to one of them.

The same examples are measured in every run, so the difference is taken example by example,

.. math:: d_n = f_b(x_n) - f_a(x_n), \qquad \bar d \pm \frac{s_d}{\sqrt N},

with f the bound or an estimate of log p(x). Its error is much smaller than that of either figure: what makes an example
hard falls on both. Figures that are not of the same thing are refused: other data, another split or binarisation, a
density against a probability, another estimator.
Source: the paired comparison of Student 1908 ("The probable error of a mean"), section 9.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor

from lowerbound.errors import InputError, nearest
from lowerbound.maths.units import Estimate, sum_latent, with_error
from lowerbound.model.likelihoods.base import Likelihood
from lowerbound.model.likelihoods.columns import Columns
from lowerbound.model.likelihoods.continuous_bernoulli import ContinuousBernoulli
from lowerbound.model.likelihoods.location import LocationScale
from lowerbound.readers.words import several
from lowerbound.training.load import Trained
from lowerbound.training.measure import ACTIVE, Measured, measure

Against = Literal["first", "best"]
WIDE = 1.96
"""Standard errors to each side that hold 95 % of a Normal."""

CURES = {
    "data": "compare runs on one data set",
    "rows of the split": "train them with the same data.seed, data.valid and data.test",
    "binarisation": "evaluate runs of one binarisation",
    "kind of data": "compare runs that take the numbers for the same thing",
    "what is bounded": "compare runs of one condition",
    "unit of the likelihood": "nats of a density and of a probability differ by the size of a unit of x",
    "estimator": "measure them with the same samples and seed",
}


@dataclass(frozen=True)
class Figure:
    """What runs are held against each other in, if not in the bound: ``each`` (n,), nats, higher is better.

    ``name`` is what it is of, such as "log p(x)"; ``what`` says what it is, as "lower bound in expectation, IS-5000";
    ``notes`` say what is doubtful about it.
    """

    each: Tensor
    name: str
    what: str
    notes: tuple[str, ...] = ()

    def json(self) -> dict[str, Any]:
        """JSON-ready."""
        told = {"of": self.name, "what": self.what, "notes": list(self.notes)}
        return Estimate.of(self.each).json() | told


@dataclass(frozen=True)
class Entry:
    """One run as it was measured: per-example figures in nats, (n,), and the facts that must agree.

    ``bound`` higher is better; ``figure`` is what is compared in its place, if anything. ``active`` is None where the
    rate does not split by dimension, ``seconds`` an epoch where nobody recorded it. ``bound``, ``rate`` and
    ``distortion`` are None where the model has them not; ``unbounded`` says why.
    """

    name: str
    bound: Tensor | None
    rate: Tensor | None
    distortion: Tensor | None
    active: int | None
    latent: int
    parameters: int
    epochs: int
    facts: dict[str, str]
    objective: str = ""
    seconds: float | None = None
    figure: Figure | None = None
    unbounded: str = ""

    @property
    def compared(self) -> Tensor:
        """The figure that is held against that of other runs, (n,), nats."""
        if self.figure is not None:
            return self.figure.each
        if self.bound is None:
            raise InputError("there is no bound to compare", where=self.name, mend="give a figure in its place")
        return self.bound


@dataclass(frozen=True)
class Row:
    """One line of a comparison. ``difference`` = what is compared, less the reference's; None for the reference."""

    entry: Entry
    bound: Estimate | None
    rate: Estimate | None
    distortion: Estimate | None
    difference: Estimate | None

    def json(self) -> dict[str, Any]:
        """JSON-ready figures."""
        e = self.entry
        return {
            "run": e.name,
            "bound": self.bound.json() if self.bound else None,
            "unbounded": e.unbounded or None,
            "figure": e.figure.json() if e.figure else None,
            "rate": self.rate.json() if self.rate else None,
            "distortion": self.distortion.json() if self.distortion else None,
            "difference": self.difference.json() | {"interval95": interval(self.difference)}
            if self.difference
            else None,
            "active_dimensions": e.active,
            "latent_dimensions": e.latent,
            "parameters": e.parameters,
            "epochs": e.epochs,
            "seconds_per_epoch": e.seconds,
            "objective": e.objective,
        }


@dataclass(frozen=True)
class Comparison:
    """Runs side by side, in the order they were given; ``reference`` is the place of the one held against."""

    rows: list[Row]
    reference: int
    facts: dict[str, str]
    split: str

    @property
    def figure(self) -> Figure | None:
        """What the runs are compared in, if not in the bound."""
        return self.rows[0].entry.figure

    @property
    def compared(self) -> str:
        """What the differences are of."""
        return self.figure.name if self.figure else "bound"

    def json(self) -> dict[str, Any]:
        """JSON-ready figures with what they are of."""
        return {
            "split": self.split,
            "reference": self.rows[self.reference].entry.name,
            "unit": "nats per example",
            "compared": self.compared,
            "active_threshold_nats": ACTIVE,
            "same": self.facts,
            "runs": [row.json() for row in self.rows],
        }

    def arrays(self) -> dict[str, np.ndarray]:
        """The per-example arrays, (runs, n), nats, in the order of the split; ``difference`` is 0 of the reference.

        ``log_p`` is there where the runs are compared in it; ``runs`` are their names, (runs,). NaN where a run has no
        such figure.
        """
        entries = [row.entry for row in self.rows]
        own = {"log_p": [e.figure.each for e in entries if e.figure]} if self.figure else {}
        measured = {"elbo": [e.bound for e in entries], "rate": [e.rate for e in entries]}
        measured |= {"distortion": [e.distortion for e in entries]}
        nothing = torch.full_like(entries[0].compared, torch.nan)
        terms = {name: [nothing if a is None else a for a in each] for name, each in measured.items()} | own
        terms["difference"] = [e.compared - entries[self.reference].compared for e in entries]
        names = {"runs": np.array([e.name for e in entries])}
        return names | {name: torch.stack(each).cpu().numpy() for name, each in terms.items()}

    def lines(self) -> list[str]:
        """The table for people."""
        wide = max(4, *(len(row.entry.name) for row in self.rows))
        own = f"{self.compared:>18}  " if self.figure else ""
        head = (
            f"{'run':<{wide}}  {own}{'bound':>18}  {'difference':>18}  {'rate':>8}  {'distortion':>10}  {'active':>8}"
        )
        out = [head + f"  {'parameters':>10}  {'epochs':>6}  {'s/epoch':>8}"]
        for row in self.rows:
            e = row.entry
            gap = with_error(row.difference.value, row.difference.stderr, sign="+") if row.difference else "reference"
            active = f"{'-' if e.active is None else e.active}/{e.latent}"
            seconds = "-" if e.seconds is None else f"{e.seconds:.2f}"
            own = f"{shortly(Estimate.of(e.figure.each)):>18}  " if e.figure else ""
            out.append(
                f"{e.name:<{wide}}  {own}{shortly(row.bound):>18}  {gap:>18}  "
                f"{value(row.rate):>8}  {value(row.distortion):>10}  {active:>8}  "
                f"{e.parameters:>10,}  {e.epochs:>6}  {seconds:>8}"
            )
        n = len(self.rows[0].entry.compared)
        last = f"nats per example, {several(n, 'example')} of {self.split}; {self.compared}: higher is better"
        what = f", {self.figure.what}; differences are of it" if self.figure else ""
        missing = [f"{row.entry.name} has no bound: {row.entry.unbounded}" for row in self.rows if not row.bound]
        return [*out, "", last + what, *missing, *self.words()]

    def words(self) -> list[str]:
        """What the differences say, in sentences."""
        name = self.rows[self.reference].entry.name
        said = []
        for row in self.rows:
            if row.difference is None:
                continue
            ends = interval(row.difference)
            if ends is None:
                said.append(f"{row.entry.name} and {name}: no interval, since no standard error is known")
                continue
            low, high = ends
            verdict = "better than" if low > 0 else "worse than" if high < 0 else "not to be told from"
            said.append(f"{row.entry.name} is {verdict} {name}: 95 % interval [{low:+.3f}, {high:+.3f}] nats")
        return said


def shortly(e: Estimate | None) -> str:
    """A figure in a table."""
    return "-" if e is None else with_error(e.value, e.stderr)


def value(e: Estimate | None) -> str:
    """A figure in a table, without its error."""
    return "-" if e is None else f"{e.value:.3f}"


def interval(difference: Estimate) -> list[float] | None:
    """The 95 % interval of a difference, by the Normal approximation; None without a standard error."""
    reach = WIDE * difference.stderr
    return [difference.value - reach, difference.value + reach] if math.isfinite(reach) else None


def compare(
    runs: Sequence[Trained],
    split: str = "test",
    *,
    samples: int = 1,
    seed: int = 0,
    batch: int = 1000,
    against: Against = "first",
    seconds: Sequence[float | None] | None = None,
    estimate: Callable[[Trained], Figure] | None = None,
    estimator: str | None = None,
) -> Comparison:
    """Measure runs on one split and hold each against the first, or against the best.

    Args:
        samples, seed: of the noise, the same for all: it belongs to the example's row.
        seconds: seconds an epoch of each run, where known.
        estimate: what to compare in place of the bound; asked of each run once it is known that they can be compared.
        estimator: how that is had, in words: a fact that the runs share.

    Raises:
        InputError: fewer than two runs, an empty split, a run without a bound and no ``estimate``, or figures that
            cannot be compared.
    """
    if len(runs) < 2:
        raise InputError("a comparison needs two runs", where="compare", mend="give at least two run folders")
    for trained in runs:
        if not trained.model.has_bound and estimate is None:
            what = f"{unbounded(trained)}, so that there is no bound to compare"
            chains = "compare log p(x): method annealed, or " if all(one.model.has_chains for one in runs) else ""
            mend = f"{chains}lay samples side by side: fidelity RUN RUN"
            raise InputError(what, where=trained.run.path, mend=mend)
        if split not in trained.data.splits or not len(trained.data.splits[split]):
            raise InputError(f"has no examples in {split!r}", where=trained.run.path, mend="choose another --split")
    known = [facts(trained, split, estimator or f"elbo, {samples} sample(s), seed {seed}") for trained in runs]
    agree([str(trained.run.path) for trained in runs], known)
    times = seconds or [None] * len(runs)
    entries = []
    for trained, name, fact, time in zip(runs, names(runs), known, times, strict=True):
        found = None
        if trained.model.encoder is not None or not trained.model.latent:
            found = measure(trained.model, trained.data, split, samples=samples, seed=seed, batch=batch)
        one = entry(trained, name, found, fact, time)
        entries.append(replace(one, figure=estimate(trained)) if estimate else one)
    return side_by_side(entries, split, against)


def names(runs: Sequence[Trained]) -> list[str]:
    """The folders' names; whole paths where two of them are alike."""
    short = [trained.run.path.name for trained in runs]
    return short if len(set(short)) == len(short) else [str(trained.run.path) for trained in runs]


def unbounded(trained: Trained) -> str:
    """Why a run without a bound has none."""
    return "it has no encoder" if trained.model.encoder is None else "its code has no density"


def entry(trained: Trained, name: str, found: Measured | None, known: dict[str, str], seconds: float | None) -> Entry:
    """One run with what was measured of it, if anything could be."""
    bounded = found if found is not None and found.bounded else None
    splits = bounded is not None and bounded.rate.shape[1] == trained.model.latent
    return Entry(
        name,
        bounded.elbo if bounded else None,
        sum_latent(bounded.rate) if bounded else None,
        found.distortion if found else None,
        bounded.active() if bounded and splits else None,
        trained.model.latent,
        sum(p.numel() for p in trained.model.parameters()),
        len(trained.run.metrics()),
        known,
        trained.objective_words,
        seconds,
        unbounded="" if bounded else unbounded(trained),
    )


def facts(trained: Trained, split: str, estimator: str) -> dict[str, str]:
    """What two figures must share to be of the same thing."""
    record, part, model = trained.run.record(), trained.data.splits[split], trained.model
    rows = np.asarray(part.rows if part.rows is not None else range(len(part)), dtype=np.int64)
    kind = f"{record['kind']} with {record['levels']} levels" if record.get("levels") else record["kind"]
    return {
        "data": f"SHA-256 {record['sha256'][:12]}",
        "rows of the split": f"{len(rows)} of {split}, {hashlib.sha256(rows.tobytes()).hexdigest()[:8]}",
        "binarisation": record["binarisation"],
        "kind of data": kind,
        "what is bounded": model.condition.bounded,
        "unit of the likelihood": "probability" if of_probability(model.likelihood) else "density",
        "estimator": estimator,
    }


def of_probability(likelihood: Likelihood) -> bool:
    """Whether its nats are of a probability; those of a location with a deviation, and on [0, 1], are of a density.

    A table's are of a density where one of its columns is numeric.
    """
    parts = likelihood.members.values() if isinstance(likelihood, Columns) else [likelihood]
    return not any(isinstance(part, (LocationScale, ContinuousBernoulli)) for part in parts)


def agree(names: Sequence[str], known: Sequence[dict[str, str]]) -> None:
    """An InputError that names the first fact in which a run differs from the first one."""
    for name, other in zip(names[1:], known[1:], strict=True):
        for fact, value in known[0].items():
            if other.get(fact) != value:
                what = f"cannot be compared with {names[0]}: its {fact} is {other.get(fact)}, there it is {value}"
                raise InputError(what, where=name, mend=CURES.get(fact))


def side_by_side(entries: Sequence[Entry], split: str, against: Against = "first") -> Comparison:
    """The comparison of runs already measured on the same examples.

    Raises:
        InputError: what was measured is not the same thing.
    """
    if against not in ("first", "best"):
        raise InputError(f"unknown reference {against!r}", where="against", mend=nearest(against, ("first", "best")))
    agree([e.name for e in entries], [e.facts | {"examples": str(len(e.compared))} for e in entries])
    all_compared = [Estimate.of(e.compared) for e in entries]
    reference = 0 if against == "first" else max(range(len(entries)), key=lambda i: finite(all_compared[i].value))
    base = entries[reference].compared
    rows = [
        Row(e, mean(e.bound), mean(e.rate), mean(e.distortion), None if e is entries[reference] else paired(e, base))
        for e in entries
    ]
    return Comparison(rows, reference, entries[0].facts, split)


def mean(each: Tensor | None) -> Estimate | None:
    """The mean over examples, where there is a figure of each."""
    return None if each is None else Estimate.of(each)


def paired(e: Entry, base: Tensor) -> Estimate:
    """The mean difference over the same examples, and its standard error."""
    return Estimate.of(e.compared - base)


def finite(value: float) -> float:
    """NaN last."""
    return -math.inf if math.isnan(value) else value
