"""Whether imputed draws cover the truth: cells that are known are hidden, drawn, and held against what was there.

Where the draws are right, the truth is one more of them: its rank among D draws is uniform on 0..D (ties are broken at
random, so that this holds for counts and categories too). The interval from the a-th lowest to the a-th highest draw
then holds it with the probability (D + 1 - 2a) / (D + 1), exactly.
Source: Rubin 1984 ("Bayesianly justifiable"); Talts et al. 2018 (1804.06788) for the rank.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from lowerbound.errors import InputError
from lowerbound.maths.units import Estimate
from lowerbound.readers.by_row import fetched
from lowerbound.readers.impute.draw import Method, impute
from lowerbound.training.load import Trained

SHOWN = 30
"""Columns that the table shows; of more, only the farthest from nominal."""
TIES = 1
"""What the numbers that break ties are for: apart from those that hide cells, so that more rows change no rank."""


@dataclass(frozen=True)
class Column:
    """Of ``cells`` hidden cells of one column, how many the interval held, and the z-score of that number."""

    name: str
    cells: int
    covered: int
    nominal: float

    @property
    def share(self) -> float:
        """The part that was covered."""
        return self.covered / self.cells

    @property
    def stderr(self) -> float:
        """The binomial deviation of the share, were the draws right: one cell a row, so that cells do not share z."""
        return math.sqrt(self.nominal * (1 - self.nominal) / self.cells)

    @property
    def score(self) -> float:
        """Deviations from nominal."""
        return (self.share - self.nominal) / self.stderr

    def json(self) -> dict[str, Any]:
        """JSON-ready."""
        return {**vars(self), "share": self.share, "stderr": self.stderr, "z": self.score}


@dataclass(frozen=True)
class Coverage:
    """Coverage of hidden cells by column; ``whole`` of all cells, with an error over rows (cells of a row share z)."""

    columns: list[Column]
    whole: Estimate
    nominal: float
    draws: int
    hidden: float
    rows: int
    split: str
    ranks: np.ndarray

    def json(self) -> dict[str, Any]:
        """JSON-ready."""
        return {
            "split": self.split,
            "rows": self.rows,
            "hidden_share": self.hidden,
            "draws": self.draws,
            "nominal": self.nominal,
            "covered": self.whole.json(),
            "columns": [column.json() for column in self.columns],
        }

    def lines(self) -> list[str]:
        """The table for people."""
        worst = sorted(self.columns, key=lambda c: -abs(c.score))[:SHOWN]
        shown = self.columns if len(self.columns) <= SHOWN else worst
        wide = max(6, *(len(c.name) for c in shown))
        head = f"{'column':<{wide}}  {'cells':>6}  {'covered':>8}  {'nominal':>8}  {'± binomial':>10}  {'z':>5}"
        rows = [
            f"{c.name:<{wide}}  {c.cells:>6}  {c.share:8.1%}  {c.nominal:8.1%}  {c.stderr:10.1%}  {c.score:+5.1f}"
            for c in shown
        ]
        error = f"{self.whole.stderr:.1%}" if np.isfinite(self.whole.stderr) else "-"
        whole = f"all cells: {self.whole.value:.1%} ± {error} covered (error over rows), nominal "
        rest = len(self.columns) - len(shown)
        left = f", {rest} columns nearer to it not shown" if rest else ""
        about = f"{self.hidden:.0%} of the cells of {self.rows:,} rows of {self.split} hidden, {self.draws} draws each"
        return [head, *rows, "", whole + f"{self.nominal:.1%}{left}", about]


def coverage(
    trained: Trained,
    split: str = "test",
    *,
    hidden: float = 0.2,
    draws: int = 99,
    level: float = 0.9,
    rows: int = 500,
    steps: int = 100,
    method: Method = "metropolis",
    seed: int = 0,
) -> Coverage:
    """Hide a share of the known cells of a split, draw them, and count how often the interval holds the truth.

    Args:
        level: about what the interval should hold; the nearest that ``draws`` allow is stated as nominal.
        rows: how many rows, from the first.
    """
    data = trained.data
    n = min(rows, len(data.splits[split])) if split in data.splits else 0
    if not n:
        raise InputError(f"the run has no examples in split {split!r}", where="split", mend="choose another split")
    if not 0 < hidden < 1 or not 0 < level < 1:
        raise InputError(f"hidden {hidden:g}, level {level:g}", where="coverage", mend="give shares between 0 and 1")
    x = fetched(trained, split, torch.arange(n), seed)[0].double().numpy()
    away = (np.random.default_rng(seed).random(x.shape) < hidden) & ~np.isnan(x)
    found = impute(trained, np.where(away, np.nan, x), draws=draws, steps=steps, method=method, seed=seed)
    ranks = placed(found.draws, x, np.random.default_rng([seed, TIES]))
    cut = max(1, round((draws + 1) * (1 - level) / 2))
    if draws < 2 * cut:
        raise InputError(f"{draws} draws make no interval", where="draws", mend="give at least 19")
    inside = (ranks >= cut) & (ranks <= draws - cut)
    nominal = (draws + 1 - 2 * cut) / (draws + 1)
    return Coverage(
        by_column(trained, away, inside, nominal), whole(away, inside), nominal, draws, hidden, n, split, ranks[away]
    )


def placed(draws: np.ndarray, truth: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """The rank of the truth among the draws of each cell, 0..D; among equal ones at random."""
    below, equal = (draws < truth).sum(0), (draws == truth).sum(0)
    return below + (random.random(equal.shape) * (equal + 1)).astype(np.int64)


def by_column(trained: Trained, away: np.ndarray, inside: np.ndarray, nominal: float) -> list[Column]:
    """One line a column that had a cell hidden."""
    flat, held = away.reshape(len(away), -1), inside.reshape(len(away), -1)
    names = trained.run.record().get("column_names") or []
    names = names if len(names) == flat.shape[1] else [f"x{j}" for j in range(flat.shape[1])]
    return [
        Column(name, int(flat[:, j].sum()), int((flat & held)[:, j].sum()), nominal)
        for j, name in enumerate(names)
        if flat[:, j].any()
    ]


def whole(away: np.ndarray, inside: np.ndarray) -> Estimate:
    """The share of all hidden cells, with the error of a ratio over rows."""
    cells, held = (a.reshape(len(away), -1).sum(1) for a in (away, away & inside))
    share = held.sum() / cells.sum()
    spread = np.sqrt(np.square(held - share * cells).sum()) / cells.sum() if (cells > 0).sum() > 1 else np.inf
    return Estimate(float(share), float(spread), "share", int(cells.sum()))
