"""The noise of an estimator: a pure function of (seed, what for, row of the example, index of the sample).

No batch size, order of examples or memory budget enters the key, so that none of them can change a figure. The numbers
are drawn in float32 on the CPU for a model of any precision on any device: they are then the same numbers.
"""

from __future__ import annotations

import torch
from torch import Tensor

from lowerbound.training.randomness import generator

CHUNK = 256
"""Samples of one row that share a generator: seeding it costs a hundredth of drawing them."""
FIRST = (0, 64, 128)
"""Where the first chunks begin: they are shorter, so that few samples cost little."""
IMPORTANCE, CHAIN, SIMULATED, FRESH = range(101, 105)
"""What the numbers are for; part of their key."""


def fill(out: Tensor, seed: int, row: int, first: int) -> None:
    """Write the N(0, 1) numbers of samples first, first + 1, ... of example ``row`` into out (samples, width)."""
    last, width = first + len(out), out.shape[1]
    chunk = chunk_of(first)
    while (start := begin(chunk)) < last:
        end = begin(chunk + 1)
        a, b = max(first, start), min(last, end)
        whole = b - a == end - start and out.dtype == torch.float32
        drawn = out[a - first : b - first] if whole else torch.empty(end - start, width)
        torch.randn(end - start, width, generator=generator(IMPORTANCE, seed, row, chunk), out=drawn)
        if not whole:
            out[a - first : b - first] = drawn[a - start : b - start]
        chunk += 1


def begin(chunk: int) -> int:
    """The first sample of a chunk.

    >>> [begin(c) for c in range(6)]
    [0, 64, 128, 256, 512, 768]
    """
    return FIRST[chunk] if chunk < len(FIRST) else CHUNK * (chunk - len(FIRST) + 1)


def chunk_of(sample: int) -> int:
    """The chunk that a sample belongs to.

    >>> [chunk_of(begin(c)) == c == chunk_of(begin(c + 1) - 1) for c in range(6)]
    [True, True, True, True, True, True]
    """
    return sample // CHUNK + len(FIRST) - 1 if sample >= CHUNK else sum(sample >= f for f in FIRST) - 1


def normal(seed: int, rows: list[int], first: int, last: int, width: int) -> Tensor:
    """N(0, 1) numbers (rows, last - first, width), float32, of samples first..last-1 of each of these examples."""
    out = torch.empty(len(rows), last - first, width)
    for part, row in zip(out, rows, strict=True):
        fill(part, seed, row, first)
    return out
