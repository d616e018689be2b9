"""Rows in tiles of one shape, each row in its own place, so that its chains are the same in any company.

The last digits of a matrix product depend on its shape, and on where in it a row stands; a chain makes a digit into
another draw. So a tile has a size that follows from the number of draws alone, the row of key k stands in place k mod
size, and places that stay empty are filled with a row that is there.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import zip_longest

import torch
from torch import Tensor

from lowerbound.readers.by_row import Streams

CHAINS = 1024
"""Chains of a tile: more are hardly faster, and a single row takes longer."""


@dataclass(frozen=True)
class Tile:
    """``members`` stand at ``places``; ``at`` (size,) says which of them, 0 for the first, each place holds."""

    members: list[int]
    places: list[int]
    at: list[int]


def tiles(keys: list[int], draws: int) -> list[Tile]:
    """Rows, given by their keys and named by their index, dealt to tiles.

    >>> [(tile.members, tile.places, tile.at) for tile in tiles([5, 0, 3], 512)]
    [([1, 0], [0, 1], [0, 1]), ([2], [1], [0, 0])]
    """
    size = max(1, CHAINS // draws)
    held: list[list[int]] = [[] for _ in range(size)]
    for index, key in enumerate(keys):
        held[key % size].append(index)
    return [filled(row) for row in zip_longest(*held)]


def filled(row: tuple[int | None, ...]) -> Tile:
    """The tile that holds these rows, None where a place is empty."""
    there = [(place, index) for place, index in enumerate(row) if index is not None]
    places, members = (list(column) for column in zip(*there, strict=True))
    return Tile(members, places, [places.index(p) if p in places else 0 for p in range(len(row))])


class Dice:
    """Random numbers for the places of a tile, (samples, size, ...), keyed by the rows that stand there."""

    def __init__(self, seed: int, purpose: int, keys: list[int], tile: Tile, like: Tensor) -> None:
        self.streams = Streams(seed, purpose, [keys[member] for member in tile.members])
        self.tile, self.like = tile, like

    def normal(self, samples: int, width: int) -> Tensor:
        """N(0, 1), as precise as the model."""
        return self.streams.normal(samples, width)[:, self.tile.at].to(self.like)

    def uniform(self, samples: int) -> Tensor:
        """On [0, 1), float64."""
        return self.streams.uniform(samples)[:, self.tile.at].to(self.like.device, torch.float64)

    def each(self, draw: Callable[[int], Tensor]) -> Tensor:
        """``draw(place)`` (samples, ...) of each place, as precise as the model."""
        drawn = self.streams.each(lambda member: draw(self.tile.places[member]), self.like.device)
        return drawn[:, self.tile.at].to(self.like)
