"""Are samples nearer to the training examples than new examples are? Then the model has learned some by heart."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.stats import hypergeom, mannwhitneyu
from sklearn.cluster import KMeans
from sklearn.neighbors import NearestNeighbors

ALARM = -3.0
"""A score below this says copying (Meehan et al. 2020, section 3): a false alarm in one model of 700."""

RARE = 0.001
"""A number of very close samples with a smaller chance than this says copying too."""

CLOSEST = 0.01
CELLS = 5
LEAST = 20
"""Samples, and held-out examples, that a cell must hold to count."""


@dataclass(frozen=True)
class Copies:
    """The test for copies.

    ``score`` is N(0, 1) where samples are as far from the training examples as held-out examples are; below -3 they
    are nearer (copies), above 3 farther (the model has not reached the data). It sees many samples that are a little
    too near. ``close``, the share of samples nearer than all but one in a hundred of the held-out examples, sees a few
    that are much too near; ``p_close`` is its chance where nothing is copied. ``ratio`` is the median distance of
    samples over that of held-out examples.

    *Shapes*: ``distance`` and ``nearest`` (samples,): how far the nearest training row is, and which it is.
    """

    score: float
    ratio: float
    close: float
    p_close: float
    distance: np.ndarray
    nearest: np.ndarray

    @property
    def copied(self) -> bool:
        """Whether samples are nearer to training examples than chance allows, all of them or a few."""
        return self.score < ALARM or self.p_close < RARE

    def json(self) -> dict[str, Any]:
        """JSON-ready figures."""
        named = {"score": self.score, "alarm_below": ALARM, "ratio": self.ratio}
        return named | {"close": self.close, "p_close": self.p_close, "copied": self.copied}

    def words(self) -> str:
        """The verdict."""
        if self.copied:
            verdict = "Samples are nearer to training examples than new examples are: some were learned by heart"
        elif self.score > -ALARM:
            verdict = "Samples are farther from the training examples than new examples are: they are not yet like data"
        else:
            verdict = "Samples are about as far from the training examples as new examples are"
        return (
            f"{verdict} (C_T = {self.score:+.1f}; median distance {self.ratio:.2f} times that of held-out examples; "
            f"{100 * self.close:.1f} percent are nearer than all but 1 percent of these)."
        )


def to_nearest(points: np.ndarray, train: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """For each point (n, f) the distance from the nearest training point, and which one that is."""
    distance, index = NearestNeighbors(n_neighbors=1).fit(train).kneighbors(points)
    return distance[:, 0], index[:, 0]


def z_score(of_samples: np.ndarray, of_held: np.ndarray) -> float:
    """Mann and Whitney's U of two sets of distances, in deviations: below 0 where those of samples are smaller."""
    n, m = len(of_samples), len(of_held)
    U = float(mannwhitneyu(of_samples, of_held, method="asymptotic").statistic)
    return (U - n * m / 2) / math.sqrt(n * m * (n + m + 1) / 12)


def few_too_close(near: np.ndarray, far: np.ndarray) -> tuple[float, float]:
    """The share of samples nearer than all but one in a hundred of the held-out examples, and its chance.

    With j held-out examples up to the limit, k samples or more lie below it if of the k + j - 1 least distances of
    both k or more are samples': a hypergeometric probability, exact where both are draws of one distribution.
    """
    n, m = len(near), len(far)
    j = max(1, round(CLOSEST * m))
    k = int((near < np.sort(far)[j - 1]).sum())
    return k / n, float(hypergeom.sf(k - 1, n + m, n, k + j - 1)) if k else 1.0


def copies(samples: np.ndarray, held: np.ndarray, train: np.ndarray, seed: int = 0) -> Copies:
    r"""Whether samples (n, f) copy the training points, held against held-out points (m, f).

    .. math:: C_T = \frac{\sum_\pi P(\pi)\, Z_U(\pi)}{\sqrt{\sum_\pi P(\pi)^2}}

    over cells pi of the training points (k-means), with P the share of held-out points there and Z_U the deviations by
    which distances to the nearest training point of the cell are smaller, for samples, than chance allows. Cells with
    few samples or held-out points are left out; where none is left, all points are one cell.

    *Source*: Meehan, Chaudhuri and Dasgupta 2020, "A non-parametric test to detect data-copying in generative
    models", section 3. They divide by the sum of P, which makes the deviation of C_T under chance less than 1 and
    their limit of -3 too strict; divided by the root of the squares, C_T is N(0, 1). Cells: 5, as sets are small.
    """
    near, index = to_nearest(samples, train)
    far, _ = to_nearest(held, train)
    of_cell = KMeans(min(CELLS, len(train)), n_init=3, random_state=seed).fit(train)
    cells = [of_cell.predict(points) for points in (samples, held, train)]
    found = []
    for cell in range(of_cell.n_clusters):
        s, h, t = (points[at == cell] for points, at in zip((samples, held, train), cells, strict=True))
        if min(len(s), len(h)) >= LEAST and len(t):
            found.append((len(h), z_score(to_nearest(s, t)[0], to_nearest(h, t)[0])))
    scale = math.sqrt(sum(n**2 for n, _ in found))
    score = sum(n * z for n, z in found) / scale if found else z_score(near, far)
    ratio = float(np.median(near) / max(np.median(far), 1e-300))
    return Copies(score, ratio, *few_too_close(near, far), near, index)
