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


def ends(path: Path, options: Options) -> str | None:
    """The array of an .npz that says where its sequences end: "lengths" or "mask"; None where they are none.

    Without a kind, lengths of shape (n,) or a mask of shape (n, T) beside an array (n, T) or (n, T, features) decide.
    """
    keys = npz.keys(path)
    found = next((key for key in ("lengths", "mask") if key in keys), None)
    if sequences.asked(options) or found is None or options.kind != "auto" or options.like is not None:
        return found if sequences.asked(options) else None
    if choice.splits(keys) and not options.array:
        return None
    x = npz.arrays(path, [choice.one(path, [k for k in keys if k != found], options.array), found])
    array, said = x.values()
    fit = array.ndim in (2, 3) and said.shape == array.shape[: 1 if found == "lengths" else 2]
    return found if fit else None


def arrays(path: Path, found: str | None, options: Options) -> tuple[Raw, dict[str, np.ndarray]]:
    """The sequences of an .npz, and their labels."""
    keys = [key for key in npz.keys(path) if key not in ("lengths", "mask")]
    name = choice.one(path, keys, options.array)
    read = npz.arrays(path, [name, *([found] if found else [])])
    lengths, mask = (read[found] if found == key else None for key in ("lengths", "mask"))
    raw = sequences.of_array(read[name], lengths, mask, options, path.name, show(path))
    label = options.labels or choice.label_of(ALL, keys)
    y = npz.arrays(path, [label], words=True) if label else {}
    wanted = {ALL: y[label]} if label else {}
    return raw, choice.matching(dict(raw.x), wanted, path, bool(options.labels))
