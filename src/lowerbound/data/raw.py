"""What a reader found in a source, before it is given a meaning, split and binarised."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from lowerbound.data.dataset import Column

ALL = "all"
"""The key of arrays whose source names no splits."""


@dataclass(frozen=True)
class Raw:
    """Arrays (n, ...) by the splits that the source itself names, or under "all".

    ``kind`` and ``why`` are set only where the source itself knows the meaning ("levels:17"); ``columns`` only for
    tables, whose array then holds float64 cells: codes for categories, NaN for missing ones; ``symbols`` only for
    sequences (kind "sequence:17", or "series"), whose arrays hold NaN after the end of each example. ``published``
    is the fingerprint that the arrays of a named set must have. Faults name ``source``.
    """

    name: str
    source: str
    x: Mapping[str, Any]
    y: Mapping[str, np.ndarray] = field(default_factory=dict)
    label_names: tuple[str, ...] = ()
    kind: str = "auto"
    why: str = ""
    columns: tuple[Column, ...] = ()
    symbols: tuple[str, ...] = ()
    binarise: str = "none"
    published: str = ""
    notes: tuple[str, ...] = ()
