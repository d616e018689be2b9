"""Conditions: what is given beside x, so that a model of p(x) becomes one of p(x|c)."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import replace
from typing import Annotated, ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional as F

from lowerbound.data.dataset import Summary
from lowerbound.errors import InputError, nearest
from lowerbound.model.features import Features
from lowerbound.registry import Registry


class Condition(nn.Module, ABC):
    """Splits an example (x, y) into what is modelled and what is given.

    ``width`` counts the numbers of the condition vector c; ``summary`` describes what is modelled; ``seen`` says that
    the encoder sees c in x already; ``labelled`` that a label is needed; ``bounded`` what a bound of the model is on.
    """

    name: ClassVar[str]
    seen = True
    labelled = False
    inferred = False
    width = 0
    bounded = "log p(x)"

    def __init__(self, summary: Summary) -> None:
        super().__init__()
        self.summary = summary

    @abstractmethod
    def forward(self, x: Tensor, y: Tensor | None) -> tuple[Tensor, Tensor]:
        """x (batch, *shape), labels y (batch,) -> (what is modelled (batch, *summary.shape), c (batch, width))."""

    def summary_of(self, summary: Summary) -> Summary:
        """The summary of what is modelled, of a summary of the whole."""
        return summary

    def whole(self, target: Tensor, c: Tensor | None) -> Tensor:
        """What is modelled, put together with what was given: (..., *summary.shape) -> (..., *shape)."""
        return target


CONDITIONS: Registry[Condition] = Registry("condition")
PARTS = {"column": "middle column", "top": "upper half", "left": "left half"}
"""The known parts of a picture, in words."""


@CONDITIONS.register("none")
class Nothing(Condition):
    r"""Nothing is given: a model of p(x).

    .. math:: c = \emptyset

    *Shapes*: x (batch, \*shape) -> x, (batch, 0). *Units and sign*: none. *Neutral setting*: always.
    *Source*: Kingma & Welling 2014 (1312.6114), eq. 1.

    >>> Nothing(Summary("real", (2,), torch.zeros(2), torch.ones(2))).width
    0
    """

    def forward(self, x: Tensor, y: Tensor | None) -> tuple[Tensor, Tensor]:
        return x, x.new_zeros(len(x), 0)


@CONDITIONS.register("labels")
class Labels(Condition):
    r"""The label of the example, as a one-hot vector, for decoder and prior, and for the encoder where ``encoder``.

    .. math:: \log p(x|y) \ge E_{q(z|x,y)}[\log p(x|z,y)] - KL(q(z|x,y) \| p(z|y))

    *Shapes*: labels (batch,) -> (batch, classes). *Units and sign*: none. *Neutral setting*: one class.
    *Source*: Kingma et al. 2014 (1406.5298), eq. 5; Sohn et al. 2015 ("Learning structured output representation").

    >>> s = Summary("real", (2,), torch.zeros(2), torch.ones(2), classes=3)
    >>> Labels(s)(torch.zeros(1, 2), torch.tensor([2]))[1]
    tensor([[0., 0., 1.]])
    """

    labelled = True
    bounded = "log p(x | label)"

    def __init__(self, summary: Summary, *, encoder: bool = True) -> None:
        super().__init__(summary)
        if not summary.classes:
            what = f"condition {self.name} needs labels, the data have none that are classes"
            mend = "give words or whole numbers, at most 1,000 different ones: --labels, or y in Python"
            raise InputError(what, where="condition", mend=mend)
        self.width, self.seen = summary.classes, not encoder

    def forward(self, x: Tensor, y: Tensor | None) -> tuple[Tensor, Tensor]:
        if y is None or bool((y < 0).any()):
            raise InputError("an example has no label", where="condition labels", mend="label it, or infer labels")
        if y.shape != x.shape[:1]:
            what = f"{len(x)} examples have labels of the shape {tuple(y.shape)}"
            raise InputError(what, where="condition labels", mend="give one label an example")
        return x, one_hot(y, self.width, x)


@CONDITIONS.register("inferred-labels")
class InferredLabels(Labels):
    r"""The label where it is known; where it is not, a classifier q(y|x) stands for it and every class is tried.

    .. math:: \log p(x) \ge \sum_y q(y|x)\left[\log p(x|y,z) - \text{rate}(x,y)\right] - KL(q(y|x)\|p(y))

    The label is then a latent dimension of its own: its exact KL is the last column of the rate (log of the number of
    classes where the label is given), so that the sum is a bound on log p(x), and on log p(x, y) where y is known.

    *Shapes*: labels (batch,), -1 where unknown. *Units and sign*: the rate in nats.
    *Neutral setting*: every label known. *Source*: Kingma et al. 2014 (1406.5298), eq. 6 to 8.

    >>> s = Summary("real", (2,), torch.zeros(2), torch.ones(2), classes=3)
    >>> InferredLabels(s).inferred
    True
    """

    inferred = True
    bounded = "log p(x)"

    def __init__(
        self, summary: Summary, *, hidden: tuple[Annotated[int, Field(ge=1)], ...] = (500,), encoder: bool = True
    ) -> None:
        super().__init__(summary, encoder=encoder)
        self.hidden = hidden


@CONDITIONS.register("part")
class Part(Condition):
    r"""A part of the picture is known, the rest is modelled.

    .. math:: \log p(x_{\text{rest}} | x_{\text{part}})

    *Shapes*: x (batch, channels, height, width) -> the rest as a picture, the part as (batch, its values).
    *Units and sign*: none. *Neutral setting*: none. *Source*: Doersch 2016 (1606.05908), section 3 and 4.2 (a column);
    Sohn et al. 2015 ("Learning structured output representation"), section 5.1 (a part of the digit).

    >>> s = Summary("binary", (1, 4, 4), torch.zeros(1, 4, 4), torch.ones(1, 4, 4))
    >>> Part(s, known="column").summary.shape
    (1, 4, 3)
    """

    rest: Tensor
    part: Tensor

    def __init__(self, summary: Summary, *, known: Literal["column", "top", "left"] = "column") -> None:
        super().__init__(summary)
        if len(summary.shape) != 3:
            what = f"condition part needs pictures, the data are of shape {tuple(summary.shape)}"
            raise InputError(what, where="condition", mend="use condition columns for rows")
        self.axis = -2 if known == "top" else -1
        self.bounded = f"log p(rest | {PARTS[known]})"
        size = summary.shape[self.axis]
        if size < 2:
            raise InputError("a picture one pixel wide has no part and rest", where="condition", mend="use none")
        part = [(size - 1) // 2] if known == "column" else list(range(size // 2))
        rest = [i for i in range(size) if i not in part]
        self.register_buffer("part", torch.tensor(part), persistent=False)
        self.register_buffer("rest", torch.tensor(rest), persistent=False)
        self.summary = _selected(summary, self.rest, self.axis)
        self.features = Features(summary)
        self.whole_shape = tuple(summary.shape)
        self.width = len(part) * int(torch.Size(summary.shape).numel() // size)

    def summary_of(self, summary: Summary) -> Summary:
        return _selected(summary, self.rest, self.axis)

    def forward(self, x: Tensor, y: Tensor | None) -> tuple[Tensor, Tensor]:
        known = self.features(x).index_select(self.axis, self.part)
        return x.index_select(self.axis, self.rest), known.flatten(1)

    def whole(self, target: Tensor, c: Tensor | None) -> Tensor:
        if c is None:
            return target
        shape = list(self.whole_shape)
        out = target.new_zeros(*target.shape[:-3], *shape)
        shape[self.axis] = len(self.part)
        known = c.to(target).reshape(-1, *shape).expand(*target.shape[:-3], *shape)
        seen = self.features.undo(out.index_copy_(self.axis, self.part, known))
        return seen.index_copy_(self.axis, self.rest, target)


@CONDITIONS.register("columns")
class Columns(Condition):
    r"""Some columns of a row are known, the others are modelled.

    .. math:: \log p(x_{\text{rest}} | x_{\text{columns}})

    *Shapes*: x (batch, columns) -> (batch, other columns), c (batch, as many numbers as their features have).
    *Units and sign*: none. *Neutral setting*: none. *Source*: Sohn et al. 2015 ("Learning structured output
    representation"), eq. 4.

    >>> s = Summary("real", (4,), torch.zeros(4), torch.ones(4))
    >>> Columns(s, names=("0", "2")).summary.shape
    (2,)
    """

    rest: Tensor
    part: Tensor

    def __init__(self, summary: Summary, *, names: tuple[str | int, ...] = (0,)) -> None:
        super().__init__(summary)
        if summary.kind == "sequence":
            what = "condition columns needs rows of columns, and the steps of a sequence are none"
            raise InputError(what, where="condition", mend="use condition labels")
        if len(summary.shape) != 1:
            what = f"condition columns needs rows, the data are of shape {tuple(summary.shape)}"
            raise InputError(what, where="condition", mend="use condition part for pictures")
        known = [column.name for column in summary.columns] or [str(i) for i in range(summary.shape[0])]
        for name in map(str, names):
            if name not in known:
                raise InputError(f"no column {name!r}", where="condition.names", mend=nearest(name, known))
        part = [known.index(str(name)) for name in names]
        rest = [i for i in range(len(known)) if i not in part]
        if not rest or not part:
            raise InputError("a condition leaves columns on both sides", where="condition.names", mend="name some")
        self.register_buffer("part", torch.tensor(part), persistent=False)
        self.register_buffer("rest", torch.tensor(rest), persistent=False)
        self.features = Features(_selected(summary, self.part, -1))
        self.summary = _selected(summary, self.rest, -1)
        self.width, self.columns = self.features.output_shape[0], len(known)
        self.bounded = f"log p(rest | {', '.join(map(str, names))})"

    def summary_of(self, summary: Summary) -> Summary:
        return _selected(summary, self.rest, -1)

    def forward(self, x: Tensor, y: Tensor | None) -> tuple[Tensor, Tensor]:
        return x.index_select(-1, self.rest), self.features(x.index_select(-1, self.part))

    def whole(self, target: Tensor, c: Tensor | None) -> Tensor:
        if c is None:
            return target
        known = self.features.undo(c.to(target)).expand(*target.shape[:-1], len(self.part))
        out = target.new_empty(*target.shape[:-1], self.columns)
        return out.index_copy_(-1, self.part, known).index_copy_(-1, self.rest, target)


def one_hot(y: Tensor, classes: int, like: Tensor) -> Tensor:
    """Labels (batch,) as one-hot rows; a label out of range, or between two, is refused."""
    if y.is_floating_point() and bool((y != y.floor()).any()):
        raise InputError("a label is not a whole number", where="labels", mend=f"give 0 to {classes - 1}")
    ends = [int(end) for end in y.aminmax()] if len(y) else []
    strange = next((end for end in ends if not 0 <= end < classes), None)
    if strange is not None:
        what = f"label {strange} is out of range: the model knows {classes} classes"
        raise InputError(what, where="labels", mend=f"give labels from 0 to {classes - 1}")
    return F.one_hot(y.long(), classes).to(like)


def _selected(summary: Summary, index: Tensor, axis: int) -> Summary:
    """The summary of the values at ``index`` of an axis."""
    mean, std = summary.mean.index_select(axis, index), summary.std.index_select(axis, index)
    columns = tuple(summary.columns[i] for i in index.tolist()) if summary.columns else ()
    return replace(summary, shape=tuple(mean.shape), mean=mean, std=std, columns=columns)
