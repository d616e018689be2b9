"""A plane of latent space, decoded: in cells of equal prior mass, or evenly spaced.

The unit square goes through the prior's inverse distribution function **at the centres of the cells**, (i - 1/2) / n,
so that no border lies at infinity (grids that begin at 0 show broken pictures there).
Source: Kingma & Welling 2014 (1312.6114), figure 4; for a prior whose dimensions depend on each other, the second
coordinate is taken through its distribution given the first (Rosenblatt 1952), so that cells still have equal mass.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from lowerbound.errors import InputError
from lowerbound.readers import pictures
from lowerbound.readers.latent import canvas
from lowerbound.readers.latent.space import Space
from lowerbound.training.load import Trained

CELL = 2
"""Draws that a cell must hold, where cells of equal mass are made from draws."""


@dataclass(frozen=True)
class Manifold:
    """A grid of codes over two dimensions and what they decode to.

    *Shapes*: ``z`` (side, side, width) and ``x`` (side, side, *shape): rows from the highest value of the second
    dimension to the lowest, columns from the lowest value of the first to the highest.
    """

    z: Tensor
    x: Tensor
    dimensions: tuple[int, int]
    linear: tuple[float, float] | None
    words: str
    others: str

    def table(self) -> tuple[list[str], list[list[Any]]]:
        """Head and rows of a table: the cell and where it lies."""
        a, b = self.dimensions
        side = len(self.z)
        cells = [(r, c) for r in range(side) for c in range(side)]
        lines = [[r, c, float(self.z[r, c, a]), float(self.z[r, c, b])] for r, c in cells]
        return ["row", "column", f"z{a}", f"z{b}"], lines

    def json(self) -> dict[str, Any]:
        """JSON-ready facts; z of each cell in the two dimensions."""
        return {
            "dimensions": list(self.dimensions),
            "side": len(self.z),
            "spacing": self.words,
            "others": self.others,
            "z": self.z[..., list(self.dimensions)].tolist(),
        }

    def sentence(self) -> str:
        """What the picture shows."""
        a, b = self.dimensions
        return f"Expected x over z{a} (to the right) and z{b} (upward), {self.words}.{self.others}"


def manifold(
    trained: Trained,
    side: int = 20,
    *,
    dimensions: tuple[int, int] | None = None,
    linear: tuple[float, float] | None = None,
    split: str = "test",
    label: str | None = None,
    given: int | None = None,
) -> Manifold:
    """Decode a ``side`` x ``side`` grid over two dimensions.

    Args:
        dimensions: which two; by default the only two, or those of the highest rate (the others at the prior's mean).
        linear: (low, high) for an evenly spaced grid instead of cells of equal prior mass.

    Raises:
        InputError: fewer than two dimensions, a range the wrong way round, or codes that are categories.
    """
    if side < 2:
        raise InputError(f"must be at least 2, got {side}", where="--side", mend="give 2 or more")
    if linear is not None and not linear[0] < linear[1]:
        raise InputError(f"{linear[0]:g}:{linear[1]:g} is no range", where="--linear", mend="as in --linear=-4:4")
    space = Space(trained, split=split, label=label, given=given)
    if len(space.numbers) < 2:
        raise InputError("has one latent dimension, a plane needs two", where=trained.run.path, mend="use traverse")
    a, b = plane_of(space, dimensions, split)
    first, second, words = evenly(side, *linear) if linear is not None else equal_mass(space, side, a, b)
    z = space.centre.float().repeat(side, side, 1)
    z[..., a], z[..., b] = first.float(), second.float()
    x = space.decode(z.flatten(0, 1)).unflatten(0, (side, side))
    rest = space.width - 2
    others = f" The other {rest} are at {space.middle}." if rest else ""
    return Manifold(z, x, (a, b), linear, words, others)


def plane_of(space: Space, dimensions: tuple[int, int] | None, split: str) -> tuple[int, int]:
    """The two dimensions: those asked for, the only two, or the two of the highest rate."""
    if dimensions is not None:
        a, b = (space.dimension(j, "--dims") for j in dimensions)
        if a == b:
            raise InputError(f"dimension {a} twice", where="--dims", mend="give two different ones")
        return a, b
    if len(space.numbers) == 2:
        return space.numbers[0], space.numbers[1]
    first, second = space.order(split).dimensions[:2]
    return first, second


def evenly(side: int, low: float, high: float) -> tuple[Tensor, Tensor, str]:
    """Coordinates (side, side) of an evenly spaced grid."""
    axis = torch.linspace(low, high, side, dtype=torch.float64)
    first, second = torch.meshgrid(axis, axis.flip(0), indexing="xy")
    return first, second, f"evenly spaced from {low:g} to {high:g}"


def equal_mass(space: Space, side: int, a: int, b: int) -> tuple[Tensor, Tensor, str]:
    """Coordinates (side, side) of the centres of cells that have equal mass under the prior."""
    u = (torch.arange(side, dtype=torch.float64) + 0.5) / side
    words = f"each cell of equal prior mass, at the centres of {side} x {side} cells, {space.words}"
    if space.normal is not None:
        q = space.quantile(u)
        first, second = torch.meshgrid(q[:, a], q[:, b].flip(0), indexing="xy")
        return first, second, words
    if side * side * CELL > len(space.draws):
        most = int((len(space.draws) / CELL) ** 0.5)
        raise InputError(
            f"{side} a side is too fine for a prior known by draws", where="--side", mend=f"at most {most}"
        )
    return *rosenblatt(space.draws[:, [a, b]], u), words


def rosenblatt(draws: Tensor, u: Tensor) -> tuple[Tensor, Tensor]:
    """Draws (n, 2) -> coordinates (side, side): the first in strips of equal count, the second within each strip."""
    side = len(u)
    strips = draws[draws[:, 0].argsort()].tensor_split(side)
    first = torch.stack([strip[:, 0].median() for strip in strips])
    second = torch.stack([torch.quantile(strip[:, 1], u.flip(0)) for strip in strips], 1)
    return first.repeat(side, 1), second


def sheet(trained: Trained, made: Manifold) -> bytes:
    """The grid as PNG without seams, where it lies written at the edges."""
    grey = pictures.grey(trained, made.x)
    side = len(grey)
    a, b = made.dimensions
    bottom, left = [""] * side, [""] * side
    independent = bool((made.z[:, :, b] == made.z[:, :1, b]).all())
    high, wide = grey.shape[2:4]
    size = canvas.factor(high, wide, side) * min(high, wide)
    every = max(1, -(-52 // size))
    for i in range(0, side, every):
        bottom[i] = f"{float(made.z[0, i, a]):.2f}".replace("-", "−")
        if independent:
            left[side - 1 - i] = f"{float(made.z[side - 1 - i, 0, b]):.2f}".replace("-", "−")
    return canvas.png(grey, left=left, bottom=bottom, caption=made.sentence(), gap=canvas.seam(grey))
