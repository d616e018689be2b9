"""Morphs: one way through the codes of a list of examples, decoded on the way."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor

from lowerbound.errors import InputError
from lowerbound.readers import pictures
from lowerbound.readers.latent import canvas, groups
from lowerbound.readers.latent.space import Space
from lowerbound.training.load import Trained

PAUSE, STEP = 600, 70
"""Milliseconds at an example, and between two frames on the way."""
SIDE = 336
"""Pixels of the longer side of the animated picture."""


@dataclass(frozen=True)
class Morph:
    """A way through examples.

    *Shapes*: ``z`` (n, width), ``x`` (n, *shape) the expected example at each; frame i lies at ``at[i]`` stops from the
    first, so that whole numbers are the examples themselves. ``rows`` and ``names`` are of the stops, the first again
    at the end of a loop.
    """

    z: Tensor
    x: Tensor
    at: tuple[float, ...]
    rows: tuple[int, ...]
    names: tuple[str, ...]
    kind: str
    loop: bool
    split: str

    def table(self) -> tuple[list[str], list[list[Any]]]:
        """The head and the rows of a table with one line a frame: where it lies, and the code."""
        head = ["frame", "from", "to", "t", *(f"z{j}" for j in range(self.z.shape[1]))]
        lines = []
        for i, (at, z) in enumerate(zip(self.at, self.z.tolist(), strict=True)):
            leg = min(int(at), len(self.rows) - 2)
            lines.append([i, self.rows[leg], self.rows[leg + 1], round(at - leg, 6), *z])
        return head, lines

    def json(self) -> dict[str, Any]:
        """JSON-ready facts, codes included."""
        return {
            "split": self.split,
            "rows": list(self.rows),
            "names": list(self.names),
            "kind": self.kind,
            "loop": self.loop,
            "frames": len(self.at),
            "z": self.z.tolist(),
        }


def morph(
    trained: Trained,
    through: Sequence[int | str],
    *,
    frames: int = 10,
    kind: Literal["linear", "spherical"] = "linear",
    loop: bool = True,
    split: str = "test",
    label: str | None = None,
    given: int | None = None,
) -> Morph:
    """The way through examples, ``frames`` of them from each to the next.

    Args:
        through: rows of the split, or ``"class:9"`` for the example whose code is nearest to its class's mean code.
        kind: straight lines, or arcs along the shell where the codes of a wide latent lie.
        loop: whether to come back to the first.

    Raises:
        InputError: fewer than two stops, no frames, an unknown class or row, a model without an encoder.
    """
    if len(through) < 2:
        raise InputError("a way needs two examples or more", where="--through", mend="as in --through 3,17,class:8")
    if frames < 1:
        raise InputError(f"must be at least 1, got {frames}", where="--frames", mend="give a positive number")
    space = Space(trained, split=split, label=label, given=given)
    _ = space.numbers  # refuses codes that are categories
    rows = [stop_of(space, split, stop) for stop in through]
    stops = [*rows, rows[0]] if loop else rows
    means = space.with_class(space.encode(split, stops))
    z, at = way(means, frames, kind, loop)
    names = tuple(groups.named(trained.data, split, row) for row in stops)
    return Morph(z, space.decode(z), at, tuple(stops), names, kind, loop, split)


def stop_of(space: Space, split: str, stop: int | str) -> int:
    """The row of a stop."""
    data = space.trained.data
    found = groups.attribute(data, str(stop), "--through")
    rows = groups.rows_of(data, split, found)
    return rows[0] if found.kind == "rows" else rows[nearest(space.encode(split, rows))]


def nearest(codes: Tensor) -> int:
    """Which of the codes (n, width) is nearest to their mean."""
    middle = codes.mean(0)  # not nats: a mean code
    return int((codes - middle).norm(dim=1).argmin())


def way(stops: Tensor, frames: int, kind: Any, loop: bool) -> tuple[Tensor, tuple[float, ...]]:
    """The codes of a way through stops (s, width), each stop once, and how many stops lie behind each."""
    legs = range(len(stops) - 1)
    z = [pictures.path(stops[i], stops[i + 1], frames + 1, kind)[:-1] for i in legs]
    at = [i + f / frames for i in legs for f in range(frames)]
    if not loop:
        z.append(stops[-1:])
        at.append(float(len(stops) - 1))
    return torch.cat(z), tuple(at)


def sheet(trained: Trained, made: Morph, across: int = 16) -> bytes:
    """A contact sheet as PNG: a row for each leg, its ends named."""
    legs, frames = len(made.rows) - 1, sum(at < 1 for at in made.at)
    steps = np.unique(np.linspace(0, frames, min(frames + 1, across)).round().astype(int))
    index = [(leg * frames + step) % len(made.at) for leg in range(legs) for step in steps]
    grey = pictures.grey(trained, made.x)
    cells = grey[index].reshape(legs, len(steps), *grey.shape[1:])
    words = f"Expected x on {made.kind} ways between the codes of {made.split} examples, one leg a row."
    return canvas.png(
        cells,
        left=list(made.names[:-1]),
        right=list(made.names[1:]),
        caption=words,
        gap=2,
        most=84 if legs <= 12 else 56,
    )


def animation(trained: Trained, made: Morph, suffix: str = ".gif", pause: int = PAUSE, step: int = STEP) -> bytes:
    """The way as a moving picture: GIF, animated PNG or WebP, with a strip that shows where on the way it is."""
    grey = pictures.grey(trained, made.x)
    shown = [canvas.on_the_way(g, at, made.names, SIDE) for g, at in zip(grey, made.at, strict=True)]
    times = [pause if at == int(at) else step for at in made.at]
    return canvas.animated(shown, times, suffix, grey=grey[0].ndim == 2)
