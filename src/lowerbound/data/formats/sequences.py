"""Sequences in files: a text with one sequence a line, and an .npz with lengths or a mask beside the padded array."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from lowerbound.data import sequences
from lowerbound.data.formats import choice, npz
from lowerbound.data.formats.text import SEPARATORS, lines, number
from lowerbound.data.guard import fits, guarded, plain_file, show
from lowerbound.data.options import Options
from lowerbound.data.raw import ALL, Raw
from lowerbound.errors import InputError

LONGEST = 10_000
"""Characters of a line: a padded array holds every line at the length of the longest."""

ENDS = ("lengths", "mask")
"""The arrays of an .npz that say where its sequences end."""

LARGEST = 2**30
LOOK = 20
"""Lines that decide whether a .txt file is a table."""


def text_lines(path: Path) -> list[str]:
    """The lines of a text file in UTF-8 that are not empty, without their ends."""
    path = plain_file(path)
    fits(path.stat().st_size, path, LARGEST)
    with guarded(path, "a text", "give a text in UTF-8, one sequence a line"), path.open("rb") as stream:
        try:
            found = [line.rstrip("\r\n") for line in lines(stream, path)]
        except UnicodeDecodeError as error:
            raise InputError("is not text in UTF-8", where=show(path), mend="save it as text in UTF-8") from error
    found = [line for line in found if line]
    if not found:
        raise InputError("holds only empty lines", where=show(path), mend="give one sequence a line")
    most = max(map(len, found))
    if most > LONGEST:
        what = f"holds a line of {most:,} characters"
        raise InputError(what, where=show(path), mend=f"cut it into lines of at most {LONGEST:,}")
    return found


def is_table(found: Sequence[str]) -> bool:
    """Whether lines look like rows of a table: numbers, or the same number of cells in each.

    >>> is_table(["1,2", "3,4"]), is_table(["Ada", "Grace"]), is_table(["0.5", "1.5"])
    (True, False, True)
    """
    first = found[:LOOK]
    if len(first) > 1 and all(number(line) for line in first[1:]):
        return True
    counts = {tuple(line.count(separator) for separator in SEPARATORS) for line in first}
    return len(counts) == 1 and any(next(iter(counts)))


def text(path: Path, found: Sequence[str], options: Options) -> Raw:
    """The sequences of characters of a text's lines."""
    return sequences.of_texts(found, path.name, show(path), options.like)


def ends(path: Path, options: Options) -> tuple[str, ...]:
    """The arrays of an .npz that say where its sequences end, of "lengths" and "mask"; none where they are none.

    Without a kind, lengths of shape (n,) or a mask of shape (n, T) beside an array (n, T) or (n, T, features) decide.

    Raises:
        InputError: lengths, or a mask with a row an example, do not fit that array.
    """
    keys = npz.keys(path)
    found = tuple(key for key in ENDS if key in keys)
    if sequences.asked(options):
        return found
    if not found or options.kind != "auto" or options.like is not None or (choice.splits(keys) and not options.array):
        return ()
    name = choice.one(path, [k for k in keys if k not in ENDS], options.array)
    read = npz.arrays(path, [name, *found])
    return tuple(key for key in found if tells(read[name], read[key], key, show(path)))


def tells(x: np.ndarray, said: np.ndarray, key: str, where: str) -> bool:
    """Whether ``said`` tells where the examples of x end; False where it is about something else."""
    wanted = x.shape[: 1 if key == "lengths" else 2]
    if x.ndim not in (2, 3) or said.shape == wanted:
        return x.ndim in (2, 3)
    if said.ndim == 1 or said.shape[:1] == x.shape[:1]:
        what = f"its array {key!r} has the shape {said.shape} beside examples of shape {x.shape}"
        mend = f"give it the shape {wanted}, or say with --kind what the values are if they are no sequences"
        raise InputError(what, where=where, mend=mend)
    return False


def arrays(path: Path, found: Sequence[str], options: Options) -> tuple[Raw, dict[str, np.ndarray]]:
    """The sequences of an .npz, and their labels."""
    keys = [key for key in npz.keys(path) if key not in ENDS]
    name = choice.one(path, keys, options.array)
    read = npz.arrays(path, [name, *found])
    lengths, mask = (read.get(key) for key in ENDS)
    raw = sequences.of_array(read[name], lengths, mask, options, path.name, show(path))
    label = options.labels or (None if options.array else choice.label_of(ALL, keys))
    y = npz.arrays(path, [label], words=True) if label else {}
    wanted = {ALL: y[label]} if label else {}
    return raw, choice.matching(dict(raw.x), wanted, path, bool(options.labels))
