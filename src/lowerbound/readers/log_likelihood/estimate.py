"""log p(x) of a trained run, by any of the methods."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from lowerbound.data.kinds import parts_of
from lowerbound.errors import InputError, nearest
from lowerbound.maths.units import mean_examples
from lowerbound.model.linear import LinearAutoencoder
from lowerbound.objective import GAMES
from lowerbound.readers.by_row import fetched
from lowerbound.readers.log_likelihood import annealed, appendix_d, quadrature
from lowerbound.readers.log_likelihood.doubts import doubts
from lowerbound.readers.log_likelihood.importance import Weighed, importance
from lowerbound.readers.log_likelihood.problem import Examples, other
from lowerbound.readers.log_likelihood.result import Bracket, LogLikelihood
from lowerbound.readers.log_likelihood.rows import rows_of
from lowerbound.training.load import Trained, summary_of
from lowerbound.training.measure import evaluating

SAMPLES = {"importance": 5000, "annealed": 16, "appendix-d": 1000, "quadrature": 0, "exact": 0}
"""Method -> samples, chains or draws an example, where nobody says how many."""
MOST = 10_000_000
PRECISIONS = {"float32": torch.float32, "float64": torch.float64, "bfloat16": torch.bfloat16}
CHECKED = 16
"""Examples on which that is measured."""
Progress = Callable[[int, int], None]


def quiet(done: int, total: int) -> None:
    """Say nothing."""


@dataclass(frozen=True)
class Options:
    """How to estimate; see :func:`log_likelihood`."""

    samples: int
    seed: int
    memory: float
    precision: str
    temperatures: int
    start: str
    fit: str
    tolerance: float
    progress: Progress

    @property
    def common(self) -> dict[str, Any]:
        """What every sampler is told."""
        return {"samples": self.samples, "seed": self.seed, "memory": self.memory, "progress": self.progress}

    @property
    def path(self) -> dict[str, Any]:
        """What annealing is told beside it, and what is said of it."""
        return {"temperatures": self.temperatures, "start": self.start}


Found = tuple[Weighed, str, dict[str, Any]]
"""The figures, what they are in words, and the settings behind them."""


def by_importance(source: Examples, o: Options) -> Found:
    """Importance sampling from q(z|x)."""
    if not source.model.has_bound:
        what = "this model's posterior has no density to sample importance weights from"
        raise InputError(what, where="method", mend=other(source.model))
    found = importance(source, dtype=PRECISIONS[o.precision], **o.common)
    settings = {}
    if o.precision == "bfloat16":
        settings["precision_error"] = measured_error(source, found, o)
    return found, f"lower bound in expectation, IS-{o.samples}", settings


def by_annealing(source: Examples, o: Options) -> Found:
    """Annealed importance sampling, forward."""
    found = annealed.annealed(source, **o.common, **o.path)
    return found, f"lower bound in expectation, AIS, {o.samples} chains over {o.temperatures} temperatures", o.path


def by_appendix_d(source: Examples, o: Options) -> Found:
    """The estimator of the AEVB paper."""
    fewest = max(appendix_d.CHAINS, appendix_d.DRAWS * (source.model.width + 1))
    if o.samples < fewest:
        what = f"{o.samples} draws are too few to fit a density to {source.model.width} latents"
        raise InputError(what, where="samples", mend=f"give at least {fewest}")
    found = appendix_d.appendix_d(source, fit=o.fit, start=o.start, **o.common)
    what = f"estimate, appendix D, {o.samples} posterior draws (an upper bound in expectation if the chains mix)"
    return found, what, {"fit": o.fit, "start": o.start}


def by_quadrature(source: Examples, o: Options) -> Found:
    """A grid over the posterior."""
    told: dict[str, Any] = {"memory": o.memory, "tolerance": o.tolerance, "progress": o.progress}
    value, error = quadrature.quadrature(source, seed=o.seed, **told)
    worst = error.max().item()
    what = f"exact by quadrature, grids agree to {worst:.1e} nats"
    return unweighted(value), what, {"tolerance": o.tolerance, "grids_differ_at_most": worst}


def by_formula(source: Examples, o: Options) -> Found:
    """The closed form of a linear model."""
    model = source.model
    if model.condition.width or model.prior.name != "standard-normal":
        raise InputError("only a linear model under N(0, I) has an exact value", where="method", mend=other(model))
    linear = LinearAutoencoder.of(model)
    parts = [linear.log_evidence(source.problem(rows).x) for rows in source.rows.split(1000)]
    return unweighted(torch.cat(parts).double().cpu()), "exact, linear model", {}


METHODS: dict[str, Callable[[Examples, Options], Found]] = {
    "importance": by_importance,
    "annealed": by_annealing,
    "appendix-d": by_appendix_d,
    "quadrature": by_quadrature,
    "exact": by_formula,
}


def log_likelihood(
    trained: Trained,
    split: str = "test",
    method: str = "importance",
    samples: int | None = None,
    seed: int = 0,
    memory: float = 256,
    examples: int | Sequence[int] | None = None,
    *,
    precision: str | None = None,
    temperatures: int = 500,
    start: str | None = None,
    fit: str = "full",
    tolerance: float = 1e-4,
    progress: Progress = quiet,
) -> LogLikelihood:
    """log p(x) of the examples of a split, in nats, with what kind of number it is.

    Args:
        method: importance (a lower bound in expectation), annealed (as well, tighter), appendix-d (an estimate, for few
            latents), quadrature (exact to ``tolerance``, up to 3 latents), exact (a linear model).
        samples: importance samples, chains, or posterior draws an example; None for 5000, 16 and 1000.
        seed: of the noise, which belongs to the example's row and the sample's index.
        memory: MiB to work in; changes no figure. Chains (annealed, appendix-d) take up to 8, or those of one example.
        examples: only the first so many of the split, or only these rows.
        precision: of the decoder: float32, float64, or bfloat16 with its error measured; None for the run's own.
        temperatures: of annealed: more of them, a tighter bound.
        start: of annealed and appendix-d: the "posterior" of the encoder or the "prior"; None for the first if there is
            one.
        fit: of appendix-d: "full", "diagonal" or "kernel".
        tolerance: of quadrature: nats by which two grids may differ.

    Raises:
        InputError: a method that this model has not, an empty split, too little memory.
    """
    if method not in METHODS:
        raise InputError(f"unknown method {method!r}", where="method", mend=nearest(method, METHODS))
    rows = rows_of(trained, split, examples)
    model, o = prepared(
        trained, method, samples, seed, memory, precision, temperatures, start, fit, tolerance, progress
    )
    with evaluating(model):
        found, what, settings = METHODS[method](Examples(model, rows, lambda r: fetched(trained, split, r, seed)), o)
    x = trained.data.splits[split].x
    return described(
        trained, found, rows, split, method, what, settings, o, x[rows.numpy()] if examples is not None else x
    )


def bracket(
    trained: Trained,
    examples: int = 100,
    *,
    samples: int = 16,
    seed: int = 0,
    memory: float = 256,
    precision: str | None = None,
    temperatures: int = 500,
    start: str | None = None,
    progress: Progress = quiet,
) -> Bracket:
    """log p(x) of examples drawn from the model itself, from both sides (bidirectional Monte Carlo).

    The gap bounds the error of either side on such data; it says nothing of data that the model would not draw.
    The arguments are those of :func:`log_likelihood`.
    """
    shared = (samples, seed, memory, precision, temperatures, start, "full", 1e-4, progress)
    model, o = prepared(trained, "annealed", *shared)
    if model.condition.width:
        raise InputError("a conditional model draws no x of its own", where="method", mend="use method importance")
    rows = torch.arange(examples)
    with evaluating(model):
        x, z = annealed.simulated(model, rows, seed)
        sides = annealed.bracketed(Examples(model, rows, lambda r: (x[r], None)), lambda r: z[r], **o.common, **o.path)
    words = f"AIS, {o.samples} chains over {o.temperatures} temperatures"
    whats = f"lower bound in expectation, {words}", f"upper bound in expectation, reverse {words}"
    both = [
        described(trained, found, rows, "simulated", "annealed", what, o.path, o, x)
        for found, what in zip(sides, whats, strict=True)
    ]
    return Bracket(*both)


def prepared(
    trained: Trained, method: str, samples: int | None, seed: int, memory: float, precision: str | None, *rest: Any
) -> tuple[Any, Options]:
    """The model in the precision that the method needs, and the options, checked."""
    samples = SAMPLES[method] if samples is None else samples
    if not SAMPLES[method] and samples:
        raise InputError(f"method {method} draws no samples", where="samples", mend="leave it out")
    if SAMPLES[method] and not 1 <= samples <= MOST:
        raise InputError(f"{samples} samples", where="samples", mend=f"give a number from 1 to {MOST:,}")
    own = str(next(trained.model.parameters()).dtype).removeprefix("torch.")
    precision = ("float64" if method in ("quadrature", "exact") else own) if precision is None else precision
    if precision not in PRECISIONS or (precision == "bfloat16" and method != "importance"):
        known = list(PRECISIONS) if method == "importance" else ["float32", "float64"]
        raise InputError(f"precision {precision!r}", where="precision", mend=nearest(precision, known))
    model: Any = trained.model
    refuse(model)
    if precision == "float64" != own:
        model = copy.deepcopy(model).double()
    if precision == "float32" != own:
        model = copy.deepcopy(model).float()
    temperatures, start, fit, tolerance, progress = rest
    start = start or ("posterior" if model.has_bound else "prior")
    choice(start, "start", ["prior", "posterior"] if model.has_bound else ["prior"])
    choice(fit, "fit", list(appendix_d.DENSITIES))
    if temperatures < 1 or not tolerance > 0:
        raise InputError("temperatures and tolerance are above 0", where="method", mend="give larger ones")
    return model, Options(samples, seed, memory, precision, temperatures, start, fit, tolerance, progress)


def choice(name: str, where: str, known: list[str]) -> None:
    """An InputError where ``name`` is not one of those."""
    if name not in known:
        raise InputError(f"unknown name {name!r} for this model", where=where, mend=nearest(name, known))


def refuse(model: Any) -> None:
    """An InputError where the model has no p(x) that these methods could find."""
    if model.condition.inferred:
        what = "a model that infers labels has a sum over labels in its p(x)"
        raise InputError(what, where="method", mend="evaluate its bound: leave --method out")


def measured_error(source: Examples, found: Weighed, o: Options) -> float:
    """The mean difference, nats, that the decoder in bfloat16 makes with the same noise, on a few examples."""
    n = len(source)
    some = torch.linspace(0, n - 1, min(CHECKED, n)).round().long().unique()
    told = o.common | {"progress": quiet}
    own = next(source.model.parameters()).dtype
    truth = importance(Examples(source.model, source.rows[some], source.batch), dtype=own, **told)
    return mean_examples(found.log_p[some] - truth.log_p).item()


def unweighted(log_p: Tensor) -> Weighed:
    """A value that is not made of weights."""
    nothing = torch.full_like(log_p, torch.nan)
    return Weighed(log_p, torch.zeros(len(log_p), dtype=torch.int64), nothing, nothing)


def described(
    trained: Trained,
    found: Weighed,
    rows: Tensor,
    split: str,
    method: str,
    what: str,
    settings: dict[str, Any],
    o: Options,
    x: Any,
) -> LogLikelihood:
    """The figures with all that they were computed from, and what is doubtful about them; of examples x."""
    record, model = trained.run.record(), trained.model
    told = LogLikelihood(
        log_p=found.log_p,
        weights=found.counted,
        effective=found.effective,
        pareto_k=found.pareto_k,
        rows=rows,
        method=method,
        what=what,
        split=split,
        binarisation=record["binarisation"],
        samples=o.samples,
        seed=o.seed,
        kind=record["kind"],
        parts=parts_of(record["kind"], model.shape, x),
        sha256=record["sha256"],
        bounded=model.condition.bounded,
        warning=model.likelihood.warning(summary_of(record)) or "",
        precision=o.precision,
        precision_error=settings.get("precision_error"),
        settings={k: v for k, v in settings.items() if k != "precision_error"},
    )
    unfitted = GAMES[trained.spec.game.name].unfitted
    return replace(told, notes=(*([unfitted] if unfitted else []), *doubts(told)))
