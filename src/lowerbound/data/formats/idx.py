"""The idx format of MNIST, plain or gzipped: a magic number, sizes in big-endian, then the values."""

from __future__ import annotations

import gzip
import zlib
from pathlib import Path
from typing import IO

import numpy as np

from lowerbound.data.guard import INFLATE, LARGEST, fits, guarded, plain_file, show
from lowerbound.errors import InputError

TYPES = {0x08: "u1", 0x09: "i1", 0x0B: ">i2", 0x0C: ">i4", 0x0D: ">f4", 0x0E: ">f8"}
GZIP = b"\x1f\x8b"
MEND = "download the file again"


def is_idx(start: bytes) -> bool:
    """Whether a file that starts like this is idx: two zero bytes, a type, 1 to 4 axes."""
    return len(start) >= 4 and start[:2] == b"\0\0" and start[2] in TYPES and 1 <= start[3] <= 4


def read(path: Path) -> np.ndarray:
    """The array of an idx file, in native byte order."""
    path = plain_file(path)
    with path.open("rb") as file:
        packed = file.read(2) == GZIP
    size = path.stat().st_size
    most = size * INFLATE if packed else size
    with guarded(path, "an idx file", MEND), gzip.open(path) if packed else path.open("rb") as stream:
        try:
            return parse(stream, most, path)  # type: ignore[arg-type]
        except (EOFError, zlib.error, gzip.BadGzipFile) as error:
            raise InputError("is cut short or damaged", where=show(path), mend=MEND) from error


def parse(stream: IO[bytes], most: int, where: object) -> np.ndarray:
    """The array in an open idx stream that holds at most ``most`` bytes."""
    start = stream.read(4)
    if start[:2] == GZIP:
        raise InputError("is compressed twice", where=show(where), mend="run gunzip on it once")
    if not is_idx(start):
        what = "is not an idx file (wrong first bytes)"
        raise InputError(what, where=show(where), mend="give a file like train-images-idx3-ubyte.gz")
    dtype, axes = np.dtype(TYPES[start[2]]), start[3]
    sizes = stream.read(4 * axes)
    if len(sizes) < 4 * axes:
        raise InputError("is cut short within its header", where=show(where), mend=MEND)
    shape = tuple(int(n) for n in np.frombuffer(sizes, ">u4"))
    return values(stream, dtype, shape, most, where)


def values(stream: IO[bytes], dtype: np.dtype, shape: tuple[int, ...], most: int, where: object) -> np.ndarray:
    """The values after the header: exactly as many as it asks for."""
    asked = dtype.itemsize
    for n in shape:
        asked *= n
    fault = f"its header asks for {asked:,} bytes (shape {shape})"
    if asked > most:
        raise InputError(f"{fault}, more than the file can hold", where=show(where), mend=MEND)
    fits(asked, where, LARGEST)
    body = stream.read(asked)
    if len(body) < asked:
        raise InputError(f"is cut short: {fault} and {len(body):,} follow", where=show(where), mend=MEND)
    if stream.read(1):
        raise InputError(f"{fault} and more follow", where=show(where), mend=MEND)
    return np.frombuffer(body, dtype).reshape(shape).astype(dtype.newbyteorder("="), copy=False)
