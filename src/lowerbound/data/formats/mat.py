"""MATLAB files of version 5: one numeric array by its name, an example a column."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from lowerbound.errors import InputError

LIMIT = 64 * 2**20
"""Bytes that such a file may have."""


def read(path: Path, key: str, shape: tuple[int, ...]) -> np.ndarray:
    """The array ``key`` (values, examples) as (examples, ...) of ``shape``, bytes; other contents are refused."""
    from scipy.io import loadmat

    if path.stat().st_size > LIMIT:
        raise InputError("is too large for what it should be", where=path, mend="delete it to fetch it again")
    try:
        found = loadmat(path, variable_names=[key])[key]
    except Exception as error:  # the reader raises many kinds
        what = f"is no MATLAB file with an array {key!r} ({type(error).__name__})"
        raise InputError(what, where=path, mend="delete it to fetch it again") from None
    if found.dtype != np.uint8 or found.T.size != int(np.prod(shape)) or found.ndim != 2:
        what = f"its array {key!r} is {found.dtype} of shape {found.shape}"
        raise InputError(what, where=path, mend="delete it to fetch it again")
    return np.ascontiguousarray(found.T).reshape(shape)
