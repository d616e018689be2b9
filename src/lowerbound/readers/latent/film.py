"""The plane over log time: both views at every step whose weights a run has kept, on the same axes."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from matplotlib import rc_context
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from PIL import Image

from lowerbound.errors import InputError
from lowerbound.readers import pictures
from lowerbound.readers.latent import canvas
from lowerbound.readers.latent.plane import (
    Limits,
    Plane,
    class_bar,
    decoder_view,
    drawn,
    encoder_view,
    paper,
    plane,
    saved,
)
from lowerbound.training.load import Trained

MOST = 2_000
"""Examples drawn."""
STEP, PAUSE = 500, 2500
"""Milliseconds of a frame, and of the last."""
SHOWN = 6
"""Frames of a strip."""


@dataclass(frozen=True)
class Film:
    """A plane after each of ``steps``, all on the same two dimensions and between the same limits."""

    steps: tuple[int, ...]
    planes: tuple[Plane, ...]

    def json(self) -> dict[str, Any]:
        """JSON-ready facts: the plane after each step."""
        return {"steps": list(self.steps), "planes": [made.json() for made in self.planes]}


def film(trained: Trained, *, dimensions: tuple[int, int] | None = None, side: int = 16, **options: Any) -> Film:
    """Both views after every step whose weights the run has kept.

    Args:
        dimensions: which two; by default those that the finished run would show.
        side: pictures along each side of the decoder's view.
        options: ``split``, ``label`` and ``given``, as :func:`~lowerbound.readers.latent.plane.plane` takes them.

    Raises:
        InputError: the run has kept none, or has no plane.
    """
    steps = trained.run.snapshots()
    if not steps:
        mend = "train it with -s training.snapshots=true"
        raise InputError("has kept no weights on the way", where=trained.run.path, mend=mend)
    options |= {"most": MOST}
    chosen = plane(trained, dimensions=dimensions, side=2, **options).dimensions
    first = [plane(then, dimensions=chosen, side=2, **options).limits for then in course(trained, steps)]
    options |= {"dimensions": chosen, "side": side, "limits": widest(first)}
    return Film(tuple(steps), tuple(plane(then, **options) for then in course(trained, steps)))


def course(trained: Trained, steps: list[int]) -> Iterator[Trained]:
    """The run as it was after each step."""
    for step in steps:
        model = copy.deepcopy(trained.model)
        model.load_state_dict(trained.run.snapshot(step))
        yield replace(trained, model=model, given=trained.data)


def widest(limits: list[Limits]) -> Limits:
    """Limits, equally wide on both axes, within which all of these lie."""
    low, high = np.min(limits, 0)[:, 0], np.max(limits, 0)[:, 1]
    half = float((high - low).max()) / 2
    x, y = ((low + high) / 2).tolist()
    return (x - half, x + half), (y - half, y + half)


def animation(trained: Trained, made: Film, suffix: str = ".gif") -> bytes:
    """A frame for each step, as GIF, animated PNG or WebP."""
    frames = [frame(trained, view, step) for step, view in zip(made.steps, made.planes, strict=True)]
    return canvas.animated(frames, [STEP] * (len(frames) - 1) + [PAUSE], suffix, grey=False)


def frame(trained: Trained, made: Plane, step: int) -> Image.Image:
    """Both views under the words for their step."""
    with rc_context(paper()):
        figure = drawn(trained, made)
        figure.set_dpi(70)
        figure.suptitle(said(step))
        agg = FigureCanvasAgg(figure)
        agg.draw()
        return Image.fromarray(np.array(agg.buffer_rgba())[..., :3])


def said(step: int) -> str:
    """A step in words.

    >>> said(1), said(1448)
    ('after 1 step', 'after 1,448 steps')
    """
    return f"after {step:,} step{'s' if step > 1 else ''}"


def strip(trained: Trained, made: Film) -> bytes:
    """A few of the steps side by side as PNG: the encoder's view above the decoder's."""
    shown = np.unique(np.linspace(0, len(made.steps) - 1, SHOWN).round().astype(int))
    both = pictures.is_picture(trained)
    with rc_context(paper()):
        figure = Figure(figsize=(2.6 * len(shown) + 0.6, 5.6 if both else 2.9), layout="constrained")
        axes = figure.subplots(1 + both, len(shown), squeeze=False)
        for column, i in zip(axes.T, shown, strict=True):
            view = made.planes[i]
            encoder_view(column[0], view, size=3)
            if both:
                decoder_view(column[1], trained, view)
                column[1].set_title("")
            column[0].set_title(said(made.steps[i]))
            for axis in column:
                axis.set(xlabel="", ylabel="", xticks=(), yticks=())
        class_bar(figure, list(axes[0]), made.planes[0])
        return saved(figure)
