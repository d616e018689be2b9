"""Labels of examples, as whole numbers with names."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

Coded = tuple[dict[str, np.ndarray], tuple[str, ...], tuple[str, ...]]

CLASSES = 1000
"""More different labels than this are a measurement, not classes."""


def coded(y: Mapping[str, np.ndarray]) -> Coded:
    """Labels by split as int64, the names of the codes (none where labels are numbers already), and notes.

    >>> coded({"all": np.array(["cat", "ape", "cat"])})
    ({'all': array([1, 0, 1])}, ('ape', 'cat'), ())
    """
    if not y:
        return {}, (), ()
    every = np.concatenate([np.asarray(part) for part in y.values()])
    if every.dtype.kind == "f" and np.isfinite(every).all() and (every == np.floor(every)).all():
        every = every.astype(np.int64)
    if every.dtype.kind == "f":
        return {}, (), ("labels that are not whole numbers are left out",)
    words = every.dtype.kind not in "biu"
    names, codes = np.unique(every.astype(str) if words else every, return_inverse=True)
    if len(names) > CLASSES:
        return {}, (), (f"labels with {len(names)} different values are left out",)
    codes = codes.astype(np.int64) if words else every.astype(np.int64)
    ends = np.cumsum([len(part) for part in y.values()])[:-1]
    parts = dict(zip(y, np.split(codes, ends), strict=True))
    return parts, tuple(str(name) for name in names) if words else (), ()
