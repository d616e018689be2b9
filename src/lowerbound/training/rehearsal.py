"""Before a run has a folder: the rows on which its players are tried, and what is put back afterwards."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from lowerbound.data.dataset import Data

FEW = 4
LOOK = 4096
"""Rows of a table among which one with a missing cell is looked for."""


def telling_rows(data: Data, y: Tensor | None) -> Tensor:
    """A few rows of the training split: the first, those of the lowest and highest label, one with a missing cell.

    ``y`` (n,) are the labels as the run may use them, -1 where unknown.
    """
    n = len(data.splits["train"])
    rows = [torch.arange(min(n, FEW))]
    if y is not None:
        rows += [y.argmin().view(1), y.argmax().view(1)]
    if data.kind == "table":
        gaps = data.batch("train", torch.arange(min(n, LOOK))).isnan().any(1)
        rows += [gaps.nonzero()[:1, 0]]
    return torch.cat(rows).unique()


@contextmanager
def unchanged(*modules: nn.Module) -> Iterator[None]:
    """Put every buffer of the modules back afterwards: the same tensors, with what they held."""
    inside = [part for module in modules for part in module.modules()]
    kept = [(part, name, b, b.clone()) for part in inside for name, b in part._buffers.items() if b is not None]
    try:
        yield
    finally:
        with torch.no_grad():
            for part, name, buffer, value in kept:
                part._buffers[name] = buffer.copy_(value)
