"""Random numbers as pure functions: of (seed, epoch) for the order, of (seed, step) for noise, of the row to measure.

A run stopped anywhere and resumed draws what the uninterrupted run draws, because nothing is carried from step to step.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor

BLOCK = 1024
"""Draws that share one generator when a set is measured: so many rows, or fewer of several samples."""
MASK = (1 << 64) - 1
ORDER, STEP, MEASURE, INITIAL, LABELLED = range(1, 6)
"""What a stream of random numbers is for; part of its key."""


def mix(*key: int) -> int:
    """A well-mixed seed in [0, 2^63) from integers (splitmix64, Steele et al. 2014)."""
    state = 0
    for part in key:
        state = (state + 0x9E3779B97F4A7C15 + (part & MASK)) & MASK
        state = ((state ^ (state >> 30)) * 0xBF58476D1CE4E5B9) & MASK
        state = ((state ^ (state >> 27)) * 0x94D049BB133111EB) & MASK
        state ^= state >> 31
    return state >> 1


def generator(*key: int) -> torch.Generator:
    """A CPU generator keyed by integers."""
    return torch.Generator().manual_seed(mix(*key))


def order(seed: int, epoch: int, n: int) -> Tensor:
    """The rows of an epoch in the order they are visited: a permutation of 0..n-1."""
    return torch.randperm(n, generator=generator(ORDER, seed, epoch))


def reseed(device: torch.device, *key: int) -> None:
    """Set torch's own generator of ``device``: every draw of the step, dropout included, is then keyed."""
    torch.default_generator.manual_seed(mix(*key))
    if device.type == "cuda":
        torch.cuda.default_generators[device.index or 0].manual_seed(mix(*key))


@contextmanager
def borrowed(device: torch.device) -> Iterator[None]:
    """Give the caller's random state back afterwards: training a model never changes a person's own draws."""
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        yield


def noise(seed: int, first: int, last: int, samples: int, latent: int) -> Tensor:
    """Standard normal noise (samples, last - first, latent) of rows first..last-1, the same for any batch size."""
    blocks, together = [], rows_together(samples)
    for block in range(first // together, (last - 1) // together + 1):
        drawn = torch.randn(samples, together, latent, generator=generator(MEASURE, seed, block), dtype=torch.float64)
        start = block * together
        blocks.append(drawn[:, max(first - start, 0) : last - start])
    return torch.cat(blocks, 1)


def noise_of(seed: int, rows: Tensor, samples: int, width: int) -> Tensor:
    """The same noise (samples, rows, width), float64, of any rows (n,) in any order."""
    out, together = torch.empty(samples, len(rows), width, dtype=torch.float64), rows_together(samples)
    for block in (rows // together).unique().tolist():
        here = rows // together == block
        drawn = noise(seed, block * together, (block + 1) * together, samples, width)
        out[:, here] = drawn[:, rows[here] % together]
    return out


def rows_together(samples: int) -> int:
    """Rows of one generator, so that what few rows of many samples need is not drawn for a thousand rows.

    >>> rows_together(1), rows_together(50), rows_together(5000)
    (1024, 20, 1)
    """
    return max(1, BLOCK // samples)
