"""Where examples lie in two dimensions of the code, over what the prior is; where there are but two, decoded too."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from lowerbound.errors import InputError
from lowerbound.readers import figures, pictures
from lowerbound.readers.latent.manifold import manifold
from lowerbound.readers.latent.plane import plane
from lowerbound.readers.latent.space import follows, heads, represented, summed
from lowerbound.readers.report.markup import figure, scale
from lowerbound.readers.words import several
from lowerbound.training.codes import prior_codes
from lowerbound.training.load import Trained

POINTS = 1500
"""Examples shown."""
ROUND = ("standard-normal", "class-and-style")
"""Priors whose numbers are N(0, I), so that circles are theirs."""


def latent_plane(trained: Trained, split: str) -> str:
    """The codes of a split in the two dimensions whose means vary most, or in the only two.

    Raises:
        InputError: the codes are categories.
    """
    model = trained.model
    if model.encoder is None or model.posterior.represented < 2:
        return ""
    if model.posterior.support == "one-hot":
        raise InputError("its codes are categories, with no way between two")
    rows = shown(trained, split)
    labels = trained.data.labels(split, rows)
    points = places(trained, pictures.encode(trained, trained.data.batch(split, rows), labels))
    first = points.shape[1] - model.latent
    a, b = sorted((points.var(0, correction=0)[first:].argsort(descending=True)[:2] + first).tolist())
    drawing = figures.plane(
        points[:, [a, b]].double().numpy(),
        None if labels is None else labels.numpy(),
        trained.data.label_names,
        axes(trained, a, b),
        circles=circled(trained),
        prior=drawn(trained, split, rows, a, b),
        heads=heads(trained)[:, [a, b]].numpy() if summed(trained) else None,
    )
    made = "<h2>The latent plane</h2>" + figure(drawing, caption(trained, split, len(rows)), "square")
    alone = model.latent == 2 and pictures.is_picture(trained) and not model.condition.width
    return made + (decoded(trained, split) if alone else "")


def shown(trained: Trained, split: str) -> Tensor:
    """The rows that are shown, evenly over the split: some data come sorted."""
    n = len(trained.data.splits[split])
    return torch.linspace(0, n - 1, min(n, POINTS)).long()


def places(trained: Trained, z: Tensor) -> Tensor:
    """Codes (n, width), or what the decoder sees of them where that is a sum of head and style."""
    return represented(trained, z) if summed(trained) else z


def axes(trained: Trained, a: int, b: int) -> tuple[str, str]:
    """What stands on each axis."""
    what = "head + style, " if summed(trained) else "mean of z" if trained.model.has_bound else "z"
    return f"{what}{a}", f"{what}{b}"


def circled(trained: Trained) -> bool:
    """Whether circles of one and two deviations are the prior's."""
    return follows(trained) and trained.model.prior.name in ROUND and not summed(trained)


def drawn(trained: Trained, split: str, rows: Tensor, a: int, b: int) -> np.ndarray | None:
    """As many draws of a prior that is not round, (n, 2); None where codes follow none."""
    if circled(trained) or not follows(trained):
        return None
    z: Any = places(trained, prior_codes(trained.model, trained.data, split, rows=rows))
    return z[:, [a, b]].numpy()


def caption(trained: Trained, split: str, n: int) -> str:
    """What is drawn, and what stands behind it."""
    model, prior = trained.model, trained.model.prior.name
    of = several(n, f"{split} example")
    if summed(trained):
        what = f"What the decoder sees of {of}: the head of the class, a cross with its number, plus the style"
    else:
        what = f"{'Posterior means' if model.has_bound else 'Codes'} of {of}"
        what += " in the two dimensions that vary most" if model.latent > 2 else ""
    if circled(trained):
        return f"{what}; circles are one and two deviations of the prior."
    given = " under the same conditions" if model.prior.conditional else ""
    return f"{what}; grey, as many draws of the prior ({prior}){given}." if follows(trained) else f"{what}."


def decoded(trained: Trained, split: str) -> str:
    """The plane decoded, in cells of equal prior mass, or evenly where it holds class heads; empty of flat codes."""
    if summed(trained):
        made = plane(trained, side=20, split=split)
        (low, high), (bottom, top) = made.limits
        assert made.x is not None
        x = made.x
        words = f"Expected x over {made.axes[0]} (to the right, {low:.1f} to {high:.1f}) and {made.axes[1]} (upward, "
        words += f"{bottom:.1f} to {top:.1f}), evenly spaced."
    else:
        try:
            grid = manifold(trained, split=split)
        except InputError:
            return ""
        x, words = grid.x, grid.sentence()
    sheet = pictures.sheet(pictures.grey(trained, x.flatten(0, 1)), len(x))
    return figure(figures.image(sheet, "the decoded latent plane, 20 by 20", scale(sheet)), words)
