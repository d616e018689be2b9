"""The encoder's view and the decoder's view of two latent dimensions, side by side on the same axes."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass, replace
from textwrap import fill
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
from lowerbound.readers.latent.space import Space, heads, represented, summed, unrepresented
from lowerbound.training.load import Trained

MOST = 10_000
"""Examples drawn."""
Limits = tuple[tuple[float, float], tuple[float, float]]
WRAP = 62
"""Letters of a title that fit over one view."""


@dataclass(frozen=True)
class Plane:
    """Two dimensions as both networks see them.

    *Shapes*: ``means`` (n, 2) posterior means; ``labels`` (n,) or None; ``x`` (side, side, *shape) what an evenly
    spaced grid over ``limits``, (low, high) of each axis, decodes to, highest value of the second dimension first.
    ``circles`` says whether the prior is N(0, I), so that circles of one and two deviations are its own. Where the
    decoder sees the sum of a class's head and the style, ``means`` are such sums, and ``heads`` (classes, 2) the heads.
    On a plane of no two dimensions, ``names_of_axes`` are its own, ``words`` say what it is, and ``x`` is None where
    nothing leads from it back to a code.
    """

    means: np.ndarray
    labels: np.ndarray | None
    names: tuple[str, ...]
    x: Tensor | None
    limits: Limits
    dimensions: tuple[int, int] | None
    circles: bool
    others: str
    split: str
    heads: np.ndarray | None = None
    names_of_axes: tuple[str, str] = ("", "")
    words: str = ""

    @property
    def axes(self) -> tuple[str, str]:
        """What stands on each axis."""
        if self.dimensions is None:
            return self.names_of_axes
        a, b = self.dimensions
        return (f"z{a}", f"z{b}") if self.heads is None else (f"head + style, {a}", f"head + style, {b}")

    def table(self) -> tuple[list[str], list[list[Any]]]:
        """Head and rows of the encoder's view as a table."""
        labels = [] if self.labels is None else [["" if y < 0 else int(y)] for y in self.labels]
        rows = self.means.tolist()
        head = [*(["label"] if labels else []), *(self.axes if self.dimensions else ("first", "second"))]
        return head, [[*label, *row] for label, row in zip(labels or [[]] * len(rows), rows, strict=True)]

    def json(self) -> dict[str, Any]:
        """JSON-ready facts: the code of each example in the two dimensions, and its class."""
        return {
            "dimensions": self.dimensions and list(self.dimensions),
            "words": self.words,
            "split": self.split,
            "examples": len(self.means),
            "means": self.means.tolist(),
            "labels": None if self.labels is None else self.labels.tolist(),
            "heads": None if self.heads is None else self.heads.tolist(),
        }


def plane(
    trained: Trained,
    *,
    dimensions: tuple[int, int] | None = None,
    side: int = 24,
    split: str = "test",
    label: str | None = None,
    given: int | None = None,
    limits: Limits | None = None,
    most: int = MOST,
) -> Plane:
    """Both views of the two dimensions of the highest rate, or of two that are asked for.

    Where the decoder sees the sum of a class's head and the style, that sum is the plane.

    Args:
        limits: of the axes, where they are not to be those of the codes.
        most: examples drawn at most.

    Raises:
        InputError: fewer than two dimensions, codes that are categories, or a model without an encoder.
    """
    space = Space(trained, split=split, label=label, given=given)
    if summed(trained):
        return sums(space, dimensions, side, limits, most)
    if len(space.numbers) < 2:
        raise InputError("has one latent dimension, a plane needs two", where=trained.run.path, mend="use traverse")
    a, b = plane_of(space, dimensions, split)
    rows = spaced(trained, split, most)
    means = space.encode(split, rows)[:, [a, b]]
    standard = space.normal is not None and not space.normal[0].any() and bool((space.normal[1] == 1).all())
    limits = limits or limits_of(means, standard)
    z = grid(space.centre.float(), limits, side, a, b)
    x = space.decode(z.flatten(0, 1)).unflatten(0, (side, side))
    rest = f"; the other {space.width - 2} at {space.middle}" if space.width > 2 else ""
    return Plane(means.numpy(), *labels_of(trained, split, rows), x, limits, (a, b), standard, rest, split)


def sums(
    space: Space, dimensions: tuple[int, int] | None, side: int, limits: Limits | None = None, most: int = MOST
) -> Plane:
    """Both views of what the decoder sees, W y + s, with the class heads W."""
    trained, split = space.trained, space.split
    if space.held is not None:
        what = "its plane holds every class, each at its own head"
        raise InputError(what, where="--label", mend="leave it out")
    rows = spaced(trained, split, most)
    seen = represented(trained, space.encode(split, rows))
    known = range(seen.shape[1])
    a, b = dimensions or sorted(seen.var(0).argsort(descending=True)[:2].tolist())
    if a == b or a not in known or b not in known:
        raise InputError(f"no plane of {a} and {b}", where="--dims", mend=f"give two from 0 to {len(known) - 1}")
    often = heads(trained).repeat(len(seen), 1)  # so that no quantile leaves a head out
    limits = limits or limits_of(torch.cat([seen, often])[:, [a, b]], False)
    places = grid(seen.mean(0), limits, side, a, b)  # not nats: a place in latent space
    x = space.decode(unrepresented(trained, places.flatten(0, 1))).unflatten(0, (side, side))
    rest = f"; the other {len(known) - 2} at the mean of the examples" if len(known) > 2 else ""
    made = Plane(seen[:, [a, b]].numpy(), *labels_of(trained, split, rows), x, limits, (a, b), False, rest, split)
    return replace(made, heads=heads(trained)[:, [a, b]].numpy())


def spaced(trained: Trained, split: str, most: int = MOST) -> Tensor:
    """Rows of a split, at most ``most``, evenly over it."""
    n = len(trained.data.splits[split])
    return torch.linspace(0, n - 1, min(n, most)).long()


def labels_of(trained: Trained, split: str, rows: Tensor) -> tuple[np.ndarray | None, tuple[str, ...]]:
    """The labels of some rows, and the names of the classes."""
    y = trained.data.splits[split].labels
    return None if y is None else np.asarray(y)[rows.numpy()], tuple(trained.data.label_names)


def grid(centre: Tensor, limits: Any, side: int, a: int, b: int) -> Tensor:
    """Evenly spaced places (side, side, width) in dimensions a and b, the highest b first, the others at the centre."""
    z = centre.repeat(side, side, 1)
    z[..., [a, b]] = lattice(limits, side)
    return z


def lattice(limits: Any, side: int) -> Tensor:
    """The middles of the cells of a plane (side, side, 2), the highest of the second axis first."""
    first, second = (torch.linspace(low, high, 2 * side + 1)[1::2] for low, high in limits)
    return torch.stack(torch.meshgrid(first, second.flip(0), indexing="xy"), -1)


def limits_of(means: Tensor, standard: bool) -> Limits:
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
    with rc_context(paper()):
        return saved(drawn(trained, made))


def drawn(trained: Trained, made: Plane) -> Figure:
    """Both views as a figure."""
    both = pictures.is_picture(trained) and made.x is not None
    figure = Figure(figsize=(12.6 if both else 6.9, 6.0), layout="constrained", facecolor="white")
    axes = figure.subplots(1, 2 if both else 1, squeeze=False)[0]
    encoder_view(axes[0], made)
    class_bar(figure, axes[0], made)
    if both:
        decoder_view(axes[1], trained, made)
    words = fill(made.words, (2 if both else 1) * 88)
    figure.supxlabel(words, x=0.02, ha="left", fontsize=9.5, color=light(figures.FAINT))
    return figure


def paper() -> Any:
    """The house's style on light paper, for matplotlib."""
    return {k: light(v) for k, v in figures.STYLE.items() if not k.startswith("svg.")}


def saved(figure: Figure) -> bytes:
    """A figure as PNG."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=110, facecolor="white", metadata={"Software": None})
    return buffer.getvalue()


def light(value: Any) -> Any:
    """A colour of the house as it is on light paper; anything else as it is."""
    return figures.THEMES["light"][figures.VARIABLES[value]] if value in figures.VARIABLES else value


def encoder_view(axis: Axes, made: Plane, size: float | None = None) -> None:
    """Posterior means, coloured by class, over the prior's circles, and the heads of classes where there are any."""
    size = size or (26 if len(made.means) < 500 else 7)
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
    for k, (x, y) in enumerate(() if made.heads is None else made.heads):
        axis.plot([x], [y], "X", color=light(figures.INK), markeredgecolor="white", markersize=11)
        axis.annotate(str(k), (x, y), xytext=(8, 5), textcoords="offset points", fontweight="bold")
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


def class_bar(figure: Figure, axis: Axes | list[Axes], made: Plane) -> None:
    """A colour bar with a block for each class, where examples have one."""
    if made.labels is None:
        return
    names = [named(made.names, int(v)) for v in np.unique(made.labels)]
    colours = palette(len(names))
    scale = ScalarMappable(BoundaryNorm(np.arange(len(colours) + 1) - 0.5, len(colours)), ListedColormap(colours))
    bar = figure.colorbar(scale, ax=axis, fraction=0.046, pad=0.02)
    every = max(1, len(colours) // 20)
    bar.set_ticks(list(range(0, len(colours), every)), labels=names[::every])
    bar.ax.tick_params(length=0)
    bar.minorticks_off()
    bar.outline.set_visible(False)  # type: ignore[operator]


def decoder_view(axis: Axes, trained: Trained, made: Plane) -> None:
    """The plane decoded, over the same axes."""
    assert made.x is not None
    grey = pictures.grey(trained, made.x)
    side = len(grey)
    sheet = pictures.sheet(grey.reshape(side * side, *grey.shape[2:]), side, gap=canvas.seam(grey, 1))
    laid = np.nan_to_num(sheet, nan=1.0)
    extent = (*made.limits[0], *made.limits[1])
    axis.imshow(laid, extent=extent, cmap="gray", vmin=0, vmax=1, interpolation="antialiased", aspect="equal")
    axis.set_title(fill(f"decoder: what it expects there{made.others}", WRAP), fontsize=11)
    axis.grid(visible=False)
    framed(axis, made)


def framed(axis: Axes, made: Plane) -> None:
    """The same range and names on both axes."""
    axis.set(xlim=made.limits[0], ylim=made.limits[1], aspect="equal", xlabel=made.axes[0], ylabel=made.axes[1])
    if not any(made.axes):
        axis.set(xticks=(), yticks=())
