"""Words that name examples: ``3,17,42``, ``class:8``, and for tables ``town=Bonn``, ``height>170``."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from lowerbound.data.dataset import Column, Data
from lowerbound.errors import InputError, nearest

COMPARISON = re.compile(r"(.+?)\s*([=<>])\s*(.+)")


@dataclass(frozen=True)
class Attribute:
    """What a word says of an example: its class, or a column's value; ``kind`` "rows" is a mere list of rows.

    ``value`` is the class's number in the labels, the category's code or the number compared with.
    """

    word: str
    kind: Literal["class", "column", "rows"]
    value: float = 0.0
    column: int = 0
    sign: str = "="

    def of_values(self, x: Tensor) -> np.ndarray:
        """Whether the column's value is so, for rows (n, columns) in data units: (n,) bool; a missing cell is not.

        What a decoder expects of a count or of a yes or no lies between two values: "=" asks for the nearer.
        """
        v = x[:, self.column].double().numpy()
        return {"=": v.round() == self.value, "<": v < self.value, ">": v > self.value}[self.sign]


def attribute(data: Data, word: str, where: str = "arithmetic") -> Attribute:
    """The attribute that a word names.

    Raises:
        InputError: the word cannot be read, or names a class or a column that is not there.
    """
    if word.startswith("class:"):
        return Attribute(word, "class", class_of(data, word))
    comparison = COMPARISON.fullmatch(word)
    if comparison and data.columns:
        return in_column(data, word, *comparison.groups())
    if not all(re.fullmatch(r"\s*-?\d+\s*", number) for number in word.split(",")):
        known = "rows as 3,17,42, class:NAME" + (" or COLUMN=VALUE" if data.columns else "")
        raise InputError(f"{word!r} is not a list of rows", where=where, mend=f"give {known}")
    return Attribute(word, "rows")


def class_of(data: Data, word: str) -> int:
    """The number of a class in the labels."""
    wanted = word.removeprefix("class:")
    values = {int(v) for part in data.splits.values() if part.labels is not None for v in np.unique(part.labels)}
    if not values:
        raise InputError("the data have no labels", where=word, mend="give rows, as 3,17,42")
    names = {name: code for code, name in enumerate(data.label_names)} or {str(v): v for v in sorted(values)}
    if wanted not in names:
        raise InputError(f"no such class {wanted!r}", where=word, mend=nearest(wanted, names))
    return names[wanted]


def in_column(data: Data, word: str, name: str, sign: str, value: str) -> Attribute:
    """A comparison with a column of a table."""
    names = [column.name for column in data.columns]
    if name not in names:
        raise InputError(f"no such column {name!r}", where=word, mend=nearest(name, names))
    j = names.index(name)
    column = data.columns[j]
    if column.kind == "category" and sign != "=":
        raise InputError(f"{name} is a category", where=word, mend=f"give {name}=VALUE")
    if column.kind == "numeric" and sign == "=":
        raise InputError(f"{name} is a real number", where=word, mend=f"give {name}>X or {name}<X")
    return Attribute(word, "column", number(column, value, word), j, sign)


def number(column: Column, value: str, word: str) -> float:
    """A value of a column as the data hold it."""
    if column.levels:
        if value not in column.levels:
            raise InputError(f"{column.name} is never {value!r}", where=word, mend=nearest(value, column.levels))
        return float(column.levels.index(value))
    try:
        return float(value)
    except ValueError:
        raise InputError(f"{value!r} is not a number", where=word, mend=f"{column.name} holds numbers") from None


def rows_of(data: Data, split: str, found: Attribute) -> list[int]:
    """The rows of a split of which an attribute is true.

    Raises:
        InputError: there is no such row in the split.
    """
    part = data.splits[split]
    if found.kind == "rows":
        rows = [int(text) for text in found.word.split(",")]
        wrong = [row for row in rows if not 0 <= row < len(part)]
        if wrong:
            what = f"row {wrong[0]} is not in the {split} split"
            raise InputError(what, where=found.word, mend=f"rows go from 0 to {len(part) - 1}")
        return rows
    if found.kind == "class":
        true = np.zeros(len(part), bool) if part.labels is None else np.asarray(part.labels) == found.value
    else:
        true = found.of_values(data.batch(split, torch.arange(len(part))))
    rows = np.flatnonzero(true).tolist()
    if not rows:
        raise InputError(f"no example of it in the {split} split", where=found.word, mend="choose another --split")
    return rows


def named(data: Data, split: str, row: int) -> str:
    """A row by its class where there are labels, else by its number."""
    labels = data.splits[split].labels
    if labels is None:
        return f"row {row}"
    label = int(labels[row])
    return data.label_names[label] if 0 <= label < len(data.label_names) else str(label)
