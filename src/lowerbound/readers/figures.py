"""Figures in one style: SVG that follows the page's theme, with colours that colour-blind readers can tell apart.

Colours are drawn as fixed stand-ins and then replaced by CSS variables, so that one figure serves light and dark.
"""

from __future__ import annotations

import base64
import html
import io
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from lowerbound.maths.units import LN2, bits
from lowerbound.readers.words import several
from lowerbound.training.measure import ACTIVE

INK, FAINT, GRID = "#010203", "#040506", "#070809"
BLUE, ORANGE, GREEN, GREY = "#0a0b0c", "#0d0e0f", "#101112", "#131415"
VARIABLES = {INK: "ink", FAINT: "faint", GRID: "grid", BLUE: "blue", ORANGE: "orange", GREEN: "green", GREY: "grey"}
STYLE: Any = {
    "svg.fonttype": "none",
    "svg.hashsalt": "lowerbound",
    "font.family": "sans-serif",
    "font.size": 10,
    "axes.edgecolor": FAINT,
    "axes.labelcolor": INK,
    "axes.titlecolor": INK,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": GRID,
    "grid.linewidth": 0.8,
    "text.color": INK,
    "xtick.color": FAINT,
    "ytick.color": FAINT,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "legend.frameon": False,
    "lines.linewidth": 2.0,
    "figure.facecolor": "none",
    "axes.facecolor": "none",
    "savefig.facecolor": "none",
}
CLASSES = ("#4477AA", "#EE6677", "#228833", "#CCBB44", "#66CCEE", "#AA3377", "#999999", "#EE7733", "#009988", "#9970AB")
"""Ten class colours after Paul Tol's bright and vibrant sets; classes carry their name in the plot besides."""
CROWDED = 0.03
"""Share of the width of a plane below which two names written in it would lie on each other."""


def svg(figure: Figure, title: str, description: str) -> str:
    """A figure as inline SVG with a title and a description for screen readers."""
    buffer = io.StringIO()
    with rc_context(STYLE):
        figure.savefig(buffer, format="svg", metadata={"Date": None, "Creator": None})
    drawn = buffer.getvalue()
    drawn = drawn[drawn.index("<svg") :]
    for colour, name in VARIABLES.items():
        drawn = drawn.replace(colour, f"var(--{name})")
    drawn = re.sub(r"(font: [^;\"]*?px) [^;\"]+", r"\1 system-ui, sans-serif", drawn)
    head, rest = drawn.split(">", 1)
    label = f"<title>{html.escape(title)}</title><desc>{html.escape(description)}</desc>"
    return f'{head} role="img" aria-label="{html.escape(title)}">{label}{rest}'


def png(picture: np.ndarray, clear: bool = False) -> bytes:
    """A picture with values in [0, 1], (height, width[, 3]), as PNG; NaN is white, or with ``clear`` transparent."""
    from PIL import Image

    values = np.round(255 * np.clip(np.nan_to_num(picture, nan=1.0), 0, 1)).astype(np.uint8)
    made = Image.fromarray(values)
    if clear:
        there = ~np.isnan(picture if picture.ndim == 2 else picture[..., 0])
        made.putalpha(Image.fromarray(np.where(there, 255, 0).astype(np.uint8)))
    buffer = io.BytesIO()
    made.save(buffer, "PNG")
    return buffer.getvalue()


def image(picture: np.ndarray, alt: str, scale: int = 3) -> str:
    """An <img> with the picture inside, enlarged with sharp pixels; the page shows where it is NaN."""
    data = base64.b64encode(png(picture, clear=True)).decode()
    height, width = picture.shape[:2]
    size = f'width="{width * scale}" height="{height * scale}"'
    return f'<img class="pixels" {size} alt="{html.escape(alt)}" src="data:image/png;base64,{data}">'


def _axes(width: float = 7.2, height: float = 3.2, columns: int = 1) -> tuple[Figure, list[Axes]]:
    figure = Figure(figsize=(width, height), layout="constrained")
    return figure, list(np.atleast_1d(figure.subplots(1, columns)))


@dataclass(frozen=True)
class Curve:
    """A figure by epoch: in training, and held out where it is measured there."""

    title: str
    training: Sequence[float]
    held_out: Sequence[float] | None = None


def curves(epochs: Sequence[int], drawn: Sequence[Curve], best: int | None = None) -> str:
    """Curves by epoch, a panel each, training and held-out; ``best`` is the epoch whose weights were kept."""
    with rc_context(STYLE):
        figure, axes = _axes(3.2 * max(len(drawn), 2), 3.0, len(drawn))
        few = "o" if len(epochs) < FEW else None
        for axis, curve in zip(axes, drawn, strict=True):
            axis.plot(epochs, curve.training, color=BLUE, label="training", linestyle="--", marker=few)
            if curve.held_out is not None:
                axis.plot(epochs, curve.held_out, color=ORANGE, label="held out", marker=few)
            axis.set_title(curve.title, fontsize=10)
            axis.set_xlabel("epoch")
            axis.set_xticks(epochs) if few else axis.xaxis.set_major_locator(MaxNLocator(integer=True))
            _tight(axis, [v for values in (curve.training, curve.held_out or ()) for v in values[len(epochs) // 6 :]])
        if best is not None:
            _kept(axes[0], best, early=best < epochs[len(epochs) // 2])
        figure.legend(*_labels(axes), loc="outside upper right", ncols=2, fontsize=9)
        last = [(curve.held_out or curve.training)[-1] for curve in drawn]
        words = ", ".join(f"{c.title} {v:.2f}" for c, v in zip(drawn, last, strict=True)) + " at the last epoch"
        return svg(figure, f"{'; '.join(c.title for c in drawn)}: by epoch", words)


FEW = 5
"""Runs of fewer epochs show each as a point, with a tick of its own."""


def _kept(axis: Axes, best: int, early: bool) -> None:
    """A line at the epoch whose weights were kept."""
    axis.axvline(best, color=GREY, linewidth=1)
    axis.annotate(
        "best",
        (best, 0.02),
        xycoords=("data", "axes fraction"),
        fontsize=9,
        color=FAINT,
        ha="left" if early else "right",
        xytext=(3 if early else -3, 0),
        textcoords="offset points",
    )


def _labels(axes: Sequence[Axes]) -> tuple[Any, Any]:
    """The legend of the panel that shows most."""
    handles, labels = max((axis.get_legend_handles_labels() for axis in axes), key=lambda found: len(found[1]))
    return handles, labels


def _tight(axis: Axes, values: Sequence[float]) -> None:
    """Leave the first epochs out of the axis, so that the end of training can be read; one value keeps its digits."""
    margin = max(0.1 * (max(values) - min(values)), 1e-3 * abs(values[0]), 1e-6)
    axis.set_ylim(min(values) - margin, max(values) + margin)


def rates(per_dimension: Sequence[float], names: Sequence[str]) -> str:
    """Rate per latent dimension, sorted, in nats and bits, by its name; collapsed dimensions hatched."""
    order = np.argsort(per_dimension)[::-1]
    values = np.asarray(per_dimension)[order]
    shown = min(len(values), 60)
    with rc_context(STYLE):
        figure, (axis,) = _axes(9.6, 3.0)
        active = values[:shown] > ACTIVE
        places = np.arange(shown)
        axis.bar(places[active], values[:shown][active], color=BLUE, label="active")
        if (~active).any():
            height = np.maximum(values[:shown][~active], 0.012 * max(values.max(), ACTIVE))
            axis.bar(places[~active], height, color=GREY, hatch="////", edgecolor=FAINT, label="collapsed")
        ticks = [names[i].removeprefix("z") for i in order[:shown]]
        axis.set_xticks(places, ticks, fontsize=9 if shown <= 30 else 6)
        axis.set_xlabel(
            "latent dimension, by rate" + (f" (the first {shown} of {len(values)})" if shown < len(values) else "")
        )
        axis.set_ylabel("rate, nats")
        axis.secondary_yaxis("right", functions=(bits, _nats)).set_ylabel("bits", color=INK)
        axis.grid(axis="x", visible=False)
        if (~active).any():
            axis.legend(loc="upper right", fontsize=9)
        words = ", ".join(f"{names[i]}: {per_dimension[i]:.3f} nats" for i in order[:shown])
        return svg(figure, "Rate per latent dimension", words)


def _nats(b: Any) -> Any:
    return b * LN2


def plane(
    points: np.ndarray,
    labels: np.ndarray | None,
    names: Sequence[str],
    axes: tuple[str, str],
    *,
    circles: bool = False,
    prior: np.ndarray | None = None,
    heads: np.ndarray | None = None,
) -> str:
    """Codes (n, 2) in the plane, coloured and named by class, over what the prior is.

    Args:
        axes: what stands on each.
        circles: of one and two deviations, where the prior is N(0, 1) in both.
        prior: draws (m, 2) of any other prior.
        heads: places (k, 2) of class heads, numbered.
    """
    size = 30 if len(points) < 400 else 11
    with rc_context(STYLE):
        figure, (axis,) = _axes(6.4, 5.6)
        for radius in (1, 2) if circles else ():
            angle = np.linspace(0, 2 * np.pi, 200)
            axis.plot(radius * np.cos(angle), radius * np.sin(angle), color=GREY, linewidth=1, zorder=0)
        if prior is not None:
            axis.scatter(prior[:, 0], prior[:, 1], s=7, color=GREY, alpha=0.6, linewidths=0, zorder=0)
        if labels is None:
            axis.scatter(points[:, 0], points[:, 1], s=size, color=BLUE, alpha=0.6, linewidths=0)
        else:
            _classes(axis, points, labels, names, size)
        for k, (x, y) in enumerate(() if heads is None else heads):
            axis.plot([x], [y], "X", color=INK, markersize=9, zorder=5)
            axis.annotate(str(k), (x, y), xytext=(7, 5), textcoords="offset points", fontweight="bold", color=INK)
        axis.set_aspect("equal", adjustable="datalim")
        axis.set_xlabel(axes[0])
        axis.set_ylabel(axes[1])
        return svg(figure, "The latent plane", f"Codes of {several(len(points), 'example')}.")


def _classes(axis: Axes, points: np.ndarray, labels: np.ndarray, names: Sequence[str], size: int) -> None:
    """Codes coloured by class, with the class's name at their middle, or where these are crowded in a legend."""
    values = np.unique(labels).astype(int)
    named = [names[value] if 0 <= value < len(names) else str(value) for value in values]
    middles = np.stack([np.median(points[labels == value], 0) for value in values])
    for k, value in enumerate(values):
        at = points[labels == value]
        colour = CLASSES[k % len(CLASSES)]
        axis.scatter(at[:, 0], at[:, 1], s=size, color=colour, alpha=0.75, linewidths=0, label=named[k])
    if crowded(middles, CROWDED * float(max(axis.dataLim.size))):
        axis.legend(markerscale=2, fontsize=9, ncols=1 + (len(values) - 1) // 10)
        return
    for name, middle in zip(named, middles, strict=True):
        axis.annotate(
            name,
            tuple(middle),
            ha="center",
            va="center",
            fontsize=10,
            fontweight="bold",
            color=INK,
            bbox={"boxstyle": "round,pad=0.2", "facecolor": GRID, "edgecolor": "none", "alpha": 0.85},
        )


def crowded(places: np.ndarray, distance: float) -> bool:
    """Whether two of the places (k, 2) are nearer to each other than that.

    >>> crowded(np.array([[0.0, 0.0], [0.0, 1.0]]), 0.5)
    False
    """
    apart = np.linalg.norm(places[:, None] - places, axis=-1)
    return bool((apart[np.triu_indices(len(places), 1)] < distance).any())


def landscape(mean: float, log_variance: float) -> str:
    """The KL over mu and log variance, its pull as arrows, and the path that it would take a point to N(0, 1)."""
    reach = max(2.5, 1.2 * abs(mean))
    low, high = min(-3.5, log_variance - 1.0), max(2.5, log_variance + 1.0)
    m, l = np.meshgrid(np.linspace(-reach, reach, 160), np.linspace(low, high, 160))
    surface = 0.5 * (m**2 + np.exp(l) - 1 - l)
    with rc_context(STYLE):
        figure, (axis,) = _axes(7.2, 5.0)
        levels = [0.05, 0.25, 0.5, 1, 2, 4, 8, 16]
        lines = axis.contour(m, l, surface, levels=levels, colors=[BLUE], linewidths=1.2)
        axis.clabel(lines, fmt=lambda v: f"{v:g} nats", fontsize=8)
        am, al = np.meshgrid(np.linspace(-reach * 0.9, reach * 0.9, 11), np.linspace(low + 0.3, high - 0.3, 9))
        u, v = -am, -0.5 * np.expm1(al)
        size = np.hypot(u, v).clip(1e-9)
        axis.quiver(am, al, u / size**0.5, v / size**0.5, color=GREY, width=0.004, scale=24)
        path = _descent(mean, log_variance)
        axis.plot(path[:, 0], path[:, 1], color=ORANGE, linewidth=2)
        axis.plot([mean], [log_variance], "o", color=ORANGE, markersize=9)
        axis.plot([0], [0], "*", color=GREEN, markersize=15)
        axis.annotate("N(0, 1): KL = 0", (0, 0), textcoords="offset points", xytext=(9, 8), fontsize=9)
        value = 0.5 * (mean**2 + np.expm1(log_variance) - log_variance)
        axis.annotate(
            f"you: {value:.3g} nats", (mean, log_variance), textcoords="offset points", xytext=(9, -14), fontsize=9
        )
        axis.set_xlabel("mu")
        axis.set_ylabel("log variance,  log sigma^2")
        return svg(figure, "KL( N(mu, sigma^2) || N(0, 1) )", "Contours in nats; arrows show where the KL pulls.")


def _descent(mean: float, log_variance: float, steps: int = 400, rate: float = 0.02) -> np.ndarray:
    points = [(mean, log_variance)]
    for _ in range(steps):
        m, l = points[-1]
        points.append((m - rate * m, l - rate * float(np.clip(0.5 * np.expm1(l), -50, 50))))
    return np.asarray(points)


def page(figure: str, title: str) -> str:
    """One SVG as a file of its own, with the theme's variables inside."""
    light, dark = theme("light"), theme("dark")
    style = f"<style>svg{{{light};background:var(--paper)}}@media(prefers-color-scheme:dark){{svg{{{dark}}}}}</style>"
    head, rest = figure.split(">", 1)
    return f'<?xml version="1.0" encoding="utf-8"?>\n{head}>{style}{rest}'


THEMES = {
    "light": {
        "paper": "#ffffff",
        "ink": "#1b1f24",
        "faint": "#57606a",
        "grid": "#e6e9ed",
        "blue": "#0072b2",
        "orange": "#d55e00",
        "green": "#00805f",
        "grey": "#aab2bb",
        "card": "#f6f8fa",
        "warn": "#fff4e5",
    },
    "dark": {
        "paper": "#14181d",
        "ink": "#e8ebee",
        "faint": "#a3adb8",
        "grid": "#2b323a",
        "blue": "#56b4e9",
        "orange": "#f0a04b",
        "green": "#3ecf9e",
        "grey": "#66707b",
        "card": "#1c2229",
        "warn": "#3a2c17",
    },
}


def theme(name: str) -> str:
    """The CSS variables of a theme."""
    return ";".join(f"--{key}:{value}" for key, value in THEMES[name].items())
