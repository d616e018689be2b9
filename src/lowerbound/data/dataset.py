"""A data set in memory: arrays by split, and what the numbers mean."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor

Kind = Literal["binary", "unit", "levels", "real", "count", "table", "sequence", "series"]
"""What a value is: 0/1; a real in [0, 1]; an integer 0..levels-1; any real; an integer >= 0; mixed columns; a symbol
0..levels-1 of a sequence, the last of which is its end; a real of a series. After the end of either stands NaN."""


@dataclass(frozen=True)
class Column:
    """One column of a table. Categories are stored as the codes 0..len(levels)-1; a missing cell is NaN."""

    name: str
    kind: Literal["numeric", "count", "binary", "category"]
    levels: tuple[str, ...] = ()


@dataclass(frozen=True)
class Summary:
    """What a model may know of the data before training: from the training split alone.

    *Shapes*: ``mean`` and ``std`` have shape ``shape`` (NaN cells left out); images are (channels, height, width).
    ``classes`` counts the labels 0, 1, ... that examples may have; 0 where there are none. Of sequences and series the
    statistics are the same at every step; ``frequencies`` (levels,) are the shares of the symbols of a sequence.
    """

    kind: Kind
    shape: tuple[int, ...]
    mean: Tensor
    std: Tensor
    levels: int = 0
    columns: tuple[Column, ...] = ()
    classes: int = 0
    frequencies: Tensor | None = None

    @property
    def parts(self) -> int:
        """Number of values in one example: what bits per dimension divides by."""
        return int(np.prod(self.shape))


@dataclass(frozen=True)
class Split:
    """``x`` (n, *shape): a float32 tensor, or ``Rows`` read on demand where it does not fit; ``labels`` (n,) or None.

    ``rows`` (n,) are the positions of the examples in the source: a drawn split is not in the order of its source.
    """

    x: Any
    labels: np.ndarray | None = None
    rows: np.ndarray | None = None

    def __len__(self) -> int:
        return len(self.x)


@dataclass(frozen=True)
class Data:
    """Splits "train", "valid", "test" of one data set, and the record that identifies it.

    ``record`` is JSON-ready and goes into the run folder: name, source, sha256, kind, shape, levels, examples per
    split, how the split was made, binarisation ("none", "threshold", "fixed", "fresh") with its seed.
    """

    name: str
    kind: Kind
    shape: tuple[int, ...]
    splits: Mapping[str, Split]
    record: Mapping[str, Any]
    levels: int = 0
    columns: tuple[Column, ...] = ()
    binarisation: str = "none"
    label_names: tuple[str, ...] = ()
    symbols: tuple[str, ...] = ()
    notes: tuple[str, ...] = field(default=())

    def __len__(self) -> int:
        return len(self.splits["train"])

    def batch(self, split: str, rows: Tensor) -> Tensor:
        """The examples of ``rows`` (a 1-D int64 tensor) as float32 (len(rows), *shape).

        With fresh binarisation the training split is drawn here from torch's own generator; every other split
        was drawn once, from the published seed.
        """
        x = self.splits[split].x
        tensor = isinstance(x, Tensor)
        taken = x.index_select(0, rows.to(x.device)) if tensor else torch.from_numpy(x[rows.cpu().numpy()])
        if split == "train" and self.binarisation == "fresh":
            return torch.bernoulli(taken)
        return taken

    @property
    def classes(self) -> int:
        """How many labels 0, 1, ... there are; 0 without labels. A label of -1 is unknown, and counts as none."""
        every = [s.labels for s in self.splits.values() if s.labels is not None and len(s.labels)]
        return max(max(int(y.max()) for y in every) + 1, len(self.label_names)) if every else 0

    def labels(self, split: str, rows: Tensor) -> Tensor | None:
        """The labels of ``rows`` (a 1-D int64 tensor), (len(rows),) int64; None where the data have none."""
        y = self.splits[split].labels
        return None if y is None else torch.from_numpy(y[rows.cpu().numpy()])
