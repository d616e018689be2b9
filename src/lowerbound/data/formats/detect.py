"""Which format a file is in: by its suffix, else by its first bytes; formats that are never read are named."""

from __future__ import annotations

import gzip
import zlib
from pathlib import Path
from typing import Literal

from lowerbound.data.formats import idx, npy, parquet
from lowerbound.data.formats.pictures import SUFFIXES
from lowerbound.data.guard import plain_file, show
from lowerbound.errors import InputError

Format = Literal["npy", "npz", "idx", "text", "parquet", "amat"]
KNOWN: dict[str, Format] = {
    ".npy": "npy",
    ".npz": "npz",
    ".csv": "text",
    ".tsv": "text",
    ".csv.gz": "text",
    ".tsv.gz": "text",
    ".parquet": "parquet",
    ".pq": "parquet",
    ".idx": "idx",
    ".idx.gz": "idx",
    ".amat": "amat",
}
ARRAY = "save the array with numpy.save as .npy"
PICKLE = "is a pickle, which can run code when it is opened and is never read"
PICKLES = (".pkl", ".pickle", ".joblib", ".pt", ".pth", ".sav")
SCIENCE = (".mat", ".h5", ".hdf5", ".nc", ".zarr")
REFUSED = {
    PICKLES: (PICKLE, ARRAY),
    SCIENCE: ("is of a format that is not read here", ARRAY),
    (".xlsx", ".xls", ".ods", ".json", ".jsonl"): ("is of a format that is not read here", "save the table as CSV"),
    (".zip", ".tar", ".tgz", ".7z", ".rar", ".xz", ".bz2"): ("is an archive", "unpack it and give what is inside"),
    SUFFIXES: ("is a single picture", "give the folder that it lies in"),
}
STARTS = {
    b"\x89PNG": SUFFIXES,
    b"\xff\xd8\xff": SUFFIXES,
    b"GIF8": SUFFIXES,
    b"\x89HDF": SCIENCE,
    b"MATLAB": SCIENCE,
    b"\x80\x02": PICKLES,
    b"\x80\x03": PICKLES,
    b"\x80\x04": PICKLES,
    b"\x80\x05": PICKLES,
}
MEND = "give .npy, .npz, idx, CSV, Parquet or a folder of pictures"


def detect(path: Path) -> Format:
    """The format of a plain file."""
    path = plain_file(path)
    suffixes = [suffix.lower() for suffix in path.suffixes]
    for tail in ("".join(suffixes[-2:]), "".join(suffixes[-1:])):
        if tail in KNOWN:
            return KNOWN[tail]
    for group, (what, mend) in REFUSED.items():
        if suffixes and suffixes[-1] in group:
            raise InputError(what, where=show(path), mend=mend)
    return by_content(path)


def by_content(path: Path) -> Format:
    """The format that the first bytes show."""
    with path.open("rb") as file:
        start = file.read(512)
    for magic, group in STARTS.items():
        if start.startswith(magic):
            raise InputError(REFUSED[group][0], where=show(path), mend=REFUSED[group][1])
    if start.startswith(idx.GZIP):
        return "idx" if idx.is_idx(_inner(path)) else "text"
    if start.startswith(npy.MAGIC):
        return "npy"
    if start.startswith(b"PK\x03\x04"):
        return "npz"
    if start.startswith(parquet.MAGIC):
        return "parquet"
    if idx.is_idx(start):
        return "idx"
    if b"\0" in start:
        raise InputError("is of no format that is read here", where=show(path), mend=MEND)
    return "text"


def _inner(path: Path) -> bytes:
    try:
        with gzip.open(path) as stream:
            return stream.read(4)
    except (OSError, EOFError, zlib.error) as error:
        raise InputError("is cut short or damaged", where=show(path), mend="pack it again") from error
