"""Do the codes of held-out examples match the prior? A permutation test, with the size of what it finds beside it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from matplotlib import rc_context
from matplotlib.figure import Figure
from scipy.spatial.distance import cdist, pdist
from scipy.stats import ks_2samp

from lowerbound.errors import InputError
from lowerbound.readers import figures
from lowerbound.training.codes import codes, prior_codes
from lowerbound.training.load import Trained
from lowerbound.training.randomness import borrowed, generator, reseed

LEVEL = 0.05
"""Codes that do match are called different with this probability."""

WIDTHS = (0.25, 0.5, 1.0, 2.0, 4.0)
"""Widths of the kernels, in units of the median distance."""

FEWEST, MOST = 20, 1000
PERMUTATIONS = 499
ROWS = 31
SHOWN = 30


@dataclass(frozen=True)
class Dimension:
    """One coordinate: average and deviation of codes and prior, and the p-value of a Kolmogorov-Smirnov test (Holm)."""

    index: int
    mean: float
    deviation: float
    prior_mean: float
    prior_deviation: float
    p_value: float

    def words(self) -> str:
        """What is different about it."""
        return (
            f"z{self.index} has mean {self.mean:+.2f} and deviation {self.deviation:.2f}, "
            f"the prior {self.prior_mean:+.2f} and {self.prior_deviation:.2f}"
        )


@dataclass(frozen=True)
class TwoSample:
    """A two-sample test of codes against draws of the prior.

    ``statistic`` is the squared maximum mean discrepancy, without unit, at least 0, lower is closer; codes that match
    exceed ``critical`` once in twenty. ``p_value`` is the share of relabellings with a statistic as large.
    """

    statistic: float
    critical: float
    p_value: float
    n: int
    permutations: int
    split: str
    codes: str
    seed: int
    dimensions: tuple[Dimension, ...]

    @property
    def differs(self) -> bool:
        """Whether the test tells the codes from the prior, at a false-alarm rate of 0.05."""
        return self.p_value <= LEVEL

    def words(self) -> list[str]:
        """Sentences for people: the verdict, its size, and what it does not say."""
        what = (
            f"{self.n:,} {self.split} codes ({self.codes}) against as many draws from the prior: "
            f"MMD² = {self.statistic:.4f}, p = {self.p_value:.3f} by {self.permutations} permutations."
        )
        if not self.differs:
            return [
                f"No difference between codes and prior was found. {what}",
                f"That is no proof that they match: with {self.n:,} codes a small difference is not seen.",
                *(["By themselves, though, coordinates differ."] if self.apart() else []),
                *(self.where() if self.apart() else []),
            ]
        return [
            f"The codes do not match the prior. {what}",
            f"Codes that match give an MMD² above {self.critical:.4f} once in {round(1 / LEVEL)}. "
            "With many codes any difference is found: judge by its size.",
            *self.where(),
        ]

    def apart(self) -> list[Dimension]:
        """The coordinates that differ by themselves, the worst first."""
        return sorted((d for d in self.dimensions if d.p_value <= LEVEL), key=lambda d: d.p_value)

    def where(self) -> list[str]:
        """Which coordinates differ, in words."""
        found = self.apart()
        if not found:
            return ["No coordinate differs by itself: it is how they go together that differs, or less than is seen."]
        more = f" (the worst of {len(found)} that differ, of {len(self.dimensions)})" if len(found) > 1 else ""
        return [f"{found[0].words()}{more}."]

    def json(self) -> dict[str, Any]:
        """JSON-ready figures, with what they were computed from."""
        return {
            "statistic": self.statistic,
            "what": "squared maximum mean discrepancy, sum of five Gaussian kernels around the median distance",
            "critical": self.critical,
            "level": LEVEL,
            "p_value": self.p_value,
            "differs": self.differs,
            "n": self.n,
            "permutations": self.permutations,
            "split": self.split,
            "codes": self.codes,
            "seed": self.seed,
            "dimensions": [vars(d) for d in self.dimensions],
        }


def kernel(pooled: np.ndarray) -> np.ndarray:
    r"""The sum of Gaussian kernels of five widths: (N, d) -> (N, N).

    .. math:: k(a, b) = \sum_w \exp(-|a - b|^2 / (2 w^2 m^2)), \quad m \text{ the median distance}

    The median is that of all points, which a relabelling does not change: the test keeps its level.
    """
    between = pdist(pooled)
    m = float(np.median(between)) or float(between.max()) or 1.0
    squares = cdist(pooled, pooled, "sqeuclidean") / m**2
    out = np.zeros_like(squares)
    for w in WIDTHS:
        out += np.exp(-squares / (2 * w**2))
    return out


def permutation_test(
    a: np.ndarray, b: np.ndarray, *, permutations: int = PERMUTATIONS, seed: int = 0
) -> tuple[float, float, np.ndarray]:
    r"""The statistic of a (n, d) against b (m, d), its p-value, and the statistics of relabellings (permutations,).

    .. math:: \mathrm{MMD}^2 = \tfrac{1}{n^2}\sum k(a, a') + \tfrac{1}{m^2}\sum k(b, b') - \tfrac{2}{nm}\sum k(a, b),
        \qquad p = \frac{1 + \#\{\pi: \mathrm{MMD}^2_\pi \ge \mathrm{MMD}^2\}}{1 + P}

    The p-value is exact: where a and b are draws of one distribution, P(p <= t) <= t.

    *Source*: Gretton et al. 2012, "A kernel two-sample test", eq. 5; Phipson and Smyth 2010 for the 1 + in p.
    """
    n, m = len(a), len(b)
    K = kernel(np.concatenate([a, b]))
    signs = np.repeat([1.0 / n, -1.0 / m], [n, m])
    random = np.random.default_rng(seed)
    labels = np.stack([signs, *(random.permutation(signs) for _ in range(permutations))])
    values = np.maximum((labels @ K * labels).sum(1), 0.0)
    statistic, null = float(values[0]), values[1:]
    as_large = int((null >= statistic * (1 - 1e-12)).sum())
    return statistic, (1 + as_large) / (1 + permutations), null


def holm(p: np.ndarray) -> np.ndarray:
    """P-values (d,) made up for their number: the chance of even one false alarm is held (Holm 1979).

    >>> holm(np.array([0.01, 0.5, 0.03])).round(2).tolist()
    [0.03, 0.5, 0.06]
    """
    order, d = np.argsort(p), len(p)
    raised = np.minimum(1, np.maximum.accumulate(p[order] * (d - np.arange(d))))
    out = np.empty(d)
    out[order] = raised
    return out


def dimension_tests(a: np.ndarray, b: np.ndarray) -> tuple[Dimension, ...]:
    """Each coordinate of a (n, d) against that of b (m, d)."""
    p = holm(np.array([ks_2samp(x, y, method="asymp").pvalue for x, y in zip(a.T, b.T, strict=True)]))
    centres = [np.mean(s, 0) for s in (a, b)]  # not nats: codes
    spread = [s.std(0) for s in (a, b)]
    figures_of = zip(centres[0], spread[0], centres[1], spread[1], p, strict=True)
    return tuple(Dimension(j, *(float(v) for v in row)) for j, row in enumerate(figures_of))


def both(trained: Trained, split: str, n: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """One draw z ~ q(z|x) for each of up to n examples of a split, and as many of the prior: (n, width) each."""
    data, model = trained.data, trained.model
    if split not in data.splits or len(data.splits[split]) < FEWEST:
        held = len(data.splits[split]) if split in data.splits else 0
        what = f"has {held} examples in split {split!r}"
        raise InputError(what, where="split", mend=f"the test needs {FEWEST}; give a larger split")
    rows = torch.randperm(len(data.splits[split]), generator=generator(ROWS, seed))[:n]
    with borrowed(torch.device("cpu")):
        reseed(torch.device("cpu"), ROWS, seed)
        z = codes(model, data, split, rows=rows, draws=True, seed=seed)
    return z.numpy(), prior_codes(model, data, split, rows=rows, seed=seed).numpy()


def codes_match_prior(
    trained: Trained, split: str = "test", *, n: int = MOST, permutations: int = PERMUTATIONS, seed: int = 0
) -> TwoSample:
    """Test whether the codes of a split are distributed as the prior: the aggregate of q(z|x) against p(z).

    Args:
        split: of held-out examples; those of training may match where others do not.
        n: examples at most; the rows are chosen by the seed, and memory grows with n^2 (n = 3000: 1 GiB).
        permutations: relabellings; the least p-value is 1 / (1 + permutations).
        seed: of the rows, the draws and the relabellings.

    Raises:
        InputError: the model has no encoder, or the split has fewer than 20 examples.
    """
    a, b = both(trained, split, n, seed)
    return compare(a, b, trained, split, permutations, seed)


def compare(a: np.ndarray, b: np.ndarray, trained: Trained, split: str, permutations: int, seed: int) -> TwoSample:
    """The test of codes a against draws b of the prior."""
    statistic, p, null = permutation_test(a, b, permutations=permutations, seed=seed)
    noisy = trained.model.posterior.density
    return TwoSample(
        statistic=statistic,
        critical=float(np.quantile(null, 1 - LEVEL)),
        p_value=p,
        n=len(a),
        permutations=permutations,
        split=split,
        codes="one draw z ~ q(z|x) an example" if noisy else "the deterministic code of each example",
        seed=seed,
        dimensions=dimension_tests(a, b),
    )


def drawing(a: np.ndarray, b: np.ndarray, found: TwoSample) -> str:
    """Codes beside the prior, coordinate by coordinate: 5 to 95 percent as a line, quartiles as a thick one."""
    order = sorted(found.dimensions, key=lambda d: d.p_value)[:SHOWN]
    shown = sorted(d.index for d in order)
    with rc_context(figures.STYLE):
        figure = Figure(figsize=(9.6, 3.0), layout="constrained")
        axis = figure.subplots()
        for z, shift, colour, name in ((a, -0.15, figures.BLUE, "codes"), (b, 0.15, figures.GREY, "prior")):
            low, first, middle, third, high = np.quantile(z[:, shown], (0.05, 0.25, 0.5, 0.75, 0.95), axis=0)
            at = np.arange(len(shown)) + shift
            axis.vlines(at, low, high, color=colour, linewidth=1.5)
            axis.vlines(at, first, third, color=colour, linewidth=6, label=name)
            axis.plot(at, middle, "o", color=figures.INK, markersize=3)
        axis.set_xticks(range(len(shown)), [f"z{j}" for j in shown], fontsize=9 if len(shown) <= 20 else 7)
        axis.set_ylabel("value of the coordinate")
        axis.grid(axis="x", visible=False)
        axis.legend(loc="center left", bbox_to_anchor=(1.0, 0.5), fontsize=9)
        words = "; ".join(d.words() for d in order[:8])
        return figures.svg(figure, "Codes beside the prior, by coordinate", words)


def drawn(
    trained: Trained, split: str = "test", *, n: int = MOST, permutations: int = PERMUTATIONS, seed: int = 0
) -> tuple[TwoSample, str]:
    """The test of :func:`codes_match_prior` and its picture, as inline SVG."""
    a, b = both(trained, split, n, seed)
    found = compare(a, b, trained, split, permutations, seed)
    return found, drawing(a, b, found)
