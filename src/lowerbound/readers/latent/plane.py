"""The encoder's view and the decoder's view of two latent dimensions, side by side on the same axes."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import BoundaryNorm, ListedColormap
from matplotlib.figure import Figure
from torch import Tensor

from lowerbound.errors import InputError
from lowerbound.readers import figures, pictures
from lowerbound.readers.latent import canvas
from lowerbound.readers.latent.manifold import plane_of
from lowerbound.readers.latent.space import Space
from lowerbound.training.load import Trained

MOST = 10_000
"""Examples drawn."""


@dataclass(frozen=True)
class Plane:
    """Two dimensions as both networks see them.

    *Shapes*: ``means`` (n, 2) posterior means; ``labels`` (n,) or None; ``x`` (side, side, *shape) what an evenly
    spaced grid over ``limits``, (low, high) of each axis, decodes to, highest value of the second dimension first.
    ``circles`` says whether the prior is N(0, I), so that circles of one and two deviations are its own.
    """

    means: np.ndarray
    labels: np.ndarray | None
    names: tuple[str, ...]
    x: Tensor
    limits: tuple[tuple[float, float], tuple[float, float]]
    dimensions: tuple[int, int]
    circles: bool
    others: str
    split: str

    def table(self) -> tuple[list[str], list[list[Any]]]:
        """Head and rows of the encoder's view as a table."""
        a, b = self.dimensions
        labels = [] if self.labels is None else [["" if y < 0 else int(y)] for y in self.labels]
        rows = self.means.tolist()
        head = [*(["label"] if labels else []), f"z{a}", f"z{b}"]
        return head, [[*label, *row] for label, row in zip(labels or [[]] * len(rows), rows, strict=True)]

    def json(self) -> dict[str, Any]:
        """JSON-ready facts: the code of each example in the two dimensions, and its class."""
        return {
            "dimensions": list(self.dimensions),
            "split": self.split,
            "examples": len(self.means),
            "means": self.means.tolist(),
            "labels": None if self.labels is None else self.labels.tolist(),
        }


def plane(
    trained: Trained,
    *,
    dimensions: tuple[int, int] | None = None,
    side: int = 24,
    split: str = "test",
    label: str | None = None,
    given: int | None = None,
) -> Plane:
    """Both views of the two dimensions of the highest rate, or of two that are asked for.

    Raises:
        InputError: fewer than two dimensions, codes that are categories, or a model without an encoder.
    """
    space = Space(trained, split=split, label=label, given=given)
    if len(space.numbers) < 2:
        raise InputError("has one latent dimension, a plane needs two", where=trained.run.path, mend="use traverse")
    a, b = plane_of(space, dimensions, split)
    part = trained.data.splits[split]
    rows = torch.linspace(0, len(part) - 1, min(len(part), MOST)).long()
    means = space.encode(split, rows)[:, [a, b]]
    standard = space.normal is not None and not space.normal[0].any() and bool((space.normal[1] == 1).all())
    limits = limits_of(means, standard)
    first, second = (torch.linspace(low, high, 2 * side + 1)[1::2] for low, high in limits)
    z = space.centre.float().repeat(side, side, 1)
    z[..., a], z[..., b] = torch.meshgrid(first, second.flip(0), indexing="xy")
    x = space.decode(z.flatten(0, 1)).unflatten(0, (side, side))
    labels = None if part.labels is None else np.asarray(part.labels)[rows.numpy()]
    names = tuple(trained.data.label_names)
    rest = f"; the other {space.width - 2} at {space.middle}" if space.width > 2 else ""
    return Plane(means.numpy(), labels, names, x, limits, (a, b), standard, rest, split)


def limits_of(means: Tensor, standard: bool) -> tuple[tuple[float, float], tuple[float, float]]:
    """Limits of both axes, equally wide, that hold 99.6% of the codes (n, 2); for N(0, I) around 0 and 3 at least."""
    if standard:
        reach = max(3.0, 1.05 * float(torch.quantile(means.abs(), 0.998)))
        return (-reach, reach), (-reach, reach)
    low, high = torch.quantile(means, torch.tensor([0.002, 0.998]), dim=0)
    half = 0.55 * float((high - low).max().clamp(min=1e-6))
    x, y = ((low + high) / 2).tolist()
    return (x - half, x + half), (y - half, y + half)


def drawing(trained: Trained, made: Plane) -> bytes:
    """Both views as PNG: codes by class with a colour bar, beside the decoded plane; without pictures alone."""
    both = pictures.is_picture(trained)
    style: Any = {k: light(v) for k, v in figures.STYLE.items() if not k.startswith("svg.")}
    with rc_context(style):
        figure = Figure(figsize=(12.6 if both else 6.9, 6.0), layout="constrained")
        axes = figure.subplots(1, 2 if both else 1, squeeze=False)[0]
        encoder_view(figure, axes[0], made)
        if both:
            decoder_view(axes[1], trained, made)
        buffer = io.BytesIO()
        figure.savefig(buffer, format="png", dpi=110, facecolor="white", metadata={"Software": None})
    return buffer.getvalue()


def light(value: Any) -> Any:
    """A colour of the house as it is on light paper; anything else as it is."""
    return figures.THEMES["light"][figures.VARIABLES[value]] if value in figures.VARIABLES else value


def encoder_view(figure: Figure, axis: Axes, made: Plane) -> None:
    """Posterior means, coloured by class, over the prior's circles."""
    size = 26 if len(made.means) < 500 else 7
    axis.set_title(f"encoder: where {len(made.means):,} {made.split} examples lie", fontsize=11)
    if made.circles:
        for radius in (1, 2):
            angle = np.linspace(0, 2 * np.pi, 200)
            axis.plot(radius * np.cos(angle), radius * np.sin(angle), color=light(figures.GREY), lw=1)
    if made.labels is None:
        axis.scatter(made.means[:, 0], made.means[:, 1], s=size, color=light(figures.BLUE), alpha=0.6, linewidths=0)
    else:
        values = np.unique(made.labels)
        colours = palette(len(values))
        index = np.searchsorted(values, made.labels)
        axis.scatter(
            made.means[:, 0],
            made.means[:, 1],
            s=size,
            c=np.asarray(colours, dtype=object)[index],
            alpha=0.8,
            linewidths=0,
        )
        class_bar(figure, axis, colours, [named(made.names, int(v)) for v in values])
    framed(axis, made)


def palette(n: int) -> list[str]:
    """A colour for each class: the house's ten, or for more a scale that runs dark to light."""
    if n <= len(figures.CLASSES):
        return list(figures.CLASSES[:n])
    from matplotlib import colormaps
    from matplotlib.colors import to_hex

    return [to_hex(colormaps["viridis"](i / (n - 1))) for i in range(n)]


def named(names: Sequence[str], value: int) -> str:
    """A class by its name where it has one."""
    return names[value] if 0 <= value < len(names) else ("unknown" if value < 0 else str(value))


def class_bar(figure: Figure, axis: Axes, colours: list[str], names: list[str]) -> None:
    """A colour bar with a block for each class."""
    scale = ScalarMappable(BoundaryNorm(np.arange(len(colours) + 1) - 0.5, len(colours)), ListedColormap(colours))
    bar = figure.colorbar(scale, ax=axis, fraction=0.046, pad=0.02)
    every = max(1, len(colours) // 20)
    bar.set_ticks(list(range(0, len(colours), every)), labels=names[::every])
    bar.ax.tick_params(length=0)
    bar.minorticks_off()
    bar.outline.set_visible(False)  # type: ignore[operator]


def decoder_view(axis: Axes, trained: Trained, made: Plane) -> None:
    """The plane decoded, over the same axes."""
    grey = pictures.grey(trained, made.x)
    side = len(grey)
    laid = pictures.sheet(grey.reshape(side * side, *grey.shape[2:]), side, gap=canvas.seam(grey, 1))
    extent = (*made.limits[0], *made.limits[1])
    axis.imshow(laid, extent=extent, cmap="gray", vmin=0, vmax=1, interpolation="antialiased", aspect="equal")
    axis.set_title(f"decoder: what it expects there{made.others}", fontsize=11)
    axis.grid(visible=False)
    framed(axis, made)


def framed(axis: Axes, made: Plane) -> None:
    """The same range and names on both axes."""
    a, b = made.dimensions
    axis.set(xlim=made.limits[0], ylim=made.limits[1], aspect="equal")
    axis.set_xlabel(f"z{a}")
    axis.set_ylabel(f"z{b}")
