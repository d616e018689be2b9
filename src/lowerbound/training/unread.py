"""Settings that nothing in a run reads: said at its start and not refused, since a recipe may have brought them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch import Tensor

from lowerbound.objective import Regulariser
from lowerbound.training.spec import Spec


def unread(spec: Spec, model: Any, regularisers: Sequence[Regulariser]) -> list[str]:
    """A sentence for each setting of the spec that this model and these regularisers have no use for."""
    found = []
    sees, labels = model.encoder is not None, model.condition.labelled
    if not sees and spec.encoder.options() and spec.decoder.name != "mirror":
        found.append(sentence(f"encoder.{next(iter(spec.encoder.options()))}", "this model has no encoder"))
    if not sees and spec.corruption.name != "none" and not model.condition.inferred:
        found.append(sentence("corruption", "it is of what an encoder sees, and this model has none"))
    if spec.training.labelled is not None and not (labels or any(r.labels or r.labelled for r in regularisers)):
        found.append(sentence("training.labelled", "no condition and no regulariser of this run reads labels"))
    dropout = getattr(model.decoder, "word_dropout", 0)
    if 0 < dropout < 1 and not model.autoregressive:
        found.append(sentence("decoder.word_dropout", "without decoder.teacher it reads nothing that could be hidden"))
    return found


def unnamed(spec: Spec, y: Tensor | None, classes: int) -> str:
    """Which of the ``classes`` no label (n,) that may be used is of, -1 being none; empty where each has one."""
    named = 0 if y is None else len(y[y >= 0].unique())
    if spec.training.labelled is None or named >= classes:
        return ""
    return f"The labels that may be used are of {named} of {classes} classes: no example says what the others are."


def sentence(setting: str, why: str) -> str:
    """
    >>> sentence("corruption", "there is no encoder")
    'Not read: corruption; there is no encoder.'
    """
    return f"Not read: {setting}; {why}."
