"""NumPy's .npy: the header is checked against the file before anything is allocated; the values stay on disk."""

from __future__ import annotations

from pathlib import Path
from typing import IO, Any

import numpy as np

from lowerbound.data.guard import guarded, plain_file, show
from lowerbound.errors import InputError

MAGIC = b"\x93NUMPY"
HEADER = 10_000
"""Bytes a header may have: NumPy's own limit, checked here before the header is read."""

SAVE = "save it again with numpy.save(path, array)"


def read(path: Path) -> np.ndarray:
    """The array of a .npy file, memory-mapped and read-only."""
    path = plain_file(path)
    with guarded(path, "a .npy file", SAVE), path.open("rb") as file:
        dtype, shape, fortran = header(file, path.stat().st_size, path)
        start = file.tell()
        held(path.stat().st_size - start, dtype, shape, path)
        if 0 in shape:
            return np.empty(shape, dtype)
        return np.memmap(path, dtype, "r", start, shape, "F" if fortran else "C")


def header(file: IO[bytes], size: int, where: object, words: bool = False) -> tuple[np.dtype, tuple[int, ...], bool]:
    """Type, shape and order from an open .npy of ``size`` bytes; fixed-width ``words`` only where they are wanted."""
    start = file.read(8)
    if not start.startswith(MAGIC):
        raise InputError("is not a .npy file (wrong first bytes)", where=show(where), mend=SAVE)
    version = start[6:8]
    width = 2 if version == b"\x01\x00" else 4
    length = int.from_bytes(file.read(width), "little")
    if len(start) < 8 or length > HEADER or length > size:
        what = f"its header claims {length:,} bytes of {size:,}"
        raise InputError(what, where=show(where), mend=SAVE)
    file.seek(8)
    parse: Any = np.lib.format.read_array_header_1_0 if width == 2 else np.lib.format.read_array_header_2_0
    shape, fortran, dtype = parse(file, max_header_size=HEADER)
    return dtype if words and dtype.kind == "U" else plain_type(dtype, where), shape, fortran


def plain_type(dtype: np.dtype, where: object) -> np.dtype:
    """``dtype`` if it is of numbers that a model can use."""
    if dtype.hasobject:
        what, mend = "holds Python objects, which are never loaded", "save plain numbers: array.astype(float)"
    elif dtype.kind == "c":
        what, mend = "Complex data not supported", "give the real and the imaginary part as two features"
    elif dtype.kind not in "biuf":
        what, mend = f"holds values of type {dtype}, not numbers", "save plain numbers: array.astype(float)"
    else:
        return dtype
    raise InputError(what, where=show(where), mend=mend)


def held(size: int, dtype: np.dtype, shape: tuple[int, ...], where: object) -> None:
    """Refuses a header that asks for another number of bytes than the ``size`` that follow it."""
    asked = dtype.itemsize
    for n in shape:
        asked *= n
    if asked != size or any(n < 0 for n in shape):
        what = f"its header asks for {asked:,} bytes of data and {size:,} follow (shape {shape})"
        raise InputError(what, where=show(where), mend=SAVE)
