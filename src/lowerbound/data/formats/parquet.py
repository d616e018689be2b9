"""Parquet tables through pyarrow."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from lowerbound.data.guard import LARGEST, fits, guarded, plain_file, show
from lowerbound.errors import InputError

MAGIC = b"PAR1"


def read(path: Path) -> dict[str, np.ndarray]:
    """Cells by column."""
    path = plain_file(path)
    try:
        import pyarrow.parquet as parquet
    except ImportError as error:
        mend = "run: pip install 'lowerbound[tables]'"
        raise InputError("is Parquet, which needs pyarrow", where=show(path), mend=mend) from error
    with guarded(path, "a Parquet table", "save it again"), path.open("rb") as stream:
        if stream.read(4) != MAGIC:
            raise InputError("is not Parquet (wrong first bytes)", where=show(path), mend="give a Parquet table")
        file = parquet.ParquetFile(path)
        groups = range(file.metadata.num_row_groups)
        fits(sum(file.metadata.row_group(i).total_byte_size for i in groups), path, LARGEST)
        fits(8 * file.metadata.num_rows * file.metadata.num_columns, path, LARGEST)
        return columns(file.read(), path)


def columns(found: Any, where: object) -> dict[str, np.ndarray]:
    """Cells by column of a pyarrow table; lists and structures are refused by name."""
    import pyarrow as arrow

    out = {}
    for name, column in zip(found.column_names, found.columns, strict=True):
        if name in out:
            raise InputError(
                f"names the column {name!r} twice", where=show(where), mend="give each column its own name"
            )
        if arrow.types.is_nested(column.type) or arrow.types.is_binary(column.type):
            what = f"column {name!r} holds {column.type}, not one value a cell"
            raise InputError(what, where=show(where), mend="leave the column out, or save the values as .npy")
        number = arrow.types.is_floating(column.type) or arrow.types.is_integer(column.type)
        plain = (number or arrow.types.is_boolean(column.type)) and not column.null_count
        out[name] = column.to_numpy() if plain else words(column.to_pylist())
    return out


def words(values: list[Any]) -> np.ndarray:
    """Values as an object array, None where missing."""
    out = np.empty(len(values), object)
    out[:] = [float(v) if isinstance(v, bool) else v for v in values]
    return out
