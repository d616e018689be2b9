"""Examples of unequal lengths: one padded array, NaN after the end of each.

Symbols (kind "sequence") are the codes 0..levels-1 (n, T), the last of them the end, which closes every example and is
counted like any other symbol: so p(x|z) is a probability of texts of any length. Measurements (kind "series") are
(n, T, features); there the length is taken as given.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from lowerbound.data.options import Options
from lowerbound.data.raw import ALL, Raw
from lowerbound.errors import InputError

KINDS = ("sequence", "series")
END = "<end>"
"""How the end is called among the symbols."""

MOST = 2**16
"""Different symbols that are taken."""

SAY = "give lengths (n,) or a mask (n, T), lists of unequal lengths, or NaN after the end of each"


def asked(options: Options) -> str | None:
    """The kind of sequence that is asked for by the person, or by the run that ``like`` records; else None."""
    kind = str(options.like["kind"]) if options.like is not None else options.kind
    return kind if kind in KINDS else None


def of_texts(texts: Sequence[str], name: str, where: str, like: Mapping[str, Any] | None = None) -> Raw:
    """Texts as sequences of characters; the vocabulary is theirs, or that of the run that ``like`` records."""
    characters = sorted(set().union(*texts)) if like is None else list(like["symbols"])[:-1]
    code = {character: i for i, character in enumerate(characters)}
    for row, text in enumerate(texts):
        unknown = next((character for character in text if character not in code), None)
        if unknown is not None:
            what = f"example {row} holds {unknown!r}, which is not in the model's vocabulary"
            raise InputError(what, where=where, mend="leave that character out, or train with it")
    return of_codes([np.array([code[c] for c in text], np.float32) for text in texts], name, where, characters, like)


def of_codes(
    examples: Sequence[np.ndarray],
    name: str,
    where: str,
    symbols: Sequence[str],
    like: Mapping[str, Any] | None = None,
) -> Raw:
    """Codes (length,) of each example as sequences, each closed by the end."""
    end = len(symbols)
    if not 1 <= end <= MOST:
        raise InputError(f"holds {end:,} different symbols", where=where, mend=f"give 1 to {MOST:,}")
    closed = [np.append(example, np.float32(end)) for example in examples]
    x = padded(closed, longest(closed, where, like), where)
    kind = f"sequence:{end + 1}"
    why = f"sequence, because examples are lists of symbols: {end} of them, and the end"
    return Raw(name, where, {ALL: x}, kind=kind, why=why, symbols=(*symbols, END))


def of_series(examples: Sequence[np.ndarray], name: str, where: str, like: Mapping[str, Any] | None = None) -> Raw:
    """Measurements (length, features) of each example."""
    x = padded(examples, longest(examples, where, like), where)
    why = "series, because examples are lists of measurements; their lengths are taken as given"
    return Raw(name, where, {ALL: x}, kind="series", why=why)


def longest(examples: Sequence[np.ndarray], where: str, like: Mapping[str, Any] | None) -> int:
    """The steps of the padded array: those of the longest example, or of the run that ``like`` records."""
    most = max((len(example) for example in examples), default=0)
    if like is None:
        return most
    held = int(like["shape"][0])
    if most > held:
        what = f"holds an example of {most} steps, the model's longest has {held}"
        raise InputError(what, where=where, mend="cut it")
    return held


def padded(examples: Sequence[np.ndarray], steps: int, where: str) -> np.ndarray:
    """Examples (length, *rest) as one float32 array (n, steps, *rest), NaN after the end of each."""
    if not examples:
        raise InputError("holds 0 samples", where=where, mend="give at least two examples")
    rest = examples[0].shape[1:]
    x = np.full((len(examples), steps, *rest), np.nan, np.float32)
    for row, example in enumerate(examples):
        if len(example) == 0 or example.shape[1:] != rest:
            what = f"example {row} is empty" if len(example) == 0 else f"example {row} has features {example.shape[1:]}"
            raise InputError(what, where=where, mend="leave it out" if len(example) == 0 else f"give it {rest}")
        if not np.isfinite(example).all():
            what = f"example {row} holds NaN or an infinite value before its end"
            raise InputError(what, where=where, mend="NaN may stand after the end alone; cut or fill the gap")
        x[row, : len(example)] = example
    return x


def lengths_of(x: np.ndarray, lengths: Any, mask: Any, where: str) -> np.ndarray:
    """The steps of each example of a padded array (n, T, ...): from lengths, a mask, or NaN after the end.

    Raises:
        InputError: nothing says where the examples end, or what says it does not fit.
    """
    n, T = x.shape[:2]
    if lengths is None and mask is None:
        if x.dtype.kind != "f" or not np.isnan(x).any():
            raise InputError("its sequences have neither lengths nor a mask", where=where, mend=SAY)
        mask = ~np.isnan(x).reshape(n, T, -1).all(-1)
    masked = None if mask is None else of_mask(np.asarray(mask), n, T, where)
    lengths = masked if lengths is None else np.asarray(lengths)
    if lengths.shape != (n,) or lengths.dtype.kind not in "iu" or not ((lengths >= 1) & (lengths <= T)).all():
        what = f"its lengths, of shape {lengths.shape}, are not whole numbers from 1 to {T}, one an example"
        raise InputError(what, where=where, mend="give how many steps each example has")
    if masked is not None and (masked != lengths).any():
        what = f"its lengths and its mask disagree, first in example {int((masked != lengths).argmax())}"
        raise InputError(what, where=where, mend="give one of them")
    return lengths


def of_mask(mask: np.ndarray, n: int, T: int, where: str) -> np.ndarray:
    """The steps of each example (n,), from a mask (n, T) that is 1 where a step is there."""
    if mask.shape != (n, T) or not np.isin(mask, (0, 1)).all():
        what = f"its mask has the shape {mask.shape}, or holds more than 0 and 1"
        raise InputError(what, where=where, mend=f"give 1 where a step is there, ({n}, {T})")
    steps = mask.astype(bool).sum(1)
    if not (mask.astype(bool) == (np.arange(T) < steps[:, None])).all():
        raise InputError("a mask has a gap", where=where, mend="let each example start at step 0 and be whole")
    return steps


def of_array(x: np.ndarray, lengths: Any, mask: Any, options: Options, name: str, where: str) -> Raw:
    """A padded array: whole numbers (n, T) are symbols, anything else measurements (n, T) or (n, T, features)."""
    if x.ndim not in (2, 3) or 0 in x.shape:
        what = f"has the shape {tuple(x.shape)}"
        raise InputError(what, where=where, mend="give (examples, steps) or (examples, steps, features)")
    ends = lengths_of(x, lengths, mask, where)
    return of_lists([x[i, :end] for i, end in enumerate(ends)], options, name, where)


def of_lists(examples: Sequence[np.ndarray], options: Options, name: str, where: str) -> Raw:
    """Arrays of unequal lengths, as symbols or as measurements: as asked, else by their type."""
    codes = all(e.ndim == 1 and e.dtype.kind in "iub" for e in examples)
    kind = asked(options) or ("sequence" if codes else "series")
    if kind == "series":
        return of_series([e if e.ndim > 1 else e[:, None] for e in examples], name, where, options.like)
    for row, e in enumerate(examples):
        if e.ndim != 1 or not (np.isfinite(e).all() and (e == np.floor(e)).all() and (e >= 0).all()):
            what = f"example {row} is not a list of whole numbers from 0 up"
            raise InputError(what, where=where, mend="give kind series for measurements")
    if options.like is not None:
        return of_known(examples, name, where, options.like)
    top = int(max((e.max(initial=0) for e in examples), default=0))
    if top >= MOST:
        raise InputError(f"holds the symbol {top:,}", where=where, mend=f"number the symbols from 0 to {MOST - 1:,}")
    return of_codes([e.astype(np.float32) for e in examples], name, where, [str(i) for i in range(top + 1)])


def of_known(examples: Sequence[np.ndarray], name: str, where: str, like: Mapping[str, Any]) -> Raw:
    """Codes in the vocabulary of the run that ``like`` records."""
    symbols = list(like["symbols"])[:-1]
    top = int(max((e.max(initial=0) for e in examples), default=0))
    if top >= len(symbols):
        what = f"holds the symbol {top}, the model knows 0 to {len(symbols) - 1}"
        raise InputError(what, where=where, mend="give symbols of training")
    return of_codes([e.astype(np.float32) for e in examples], name, where, symbols, like)


def of_python(x: Any, lengths: Any, mask: Any, options: Options, name: str) -> Raw:
    """Strings, lists of unequal lengths, or a padded array or tensor with lengths or a mask."""
    lengths, mask = (a.detach().cpu().numpy() if hasattr(a, "detach") else a for a in (lengths, mask))
    if texts(x):
        return of_texts(list(x), name, name, options.like)
    if hasattr(x, "detach"):
        x = x.detach().cpu().numpy()
    whole = isinstance(x, np.ndarray) and x.dtype.kind in "biuf"
    if whole or lengths is not None or mask is not None:
        return of_array(numbers(x, name), lengths, mask, options, name, name)
    if isinstance(x, (str, dict)) or not hasattr(x, "__iter__"):
        what = f"{type(x).__name__} is not a list of sequences"
        raise InputError(what, where=name, mend="give texts, lists of numbers, or an array with lengths")
    return of_lists([numbers(example, name) for example in x], options, name, name)


def numbers(x: Any, where: str) -> np.ndarray:
    """``x`` as an array of numbers."""
    try:
        found = np.asarray(x.detach().cpu() if hasattr(x, "detach") else x)
        found = found.astype(np.float64) if found.dtype == object else found
    except (ValueError, TypeError):
        found = np.empty(0, object)
    if found.dtype.kind not in "biuf" or found.ndim == 0:
        what = "holds an example that is not a list of numbers"
        raise InputError(what, where=where, mend="give strings, or lists of numbers")
    return found


def texts(x: Any) -> bool:
    """Whether ``x`` is a list of strings."""
    return not isinstance(x, (str, dict)) and isinstance(x, Sequence) and bool(x) and all(type(e) is str for e in x)


def words(x: Any, symbols: Sequence[str]) -> list[str]:
    """Codes (n, T), NaN or the end after each, as texts; symbols of more than one character with spaces between.

    >>> words(np.array([[0, 1, 2, np.nan], [1, 1, 0, 2]]), ("a", "b", "<end>"))
    ['ab', 'bba']
    """
    between = "" if all(len(symbol) == 1 for symbol in symbols[:-1]) else " "
    return [between.join(symbols[code] for code in row) for row in cut(x, len(symbols) - 1)]


def cut(x: Any, end: int) -> list[list[int]]:
    """Codes (n, T), NaN or the end after each, as lists of their own lengths.

    >>> cut(np.array([[0, 1, 2, np.nan], [1, 1, 0, 2]]), 2)
    [[0, 1], [1, 1, 0]]
    """
    out = []
    for row in np.asarray(x, np.float64):
        stop = np.flatnonzero(np.isnan(row) | (row == end))
        out.append([int(code) for code in row[: stop[0] if len(stop) else None]])
    return out
