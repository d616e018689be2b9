"""What a person gives the estimator, and what comes back in the same form."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from lowerbound.data import sequences
from lowerbound.data.dataset import Data
from lowerbound.data.labels import known
from lowerbound.errors import InputError
from lowerbound.model.conditions import one_hot
from lowerbound.training.spec import Spec


def plainly(x: Any) -> Any:
    """Tensors as arrays, and arrays or series of words as lists of them; all else as it is."""
    if isinstance(x, Tensor):
        return x.detach().cpu().numpy()
    words = getattr(x, "ndim", 0) == 1 and hasattr(x, "tolist") and sequences.texts(x.tolist())
    return x.tolist() if words else x


def unequal(x: Any) -> bool:
    """Whether x is lists of unequal lengths."""
    return isinstance(x, list | tuple) and len({len(row) for row in x if hasattr(row, "__len__")}) > 1


def steps(x: Any) -> Any:
    """Steps that are read after fit, where NaN is known to stand after the end: an array without it is of full rows."""
    full = isinstance(x, np.ndarray) and x.dtype.kind == "f" and x.ndim > 1 and not np.isnan(x).any()
    return list(x) if full else x


@dataclass(frozen=True)
class Form:
    """How the examples of fit were given: the ``shape`` of one, () for steps; ``texts``; steps of one number each."""

    shape: tuple[int, ...] = ()
    texts: bool = False
    single: bool = False

    @classmethod
    def of(cls, x: Any, in_steps: bool) -> Form:
        """The form of x, which are lists or arrays of steps if ``in_steps``."""
        if in_steps:
            return cls(texts=sequences.texts(x), single=np.ndim(next(iter(x))) == 1)
        return cls(tuple(int(n) for n in np.shape(x)[1:]))

    def shaped(self, x: Tensor, record: Mapping[str, Any]) -> Any:
        """Decoded examples x (n, *shape of the data) as fit was given them: with (height, width), or colours last.

        Sequences become texts, or lists of symbols; series (n, steps, features), or (n, steps).
        """
        if record["kind"] == "sequence":
            codes, symbols = x.double().cpu().numpy(), record["symbols"]
            return sequences.words(codes, symbols) if self.texts else sequences.cut(codes, len(symbols) - 1)
        if record["kind"] == "series":
            return (x.squeeze(-1) if self.single else x).cpu().numpy()
        ours = tuple(x.shape[1:])
        if len(self.shape) == 3 and self.shape != ours:
            x = x.movedim(1, -1)
        same = int(np.prod(self.shape)) == int(np.prod(ours))
        return x.reshape(len(x), *(self.shape if same else ours)).cpu().numpy()


def taught(spec: Spec, condition: Any) -> bool:
    """Whether labels teach something in the model: a condition of this class, the supervision, or a critic."""
    told = spec.supervision.name != "none" or bool(spec.part("regulariser").get("labels"))
    return condition.labelled or told or spec.training.labelled is not None


def labels_of_fit(y: Any, needed: bool) -> Any:
    """The labels to learn from; where nothing does (``needed``), what cannot be labels is left out."""
    if y is None:
        if needed:
            raise InputError("the model learns from labels, and there are none", where="y", mend="give fit(x, y)")
        return None
    found = np.asarray(plainly(y))
    if not needed:
        return found if found.ndim == 1 else None
    if found.dtype.kind == "O" and any(label is None or label != label for label in found.ravel()):
        raise InputError("an example has no label", where="y", mend="label it, or give numbers, -1 where unknown")
    return found


def classes_of(y: np.ndarray, data: Data) -> np.ndarray:
    """The labels of the classes 0, 1, ... of a data set, as they stand in y (n,).

    Raises:
        InputError: the labels are no classes.
    """
    codes = np.full(len(y), -1)
    for split in data.splits.values():
        if split.labels is not None:
            codes[split.rows] = split.labels
    if not data.classes:
        note = next((note for note in data.notes if note.startswith("labels")), "all are unknown")
        what = f"the model learns from labels, and these are no classes: {note}"
        raise InputError(what, where="y", mend="give words or whole numbers")
    return y[[int((codes == k).argmax()) for k in range(data.classes)]]


def refuse_unused(condition: Any, y: Any, given: Any) -> None:
    """Refuses labels, or examples whose part is given, for a model that is not conditioned on them; and their lack."""
    parts = condition.width > 0 and not condition.labelled
    if y is not None and not condition.labelled:
        mend = "give examples whose part is known: given" if parts else "leave it out"
        raise InputError("the model is not conditioned on labels", where="y", mend=mend)
    if given is not None and not parts:
        mend = "give labels: y" if condition.labelled else "leave it out"
        raise InputError("the model is not conditioned on a part of examples", where="given", mend=mend)
    if given is None and parts:
        what = f"the model is conditioned on a part of each example (condition {condition.name})"
        raise InputError(what, where="given", mend="give examples whose part is known")


def vector_of_labels(y: Any, n: int, classes: np.ndarray, where: str, like: Tensor) -> Tensor:
    """The condition vectors (n, classes) of labels y: one for all, or one each."""
    if y is None:
        raise InputError("the model is conditioned on labels", where="y", mend="give a label for each example")
    codes = known([y] * n if np.ndim(y) == 0 else y, n, classes, where)
    return one_hot(torch.from_numpy(codes).to(like.device), len(classes), like)
