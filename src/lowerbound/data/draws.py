"""Random numbers that are a pure function of (seed, stream, row), the same on every machine and for every batch.

Philox 4x64 in counter mode (Salmon et al. 2011, "Parallel random numbers: as easy as 1, 2, 3"): the raw 64-bit output
is used, so no version of a library changes a split or a fixed binarisation.
"""

from __future__ import annotations

import numpy as np

DRAW_SEED = 2014
"""The published seed of every fixed binarisation: the same pictures in every run, whatever its own seed."""

STREAMS = {"all": 0, "train": 0, "valid": 1, "test": 2, "split": 3}
LANES = 4


def order(n: int, seed: int) -> np.ndarray:
    """A permutation of 0..n-1.

    >>> order(5, seed=0)
    array([4, 0, 1, 2, 3])
    """
    raw = np.random.Philox(key=np.array([seed, STREAMS["split"]], np.uint64)).random_raw(n)
    return np.argsort(raw, kind="stable")


def uniform(rows: np.ndarray, width: int, stream: str) -> np.ndarray:
    """(len(rows), width) numbers in [0, 1): those of row r depend on r, the stream and the published seed alone."""
    ticks = -(-width // LANES)
    out = np.empty((len(rows), width))
    starts = np.flatnonzero(np.diff(rows, prepend=-2) != 1)
    key = np.array([DRAW_SEED, STREAMS[stream]], np.uint64)
    for start, stop in zip(starts, np.append(starts[1:], len(rows)), strict=True):
        raw = np.random.Philox(key=key, counter=int(rows[start]) * ticks).random_raw((stop - start) * ticks * LANES)
        out[start:stop] = (raw.reshape(stop - start, -1)[:, :width] >> np.uint64(11)) * 2.0**-53
    return out
