"""What a model may know of the data before training."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from lowerbound.data.dataset import Data, Summary
from lowerbound.data.scan import blocks


def moments(x: Any) -> tuple[np.ndarray, np.ndarray]:
    """Mean and standard deviation of each value over the examples, NaN left out, in float64; two passes.

    Differences from the first example are averaged: a constant has exactly that mean, and a deviation of exactly 0.
    """
    origin = np.nan_to_num(np.asarray(x[0:1][0], np.float64))
    count, total = _sums(x, origin)
    mean = origin + total / np.maximum(count, 1)
    _, squares = _sums(x, mean, 2)
    return mean, np.sqrt(squares / np.maximum(count, 1))


def _sums(x: Any, centre: Any, power: int = 1) -> tuple[np.ndarray, np.ndarray]:
    count, total = np.zeros(x.shape[1:]), np.zeros(x.shape[1:])
    for _, block in blocks(x):
        gap = block.astype(np.float64) - centre
        count += (~np.isnan(gap)).sum(0)
        total += np.nansum(gap**power, 0)
    return count, total


def summary(data: Data) -> Summary:
    """Kind, shape, columns, and mean and deviation of each value over the training split.

    *Shapes*: ``mean`` and ``std`` (*data.shape), float32. Of binary data the deviation is sqrt(p (1 - p)), also where
    fresh draws are made from grey values p.

    >>> from lowerbound.data import from_array
    >>> data = from_array([[0.0, 5.0], [1.0, 5.0], [4.0, 5.0]], valid=0, test=0)
    >>> summary(data).mean
    tensor([1.6667, 5.0000])
    """
    x = data.splits["train"].x
    if data.kind in ("sequence", "series"):
        return of_steps(data, x)
    mean, std = moments(x)
    if data.kind == "binary":
        std = np.sqrt(mean * (1 - mean))
    return Summary(
        data.kind,
        data.shape,
        torch.from_numpy(mean).float(),
        torch.from_numpy(std).float(),
        data.levels,
        data.columns,
        data.classes,
    )


def of_steps(data: Data, x: Any) -> Summary:
    """The summary of sequences or series: mean and deviation over examples and steps, the same at every step."""
    tail = data.shape[1:]
    count, total, squares = np.zeros(tail), np.zeros(tail), np.zeros(tail)
    shares = np.zeros(data.levels)
    for _, block in blocks(x):
        there = block[~np.isnan(block)].reshape(-1, *tail).astype(np.float64)
        count, total, squares = count + len(there), total + there.sum(0), squares + np.square(there).sum(0)
        shares += np.bincount(there.astype(np.int64).ravel(), minlength=data.levels) if data.levels else 0
    mean = total / count
    std = np.sqrt(np.maximum(squares / count - np.square(mean), 0))
    mean, std = (np.broadcast_to(a, data.shape).copy() for a in (mean, std))
    frequencies = torch.from_numpy(shares / shares.sum()).float() if data.levels else None
    return Summary(
        data.kind,
        data.shape,
        torch.from_numpy(mean).float(),
        torch.from_numpy(std).float(),
        data.levels,
        classes=data.classes,
        frequencies=frequencies,
    )
