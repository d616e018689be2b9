"""Directions of attributes, and whether moving along one changes the attribute: counted, with its standard error.

A direction is the mean code of examples that have the attribute minus the mean code of examples that have another,
over the training split. Held-out examples are encoded, moved and decoded; a judge says which share of them has the
attribute now, against the share before and the share after a move of the same length in a direction at random.
Source: White 2016 (1609.04468), section 3.2, for mean-difference vectors; Larsen et al. 2016 (1512.09300), section
4.2, for asking a classifier.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from lowerbound.errors import InputError
from lowerbound.readers import pictures
from lowerbound.readers.latent import canvas, groups
from lowerbound.readers.latent.judge import Judge, Share, judge_of
from lowerbound.readers.latent.space import Space
from lowerbound.training.load import Trained
from lowerbound.training.randomness import generator

RANDOM = 29
MOST, SHOWN, STEPS = 2000, 8, 7
CLEAR = 3.0
"""Standard errors that a difference must exceed to be called one."""
FARTHEST = 1e6
"""Times a difference: further on there are only overflows."""


@dataclass(frozen=True)
class Change:
    """What a move along an attribute's direction did to held-out examples.

    *Shapes*: ``direction`` (width,), already times the strength; ``x`` (shown, steps, *shape) some examples decoded on
    the way, ``originals`` (shown, *shape) as they are, ``strays`` (shown, *shape) after a random move. ``t``
    (steps,) in units of the mean difference, ``shares`` (steps,) of all the moved examples; ``random`` after a random
    move as long as the whole; ``reached`` among reconstructions of held-out examples that have the attribute.
    """

    source: str
    target: str
    start: str
    fitted: tuple[int, int]
    direction: Tensor
    t: tuple[float, ...]
    shares: tuple[Share, ...]
    random: Share
    reached: Share
    judge: Judge
    originals: Tensor
    x: Tensor
    strays: Tensor
    split: str

    @property
    def before(self) -> Share:
        """The share before the move."""
        return self.shares[0]

    @property
    def after(self) -> Share:
        """The share after the whole move."""
        return self.shares[-1]

    @property
    def changed(self) -> bool:
        """Whether the share rose by more than three standard errors above both what it was and a random move."""
        return self.after.above(self.before) > CLEAR and self.after.above(self.random) > CLEAR

    def verdict(self) -> str:
        """The finding in a sentence."""
        over = f"{self.after.above(self.before):.1f} standard errors above the share before and "
        over += f"{self.after.above(self.random):.1f} above a random move (more than {CLEAR:g} of both are asked for)"
        return ("the attribute changed: " if self.changed else "no change is shown: ") + over

    def lines(self) -> list[str]:
        """The finding for people."""
        whose = f"{self.start} ({self.after.n:,} {self.split} examples)"
        return [
            f"direction: mean code of {self.fitted[1]:,} examples with {self.target} minus that of {self.fitted[0]:,} "
            f"with {self.source}, times {self.t[-1]:g}; length {float(self.direction.norm()):.2f}",
            f"share of {whose} that is {self.target} to the judge, decoded",
            f"  from their own codes         {self.before}",
            f"  moved along the direction    {self.after}",
            f"  moved as far at random       {self.random}",
            f"  reconstructions of {self.target} itself: {self.reached}",
            self.judge.words(),
            self.verdict(),
        ]

    def json(self) -> dict[str, Any]:
        """JSON-ready figures."""
        return {
            "from": self.source,
            "to": self.target,
            "start": self.start,
            "split": self.split,
            "examples": self.after.n,
            "direction": self.direction.tolist(),
            "length": float(self.direction.norm()),
            "fitted_on": {"split": "train", "from": self.fitted[0], "to": self.fitted[1]},
            "before": self.before.json(),
            "after": self.after.json(),
            "random": self.random.json(),
            "reached_by_the_target_itself": self.reached.json(),
            "way": [{"t": t} | share.json() for t, share in zip(self.t, self.shares, strict=True)],
            "judge": self.judge.json(),
            "changed": self.changed,
        }

    def table(self) -> tuple[list[str], list[list[Any]]]:
        """Head and rows of a table of the examples shown: which one, and how far along."""
        return ["example", "t"], [[i, t] for i in range(len(self.x)) for t in self.t]


def times(vector: Tensor, strength: float) -> Tensor:
    """``strength`` times a difference of codes; an InputError where that is no number or beyond all codes."""
    if not abs(strength) <= FARTHEST:
        what = f"{strength:g} times the difference leads to no code"
        raise InputError(what, where="strength", mend=f"give a number between -{FARTHEST:g} and {FARTHEST:g}")
    return vector * strength


def change(
    trained: Trained,
    source: str,
    target: str,
    *,
    start: str | None = None,
    strength: float = 1.0,
    judge: str = "knn",
    split: str = "test",
    seed: int = 0,
) -> Change:
    """Move held-out examples along the mean difference from ``source`` to ``target`` and count what became of them.

    Args:
        source, target: words for examples, as ``class:3``, ``town=Bonn``, ``height>170``; of rows in a list, the mean
            is over those rows of ``split``.
        start: which examples of ``split`` are moved, by default those of ``source``.
        strength: how many times the mean difference.
        judge: "knn" or "logistic" for classes; a column is read off the decoded row.
        seed: of the random directions and the judge's examples.

    Raises:
        InputError: a word that cannot be read or has no examples, no held-out examples, a target without attribute, or
            a strength that leads to no code.
    """
    if split == "train":
        what = "the check needs examples that neither the direction nor the judge has seen"
        raise InputError(what, where=trained.run.path, mend="train with --test 0.1")
    space = unconditional(trained, split)
    from_, to, begin = (groups.attribute(trained.data, word) for word in (source, target, start or source))
    found = judge_of(space, to, judge, split, seed)
    vector, fitted = mean_difference(space, from_, to, split)
    vector = times(vector, strength)
    rows = groups.rows_of(trained.data, split, begin)[:MOST]
    z = space.encode(split, rows)
    t = torch.linspace(0, 1, STEPS)
    moved = [space.decode(z + float(part) * vector) for part in t]
    strays = space.decode(z + at_random(space, len(z), vector, split, seed))
    ideal = space.decode(space.encode(split, groups.rows_of(trained.data, split, to)[:MOST]))
    return Change(
        source,
        target,
        start or source,
        fitted,
        vector,
        tuple((strength * t).tolist()),
        tuple(Share.of(found.has(x)) for x in moved),
        Share.of(found.has(strays)),
        Share.of(found.has(ideal)),
        found,
        space.examples(split, torch.tensor(rows[:SHOWN]))[0],
        torch.stack([x[:SHOWN] for x in moved], 1),
        strays[:SHOWN],
        split,
    )


def unconditional(trained: Trained, split: str) -> Space:
    """The space of a model without a condition.

    Raises:
        InputError: the model is conditional, and what is given is not in the code.
    """
    if trained.model.condition.width:
        what = "the model is conditional: what is given is not in the code, and no direction holds it"
        raise InputError(what, where=trained.run.path, mend="change the condition itself: --label, --given")
    return Space(trained, split=split)


def mean_difference(
    space: Space, source: groups.Attribute, target: groups.Attribute, split: str
) -> tuple[Tensor, tuple[int, int]]:
    """Mean code of the target's examples minus the source's (width,), and how many of each.

    Attributes are looked up in the training split; rows in a list are rows of ``split``.
    """
    middles, counts = [], []
    for found in (source, target):
        where = split if found.kind == "rows" else "train"
        codes = space.encode(where, groups.rows_of(space.trained.data, where, found))
        middles.append(codes.double().mean(0).float())  # not nats: a mean code
        counts.append(len(codes))
    return middles[1] - middles[0], (counts[0], counts[1])


def at_random(space: Space, n: int, vector: Tensor, split: str, seed: int) -> Tensor:
    """Moves (n, width) as long as ``vector``, each in its own direction at random within the active dimensions.

    Each example has its own, so that the count is binomial; collapsed dimensions, which the decoder does not see, are
    left out, or the comparison would be too easy to win.
    """
    active = list(space.order(split).active) or list(space.numbers)
    drawn = torch.zeros(n, space.width)
    drawn[:, active] = torch.randn(n, len(active), generator=generator(RANDOM, seed))
    return drawn / drawn.norm(dim=1, keepdim=True).clamp(min=1e-12) * vector.norm()


def sheet(trained: Trained, made: Change) -> bytes:
    """Examples as PNG, one a row: itself, on the way with the share above each step, and after a random move."""
    together = torch.cat([made.originals[:, None], made.x, made.strays[:, None]], 1)
    cells = pictures.grey(trained, together)
    top = ["x", *(f"{100 * share.value:.0f}%" for share in made.shares), "random"]
    judge = made.judge.words()
    caption = (
        f"Left: {made.start} as it is. Then decoded from its code plus 0 to {made.t[-1]:g} times the mean difference "
        f"from {made.source} to {made.target}, with the share of {made.after.n:,} {made.split} examples that is "
        f"{made.target} to the judge. Right: moved as far at random ({made.random}). {judge[:1].upper()}{judge[1:]}."
    )
    return canvas.png(cells, top=top, caption=caption, most=84)


@dataclass(frozen=True)
class Sum:
    """a - b + c on mean codes: ``z`` (4, width) and ``x`` (4, *shape) are of a, b, c and the result."""

    words: tuple[str, str, str]
    z: Tensor
    x: Tensor
    split: str
    strength: float

    def table(self) -> tuple[list[str], list[list[Any]]]:
        """Head and rows of a table: whose mean code it is."""
        return ["of"], [[word] for word in (*self.words, "a - b + c")]

    def json(self) -> dict[str, Any]:
        """JSON-ready facts."""
        return {"a": self.words[0], "b": self.words[1], "c": self.words[2], "split": self.split, "z": self.z.tolist()}


def sums(trained: Trained, a: str, b: str, c: str, *, split: str = "test", strength: float = 1.0) -> Sum:
    """Decode a + strength x (c - b), each the mean code of the examples of ``split`` that a word names."""
    space = unconditional(trained, split)
    middles = []
    for word in (a, b, c):
        rows = groups.rows_of(trained.data, split, groups.attribute(trained.data, word))
        middles.append(space.encode(split, rows).double().mean(0).float())  # not nats: a mean code
    z = torch.stack([*middles, middles[0] + times(middles[2] - middles[1], strength)])
    return Sum((a, b, c), z, space.decode(z), split, strength)


def sum_sheet(trained: Trained, made: Sum) -> bytes:
    """The four pictures as PNG, each with its sign."""
    times = "" if made.strength == 1 else f"{made.strength:g} × "
    top = [made.words[0], f"− {times}{made.words[1]}", f"+ {times}{made.words[2]}", "="]
    caption = f"Expected x at the mean codes of {made.split} examples, and at their sum."
    return canvas.png(pictures.grey(trained, made.x)[None], top=top, caption=caption, gap=24, most=196)
