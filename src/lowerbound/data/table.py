"""What each column of a table is, and its cells as numbers."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from lowerbound.data.dataset import Column
from lowerbound.data.labels import coded
from lowerbound.data.options import Options
from lowerbound.data.raw import ALL, Raw
from lowerbound.errors import InputError, nearest

MISSING = frozenset(("", "?", "na", "n/a", "nan", "null", "none", "<na>", "nat"))
"""Cells that count as missing, in any case."""

LEVELS = 256
"""A text column with more different values than this is an identifier or free text, and is left out."""

MOSTLY = 0.8
"""A column with this share of numbers is one of numbers, and its words are mistakes."""

COUNTS = 1000
"""Whole numbers from 0 or 1 up to here are counts; larger ones are measured on a scale."""

SCALES = 10.0
"""Columns whose deviations differ by more than this factor need a variance each: they stay a table."""

DECIMAL_COMMA = re.compile(r"^-?\d+,\d+$")
Cells = Mapping[str, np.ndarray]


@dataclass
class Encoded:
    """Columns and their float64 cells, as they are found, with what a person should know of those left out."""

    columns: list[Column] = field(default_factory=list)
    cells: list[np.ndarray] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def add(self, column: Column, cells: np.ndarray) -> None:
        """One more column."""
        self.columns.append(column)
        self.cells.append(cells)


def table(cells: Cells, options: Options, name: str, source: str, first_line: int = 1) -> Raw:
    """The table of ``cells``: name -> (n,) numbers, or words with None where one is missing.

    ``first_line`` is the line of the file that the first row is in, so that a fault can name its line.
    """
    cells = dict(cells)
    y = taken(cells, options.labels, source)
    if options.like is not None:
        encoded = again(cells, options.like, source, first_line)
    else:
        encoded = fresh(cells, options, source, first_line)
    if not encoded.columns:
        what = "has no column that a model can use" + (f" ({'; '.join(encoded.notes)})" if encoded.notes else "")
        raise InputError(what, where=source, mend="give at least one column of numbers or of categories")
    matrix = np.stack(encoded.cells, 1)
    labels, label_names, notes = coded({ALL: y} if y is not None else {}, options.like)
    kind, why = ("table", "") if options.like is not None else kind_of(matrix, encoded.columns)
    same = constants(matrix, encoded.columns) if options.like is None else []
    noted = (*encoded.notes, *same, *notes)
    return Raw(name, source, {ALL: matrix}, labels, label_names, kind, why, tuple(encoded.columns), notes=noted)


def taken(cells: dict[str, np.ndarray], labels: str | None, where: str) -> np.ndarray | None:
    """The column of labels, removed from ``cells``."""
    if labels is None:
        return None
    if labels not in cells:
        raise InputError(f"has no column {labels!r}", where=where, mend=nearest(labels, cells))
    column = cells.pop(labels)
    numbers, wrong = numeric(column)
    if wrong is None and not np.isnan(numbers).any():
        return numbers
    return np.array(["missing" if word is None else str(word) for word in column.tolist()])


def fresh(cells: Cells, options: Options, where: str, first_line: int) -> Encoded:
    """Every column, given the kind that was asked for it or that its values suggest."""
    asked = dict(options.columns or {})
    for name in asked:
        if name not in cells:
            raise InputError(f"has no column {name!r}", where=where, mend=nearest(name, cells))
    out = Encoded()
    for name, column in cells.items():
        kind = asked.get(name, "auto")
        if kind != "drop":
            place(out, name, column, kind, where, first_line)
    return out


def place(out: Encoded, name: str, column: np.ndarray, kind: str, where: str, first_line: int) -> None:
    """Adds one column to ``out``, or a note of why it is left out."""
    if kind == "category":
        return place_words(out, name, words_of(column), kind)
    numbers, wrong = numeric(column)
    if wrong is None:
        return place_numbers(out, name, numbers, kind, where)
    share = float(np.isfinite(numbers).sum()) / max(1, known(column))
    if kind != "auto" or share >= MOSTLY:
        refuse_word(column[wrong], name, wrong + first_line, where)
    if DECIMAL_COMMA.match(str(column[wrong])):
        refuse_word(column[wrong], name, wrong + first_line, where)
    return place_words(out, name, words_of(column), kind)


def place_numbers(out: Encoded, name: str, numbers: np.ndarray, kind: str, where: str) -> None:
    """Adds a column of numbers."""
    values = numbers[~np.isnan(numbers)]
    if not len(values):
        out.notes.append(f"column {name!r} is left out: every cell is missing")
    elif kind == "auto" and identifier(numbers):
        out.notes.append(f"column {name!r} is left out: it numbers the rows")
    else:
        out.add(Column(name, number_kind(values, kind, name, where)), numbers)


def identifier(numbers: np.ndarray) -> bool:
    """Whether a column only counts the rows, one by one."""
    return len(numbers) > 2 and bool((np.diff(numbers) == 1).all())


def number_kind(values: np.ndarray, kind: str, name: str, where: str) -> Any:
    """ "binary" for 0 and 1, "count" for small whole numbers, else "numeric"; or the kind asked for, if it can be."""
    whole = bool((values == np.floor(values)).all()) and bool(values.min() >= 0)
    two = set(np.unique(values)) <= {0.0, 1.0} if whole else False
    if kind == "auto":
        small = whole and values.min() <= 1 and values.max() <= COUNTS
        return "binary" if two and len(np.unique(values)) == 2 else "count" if small and not two else "numeric"
    if (kind == "binary" and not two) or (kind == "count" and not whole):
        what = f"column {name!r} cannot be {kind}: its values run from {values.min():g} to {values.max():g}"
        raise InputError(what, where=where, mend="leave its kind out, or say numeric")
    return kind


def place_words(out: Encoded, name: str, words: Sequence[str | None], kind: str) -> None:
    """Adds a column of categories; two make it binary."""
    levels = sorted({word for word in words if word is not None})
    if not levels:
        out.notes.append(f"column {name!r} is left out: every cell is missing")
        return
    if len(levels) > LEVELS or (kind == "auto" and len(levels) > 20 and len(levels) > len(words) / 2):
        out.notes.append(f"column {name!r} is left out: {len(levels)} different words are no categories")
        return
    binary = kind != "category" and len(levels) == 2
    out.add(Column(name, "binary" if binary else "category", tuple(levels)), codes(words, levels))


def codes(words: Sequence[str | None], levels: Sequence[str]) -> np.ndarray:
    """The position of each word among ``levels``, NaN where it is missing or unknown."""
    place = {word: float(i) for i, word in enumerate(levels)}
    return np.array([place.get(word, np.nan) if word is not None else np.nan for word in words])


def again(cells: Cells, like: Mapping[str, Any], where: str, first_line: int) -> Encoded:
    """The columns that a run was trained on, encoded as they were then; a word unknown then counts as missing."""
    out = Encoded()
    kinds = like["columns"] or [{"name": n, "kind": "numeric", "levels": ()} for n in like["column_names"] or cells]
    for entry in kinds:
        column = Column(entry["name"], entry["kind"], tuple(entry["levels"]))
        if column.name not in cells:
            mend = f"give the columns of training; {nearest(column.name, cells)}"
            raise InputError(f"has no column {column.name!r}", where=where, mend=mend)
        out.add(column, encode(out, column, cells[column.name], where, first_line))
    return out


def encode(out: Encoded, column: Column, cells: np.ndarray, where: str, first_line: int) -> np.ndarray:
    """The cells of one column as numbers, under a kind that is known already."""
    if not column.levels:
        numbers, wrong = numeric(cells)
        if wrong is not None:
            refuse_word(cells[wrong], column.name, wrong + first_line, where)
        refuse_number(numbers, column, first_line, where)
        return numbers
    words = words_of(cells)
    strange = sorted({word for word in words if word is not None} - set(column.levels))
    if strange:
        out.notes.append(f"column {column.name!r}: {strange[0]!r} was not seen in training and counts as missing")
    return codes(words, column.levels)


def numeric(column: np.ndarray) -> tuple[np.ndarray, int | None]:
    """The cells as float64, NaN where missing, and the first row whose cell is not a number (None if all are)."""
    if column.dtype.kind in "biuf":
        return column.astype(np.float64), None
    try:
        return np.array([np.nan if cell is None else cell for cell in column.tolist()], dtype=np.float64), None
    except (ValueError, TypeError):
        pass
    out, wrong = np.full(len(column), np.nan), None
    for row, cell in enumerate(column.tolist()):
        try:
            out[row] = np.nan if cell is None else float(cell)
        except (ValueError, TypeError, OverflowError):
            wrong = row if wrong is None else wrong
    return out, wrong


def words_of(column: np.ndarray) -> list[str | None]:
    """The cells as words, None where missing; whole numbers are written without a point."""
    if column.dtype.kind == "f":
        return [None if np.isnan(v) else str(int(v)) if v == np.floor(v) and abs(v) < 2**53 else str(v) for v in column]
    return [None if cell is None else str(cell) for cell in column.tolist()]


def known(column: np.ndarray) -> int:
    """How many cells are not missing."""
    return sum(cell is not None for cell in column.tolist())


def refuse_word(word: object, name: str, line: int, where: str) -> None:
    """The line that says which cell is not a number."""
    shown = str(word)[:40]
    comma = (
        "write numbers with a decimal point" if DECIMAL_COMMA.match(shown) else "correct it, or leave the cell empty"
    )
    raise InputError(f"line {line}, column {name!r}: {shown!r} is not a number", where=where, mend=comma)


def refuse_number(numbers: np.ndarray, column: Column, first_line: int, where: str) -> None:
    """An InputError that names the first cell which a column of this kind cannot hold."""
    known = np.nan_to_num(numbers, nan=0.0)
    whole = (known >= 0) & (known == np.floor(known))
    good = {"count": whole, "binary": (known == 0) | (known == 1)}.get(column.kind)
    if good is not None and not good.all():
        row, held = int((~good).argmax()), "0 or 1" if column.kind == "binary" else "counts, 0, 1, 2, ..."
        what = f"line {row + first_line}, column {column.name!r}: {numbers[row]:g} does not fit, training saw {held}"
        raise InputError(what, where=where, mend="correct it, or leave the cell empty")


def constants(matrix: np.ndarray, columns: Sequence[Column]) -> list[str]:
    """A note for the columns that never change."""
    low, high = np.nanmin(matrix, 0), np.nanmax(matrix, 0)
    same = [column.name for column, a, b in zip(columns, low, high, strict=True) if a == b]
    return [f"constant column{'s' if len(same) > 1 else ''}: {', '.join(same)}"] if same else []


def kind_of(matrix: np.ndarray, columns: Sequence[Column]) -> tuple[str, str]:
    """The kind of the whole: "table", unless no cell is missing and all columns are numbers of one kind."""
    kinds = {column.kind for column in columns}
    table = "table, because its columns are " + " and ".join(sorted(kinds))
    if np.isnan(matrix).any():
        return "table", table + ", with cells missing"
    if any(column.levels for column in columns) or np.isinf(matrix).any():
        return "table", table
    whole = bool((matrix == np.floor(matrix)).all()) and matrix.min() >= 0
    if whole and matrix.max() == 255 and matrix.shape[1] >= 16:
        return "levels:256", "levels, because all cells are whole numbers 0..255"
    if len(kinds) > 1:
        return "table", table
    if kinds != {"numeric"}:
        return kinds.pop(), f"{columns[0].kind}, because every column is that"
    spread = matrix.std(0)
    changing = spread[spread > 0]
    if len(changing) and changing.max() > SCALES * changing.min():
        return "table", "table, because its columns differ in scale and need a variance each"
    return "real", "real, because every column holds numbers of a like scale"
