"""One pass over an array, in blocks, for all that has to be known of its values."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

BLOCK = 2**22
"""Values looked at at a time."""


@dataclass(frozen=True)
class Facts:
    """What was seen: the range, whether all are whole numbers, whether only ``low`` and ``high`` occur.

    ``bad`` names the first value that is not finite ("NaN in example 3") or is empty; with ``missing`` allowed,
    NaN is no fault.
    """

    low: float
    high: float
    whole: bool
    two: bool
    bad: str = ""


def blocks(array: Any) -> Iterator[tuple[int, np.ndarray]]:
    """(first row, rows) of ``array``, about four million values at a time."""
    step = max(1, BLOCK // max(1, int(np.prod(array.shape[1:]))))
    for start in range(0, len(array), step):
        yield start, np.asarray(array[start : start + step])


def _fault(block: np.ndarray, start: int, missing: bool) -> str:
    finite = ~np.isinf(block) if missing else np.isfinite(block)
    if finite.all():
        return ""
    place = np.argwhere(~finite)[0]
    what = "NaN" if np.isnan(block[tuple(place)]) else "an infinite value"
    at = "" if len(place) == 1 else f" at {tuple(int(i) for i in place[1:])}"
    return f"{what} in example {start + int(place[0])}{at}"


def facts(arrays: Iterable[Any], missing: bool = False) -> Facts:
    """The facts of all ``arrays`` together."""
    low, high, whole, two = np.inf, -np.inf, True, True
    for array in arrays:
        for start, block in blocks(array):
            if block.dtype.kind == "f":
                fault = _fault(block, start, missing)
                if fault:
                    return Facts(low, high, False, False, fault)
                block = block[~np.isnan(block)] if missing else block
                whole = whole and bool((block == np.floor(block)).all())
            if block.size:
                edges = float(block.min()), float(block.max())
                two = two and (low in (np.inf, edges[0])) and (high in (-np.inf, edges[1]))
                two = two and bool(((block == edges[0]) | (block == edges[1])).all())
                low, high = min(low, edges[0]), max(high, edges[1])
    return Facts(low, high, whole, two)


def fingerprint(arrays: Mapping[str, Any], more: object = None) -> str:
    """SHA-256 of the arrays: name, shape, type and little-endian bytes in C order of each, by name; then ``more``.

    >>> fingerprint({"all": np.zeros((2, 2))}) == fingerprint({"all": np.zeros((2, 2), ">f8")})
    True
    """
    digest = hashlib.sha256()
    for name in sorted(arrays):
        array = arrays[name]
        kind = array.dtype.newbyteorder("<")
        digest.update(json.dumps([name, list(array.shape), kind.str]).encode())
        for _, block in blocks(array):
            digest.update(np.ascontiguousarray(block, kind).data)
    if more is not None:
        digest.update(json.dumps(more, sort_keys=True).encode())
    return digest.hexdigest()
