"""Rows of an array that stays where it is, on disk or in memory, turned into float32 when they are asked for."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor

from lowerbound.data.draws import uniform

Step = Literal["none", "threshold", "fixed"]


@dataclass(frozen=True)
class Rows:
    """Rows ``index`` of ``array``: divided by ``divisor``, then as they are, above one half, or drawn once (``step``).

    *Shapes*: ``array`` (N, *shape); ``rows[i]`` for an index array i (len(i), *shape) float32.

    >>> Rows(np.array([[0], [51], [255]], np.uint8), np.array([2, 1]), divisor=255)[np.array([0, 1])]
    array([[1. ], [0.2]], dtype=float32)
    """

    array: Any
    index: np.ndarray
    divisor: float = 1.0
    step: Step = "none"
    stream: str = "all"

    def __len__(self) -> int:
        return len(self.index)

    @property
    def shape(self) -> tuple[int, ...]:
        """(n, *shape), as of an array."""
        return (len(self.index), *self.array.shape[1:])

    @property
    def ndim(self) -> int:
        """Number of axes, as of an array."""
        return self.array.ndim

    def __getitem__(self, rows: Any) -> np.ndarray:
        wanted = np.atleast_1d(self.index[np.asarray(rows) if not isinstance(rows, slice) else rows])
        ascending = np.argsort(wanted, kind="stable")
        out = np.empty((len(wanted), *self.array.shape[1:]), np.float32)
        out[ascending] = self._values(wanted[ascending])
        return out

    def _values(self, rows: np.ndarray) -> np.ndarray:
        x = np.asarray(self.array[rows])
        if self.step == "none":
            x = x.astype(np.float32, copy=False)
            return x if self.divisor == 1.0 else x / np.float32(self.divisor)
        x = x / self.divisor
        if self.step == "threshold":
            return x > 0.5
        return uniform(rows, int(np.prod(x.shape[1:])), self.stream).reshape(x.shape) < x

    def tensor(self) -> Tensor:
        """All rows, in memory."""
        out = np.empty(self.shape, np.float32)
        step = max(1, 2**21 // max(1, int(np.prod(self.shape[1:]))))
        for start in range(0, len(self), step):
            out[start : start + step] = self[slice(start, start + step)]
        return torch.from_numpy(out)
