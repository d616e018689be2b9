"""The picture of a comparison: runs in the rate-distortion plane, and their differences with intervals."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from lowerbound.readers import figures
from lowerbound.readers.figures import BLUE, FAINT, GREEN, GREY, INK, ORANGE, STYLE

MARGIN = 0.25
"""Room around the runs, as a share of their span."""


def picture(found: Mapping[str, Any]) -> str:
    """What :meth:`Comparison.json` holds as inline SVG: plane on the left, differences on the right."""
    runs = found["runs"]
    with rc_context(STYLE):
        height = max(3.4, 0.42 * len(runs) + 1.6)
        figure = Figure(figsize=(10.4, max(height, 4.2)), layout="constrained")
        left, right = figure.subplots(1, 2, width_ratios=[1.25, 1])
        plane(left, runs, found["reference"])
        differences(right, runs, found["reference"])
        words = "; ".join(f"{r['run']}: bound {r['bound']['value']:.2f} nats" for r in runs)
        return figures.svg(figure, f"{len(runs)} runs compared on {found['split']}", words)


def plane(axis: Axes, runs: Sequence[Mapping[str, Any]], reference: str) -> None:
    """Rate across, distortion up; on a diagonal the bound is the same, and the lower left is better."""
    rate = np.array([run["rate"]["value"] for run in runs])
    distortion = np.array([run["distortion"]["value"] for run in runs])
    x, y = reach(rate), reach(distortion)
    axis.set_xlim(*x), axis.set_ylim(*y)  # type: ignore[func-returns-value]
    diagonals(axis, x, y)
    for i, run in enumerate(runs):
        colour = GREEN if run["run"] == reference else BLUE
        error = [run[term]["stderr"] or 0.0 for term in ("rate", "distortion")]
        axis.errorbar(rate[i], distortion[i], error[1], error[0], fmt="o", color=colour, markersize=8, elinewidth=1.2)
    named(axis, runs, rate, distortion)
    axis.set_xlabel("rate, nats per example")
    axis.set_ylabel("distortion, nats per example")
    axis.set_title("grey diagonals: the same bound; better is down and left", fontsize=10)
    axis.grid(visible=False)


def named(axis: Axes, runs: Sequence[Mapping[str, Any]], rate: np.ndarray, distortion: np.ndarray) -> None:
    """The name of each run beside its point; names of points side by side go up and down in turn."""
    middle = sum(axis.get_xlim()) / 2
    for turn, i in enumerate(np.argsort(distortion)):
        right = rate[i] <= middle
        axis.annotate(
            runs[i]["run"],
            (rate[i], distortion[i]),
            xytext=(9 if right else -9, 8 if turn % 2 else -8),
            textcoords="offset points",
            ha="left" if right else "right",
            va="center",
            fontsize=9,
            color=INK,
        )


def reach(values: np.ndarray) -> tuple[float, float]:
    """The ends of an axis that shows all values with room."""
    span = max(float(np.ptp(values)), 0.02 * float(np.abs(values).max()), 1e-3)
    return float(values.min()) - MARGIN * span, float(values.max()) + MARGIN * span


def diagonals(axis: Axes, x: tuple[float, float], y: tuple[float, float]) -> None:
    """Lines of equal rate + distortion, labelled with the bound."""
    low, high = x[0] + y[0], x[1] + y[1]
    for total in ticks(low, high):
        axis.plot([total - y[0], total - y[1]], [y[0], y[1]], color=GREY, linewidth=1, zorder=0)
        place = min(max(total - y[0] - 0.02 * (y[1] - y[0]), x[0]), x[1])
        height = total - place
        if x[0] < place < x[1] - 0.08 * (x[1] - x[0]) and y[0] <= height <= y[1]:
            axis.annotate(f"{-total:g}", (place, height), fontsize=8, color=FAINT, ha="right", va="bottom")


def ticks(low: float, high: float) -> np.ndarray:
    """About seven round numbers between two others."""
    from matplotlib.ticker import MaxNLocator

    return np.array([t for t in MaxNLocator(7).tick_values(low, high) if low < t < high])


def differences(axis: Axes, runs: Sequence[Mapping[str, Any]], reference: str) -> None:
    """The paired difference of each bound to the reference, with its 95 % interval; right of 0 is better."""
    places = np.arange(len(runs))[::-1]
    axis.axvline(0, color=GREEN, linewidth=1.5)
    for place, run in zip(places, runs, strict=True):
        found = run["difference"]
        if found is None:
            axis.plot([0], [place], "o", color=GREEN, markersize=8)
            continue
        low, high = found["interval95"]
        sure = low > 0 or high < 0
        colour = (BLUE if low > 0 else ORANGE) if sure else GREY
        axis.plot([low, high], [place, place], color=colour, linewidth=3, solid_capstyle="butt")
        axis.plot([found["value"]], [place], "o", color=colour, markersize=8)
        axis.annotate(
            f"{found['value']:+.2f}",
            (found["value"], place),
            xytext=(0, 8),
            textcoords="offset points",
            ha="center",
            fontsize=9,
            color=INK,
        )
    axis.set_yticks(places, [run["run"] for run in runs])
    axis.set_ylim(-0.6, len(runs) - 0.3)
    axis.set_xlabel(f"bound less that of {reference}, nats (95 %)")
    axis.set_title("paired differences: right is better", fontsize=10)
    axis.grid(axis="y", visible=False)
