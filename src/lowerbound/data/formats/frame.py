"""Any DataFrame (pandas, polars, pyarrow, ...): whatever has named columns that NumPy can read."""

from __future__ import annotations

from typing import Any

import numpy as np

from lowerbound.data.table import MISSING
from lowerbound.errors import InputError


def is_frame(x: Any) -> bool:
    """Whether ``x`` has named columns: a DataFrame, or a dict of columns."""
    return isinstance(x, dict) or hasattr(x, "column_names") or (hasattr(x, "columns") and hasattr(x, "__getitem__"))


def read(x: Any, where: str) -> dict[str, np.ndarray]:
    """Cells by column; words stripped, None where a cell is missing."""
    if hasattr(x, "collect") and not hasattr(x, "to_numpy"):
        raise InputError("is a lazy frame", where=where, mend="give frame.collect()")
    names = list(x) if isinstance(x, dict) else list(getattr(x, "column_names", None) or x.columns)
    if not names:
        raise InputError("holds no columns", where=where, mend="give at least one column")
    if len({str(name) for name in names}) < len(names):
        raise InputError("has two columns of one name", where=where, mend="give each column its own name")
    out = {str(name): cells(np.asarray(x[name]), str(name), where) for name in names}
    if len({len(column) for column in out.values()}) > 1:
        raise InputError("its columns differ in length", where=where, mend="give every column as many cells")
    return out


def cells(column: np.ndarray, name: str, where: str) -> np.ndarray:
    """One column as numbers, or as words with None where a cell is missing."""
    if column.ndim != 1:
        raise InputError(f"column {name!r} has {column.ndim} axes", where=where, mend="give one value a cell")
    if column.dtype.kind in "biuf":
        return column
    if column.dtype.kind == "c":
        raise InputError("Complex data not supported", where=where, mend="give real and imaginary part as two columns")
    out = np.empty(len(column), object)
    out[:] = [clean(cell, name, where) for cell in column.tolist()]
    return out


def clean(cell: Any, name: str, where: str) -> Any:
    """A cell as a number, a word, or None."""
    if isinstance(cell, bool):
        return float(cell)
    if isinstance(cell, (int, float, np.number)):
        return None if cell != cell else cell
    if isinstance(cell, (list, tuple, dict, set, np.ndarray)):
        raise InputError(f"column {name!r} holds a {type(cell).__name__}", where=where, mend="give one value a cell")
    word = str(cell).strip()
    return None if cell is None or word.lower() in MISSING else word
