"""CSV and its cousins (.tsv, .csv.gz): separator and header are found, a ragged or broken line is named."""

from __future__ import annotations

import csv
import gzip
import io
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from lowerbound.data.guard import GIB, fits, guarded, plain_file, show
from lowerbound.data.table import MISSING
from lowerbound.errors import InputError

LARGEST = GIB
"""Bytes of text that are read; more belongs into a format that can be mapped."""

LINE = 2**24
SEPARATORS = ",;\t|"
UTF8 = "save it as text in UTF-8"
GZIP = b"\x1f\x8b"


def read(path: Path) -> tuple[dict[str, np.ndarray], int]:
    """Cells by column (words, None where missing) and the line that the first row is in."""
    path = plain_file(path)
    with path.open("rb") as file:
        packed = file.read(2) == GZIP
    if not packed:
        fits(path.stat().st_size, path, LARGEST)
    mend = "give a text table: one example a line, cells between commas"
    with guarded(path, "a table", mend), gzip.open(path) if packed else path.open("rb") as stream:
        try:
            return parse(lines(stream, path), path)  # type: ignore[arg-type]
        except (EOFError, zlib.error, gzip.BadGzipFile) as error:
            raise InputError("is cut short or damaged", where=show(path), mend="pack it again") from error
        except UnicodeDecodeError as error:
            raise InputError("is not text in UTF-8", where=show(path), mend=UTF8) from error


def lines(stream: io.BufferedIOBase, path: Path) -> Iterator[str]:
    """The lines of a stream as text; bounded in length and in sum, no zero bytes, a byte order mark left out."""
    total, number = 0, 0
    while line := stream.readline(LINE):
        number += 1
        total += len(line)
        fits(total, path, LARGEST)
        if number == 1:
            marked(line, path)
            line = line.removeprefix(b"\xef\xbb\xbf")
        if len(line) == LINE or b"\0" in line:
            what = f"line {number} is not text" if b"\0" in line else f"line {number} is longer than {LINE:,} bytes"
            raise InputError(what, where=show(path), mend="give a text table")
        yield line.decode("utf-8")


def marked(line: bytes, path: Path) -> None:
    """Refuses what the first bytes show to be no UTF-8 text."""
    if line[:2] in (b"\xff\xfe", b"\xfe\xff"):
        raise InputError("is text in UTF-16", where=show(path), mend=UTF8)
    if line[:2] == GZIP:
        raise InputError("is compressed twice", where=show(path), mend="run gunzip on it once")


def parse(text: Iterator[str], path: Path) -> tuple[dict[str, np.ndarray], int]:
    """The table in lines of text."""
    first = next((line for line in text if line.strip()), "")
    if not first:
        raise InputError("holds only empty lines", where=show(path), mend="give a table with at least two rows")
    separator = max(SEPARATORS, key=first.count)
    rows = list(checked(csv.reader(_chain(first, text), delimiter=separator), path))
    names, header = named(rows[0], path)
    body = rows[1:] if header else rows
    if not body:
        raise InputError("holds 0 samples: a header and no rows", where=show(path), mend="give at least two rows")
    columns = zip(*body, strict=True)
    return {name: cells(column) for name, column in zip(names, columns, strict=True)}, 2 if header else 1


def _chain(first: str, rest: Iterator[str]) -> Iterator[str]:
    yield first
    yield from rest


def checked(rows: Iterator[list[str]], path: Path) -> Iterator[list[str]]:
    """The rows, all with as many cells as the first; empty lines are left out."""
    width = 0
    reader = rows
    try:
        for row in reader:
            if not row:
                continue
            width = width or len(row)
            if len(row) != width:
                line = getattr(reader, "line_num", 0)
                what = f"line {line} has {len(row)} cells and the first line {width}"
                raise InputError(
                    what, where=show(path), mend="give every line as many cells; put words with commas in quotes"
                )
            yield row
    except csv.Error as error:
        what = f"line {getattr(reader, 'line_num', 0)} cannot be read ({error})"
        raise InputError(what, where=show(path), mend="put words with commas in quotes") from error


def named(row: Sequence[str], path: Path) -> tuple[list[str], bool]:
    """The names of the columns, and whether ``row`` gives them: words, or columns counted 0, 1, 2, ..."""
    words = [cell.strip() for cell in row]
    rest = words[1:] if words[0] == "" else words
    figures = [word for word in rest if number(word)]
    counted = len(figures) > (0 if words[0] == "" else 2) and figures == [str(i) for i in range(len(figures))]
    if not counted and any(number(word) or word.lower() in MISSING for word in rest):
        return [f"column {i + 1}" for i in range(len(words))], False
    names = ["row" if word == "" else word for word in words]
    double = sorted({name for name in names if names.count(name) > 1})
    if double:
        raise InputError(
            f"names the column {double[0]!r} twice", where=show(path), mend="give each column its own name"
        )
    return names, True


def number(word: str) -> bool:
    """Whether a word is a number."""
    try:
        float(word)
    except ValueError:
        return False
    return True


def cells(column: Sequence[str]) -> np.ndarray:
    """One column: an array of words without spaces around them, None where missing."""
    out = np.empty(len(column), object)
    stripped = (cell.strip() for cell in column)
    out[:] = [None if cell.lower() in MISSING else cell for cell in stripped]
    return out
