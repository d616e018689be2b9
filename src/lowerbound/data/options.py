"""What a person may choose when loading data, checked in one place."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from lowerbound.data.guard import LIMIT
from lowerbound.data.kinds import check
from lowerbound.errors import InputError, nearest

BINARISATIONS = ("default", "none", "threshold", "fixed", "fresh")
COLUMNS = ("numeric", "count", "binary", "category", "drop")


@dataclass(frozen=True)
class Options:
    """The choices of :func:`lowerbound.data.load`; each fault is an InputError that names the option.

    With ``like`` nothing is held out: the data are there to be read, not to be trained on.

    >>> Options(valid=1.5)
    Traceback (most recent call last):
    ...
    lowerbound.errors.InputError: valid: 1.5 is not a share of the examples; give a number from 0 up to, not with, 1
    """

    binarise: str = "default"
    valid: float = 0.1
    test: float = 0.1
    seed: int = 0
    kind: str = "auto"
    labels: str | None = None
    array: str | None = None
    columns: Mapping[str, str] | None = None
    limit: int = LIMIT
    like: Mapping[str, Any] | None = None

    def __post_init__(self) -> None:
        if self.like is not None:
            object.__setattr__(self, "valid", 0.0)
            object.__setattr__(self, "test", 0.0)
        if self.binarise not in BINARISATIONS:
            raise InputError(
                f"unknown name {self.binarise!r}", where="binarise", mend=nearest(self.binarise, BINARISATIONS)
            )
        for name in ("valid", "test"):
            self._share(name, getattr(self, name))
        if self.valid + self.test >= 1:
            raise InputError(
                "valid and test leave nothing to train on", where="valid", mend="let them sum to less than 1"
            )
        if isinstance(self.seed, bool) or not isinstance(self.seed, int) or not 0 <= self.seed < 2**63:
            raise InputError(f"{self.seed!r} is not a seed", where="seed", mend="give a whole number from 0 up")
        check(self.kind)
        self._columns()

    @staticmethod
    def _share(name: str, value: Any) -> None:
        number = isinstance(value, (int, float)) and not isinstance(value, bool)
        if not number or not math.isfinite(value) or not 0 <= value < 1:
            mend = "give a number from 0 up to, not with, 1"
            raise InputError(f"{value!r} is not a share of the examples", where=name, mend=mend)

    def _columns(self) -> None:
        for name, kind in (self.columns or {}).items():
            if kind not in COLUMNS:
                raise InputError(
                    f"unknown kind {kind!r} of column {name!r}", where="columns", mend=nearest(kind, COLUMNS)
                )
