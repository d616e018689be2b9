"""The picture of a score: which coordinate knows which factor, as a table of shades."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from lowerbound.readers import figures
from lowerbound.readers.disentangle.run import Disentanglement

MOST = 6
"""Runs drawn beside each other."""

STEPS = 40
"""Shades of the scale."""

SHOWN = 30
"""Coordinates drawn of one run: those that know most."""


def picture(found: Sequence[Disentanglement]) -> str:
    """The share of each factor's entropy that each coordinate knows, as inline SVG; up to six runs side by side."""
    drawn = found[:MOST]
    most = max(1, *(min(len(one.dimensions), SHOWN) for one in drawn))
    with rc_context(figures.STYLE):
        size = (max(5.4, 0.75 * sum(len(one.factors) for one in drawn) + 1.2 * len(drawn) + 1), 0.34 * most + 1.5)
        figure = Figure(figsize=size, layout="constrained")
        *axes, scale = figure.subplots(1, len(drawn) + 1, width_ratios=[*(len(one.factors) for one in drawn), 0.3])
        for axis, one in zip(axes, drawn, strict=True):
            shades(axis, one)
        scale_of(scale)
        words = "; ".join(f"{one.run}: MIG {one.scores[0].value:.2f}" for one in drawn)
        return figures.svg(figure, "What each latent knows of each factor", words)


def shades(axis: Axes, one: Disentanglement) -> None:
    """One run: a row a coordinate, a column a factor, 1 where the coordinate knows all of it."""
    share = one.information / one.entropy
    order = np.sort(np.argsort(-share.sum(1), kind="stable")[:SHOWN])
    for row, j in enumerate(order):
        for k, value in enumerate(share[j]):
            at = (k - 0.48, row - 0.46)
            axis.add_patch(Rectangle(at, 0.96, 0.92, facecolor=figures.BLUE, alpha=depth(value)))
            axis.text(k, row, f"{value:.2f}", ha="center", va="center", fontsize=9)
    axis.set_xlim(-0.5, len(one.factors) - 0.5)
    axis.set_ylim(max(len(order), 1) - 0.5, -0.5)
    axis.set_xticks(range(len(one.factors)), one.factors)
    axis.set_yticks(range(len(order)), [f"z{one.dimensions[j]}" for j in order])
    axis.tick_params(length=0)
    axis.grid(visible=False)
    axis.spines[:].set_visible(False)
    axis.set_title(f"{one.run}: share of each factor known", fontsize=10)


def depth(share: float) -> float:
    """How deep the shade of a share is."""
    return float(np.clip(share, 0, 1)) ** 0.7


def scale_of(axis: Axes) -> None:
    """The scale of the shades: information about a factor, as a share of its entropy."""
    edges = np.linspace(0, 1, STEPS + 1)
    for low, high in pairwise(edges):
        axis.add_patch(Rectangle((0, low), 1, high - low, facecolor=figures.BLUE, alpha=depth((low + high) / 2)))
    axis.set_ylim(0, 1)
    axis.set_xticks([])
    axis.set_yticks([0, 0.5, 1])
    axis.yaxis.tick_right()
    axis.yaxis.set_label_position("right")
    axis.set_ylabel("information / entropy, nats / nats")
    axis.grid(visible=False)
