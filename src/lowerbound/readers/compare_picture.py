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
SIZE = 370.0, 250.0
"""About how large the plane is, in points."""
PLACES = [(9, 8), (9, -8), (-9, 8), (-9, -8), (9, 18), (9, -18), (-9, 18), (-9, -18)]
"""Where a name may stand, in points from its run."""


LABEL = 52.0, 11.0
"""Length and height of the name of a diagonal, in points."""
Box = tuple[float, float, float, float]


def picture(found: Mapping[str, Any]) -> str:
    """What :meth:`Comparison.json` holds as inline SVG: plane on the left, differences on the right."""
    runs = found["runs"]
    with rc_context(STYLE):
        height = max(3.4, 0.42 * len(runs) + 1.6)
        figure = Figure(figsize=(10.4, max(height, 4.2)), layout="constrained")
        left, right = figure.subplots(1, 2, width_ratios=[1.25, 1])
        plane(left, runs, found["reference"])
        differences(right, runs, found["reference"], found["compared"])
        values = [(r["figure"] or r["bound"])["value"] for r in runs]
        words = "; ".join(f"{r['run']}: {found['compared']} {v:.2f} nats" for r, v in zip(runs, values, strict=True))
        return figures.svg(figure, f"{len(runs)} runs compared on {found['split']}", words)


def plane(axis: Axes, runs: Sequence[Mapping[str, Any]], reference: str) -> None:
    """Rate across, distortion up; on a diagonal the bound is the same, and the lower left is better."""
    runs = [run for run in runs if run["rate"] and run["distortion"]]
    if not runs:
        axis.set_axis_off()
        axis.set_title("no run has a bound", fontsize=10)
        return
    rate = np.array([run["rate"]["value"] for run in runs])
    distortion = np.array([run["distortion"]["value"] for run in runs])
    x, y = reach(rate), reach(distortion)
    axis.set_xlim(*x), axis.set_ylim(*y)  # type: ignore[func-returns-value]
    for i, run in enumerate(runs):
        colour = GREEN if run["run"] == reference else BLUE
        error = [run[term]["stderr"] or 0.0 for term in ("rate", "distortion")]
        axis.errorbar(rate[i], distortion[i], error[1], error[0], fmt="o", color=colour, markersize=8, elinewidth=1.2)
    diagonals(axis, x, y, named(axis, runs, rate, distortion))
    axis.set_xlabel("rate, nats per example")
    axis.set_ylabel("distortion, nats per example")
    axis.set_title("grey diagonals: the same bound; better is down and left", fontsize=10)
    axis.grid(visible=False)


def named(axis: Axes, runs: Sequence[Mapping[str, Any]], rate: np.ndarray, distortion: np.ndarray) -> list[Box]:
    """The name of each run beside its point: of eight places the first that meets no other point and no other name.

    What points and names take up.
    """
    x = SIZE[0] * (rate - axis.get_xlim()[0]) / np.ptp(axis.get_xlim())
    y = SIZE[1] * (distortion - axis.get_ylim()[0]) / np.ptp(axis.get_ylim())
    taken = [(px - 6, py - 6, px + 6, py + 6) for px, py in zip(x, y, strict=True)]
    for i, run in enumerate(runs):
        wide = 5.5 * len(run["run"])
        free = [place for place in PLACES if fits(box(x[i], y[i], place, wide), taken)]
        dx, dy = (free or PLACES)[0]
        taken.append(box(x[i], y[i], (dx, dy), wide))
        axis.annotate(
            run["run"],
            (rate[i], distortion[i]),
            xytext=(dx, dy),
            textcoords="offset points",
            ha="left" if dx > 0 else "right",
            va="center",
            fontsize=9,
            color=INK,
        )
    return taken


def box(x: float, y: float, place: tuple[int, int], wide: float) -> Box:
    """What a name takes up, in points: left, bottom, right, top."""
    left = x + place[0] - (wide if place[0] < 0 else 0)
    return left, y + place[1] - 6, left + wide, y + place[1] + 6


def fits(mine: Box, taken: Sequence[Box]) -> bool:
    """Whether a box lies in the picture and meets no other."""
    inside = mine[0] >= 0 and mine[1] >= 0 and mine[2] <= SIZE[0] and mine[3] <= SIZE[1]
    return inside and all(mine[0] >= b[2] or mine[2] <= b[0] or mine[1] >= b[3] or mine[3] <= b[1] for b in taken)


def reach(values: np.ndarray) -> tuple[float, float]:
    """The ends of an axis that shows all values with room."""
    span = max(float(np.ptp(values)), 0.02 * float(np.abs(values).max()), 1e-3)
    low = float(values.min()) - MARGIN * span
    return max(low, 0.0) if values.min() >= 0 else low, float(values.max()) + MARGIN * span


def diagonals(axis: Axes, x: tuple[float, float], y: tuple[float, float], taken: Sequence[Box]) -> None:
    """Lines of equal rate + distortion, each labelled with its bound where there is room first."""
    for total in ticks(x[0] + y[0], x[1] + y[1]):
        axis.plot([total - y[0], total - y[1]], [y[0], y[1]], color=GREY, linewidth=1, zorder=0)
        start = room(total, x, y, taken)
        if start is not None:
            axis.text(
                start,
                total - start,
                f"bound {-total:g}",
                fontsize=8,
                color=FAINT,
                rotation=-45,
                rotation_mode="anchor",
                transform_rotates_text=True,
                va="bottom",
            )


def room(total: float, x: tuple[float, float], y: tuple[float, float], taken: Sequence[Box]) -> float | None:
    """Where along the line rate + distortion = total its name may start: the first place that meets nothing, if any."""
    wide, high = SIZE[0] / (x[1] - x[0]), SIZE[1] / (y[1] - y[0])
    along, across = np.array([wide, -high]) / np.hypot(wide, high), np.array([high, wide]) / np.hypot(wide, high)
    steps = [a * along + b * across for a in np.linspace(0, LABEL[0], 9) for b in (0, 0.5 * LABEL[1], LABEL[1])]
    for start in max(x[0], total - y[1]) + (x[1] - x[0]) * np.arange(0.015, 1, 0.03):
        at = np.array([(start - x[0]) * wide, (total - start - y[0]) * high])
        if all(fits((*(at + step), *(at + step)), taken) for step in steps):
            return float(start)
    return None


def ticks(low: float, high: float) -> np.ndarray:
    """About nine round numbers between two others."""
    from matplotlib.ticker import MaxNLocator

    return np.array([t for t in MaxNLocator(9).tick_values(low, high) if low < t < high])


def differences(axis: Axes, runs: Sequence[Mapping[str, Any]], reference: str, compared: str) -> None:
    """The paired difference of each run to the reference, with its 95 % interval; right of 0 is better."""
    places = np.arange(len(runs))[::-1]
    axis.axvline(0, color=GREEN, linewidth=1.5)
    for place, run in zip(places, runs, strict=True):
        found = run["difference"]
        if found is None:
            axis.plot([0], [place], "o", color=GREEN, markersize=8)
            continue
        low, high = found["interval95"] or (found["value"], found["value"])
        sure = found["interval95"] and (low > 0 or high < 0)
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
    axis.set_xlabel(f"{compared} less that of {reference}, nats (95 %)")
    axis.set_title("paired differences: right is better", fontsize=10)
    axis.grid(axis="y", visible=False)
