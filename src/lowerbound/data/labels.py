"""Labels of examples: a person's own words and numbers, as the codes 0, 1, ... of classes, and back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from numbers import Real
from typing import Any

import numpy as np

from lowerbound.errors import InputError

Coded = tuple[dict[str, np.ndarray], tuple[str, ...], tuple[str, ...]]

CLASSES = 1000
"""More different labels than this are a measurement, not classes."""

UNKNOWN = -1
"""The label of an example that has none; beside one other number alone it is a class, as in -1 and 1."""

EXACT = 2.0**53


def coded(y: Mapping[str, np.ndarray], like: Mapping[str, Any] | None = None) -> Coded:
    """Labels by split as int64 codes, the names of the codes (none where the labels are 0, 1, ... already), and notes.

    ``like`` is the record of a run: its labels keep their codes, and what it never saw comes after them.

    >>> coded({"all": np.array(["cat", "ape", "cat"])})
    ({'all': array([1, 0, 1])}, ('ape', 'cat'), ())
    >>> coded({"all": np.array([25, 5, 15])})[:2]
    ({'all': array([2, 0, 1])}, ('5', '15', '25'))
    """
    if not y:
        return {}, (), ()
    every = plain(np.concatenate([np.asarray(part) for part in y.values()]))
    if every.dtype.kind == "f":
        return {}, (), ("labels that are not whole numbers are left out",)
    values, places = np.unique(every, return_inverse=True)
    if len(values) > CLASSES:
        return {}, (), (f"labels with {len(values):,} different values are left out",)
    names = names_of(like)
    code = {name: i for i, name in enumerate(names)}
    missing = UNKNOWN if str(UNKNOWN) not in code and (code or len(values) != 2) and every.dtype.kind == "i" else None
    words = [None if value == missing else word(value, names) for value in values.tolist()]
    codes = np.array([UNKNOWN if w is None else code.setdefault(w, len(code)) for w in words], np.int64)[places]
    ends = np.cumsum([len(part) for part in y.values()])[:-1]
    named = list(code) != [str(i) for i in range(len(code))]
    return dict(zip(y, np.split(codes, ends), strict=True)), tuple(code) if named else (), ()


def plain(every: np.ndarray) -> np.ndarray:
    """Labels as whole numbers where they are that, as real ones where not, or else as words."""
    if every.dtype.kind == "O" and all(isinstance(value, Real) for value in every):
        every = np.array(every.tolist())
    if every.dtype.kind == "f" and (np.abs(every) <= EXACT).all() and (every == np.floor(every)).all():
        every = every.astype(np.int64)
    if every.dtype.kind == "b":
        every = every.astype(np.int64)
    return every if every.dtype.kind in "iuf" else every.astype(str)


def names_of(record: Mapping[str, Any] | None) -> list[str]:
    """The names of the classes that a run's record knows, in the order of their codes."""
    if record is None:
        return []
    return list(record.get("label_names") or map(str, range(record.get("classes") or 0)))


def word(value: Any, names: Sequence[str]) -> str:
    """The name of a label; a number is the place of its name where the names are words."""
    counted = isinstance(value, int) and 0 <= value < len(names) and not numbers(names)
    return names[value] if counted else str(value)


def numbers(names: Sequence[str]) -> bool:
    """Whether all names are whole numbers."""
    return all(name.removeprefix("-").isdecimal() for name in names)


def spoken(codes: np.ndarray, names: Sequence[str]) -> np.ndarray:
    """The labels of codes (n,) as the person gave them: numbers where all the names are that, else words.

    >>> spoken(np.array([2, 0, -1]), ("5", "15", "25")), spoken(np.array([1, -1]), ("ape", "cat"))
    (array([25,  5, -1]), array(['cat', ''], dtype='<U3'))
    """
    if not names:
        return codes
    counted = numbers(names)
    own = np.array([int(name) for name in names] if counted else list(names))
    return np.where(codes < 0, UNKNOWN if counted else "", own[np.maximum(codes, 0)])


def one_each(y: Any, n: int, where: str) -> np.ndarray:
    """Labels as an array, one for each of n examples.

    Raises:
        InputError: they are of another number, or not in a line.
    """
    found = np.asarray(y.detach().cpu() if hasattr(y, "detach") else y)
    if found.shape != (n,):
        what = f"has {n} examples, and its labels have the shape {found.shape}"
        raise InputError(what, where=where, mend="give one label an example")
    return found


def known(y: Any, n: int, classes: np.ndarray, where: str, *, unknown: bool = False) -> np.ndarray:
    """The codes (n,) of labels y (n,): their places among ``classes``; with ``unknown``, -1 may stand for none.

    Raises:
        InputError: they are not one an example, or one is no class of training.

    >>> known(["cat", "ape"], 2, np.array(["ape", "cat"]), "x")
    array([1, 0])
    """
    code = {label: i for i, label in enumerate(classes.tolist())}
    if unknown:
        code.setdefault(UNKNOWN, UNKNOWN)
    given = one_each(y, n, where).tolist()
    strange = next((label for label in given if label not in code), None)
    if strange is not None or None in given:
        some = ", ".join(map(str, classes[:10].tolist())) + (", ..." if len(classes) > 10 else "")
        raise InputError(f"{strange!r} is no label of training", where="y", mend=f"its labels are {some}")
    return np.array([code[label] for label in given], np.int64)
