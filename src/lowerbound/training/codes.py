"""The codes of a split, and codes from the prior."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from lowerbound.data.dataset import Data
from lowerbound.errors import InputError
from lowerbound.training.measure import evaluating
from lowerbound.training.randomness import borrowed, mix, noise_of

PRIOR = 9
"""What a stream of random numbers is for; part of its key."""


def codes(
    model: Any, data: Data, split: str, *, rows: Tensor | None = None, draws: bool = False, seed: int = 0
) -> Tensor:
    """The code of each example: its posterior mean, or with ``draws`` one draw z ~ q(z|x).

    *Shapes*: (n, width), float64 on the CPU. A deterministic encoder's draw is its code.

    Args:
        rows: which examples of the split; None means all.
        seed: of the draws; the noise belongs to the row of the split, so neither batch nor ``rows`` change it.
    """
    if getattr(model, "encoder", None) is None:
        raise InputError("has no encoder, so its examples have no codes", where="model", mend="use a run that encodes")
    chosen = torch.arange(len(data.splits[split])) if rows is None else rows
    parameter, out = next(model.parameters()), []
    with evaluating(model):
        for first in range(0, len(chosen), 1000):
            part = chosen[first : first + 1000]
            q = model.encode(*seen(data, split, part, parameter))
            if draws:
                drawn = noise_of(seed, part, 1, model.noise_width)
                out.append(q.transform(drawn.to(parameter))[0].double().cpu())
            else:
                out.append(q.mean.double().cpu())
    return torch.cat(out)


def prior_codes(model: Any, data: Data, split: str, *, rows: Tensor | None = None, seed: int = 0) -> Tensor:
    """One draw from the prior for each of ``rows``: from p(z|c) under its condition, or from p(z).

    *Shapes*: (n, width), float64 on the CPU.
    """
    chosen = torch.arange(len(data.splits[split])) if rows is None else rows
    parameter = next(model.parameters())
    with evaluating(model), borrowed(parameter.device):
        torch.manual_seed(mix(PRIOR, seed))
        c = model.given(*seen(data, split, chosen, parameter))[1] if model.condition.width else None
        p = model.prior_at(c)
        return (p.sample() if len(p.batch_shape) else p.sample((len(chosen),))).double().cpu()


def seen(data: Data, split: str, rows: Tensor, like: Tensor) -> tuple[Tensor, Tensor | None]:
    """Examples and labels as a model of that device and precision takes them."""
    x = data.batch(split, rows).to(like.device)
    y = data.labels(split, rows)
    return x.double() if like.dtype == torch.float64 else x, None if y is None else y.to(like.device)
