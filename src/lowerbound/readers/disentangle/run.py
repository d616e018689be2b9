"""A trained model's code held against the true factors of its data, with spread, chance, and what it does not say."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from lowerbound.data.factors import FACTORS, factors_of
from lowerbound.data.named import PUBLISHED
from lowerbound.errors import InputError
from lowerbound.readers.disentangle.dci import dci
from lowerbound.readers.disentangle.factor_vae import factor_vae_score
from lowerbound.readers.disentangle.mig import entropies, information, mig
from lowerbound.training.codes import codes
from lowerbound.training.load import Trained

ACTIVE = 0.01
"""A coordinate whose posterior means have a variance above this is in use (Burda et al. 2016)."""

HALVES = 8
FEWEST = 100
"""Examples below which no score is given."""

MOST = 100
"""Levels that a factor may have: one with more is a measurement, to be cut into cells first."""

SCORES = ("MIG", "DCI disentanglement", "DCI completeness", "DCI informativeness", "FactorVAE score")
WARNING = (
    "The ± is that of measuring this one model. Models that differ in nothing but the seed of training differ by more, "
    "and by more than methods do (Locatello et al. 2019): compare methods over several seeds, or not at all."
)


@dataclass(frozen=True)
class Score:
    """One score, from 0 to 1, higher is better.

    ``stderr`` is the deviation of the score over random halves of the rows, each with a seed of its own: an estimate
    of the standard error of the whole (the delete-half jackknife). ``chance`` is the score of the same codes dealt out
    anew among the examples.
    """

    name: str
    value: float
    stderr: float
    chance: float

    def json(self) -> dict[str, Any]:
        """JSON-ready fields."""
        return {"value": self.value, "stderr": self.stderr, "chance": self.chance, "unit": "of 1"}

    def __str__(self) -> str:
        return f"{self.value:.3f} ± {self.stderr:.3f}   by chance {self.chance:.3f}"


@dataclass(frozen=True)
class Disentanglement:
    """The scores of one run, and the mutual information behind them.

    *Shapes*: ``information`` (dimensions in use, factors) in nats; ``dimensions`` are their indices in the code;
    ``entropy`` (factors,) in nats is the most that a dimension can know of each.
    """

    run: str
    scores: tuple[Score, ...]
    information: np.ndarray
    entropy: np.ndarray
    dimensions: tuple[int, ...]
    width: int
    factors: tuple[str, ...]
    rows: str
    codes: str
    seed: int

    def json(self) -> dict[str, Any]:
        """JSON-ready figures, each with what it was computed from."""
        return {
            "run": self.run,
            "scores": {score.name: score.json() for score in self.scores},
            "information_nats": {
                f"z{j}": dict(zip(self.factors, row.tolist(), strict=True))
                for j, row in zip(self.dimensions, self.information, strict=True)
            },
            "entropy_nats": dict(zip(self.factors, self.entropy.tolist(), strict=True)),
            "dimensions": self.width,
            "dimensions_in_use": list(self.dimensions),
            "active_threshold_variance": ACTIVE,
            "rows": self.rows,
            "codes": self.codes,
            "seed": self.seed,
            "warning": WARNING,
        }

    def lines(self) -> list[str]:
        """The figures for people, a line each."""
        width = max(len(score.name) for score in self.scores)
        out = [f"{score.name:<{width}}  {score}" for score in self.scores]
        out.append(
            f"{'of':<{width}}  {self.codes} of {self.rows}; {len(self.dimensions)} of {self.width} latents in use"
        )
        out.append("mutual information of each latent in use with each factor, nats:")
        out.append("      " + "".join(f"{name:>10}" for name in self.factors))
        named = zip(self.dimensions, self.information, strict=True)
        out += [f"  z{j:<3} " + "".join(f"{nats:10.3f}" for nats in row) for j, row in named]
        return [*out, "  most " + "".join(f"{nats:10.3f}" for nats in self.entropy)]


def scores_of(z: np.ndarray, v: np.ndarray, seed: int) -> np.ndarray:
    """All of :data:`SCORES` of codes z (n, d) and factors v (n, k): (5,)."""
    if not z.shape[1]:
        return np.array([0.0, 0.0, 0.0, most_frequent(v), 1 / v.shape[1]])
    d = dci(z, v, seed)
    return np.array([mig(z, v), d.disentanglement, d.completeness, d.informativeness, factor_vae_score(z, v, seed)])


def most_frequent(v: np.ndarray) -> float:
    """The accuracy of naming each factor's most frequent level, averaged over factors: that of a code without use."""
    return float(np.mean([np.bincount(factor).max() / len(v) for factor in v.T]))  # not nats: shares of rows


def score(z: np.ndarray, v: np.ndarray, *, seed: int = 0, halves: int = HALVES) -> tuple[Score, ...]:
    """The five scores of codes z (n, d) against factors v (n, k), each with its spread and its chance level."""
    random = np.random.default_rng(seed)
    whole = scores_of(z, v, seed)
    chance = scores_of(random.permutation(z), v, seed)
    parts = [random.permutation(len(z))[: len(z) // 2] for _ in range(halves)]
    spread = np.std([scores_of(z[part], v[part], seed + 1 + i) for i, part in enumerate(parts)], axis=0, ddof=1)
    figures = zip(SCORES, whole, spread, chance, strict=True)
    return tuple(Score(name, float(a), float(b), float(c)) for name, a, b, c in figures)


def disentangle(
    trained: Trained,
    *,
    split: str | None = None,
    factors: np.ndarray | None = None,
    names: Sequence[str] = (),
    draws: bool = False,
    seed: int = 0,
    halves: int = HALVES,
) -> Disentanglement:
    """MIG, DCI and the FactorVAE score of a run whose data have known factors.

    Args:
        split: whose examples; None takes those of all splits together, where the generated factors are independent to
            the last digit. The scores judge a code and not how it generalises.
        factors: levels (N, k) of the rows of the source, where the data are not the set ``factors``.
        names: of the factors.
        draws: one draw z ~ q(z|x) an example in place of the posterior mean.
        seed: of the draws, the forests, the votes and the halves.
        halves: random halves of the rows that the standard errors come from, 2 or more.

    Raises:
        InputError: the factors are not known, or do not fit the rows.
    """
    chosen = [split] if split else [name for name in ("train", "valid", "test") if len(trained.data.splits[name])]
    v = np.concatenate([truth(trained, name, factors) for name in chosen])
    z = np.concatenate([codes(trained.model, trained.data, name).numpy() for name in chosen])
    used = np.flatnonzero(z.var(0) > ACTIVE)
    if draws:
        drawn = [codes(trained.model, trained.data, name, draws=True, seed=seed).numpy() for name in chosen]
        z = np.concatenate(drawn)
    if len(z) < FEWEST:
        raise InputError(f"has only {len(z)} examples", where="split", mend=f"the scores need {FEWEST}")
    known = tuple(names) or tuple(FACTORS if factors is None else (f"v{k}" for k in range(v.shape[1])))
    return Disentanglement(
        run=trained.run.path.name,
        scores=score(z[:, used], v, seed=seed, halves=halves),
        information=information(z[:, used], v),
        entropy=entropies(v),
        dimensions=tuple(int(j) for j in used),
        width=z.shape[1],
        factors=known,
        rows=f"{len(z):,} examples ({', '.join(chosen)})",
        codes="draws from q(z|x)" if draws else "posterior means",
        seed=seed,
    )


def truth(trained: Trained, split: str, given: np.ndarray | None) -> np.ndarray:
    """The factors of the examples of a split, (n, k) levels from 0."""
    record, rows = trained.run.record(), trained.data.splits[split].rows
    if given is None:
        if record["sha256"] != PUBLISHED["factors"]:
            mend = "train on the set factors, or give the levels of each row: --factors FILE.npy"
            raise InputError(f"the true factors of {record['name']} are not known", where="data", mend=mend)
        return factors_of(rows)
    if rows is None or record["split"]["named"]:
        mend = "give the data as one array, of which the splits are drawn"
        raise InputError("its rows have no place in one source", where="factors", mend=mend)
    return levels(given, sum(record["examples"].values()))[rows]


def levels(given: np.ndarray, n: int) -> np.ndarray:
    """A person's factors (n, k) as levels from 0; refused if they do not fit, or if one never changes."""
    if given.ndim != 2 or len(given) != n:
        what = f"the shape {given.shape} does not fit {n:,} examples"
        raise InputError(what, where="factors", mend=f"give one row an example: ({n}, factors)")
    out = np.stack([np.unique(column, return_inverse=True)[1] for column in given.T], 1).astype(np.int64)
    for k in np.flatnonzero(out.max(0) == 0):
        raise InputError(f"factor {k} never changes", where="factors", mend="leave it out")
    for k in np.flatnonzero(out.max(0) >= MOST):
        what = f"factor {k} has {out[:, k].max() + 1} levels"
        raise InputError(what, where="factors", mend=f"cut it into at most {MOST} cells")
    return out


def several(found: Sequence[Disentanglement]) -> list[tuple[str, float, float]]:
    """Name, average and deviation of each score over runs: what a method's figure is, if only the seed differs."""
    table = np.array([[s.value for s in one.scores] for one in found])
    average, deviation = np.mean(table, 0), table.std(0, ddof=1)  # not nats: scores of 1
    return [(name, float(a), float(b)) for name, a, b in zip(SCORES, average, deviation, strict=True)]
