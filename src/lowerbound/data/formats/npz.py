"""NumPy's .npz: a zip of .npy members, each checked against what the zip can hold before it is unpacked."""

from __future__ import annotations

import zipfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from lowerbound.data.formats import npy
from lowerbound.data.guard import INFLATE, fits, guarded, plain_file, show
from lowerbound.errors import InputError, nearest

SAVE = "save it again with numpy.savez(path, x=array)"
MEMBERS = 10_000
BOMB = 100
"""A member that grows more than this many times is refused if it is also larger than ``SMALL``."""

SMALL = 2**26


def keys(path: Path) -> list[str]:
    """The names of the arrays in an .npz."""
    path = plain_file(path)
    with guarded(path, "an .npz file", SAVE), zipfile.ZipFile(path) as archive:
        return sorted(_members(archive, path))


def arrays(path: Path, names: Sequence[str], words: bool = False) -> dict[str, np.ndarray]:
    """The arrays ``names`` of an .npz; only these are unpacked."""
    path = plain_file(path)
    with guarded(path, "an .npz file", SAVE), zipfile.ZipFile(path) as archive:
        members = _members(archive, path)
        for name in names:
            if name not in members:
                raise InputError(f"holds no array {name!r}", where=show(path), mend=nearest(name, members))
        return {name: _array(archive, members[name], f"{show(path)}[{name}]", words) for name in names}


def _members(archive: zipfile.ZipFile, path: Path) -> dict[str, zipfile.ZipInfo]:
    infos = archive.infolist()
    if len(infos) > MEMBERS:
        raise InputError(f"holds {len(infos):,} members", where=show(path), mend=SAVE)
    names = {info.filename.removesuffix(".npy"): info for info in infos if info.filename.endswith(".npy")}
    if not names:
        raise InputError("holds no arrays", where=show(path), mend=SAVE)
    return names


def _array(archive: zipfile.ZipFile, info: zipfile.ZipInfo, where: str, words: bool) -> np.ndarray:
    size, packed = info.file_size, max(1, info.compress_size)
    if size > packed * INFLATE or (size > SMALL and size > packed * BOMB):
        what = f"would unpack {packed:,} bytes to {size:,}"
        raise InputError(what, where=where, mend="save it as an uncompressed .npy if it is genuine")
    fits(size, where)
    with guarded(where, "an array", SAVE), archive.open(info) as stream:
        dtype, shape, fortran = npy.header(stream, size, where, words)
        npy.held(size - stream.tell(), dtype, shape, where)
        flat = np.frombuffer(stream.read(size), dtype)
        return flat.reshape(shape, order="F" if fortran else "C")
