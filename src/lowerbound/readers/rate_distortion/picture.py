"""The picture of a rate-distortion curve: points with errors, the slope each beta asks for, lines of one bound."""

from __future__ import annotations

import io
from collections.abc import Mapping
from typing import Any

import numpy as np
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from lowerbound.readers import figures
from lowerbound.readers.figures import BLUE, FAINT, GREEN, GREY, GRID, INK, STYLE, THEMES, VARIABLES
from lowerbound.readers.rate_distortion.curve import Curve, Point

MARGIN = 0.09
"""Room around the points, as a share of their span."""
TANGENT = 0.045
"""Half the length of a tangent, as a share of the plane."""
CLOSE = 0.03
"""Points nearer than this share of the plane have one label."""
NEAR = 0.09, 0.06
"""Nearer than this to a point, as shares of the plane, there is no room for a word."""
LINES = 8
"""Lines of one bound, about."""


def svg(curve: Curve, reference: tuple[np.ndarray, np.ndarray] | None = None) -> str:
    """The plane as inline SVG; ``reference`` is a known curve (rates, distortions) to draw beside it."""
    with rc_context(STYLE):
        words = "; ".join(
            f"beta {p.beta:g}: rate {p.rate.value:.2f}, distortion {p.distortion.value:.2f}" for p in curve.points
        )
        return figures.svg(drawn(curve, reference), f"Rate and distortion of {len(curve.points)} betas", words)


def png(curve: Curve, reference: tuple[np.ndarray, np.ndarray] | None = None) -> bytes:
    """The plane as a PNG on white paper."""
    light = {stand_in: THEMES["light"][name] for stand_in, name in VARIABLES.items()}
    style = {k: light.get(v, v) if isinstance(v, str) else v for k, v in STYLE.items()}
    with rc_context(style | {"savefig.facecolor": THEMES["light"]["paper"]}):
        buffer = io.BytesIO()
        drawn(curve, reference, light).savefig(buffer, format="png", dpi=150)
    return buffer.getvalue()


def drawn(
    curve: Curve, reference: tuple[np.ndarray, np.ndarray] | None, colours: Mapping[str, str] | None = None
) -> Figure:
    """The figure; ``colours`` replace the stand-ins of the house."""
    hue = {c: (colours or {}).get(c, c) for c in (INK, FAINT, BLUE, GREEN, GREY, GRID)}
    figure = Figure(figsize=(7.6, 5.4), layout="constrained")
    axis = figure.subplots()
    rate = np.array([p.rate.value for p in curve.points])
    distortion = np.array([p.distortion.value for p in curve.points])
    low, high = reach(rate)
    axis.set_xlim(max(low, -0.02 * high), high)
    axis.set_ylim(*reach(distortion))
    bounds(axis, -curve.best.elbo.value, hue, np.stack([rate, distortion], 1))
    if reference is not None:
        axis.plot(*reference, color=hue[GREY], linewidth=1.5, label="the optimum", zorder=1)
    axis.plot(rate, distortion, color=hue[BLUE], linewidth=1, alpha=0.45, zorder=2)
    points(axis, curve, hue)
    axis.set_xlabel("rate, nats per example")
    axis.set_ylabel("distortion, nats per example")
    axis.set_title(f"{curve.data}, {curve.split} split: the number at a point is its beta", fontsize=10)
    axis.grid(visible=False)
    axis.xaxis.set_major_locator(MaxNLocator(8))
    axis.legend(loc="upper right", fontsize=9, frameon=True, facecolor=hue[GRID], edgecolor="none", framealpha=1.0)
    return figure


def reach(values: np.ndarray) -> tuple[float, float]:
    """From a little below the values to a little above."""
    room = MARGIN * max(float(np.ptp(values)), 1e-3)
    return float(values.min()) - room, float(values.max()) + room


def bounds(axis: Axes, best: float, hue: Mapping[str, str], taken: np.ndarray) -> None:
    """Lines of one bound, rate + distortion = -ELBO; the strongest is that of the best bound."""
    x, y = np.array(axis.get_xlim()), axis.get_ylim()
    axis.plot(x, best - x, color=hue[GREEN], linewidth=1.5, label=f"rate + distortion = {best:.2f}, the best bound")
    labelled = False
    corners = x[0] + y[0], x[1] + y[1]
    for total in MaxNLocator(LINES).tick_values(*corners):
        if corners[0] < total < corners[1] and total > best:
            label = None if labelled else "lines of one bound; better is down and left"
            axis.plot(x, total - x, color=hue[GREY], linewidth=0.6, zorder=0, label=label)
            named(axis, total, hue, taken)
            labelled = True


def named(axis: Axes, total: float, hue: Mapping[str, str], taken: np.ndarray) -> None:
    """The bound of a line, in small, where it enters the plane, clear of the legend and of the points (n, 2) taken."""
    (left, right), (low, high) = axis.get_xlim(), axis.get_ylim()
    top = left < total - high < right
    at = np.array((total - high, high) if top else (left, total - left))
    near = np.abs(taken - at) / (right - left, high - low)
    inside = (at - (left, low)) / (right - left, high - low)
    if (top and not NEAR[1] < inside[0] < 0.5) or (not top and inside[1] < NEAR[1]) or (near < NEAR).all(1).any():
        return
    place: Any = {"xytext": (-2, -3), "ha": "right"} if top else {"xytext": (3, -9), "ha": "left"}
    style: Any = {"textcoords": "offset points", "va": "top", "fontsize": 7, "color": hue[FAINT], "zorder": 1}
    axis.annotate(f"{-total:g}", (float(at[0]), float(at[1])), **place, **style)


def points(axis: Axes, curve: Curve, hue: Mapping[str, str]) -> None:
    """Each run with its errors, its beta, and the slope -beta that the curve has there at the optimum."""
    wide, high = np.ptp(axis.get_xlim()), np.ptp(axis.get_ylim())
    for i, p in enumerate(curve.points):
        best = p is curve.best
        x, y = p.rate.value, p.distortion.value
        step = TANGENT / np.hypot(1 / wide, p.beta / high)
        label = "slope -beta" if i == 0 else None
        tangent = [x - step, x + step], [y + p.beta * step, y - p.beta * step]
        axis.plot(*tangent, color=hue[FAINT], linewidth=1.1, zorder=3, label=label)
        colour = hue[GREEN] if best else hue[BLUE]
        up, across = finite(p.distortion.stderr), finite(p.rate.stderr)
        axis.errorbar(x, y, up, across, fmt="o", color=colour, markersize=7, elinewidth=1.2, capsize=0, zorder=4)
    labels(axis, curve, hue)


def labels(axis: Axes, curve: Curve, hue: Mapping[str, str]) -> None:
    """The beta of each point: to the right where the curve is steep, else at an end of its error if there is room."""
    wide, high = float(np.ptp(axis.get_xlim())), float(np.ptp(axis.get_ylim()))
    before, above = None, True
    for group in reversed(together(curve, wide, high)):
        p = group[0]
        at = p.rate.value, p.distortion.value
        crowded = before is not None and abs(at[0] - before[0]) < NEAR[0] * wide and abs(at[1] - before[1]) < 0.1 * high
        above, before = not (crowded and above), at
        beside = p.beta * wide > high and above
        end = finite(p.distortion.stderr) * (1 if above else -1)
        axis.annotate(
            ", ".join(f"{q.beta:g}" for q in group),
            at if beside else (at[0], at[1] + end),
            (7, 5) if beside else (0, 4 if above else -4),
            textcoords="offset points",
            ha="left" if beside else "center",
            va="bottom" if above else "top",
            fontsize=9,
            fontweight="bold" if curve.best in group else "normal",
            color=hue[INK],
            zorder=5,
        )


def together(curve: Curve, wide: float, high: float) -> list[list[Point]]:
    """The points in groups too close for a label each."""
    groups: list[list[Point]] = []
    for p in curve.points:
        if groups:
            q = groups[-1][-1]
            across = (p.rate.value - q.rate.value) / wide, (p.distortion.value - q.distortion.value) / high
            if float(np.hypot(*across)) < CLOSE:
                groups[-1].append(p)
                continue
        groups.append([p])
    return groups


def finite(error: Any) -> float:
    """The error, or 0 where there is none."""
    return float(error) if np.isfinite(error) else 0.0
