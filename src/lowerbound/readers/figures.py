"""Figures in one style: SVG that follows the page's theme, with colours that colour-blind readers can tell apart.

Colours are drawn as fixed stand-ins and then replaced by CSS variables, so that one figure serves light and dark.
"""

from __future__ import annotations

import base64
import html
import io
import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from lowerbound.maths.units import LN2, bits
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


def png(picture: np.ndarray) -> bytes:
    """A picture with values in [0, 1], (height, width[, 3]), as PNG."""
    from PIL import Image

    buffer = io.BytesIO()
    Image.fromarray(np.round(255 * np.clip(picture, 0, 1)).astype(np.uint8)).save(buffer, "PNG")
    return buffer.getvalue()


def image(picture: np.ndarray, alt: str, scale: int = 3) -> str:
    """An <img> with the picture inside, enlarged with sharp pixels."""
    data = base64.b64encode(png(picture)).decode()
    height, width = picture.shape[:2]
    size = f'width="{width * scale}" height="{height * scale}"'
    return f'<img class="pixels" {size} alt="{html.escape(alt)}" src="data:image/png;base64,{data}">'


def _axes(width: float = 7.2, height: float = 3.2, columns: int = 1) -> tuple[Figure, list[Axes]]:
    figure = Figure(figsize=(width, height), layout="constrained")
    return figure, list(np.atleast_1d(figure.subplots(1, columns)))


def curves(rows: Sequence[Mapping[str, Any]]) -> str:
    """Bound, rate and distortion by epoch, training and held-out."""
    terms = [t for t in ("bound", "rate", "distortion", "objective") if rows[-1]["train"][t] is not None]
    terms = terms[:3]
    with rc_context(STYLE):
        figure, axes = _axes(3.2 * max(len(terms), 2), 3.0, len(terms))
        epochs = [row["epoch"] for row in rows]
        held_out = [term for term in terms if all(row["valid"] and row["valid"].get(term) is not None for row in rows)]
        for axis, term in zip(axes, terms, strict=True):
            axis.plot(epochs, [row["train"][term] for row in rows], color=BLUE, label="training", linestyle="--")
            if term in held_out:
                axis.plot(epochs, [row["valid"][term] for row in rows], color=ORANGE, label="held out")
            axis.set_title(f"{term}, nats per example", fontsize=10)
            axis.set_xlabel("epoch")
            axis.xaxis.set_major_locator(MaxNLocator(integer=True))
            settled = rows[len(rows) // 6 :]
            parts = ("train", "valid") if term in held_out else ("train",)
            _tight(axis, [row[part][term] for row in settled for part in parts])
        best = [row["epoch"] for row in rows if row["best"]]
        if best:
            early = best[-1] < epochs[len(epochs) // 2]
            axes[0].axvline(best[-1], color=GREY, linewidth=1)
            axes[0].annotate(
                "best",
                (best[-1], 0.02),
                xycoords=("data", "axes fraction"),
                fontsize=9,
                color=FAINT,
                ha="left" if early else "right",
                xytext=(3 if early else -3, 0),
                textcoords="offset points",
            )
        figure.legend(*axes[0].get_legend_handles_labels(), loc="outside upper right", ncols=2, fontsize=9)
        last = [rows[-1]["valid" if term in held_out else "train"][term] for term in terms]
        words = ", ".join(f"{term} {value:.2f}" for term, value in zip(terms, last, strict=True)) + " at the last epoch"
        return svg(figure, f"{', '.join(terms).capitalize()} by epoch", words)


def _tight(axis: Axes, values: Sequence[float]) -> None:
    """Leave the first epochs out of the axis, so that the end of training can be read."""
    margin = 0.1 * max(max(values) - min(values), 1e-6)
    axis.set_ylim(min(values) - margin, max(values) + margin)


def rates(per_dimension: Sequence[float]) -> str:
    """Rate per latent dimension, sorted, in nats and bits; collapsed dimensions hatched."""
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
        axis.set_xticks(places, [str(i) for i in order[:shown]], fontsize=9 if shown <= 30 else 6)
        axis.set_xlabel(
            "latent dimension, by rate" + (f" (the first {shown} of {len(values)})" if shown < len(values) else "")
        )
        axis.set_ylabel("rate, nats")
        axis.secondary_yaxis("right", functions=(bits, _nats)).set_ylabel("bits", color=INK)
        axis.grid(axis="x", visible=False)
        axis.legend(loc="upper right", fontsize=9)
        words = ", ".join(f"dimension {i}: {per_dimension[i]:.3f} nats" for i in order[:shown])
        return svg(figure, "Rate per latent dimension", words)


def _nats(b: Any) -> Any:
    return b * LN2


def plane(means: np.ndarray, labels: np.ndarray | None, names: Sequence[str], dimensions: tuple[int, int]) -> str:
    """Posterior means in two latent dimensions, coloured and named by class; circles of N(0, 1) behind."""
    size = 30 if len(means) < 400 else 11
    with rc_context(STYLE):
        figure, (axis,) = _axes(6.4, 5.6)
        for radius in (1, 2):
            angle = np.linspace(0, 2 * np.pi, 200)
            axis.plot(radius * np.cos(angle), radius * np.sin(angle), color=GREY, linewidth=1, zorder=0)
        if labels is None:
            axis.scatter(means[:, 0], means[:, 1], s=size, color=BLUE, alpha=0.6, linewidths=0)
        else:
            for k, value in enumerate(np.unique(labels)):
                at = means[labels == value]
                axis.scatter(at[:, 0], at[:, 1], s=size, color=CLASSES[k % len(CLASSES)], alpha=0.75, linewidths=0)
                name = names[int(value)] if int(value) < len(names) else str(value)
                x, y = np.median(at, 0)
                axis.annotate(
                    name,
                    (x, y),
                    ha="center",
                    va="center",
                    fontsize=10,
                    fontweight="bold",
                    color=INK,
                    bbox={"boxstyle": "round,pad=0.2", "facecolor": GRID, "edgecolor": "none", "alpha": 0.85},
                )
        axis.set_aspect("equal", adjustable="datalim")
        axis.set_xlabel(f"mean of z{dimensions[0]}")
        axis.set_ylabel(f"mean of z{dimensions[1]}")
        words = "Posterior means of examples; the circles are one and two deviations of the prior N(0, 1)."
        return svg(figure, "The latent plane", words)


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
