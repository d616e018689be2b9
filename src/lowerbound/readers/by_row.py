"""What is drawn for an example belongs to its row: no batch, order, subset or memory budget can change it.

The numbers are drawn on the CPU, and in float32 for a model of any precision: they are then the same numbers.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from lowerbound.training.load import Trained
from lowerbound.training.measure import labels_for
from lowerbound.training.randomness import generator, mix, reseed


class Streams:
    """One generator an example, for chains: what is drawn depends on the row and on how much was drawn before.

    >>> a, b = Streams(0, 102, [3, 8]), Streams(0, 102, [8])
    >>> bool((a.normal(2, 5)[:, 1] == b.normal(2, 5)[:, 0]).all())
    True
    """

    def __init__(self, seed: int, purpose: int, rows: list[int]) -> None:
        self.generators = [generator(purpose, seed, row) for row in rows]

    def normal(self, samples: int, width: int) -> Tensor:
        """(samples, rows, width) of N(0, 1)."""
        return torch.stack([torch.randn(samples, width, generator=g) for g in self.generators], 1)

    def uniform(self, samples: int) -> Tensor:
        """(samples, rows) of the uniform on [0, 1)."""
        return torch.stack([torch.rand(samples, generator=g) for g in self.generators], 1)

    def each(self, draw: Callable[[int], Tensor], device: torch.device) -> Tensor:
        """(samples, rows, ...): ``draw(i)`` (samples, ...) of the i-th row, of what only torch's own generator draws.

        That of ``device`` is set anew before each: :func:`borrowed` gives it back.
        """
        drawn = []
        for i, g in enumerate(self.generators):
            reseed(device, int(torch.randint(2**62, (), generator=g)))
            drawn.append(draw(i))
        return torch.stack(drawn, 1)


def fetched(trained: Trained, split: str, rows: Tensor, seed: int) -> tuple[Tensor, Tensor | None]:
    """x (n, *shape) and labels (n,) of these rows; what is binarised afresh is drawn by row."""
    data = trained.data
    y = labels_for(trained.model, data, split, rows)
    if not (split == "train" and data.binarisation == "fresh"):
        return data.batch(split, rows), y
    drawn = []
    for row in rows:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(mix(seed, int(row)))
            drawn.append(data.batch(split, row.reshape(1)))
    return torch.cat(drawn), y
