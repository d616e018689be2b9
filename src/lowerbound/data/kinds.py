"""What the numbers mean, guessed from their type and range, and said."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from lowerbound.data.dataset import Kind
from lowerbound.data.scan import Facts, blocks
from lowerbound.errors import InputError, nearest

KINDS: tuple[Kind, ...] = ("binary", "unit", "levels", "real", "count", "table", "sequence", "series")
DISCRETE: tuple[Kind, ...] = ("binary", "levels", "count", "sequence")
"""Kinds of data whose nats are those of a code, so that bits may be spoken of."""
BYTE = 255


@dataclass(frozen=True)
class Meaning:
    """A kind, its number of levels, what stored values are divided by, and the sentence that says why."""

    kind: Kind
    why: str
    levels: int = 0
    divisor: float = 1.0


def check(wanted: str) -> str:
    """``wanted`` if it is "auto", a kind, or "levels:N"."""
    name, _, number = str(wanted).partition(":")
    if name not in ("auto", *KINDS) or (number and name != "levels"):
        raise InputError(f"unknown kind {wanted!r}", where="kind", mend=nearest(name, ("auto", *KINDS)))
    if number and not (number.isdecimal() and 2 <= int(number) <= 2**16):
        raise InputError(
            f"{wanted!r} is not a number of levels", where="kind", mend="write levels:N with N in 2..65536"
        )
    return str(wanted)


def meaning(dtype: np.dtype, axes: int, facts: Facts, wanted: str, where: object) -> Meaning:
    """The meaning of values of ``dtype`` in arrays of ``axes`` axes: as ``wanted``, else as guessed."""
    name, _, number = wanted.partition(":")
    if name == "sequence" or name == "series":
        return Meaning(name, wanted, int(number or 0))  # type: ignore[arg-type]
    if wanted == "auto":
        return guess(dtype, axes, facts)
    return asked(dtype, facts, wanted, where)


def guess(dtype: np.dtype, axes: int, facts: Facts) -> Meaning:
    """The kind that type and range suggest.

    >>> guess(np.dtype("u1"), 3, Facts(0, 255, True, False)).kind
    'levels'
    >>> guess(np.dtype("f8"), 2, Facts(-1.5, 2.0, False, False)).why
    'real, because the values are real numbers from -1.5 to 2'
    """
    span = f"from {facts.low:g} to {facts.high:g}"
    if facts.two and (facts.low, facts.high) == (0, 1):
        return Meaning("binary", "binary, because every value is 0 or 1")
    if facts.two and (facts.low, facts.high) == (0, BYTE):
        return Meaning("binary", "binary, because every value is 0 or 255 (read as 0 and 1)", divisor=BYTE)
    if dtype == np.uint8:
        return Meaning("levels", "levels, because the values are bytes, 0..255", BYTE + 1)
    if facts.whole and facts.low >= 0 and _pixels(dtype, axes, facts):
        return Meaning("levels", "levels, because the values are whole numbers 0..255", BYTE + 1)
    if dtype.kind in "iu" and facts.low >= 0:
        return Meaning("count", f"count, because the values are whole numbers {span}")
    if facts.low >= 0 and facts.high <= 1:
        return Meaning("unit", "unit, because every value lies in [0, 1]")
    hint = " (all whole: say kind count or levels:N if they are that)" if facts.whole else ""
    return Meaning("real", f"real, because the values are real numbers {span}{hint}")


def _pixels(dtype: np.dtype, axes: int, facts: Facts) -> bool:
    return facts.high == BYTE or (dtype.kind in "iu" and axes > 2 and facts.high <= BYTE)


def asked(dtype: np.dtype, facts: Facts, wanted: str, where: object) -> Meaning:
    """The kind that the person or the source names, if the values can be that."""
    name, _, number = wanted.partition(":")
    kind: Kind = next(k for k in KINDS if k == name)
    divisor = _divisor(kind, dtype, facts)
    levels = int(number) if number else (max(BYTE + 1, int(facts.high) + 1) if kind == "levels" else 0)
    top = {"binary": 1.0, "unit": 1.0, "levels": levels - 1}.get(kind, np.inf)
    whole = kind not in ("binary", "levels", "count") or facts.whole
    two = kind != "binary" or facts.two
    if kind not in ("real", "table") and not (
        whole and two and facts.low >= 0 and facts.high / divisor <= top and levels <= 2**16
    ):
        span = f"values {'' if facts.whole else 'not all whole '}from {facts.low:g} to {facts.high:g}"
        raise InputError(f"cannot be of kind {wanted}: {span}", where=where, mend="leave kind at auto, or binarise")
    return Meaning(kind, f"{wanted}, as asked", levels, divisor)


def _divisor(kind: Kind, dtype: np.dtype, facts: Facts) -> float:
    if kind == "unit" and dtype.kind in "iu" and facts.high > 1:
        return float(np.iinfo(dtype).max if dtype.itemsize <= 2 else max(BYTE, facts.high))
    return float(BYTE) if kind == "binary" and facts.two and facts.high == BYTE else 1.0


def coded(kind: str, warning: str) -> bool:
    """Whether nats of such data are a code length: of discrete data, by a likelihood without a warning.

    >>> coded("levels", ""), coded("levels", "a density, no probability"), coded("real", "")
    (True, False, False)
    """
    return kind in DISCRETE and not warning


def part(kind: str) -> str:
    """What an example is made of, in a word."""
    return "symbol" if kind == "sequence" else "value"


def parts_of(kind: str, shape: tuple[int, ...], x: Any) -> float:
    """The values that are modelled of an example of ``shape``; of sequences, the symbols of one of ``x`` on average."""
    if kind != "sequence":
        return math.prod(shape)
    return sum(int((~np.isnan(block)).sum()) for _, block in blocks(x)) / len(x)
