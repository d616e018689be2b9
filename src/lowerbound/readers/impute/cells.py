"""Cells drawn from p(x|z), keyed by row: of the kinds that most tables hold for all rows at once, of others row by row.

Making a distribution takes longer than drawing a few rows from it, so that a table is three times as fast.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.distributions import Bernoulli, Normal

from lowerbound.model.likelihoods.columns import CodesDistribution, ColumnsDistribution
from lowerbound.readers.impute.tiles import Dice


def cells(likelihood: Any, out: Tensor, dice: Dice) -> Tensor:
    """One draw of each cell, (draws, rows, *shape), of what the decoder emits (draws, rows, *output_shape)."""
    p = likelihood(out)
    groups = p.groups if isinstance(p, ColumnsDistribution) else [p]
    if not all(type(group) in AT_ONCE for group in groups):
        return dice.each(lambda place: likelihood(out[:, place]).sample())
    drawn = [AT_ONCE[type(group)](group, dice) for group in groups]
    return torch.cat(drawn, -1)[..., p.back] if isinstance(p, ColumnsDistribution) else drawn[0]


def normal(p: Normal, dice: Dice) -> Tensor:
    """Mean and deviation times N(0, 1)."""
    draws, _, *shape = p.loc.shape
    noise = dice.normal(draws, torch.Size(shape).numel())
    return torch.addcmul(p.loc, p.scale, noise.reshape(p.loc.shape)).to(dice.like)


def binary(p: Bernoulli, dice: Dice) -> Tensor:
    """1 with its probability."""
    return (uniform(p.probs.shape, dice) < p.probs).to(dice.like)


def code(p: CodesDistribution, dice: Dice) -> Tensor:
    """The code whose share of the unit interval holds a uniform number."""
    below = p.probs.double().cumsum(-1)
    chance = uniform(below.shape[:-1], dice)
    return (below <= (chance * below[..., -1]).unsqueeze(-1)).sum(-1).to(dice.like)


def uniform(shape: torch.Size, dice: Dice) -> Tensor:
    """Numbers on [0, 1) of a shape (draws, rows, ...), float64."""
    draws, rows, *rest = shape
    width = torch.Size(rest).numel()
    return dice.uniform(draws * width).reshape(draws, width, rows).transpose(1, 2).reshape(shape)


AT_ONCE: dict[type, Callable[..., Tensor]] = {Normal: normal, Bernoulli: binary, CodesDistribution: code}
"""Kinds whose draw is a function of a number or two."""
