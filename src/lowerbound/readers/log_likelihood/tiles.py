"""Examples in tiles of one shape, each example in its own place, so that chains are the same in any company.

The last digits of a matrix product depend on its shape, and on where in it a row stands; a chain makes a digit into
another place. So the shape of a tile follows from the model and the number of chains alone, row r of a split stands in
place r mod size, and places that stay empty are filled with examples that are there. Then every floating-point
operation on an example is the same whatever the budget, the order or the subset.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from lowerbound.readers.log_likelihood.importance import Weighed
from lowerbound.readers.log_likelihood.problem import MIB, Examples, fitting, footprint
from lowerbound.readers.log_likelihood.weights import Weights

TILE = 8 * MIB
"""Bytes of a tile, unless one example takes more: larger tiles are hardly faster."""
MOST = 64
"""Examples of a tile."""
WITH_GRADIENT = 4
"""Bytes that a chain holds for every byte that the decoder writes."""


@dataclass(frozen=True)
class Tile:
    """``rows`` (size,) of a tile; the examples at ``places`` count, and are ``index`` in the order asked for."""

    rows: Tensor
    places: Tensor
    index: Tensor


def tiles(examples: Examples, samples: int, memory: float) -> list[Tile]:
    """The tiles of all examples, ``samples`` chains each.

    Raises:
        InputError: a tile does not fit into ``memory`` MiB.
    """
    each = WITH_GRADIENT * footprint(examples) * samples
    size = max(1, min(TILE // each, MOST))
    fitting(memory, each, size)
    return placed(examples.rows, size)


def placed(rows: Tensor, size: int) -> list[Tile]:
    """Rows dealt to tiles of ``size``, row r to place r mod size of the first tile where it is free.

    >>> [(t.rows.tolist(), t.index.tolist()) for t in placed(torch.tensor([4, 1, 6]), 3)]
    [([6, 4, 4], [0, 2]), ([1, 1, 1], [1])]
    """
    dealt: list[dict[int, int]] = []
    taken = [0] * size
    for index, row in enumerate(rows.tolist()):
        place = row % size
        if taken[place] == len(dealt):
            dealt.append({})
        dealt[taken[place]][place] = index
        taken[place] += 1
    return [filled(rows, size, one) for one in dealt]


def filled(rows: Tensor, size: int, dealt: dict[int, int]) -> Tile:
    """The tile of ``dealt`` (place -> index), its empty places filled with the first of its examples."""
    spare = next(iter(dealt.values()))
    every = torch.tensor([dealt.get(place, spare) for place in range(size)])
    return Tile(rows[every], torch.tensor(list(dealt)), torch.tensor(list(dealt.values())))


def by_tile(
    examples: Examples,
    samples: int,
    memory: float,
    work: Callable[[Tensor], list[Tensor]],
    progress: Callable[[int, int], None],
) -> list[Weighed]:
    """The figures of each of the log weights (samples, batch) that ``work(rows)`` gives, of all examples in order."""
    found: list[list[Weighed]] = []
    order, done = [], 0
    for tile in tiles(examples, samples, memory):
        with torch.no_grad():
            found.append([gathered(log_w.cpu()[:, tile.places]) for log_w in work(tile.rows)])
        order.append(tile.index)
        done += len(tile.index)
        progress(done, len(examples))
    back = torch.cat(order).argsort()
    return [ordered(Weighed.cat(list(parts)), back) for parts in zip(*found, strict=True)]


def gathered(log_w: Tensor) -> Weighed:
    """The figures of log weights (samples, batch)."""
    weights = Weights(log_w.shape[1], log_w.shape[0])
    weights.add(log_w.T.double())
    return Weighed.of(weights)


def ordered(found: Weighed, index: Tensor) -> Weighed:
    """The figures of the examples at ``index``."""
    return replace(found, **{name: getattr(found, name)[index] for name in Weighed.__dataclass_fields__})
