"""Which examples of a run: rows of a split."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from lowerbound.errors import InputError
from lowerbound.training.load import Trained


def rows_of(trained: Trained, split: str, examples: int | Sequence[int] | None) -> Tensor:
    """All rows of the split (n,), the first so many, or those that are named."""
    splits = trained.data.splits
    if split not in splits or not len(splits[split]):
        known = ", ".join(name for name, part in splits.items() if len(part))
        raise InputError(f"the run has no examples in split {split!r}", where="split", mend=f"it has: {known}")
    n = len(splits[split])
    if examples is None or isinstance(examples, int):
        if examples is not None and examples < 1:
            raise InputError(f"{examples} examples", where="examples", mend="give at least 1")
        return torch.arange(min(n, examples or n))
    rows = torch.as_tensor(examples, dtype=torch.int64)
    if not len(rows) or int(rows.min()) < 0 or int(rows.max()) >= n:
        raise InputError("no such row", where="examples", mend=f"rows go from 0 to {n - 1}")
    return rows
