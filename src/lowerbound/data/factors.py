"""A data set whose true factors are known: one shape on black, drawn here, one picture for each choice of five factors.

Every combination occurs once, so that over the whole set the factors are independent to the last digit. In the manner
of dSprites (Matthey et al. 2017), with two differences: no shape has a symmetry, so that every rotation is a picture of
its own, and rotations span half a circle, so that each factor lies on a line, as a coordinate of a code does.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

SIDE = 32
SHAPES = ("triangle", "half-disc", "hook")
FACTORS = {"shape": 3, "scale": 4, "rotation": 8, "x": 8, "y": 8}
"""Factor -> number of levels, in the order of the rows: the last runs fastest."""

RADII = (5.3, 6.2, 7.1, 8.0)
"""Half the size of the shape, in pixels, by level of scale."""

STEP = 2
"""Pixels from one level of x, or of y, to the next."""

BOX = 18
"""Side of the square, in pixels, that holds the largest shape in every rotation."""

Field = Callable[[np.ndarray, np.ndarray], np.ndarray]
"""(across, up) in units of the radius -> a number below 0 inside the shape, above 0 outside."""


def triangle(u: np.ndarray, v: np.ndarray) -> np.ndarray:
    """An isosceles triangle with its tip up."""
    return np.maximum(-v - 0.8, (v - 1) + 3 * np.abs(u))


def half_disc(u: np.ndarray, v: np.ndarray) -> np.ndarray:
    """A disc cut off below."""
    return np.maximum(u**2 + v**2 - 1, -0.25 - v)


def hook(u: np.ndarray, v: np.ndarray) -> np.ndarray:
    """An L: a post and a foot."""
    post = np.maximum(np.abs(u + 0.35) - 0.25, np.abs(v) - 0.8)
    foot = np.maximum(np.abs(u) - 0.6, np.abs(v + 0.55) - 0.25)
    return np.minimum(post, foot)


FIELDS: tuple[Field, ...] = (triangle, half_disc, hook)


def angles() -> np.ndarray:
    """The rotation at each level, in radians anticlockwise: from -78.75 to 78.75 degrees, (8,)."""
    n = FACTORS["rotation"]
    return ((np.arange(n) + 0.5) / n - 0.5) * np.pi


def field(shape: int, scale: int, rotation: int) -> np.ndarray:
    """The field of one shape at the centres of the pixels of its box: (BOX, BOX), row 0 at the top."""
    at = np.arange(BOX) + 0.5 - BOX / 2
    across, up = np.meshgrid(at / RADII[scale], -at / RADII[scale])
    c, s = np.cos(angles()[rotation]), np.sin(angles()[rotation])
    return FIELDS[shape](c * across + s * up, c * up - s * across)


def pictures() -> np.ndarray:
    """All pictures: (6144, SIDE, SIDE) uint8, 0 or 1, in the order of :func:`factors_of`."""
    shapes, scales, rotations, across, up = FACTORS.values()
    out = np.zeros((*FACTORS.values(), SIDE, SIDE), np.uint8)
    for shape, scale, rotation in np.ndindex(shapes, scales, rotations):
        mask = field(shape, scale, rotation) < 0
        for i, j in np.ndindex(across, up):
            left, top = STEP * i, SIDE - BOX - STEP * j
            out[shape, scale, rotation, i, j, top : top + BOX, left : left + BOX] = mask
    return out.reshape(-1, SIDE, SIDE)


def factors_of(rows: np.ndarray | None = None) -> np.ndarray:
    """The true factors of rows of the set, as levels from 0: (len(rows), 5) int64; None means all rows.

    ``rows`` are positions in the source, as ``data.splits[name].rows`` holds them.

    >>> factors_of(np.array([0, 1, 6143])).tolist()
    [[0, 0, 0, 0, 0], [0, 0, 0, 0, 1], [2, 3, 7, 7, 7]]
    """
    wanted = np.arange(np.prod(tuple(FACTORS.values()))) if rows is None else np.asarray(rows)
    return np.stack(np.unravel_index(wanted, tuple(FACTORS.values())), -1).astype(np.int64)
