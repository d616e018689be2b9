r"""Completions: what a conditional model makes of the part of an example that it is given, several times.

.. math:: z_k \sim p(z|c), \qquad \hat x_k = E[x | z_k, c], \qquad k = 1, \dots, K

A model without latents has one answer, the average over everything that may be: K of it would differ by the noise of
x alone. *Source*: Doersch 2016 (1606.05908), section 4.2 and figure 8.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from lowerbound.errors import InputError
from lowerbound.model.conditions import PARTS
from lowerbound.readers import pictures
from lowerbound.readers.figures import THEMES
from lowerbound.training.load import Trained

HIDDEN, TINT = 0.62, 0.22
"""The grey of what is not given, and how much of the mark's colour lies over what is."""


@dataclass(frozen=True)
class Completions:
    """Test examples, what is given of each, and what the model makes of that.

    *Shapes*: ``truth`` (rows, *shape), ``known`` (*shape) true where x is given, ``x`` (rows, count, *shape), data
    units. ``names`` say which row each is, and its class where that is given; ``given`` what all are given.
    """

    rows: tuple[int, ...]
    names: tuple[str, ...]
    split: str
    truth: Tensor
    known: Tensor
    x: Tensor
    given: str
    made: str

    def table(self) -> tuple[list[str], list[list[Any]]]:
        """Head and rows of a table: the row of the example, and which completion of it."""
        return ["row", "completion"], [[row, k] for row in self.rows for k in range(self.x.shape[1])]

    def json(self) -> dict[str, Any]:
        """JSON-ready facts; the completions themselves are the door's to print, as numbers or as texts."""
        return {
            "rows": list(self.rows),
            "split": self.split,
            "given": self.given,
            "known": self.known.flatten().tolist(),
            "true": self.truth.flatten(1).tolist(),
            "made": self.made,
            "shape": list(self.x.shape),
        }

    def sentence(self) -> str:
        """What the picture shows."""
        tinted = ", tinted" if self.known.any() else ""
        return f"Given of each {self.split} example: {self.given}{tinted}. Right: {self.made}."


def completions(
    trained: Trained, x: Tensor, y: Tensor | None, rows: Sequence[int], split: str, count: int, **how: Any
) -> Completions:
    """``count`` completions of what a conditional model is given of examples x (rows, *shape) with labels y (rows,).

    A model without latents gives its one answer once, unless values of x are to be drawn.

    Args:
        how: ``seed`` and ``draw``, as :func:`~lowerbound.readers.pictures.sample` takes them.

    Raises:
        InputError: the model has no condition.
    """
    c = pictures.conditions(trained, x, y)
    if c is None:
        raise InputError("the model has no condition", where="--given", mend="leave it out: sample draws freely")
    alone = not trained.spec.latent and not how.get("draw")
    count = 1 if alone else count
    found = pictures.sample_under(trained, c.repeat_interleave(count, 0), len(x) * count, **how)
    known = known_of(trained, x[0])
    whole = torch.where(known, x.repeat_interleave(count, 0), found)
    return Completions(
        rows=tuple(rows),
        names=tuple(names_of(trained, rows, y)),
        split=split,
        truth=x,
        known=known,
        x=whole.unflatten(0, (len(x), count)),
        given=given_of(trained),
        made=words_of(count, alone, bool(how.get("draw"))),
    )


def known_of(trained: Trained, example: Tensor) -> Tensor:
    """Which values of an example (*shape) are given."""
    condition: Any = trained.model.condition
    if condition.labelled:
        return torch.zeros_like(example, dtype=torch.bool)
    known = torch.ones_like(example, dtype=torch.bool)
    return known.index_fill_(getattr(condition, "axis", -1), condition.rest.to(example.device), False)


def names_of(trained: Trained, rows: Sequence[int], y: Tensor | None) -> list[str]:
    """A word for each example: its row, and its class where that is what is given."""
    if y is None or not trained.model.condition.labelled:
        return [f"row {row}" for row in rows]
    classes = trained.data.label_names
    return [f"row {r}, class {classes[k] if classes else k}" for r, k in zip(rows, y.tolist(), strict=True)]


def given_of(trained: Trained) -> str:
    """What is given, in words."""
    part = trained.spec.part("condition")
    if part["name"] == "part":
        return f"the {PARTS[part.get('known', 'column')]}"
    return ", ".join(map(str, part.get("names", (0,)))) if part["name"] == "columns" else "its class"


def words_of(count: int, alone: bool, draw: bool) -> str:
    """What the completions are, in words."""
    if alone:
        return "the one answer of a model without latents, expected x"
    return f"{'draws of x' if draw else 'expected x'} at {count} draws of z, given that"


def cells(trained: Trained, made: Completions) -> tuple[np.ndarray, list[str]]:
    """Pictures (rows, columns, height, width, 3) with values in [0, 1], and a word for each column.

    From the left: the true example, what is given with the rest greyed out, the completions with what was given tinted.
    """
    every = pictures.grey(trained, torch.cat([made.truth[:, None], made.x], 1))
    colours = every if every.shape[-1] == 3 else np.repeat(every[..., None], 3, -1)
    where = made.known.any(0).numpy()[..., None]
    mark = np.array([int(THEMES["light"]["orange"][i : i + 2], 16) for i in (1, 3, 5)]) / 255
    truth, rest = colours[:, :1], colours[:, 1:]
    tinted = np.where(where, (1 - TINT) * rest + TINT * mark, rest)
    head = ["answer"] if rest.shape[1] == 1 else [str(k + 1) for k in range(rest.shape[1])]
    if not where.any():
        return np.concatenate([truth, rest], 1), ["true", *head]
    return np.concatenate([truth, np.where(where, truth, HIDDEN), tinted], 1), ["true", "given", *head]
