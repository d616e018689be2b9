"""Traversal: one dimension at a time from quantile to quantile of the prior, the one of the highest rate first."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from lowerbound.errors import InputError
from lowerbound.readers import pictures
from lowerbound.readers.latent import canvas, groups
from lowerbound.readers.latent.space import Order, Space
from lowerbound.training.load import Trained
from lowerbound.training.measure import ACTIVE


@dataclass(frozen=True)
class Traversal:
    """Each of ``dimensions`` moved alone over the prior's ``quantiles``, the others at ``base``.

    *Shapes*: ``z`` (dimensions, steps, width), ``x`` (dimensions, steps, *shape), ``base`` (width,). ``row`` is the
    example whose code is the base, None for the prior's mean; ``order`` holds the nats; ``left_out`` counts active
    dimensions that are not shown.
    """

    dimensions: tuple[int, ...]
    quantiles: tuple[float, ...]
    z: Tensor
    x: Tensor
    base: Tensor
    row: int | None
    order: Order
    split: str
    words: str
    held: str
    left_out: int

    def table(self) -> tuple[list[str], list[list[Any]]]:
        """Head and rows of a table: dimension, its nats, the quantile, where z lies there."""
        lines: list[list[Any]] = []
        for i, j in enumerate(self.dimensions):
            nats = float("nan") if self.order.nats is None else self.order.nats[j]
            lines += [[j, nats, u, float(self.z[i, k, j])] for k, u in enumerate(self.quantiles)]
        return ["dimension", "nats", "quantile", "z"], lines

    def json(self) -> dict[str, Any]:
        """JSON-ready facts."""
        nats = self.order.nats
        return {
            "sorted_by": self.order.by,
            "split": self.split,
            "base": self.held,
            "prior": self.words,
            "quantiles": list(self.quantiles),
            "dimensions": [
                {"index": j, "nats": None if nats is None else nats[j], "z": self.z[i, :, j].tolist()}
                for i, j in enumerate(self.dimensions)
            ],
            "active_not_shown": self.left_out,
        }

    def sentence(self) -> str:
        """What the picture shows."""
        collapsed = 0 if self.order.nats is None else len(self.order.nats) - len(self.order.active)
        rest = f" {self.left_out} more active dimensions are not shown." if self.left_out else ""
        dead = f" {collapsed} collapsed (at most {ACTIVE} nats) left out." if collapsed else ""
        marked = " Framed: the step nearest to the example's own code." if self.row is not None else ""
        return (
            f"Expected x as one dimension moves through {self.words}, the others at {self.held}; sorted by "
            f"{self.order.by}.{marked}{dead}{rest}"
        )


def traverse(
    trained: Trained,
    *,
    row: int | None = None,
    dimensions: tuple[int, ...] = (),
    steps: int = 11,
    tail: float = 0.01,
    top: int = 20,
    split: str = "test",
    label: str | None = None,
    given: int | None = None,
) -> Traversal:
    """Move each active dimension alone from the prior's ``tail`` quantile to its 1 - ``tail`` quantile.

    Args:
        row: the example whose code the others are held at; None holds them at the prior's mean.
        dimensions: which ones, by index; by default the ``top`` active ones of the highest rate.

    Raises:
        InputError: a dimension or row that is not there, a tail outside (0, 0.5), or codes that are categories.
    """
    if steps < 2 or not 0 < tail < 0.5:
        raise InputError(
            f"{steps} steps from quantile {tail:g}", where="traverse", mend="2 steps or more, 0 < tail < 0.5"
        )
    space = Space(trained, split=split, label=label, given=given)
    order = space.order(split)
    chosen = tuple(space.dimension(j, "--dims") for j in dimensions) or order.active[:top]
    if not chosen:
        what = "no latent dimension carries more than 0.01 nats: there is nothing to see"
        raise InputError(what, where=trained.run.path, mend="name some: --dims 0,1")
    base = space.centre.float()
    if row is not None:
        found = groups.attribute(trained.data, str(row), "--row")
        base = space.with_class(space.encode(split, groups.rows_of(trained.data, split, found)))[0]
    u = torch.linspace(tail, 1 - tail, steps, dtype=torch.float64)
    z = moved(base, space.quantile(u).float(), chosen)
    x = space.decode(z.flatten(0, 1)).unflatten(0, z.shape[:2])
    held = space.middle if row is None else f"the code of {split} row {row}{space.words_of_class}"
    left_out = 0 if dimensions else len(order.active) - len(chosen)
    return Traversal(chosen, tuple(u.tolist()), z, x, base, row, order, split, space.words, held, left_out)


def moved(base: Tensor, places: Tensor, dimensions: tuple[int, ...]) -> Tensor:
    """base (width,), places (steps, width) -> (dimensions, steps, width), one dimension moved in each row."""
    z = base.repeat(len(dimensions), len(places), 1)
    for i, j in enumerate(dimensions):
        z[i, :, j] = places[:, j]
    return z


def sheet(trained: Trained, made: Traversal) -> bytes:
    """One row a dimension as PNG, its nats at the left, the prior's quantiles on top."""
    grey = pictures.grey(trained, made.x)
    own = set()
    if made.row is not None:
        own = {(i, int((made.z[i, :, j] - made.base[j]).abs().argmin())) for i, j in enumerate(made.dimensions)}
    return canvas.png(
        grey,
        left=[made.order.name(j) for j in made.dimensions],
        top=[f"{100 * u:.3g}%" for u in made.quantiles],
        caption=made.sentence(),
        marked=own,
        most=84 if len(grey) <= 10 else 56,
    )
