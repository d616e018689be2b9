"""From a name, a file or an array to a data set."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import replace
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np

from lowerbound.data import sequences
from lowerbound.data.build import build, wanted
from lowerbound.data.dataset import Data
from lowerbound.data.formats import amat, choice, frame, idx, npy, parquet, pictures, text
from lowerbound.data.formats import sequences as stored
from lowerbound.data.formats.detect import detect
from lowerbound.data.guard import LIMIT, show, status
from lowerbound.data.labels import coded, one_each
from lowerbound.data.named import IDX, NAMES, idx_folder, load_named
from lowerbound.data.options import Options
from lowerbound.data.raw import ALL, Raw
from lowerbound.data.table import table
from lowerbound.errors import InputError, nearest


def load(
    source: str | PathLike[str],
    *,
    data_dir: str | PathLike[str] | None = None,
    binarise: str = "default",
    valid: float = 0.1,
    test: float = 0.1,
    seed: int = 0,
    kind: str = "auto",
    download: bool = True,
    array: str | None = None,
    labels: str | None = None,
    columns: Mapping[str, str] | None = None,
    limit: int = LIMIT,
    like: Mapping[str, Any] | None = None,
) -> Data:
    """The data set of a name, a file or a folder of pictures, split, checked and with its kind said.

    Args:
        source: a name of :data:`NAMES`; a .npy, .npz, idx(.gz), CSV(.gz) or Parquet file; a .txt file with one sequence
            a line; a folder of pictures. A path with the name of a set is written ``./name``.
        data_dir: where the files of named sets lie; else the variable LOWERBOUND_DATA; else they are downloaded.
        binarise: "none", "threshold" (above half of the range), "fixed" (one draw with the published seed), "fresh"
            (a draw at each use in training; other splits as "fixed"), or "default": "fresh" for mnist and
            fashion-mnist, "none" for all else.
        valid, test: shares held out, where the source names no such split.
        seed: of the permutation that the held-out examples are the first of.
        kind: "auto", or what the values are: binary, unit, levels[:N], real, count, table; sequence (of symbols) or
            series (of measurements), of unequal lengths.
        download: whether files that are not there may be fetched.
        array, labels: the arrays of an .npz that hold examples and labels; ``labels`` also names a column of a table.
        columns: for tables, kinds of columns: numeric, count, binary, category, or drop.
        limit: bytes of float32 above which rows are read when a batch needs them.
        like: the record of other data, such as a run's: same kind, columns, categories and binarisation as there;
            one example is enough, and nothing is held out.
    """
    options = Options(binarise, valid, test, seed, kind, labels, array, columns, limit, like)
    if not isinstance(source, (str, PathLike)):
        raise InputError(f"{type(source).__name__} is no name and no path", where="data", mend="use from_array")
    if source in NAMES:
        folder = data_dir or os.environ.get("LOWERBOUND_DATA") or None
        unused(options, "array", "labels", "columns")
        return build(load_named(str(source), Path(folder) if folder else None, download), options)
    return build(read(existing(source), options), options)


MEMORY = "memory"
"""The source that the record names for data given as an array or a frame: nothing to read again."""


def from_array(
    x: Any, y: Any = None, *, name: str = "array", lengths: Any = None, mask: Any = None, **options: Any
) -> Data:
    """The data set of an array, a tensor, nested lists, or a DataFrame; the options are those of :func:`load`.

    Texts are sequences of characters. Lists of unequal lengths are taken with ``kind`` sequence or series; so is a
    padded array, with ``lengths`` (n,), a ``mask`` (n, T) of 0 and 1, or NaN after the end of each.

    >>> from_array([[0.0, 1.5], [2.0, 0.5], [1.0, 1.0]], valid=0, test=0).kind
    'real'
    """
    chosen = Options(**options)
    unused(chosen, "array")
    if sequences.asked(chosen) or sequences.texts(x) or lengths is not None or mask is not None:
        unused(chosen, "labels", "columns")
        raw = sequences.of_python(x, lengths, mask, chosen, name)
    elif frame.is_frame(x):
        raw = table(frame.read(x, name), chosen, name, name, first_line=0)
    else:
        unused(chosen, "labels")
        raw = tabled(Raw(name, name, {ALL: values(x, name)}), chosen)
    if y is not None:
        raw = labelled(raw, {ALL: one_each(y, len(raw.x[ALL]), name)}, chosen)
    data = build(raw, chosen)
    return replace(data, record={**data.record, "source": MEMORY})


def existing(source: str | PathLike[str]) -> Path:
    """``source`` as a path that exists; if it has the look of a name, the nearest names are given."""
    try:
        status(source)
    except InputError as error:
        if error.what != "does not exist" or os.sep in str(source) or Path(source).suffix:
            raise
        what = f"{show(source)!r} is no data set and no file"
        raise InputError(what, where="data", mend=nearest(str(source), NAMES)) from error
    return Path(source)


def read(path: Path, options: Options) -> Raw:
    """What the file or folder at ``path`` holds."""
    where = show(path)
    if path.is_dir():
        unused(options, "array", "labels", "columns")
        return folder(path, options)
    found = detect(path)
    raw = in_steps(path, found, options)
    if raw is not None:
        return raw
    if found in ("text", "parquet"):
        unused(options, "array")
        cells, line = text.read(path) if found == "text" else (parquet.read(path), 0)
        return table(cells, options, path.name, where, line)
    unused(options, *(("array", "labels") if found != "npz" else ()))
    if found == "npz":
        x, y = choice.read(path, options.array, options.labels)
        return tabled(labelled(Raw(path.name, where, x), y, options), options)
    if found == "idx":
        return tabled(labelled(Raw(path.name, where, {ALL: idx.read(path)}), beside(path), options), options)
    reader = amat.read if found == "amat" else npy.read
    return tabled(Raw(path.name, where, {ALL: reader(path)}), options)


def in_steps(path: Path, found: str, options: Options) -> Raw | None:
    """The sequences of a file, if it holds such: as asked, else a .txt that is no table, or an .npz with lengths."""
    asked = sequences.asked(options)
    plain = options.kind == "auto" and options.like is None and path.suffix.lower() == ".txt"
    if found == "text" and (asked == "sequence" or plain):
        read = stored.text_lines(path)
        if asked or not stored.is_table(read):
            unused(options, "array", "labels", "columns")
            return stored.text(path, read, options)
    if found == "npz" and (asked or stored.ends(path, options)):
        unused(options, "columns")
        raw, y = stored.arrays(path, stored.ends(path, options), options)
        return labelled(raw, y, options)
    if asked and found != "npy":
        what = f"cannot be of kind {asked}: it is a file of type {found}"
        raise InputError(what, where=show(path), mend="give a .txt file, an .npz with lengths, or lists in Python")
    if asked:
        return sequences.of_array(np.asarray(npy.read(path)), None, None, options, path.name, show(path))
    return None


def folder(path: Path, options: Options) -> Raw:
    """A folder: the four files of an MNIST-like set, else pictures."""
    files = [next((p for p in (path / name, path / name.removesuffix(".gz")) if p.exists()), None) for name in IDX]
    present = [file for file in files if file is not None]
    if len(present) == len(IDX):
        return idx_folder(path.name, show(path), present)
    raw = pictures.read(path)
    return labelled(raw, raw.y, options)


def beside(path: Path) -> dict[str, np.ndarray]:
    """The labels in the idx file beside one of pictures, by the names that MNIST gave them."""
    other = path.with_name(path.name.replace("images", "labels").replace("idx3", "idx1"))
    return {ALL: idx.read(other)} if other != path and other.exists() else {}


def labelled(raw: Raw, y: Mapping[str, np.ndarray], options: Options) -> Raw:
    """``raw`` with labels, coded as whole numbers: as those of the run that ``like`` records were."""
    codes, names, notes = coded({name: y[name] for name in raw.x if name in y}, options.like)
    return Raw(**{**vars(raw), "y": codes, "label_names": names, "notes": (*raw.notes, *notes)})


def tabled(raw: Raw, options: Options) -> Raw:
    """``raw`` as a table, if that is what it shall be: its columns are called "column 1", "column 2", ..."""
    if wanted(raw, options) != "table" and not options.columns:
        return raw
    x = raw.x.get(ALL)
    if x is None or x.ndim != 2:
        raise InputError(
            "is no table: it has splits or more than two axes", where=raw.source, mend="leave kind at auto"
        )
    cells = {f"column {i + 1}": np.asarray(x[:, i]) for i in range(x.shape[1])}
    made = table(cells, options, raw.name, raw.source, first_line=0)
    return Raw(**{**vars(made), "y": raw.y, "label_names": raw.label_names})


def values(x: Any, where: str) -> np.ndarray:
    """``x`` as an array of numbers."""
    if hasattr(x, "toarray"):
        raise InputError("is a sparse matrix, which is not taken", where=where, mend="give x.toarray()")
    if hasattr(x, "detach"):
        x = x.detach().cpu()
        x = x.float().numpy() if "bfloat16" in str(x.dtype) else x.numpy()
    if np.ma.isMaskedArray(x) and np.ma.getmaskarray(x).any():
        raise InputError("has masked values", where=where, mend="give kind table and NaN where a value is missing")
    try:
        found = np.asarray(x)
        found = found.astype(np.float64) if found.dtype == object else found
    except (ValueError, TypeError) as error:
        what = "is not an array of numbers (ragged, or words in it)"
        mend = "give rows of one length, kind sequence or series for unequal ones, or a DataFrame"
        raise InputError(what, where=where, mend=mend) from error
    npy.plain_type(found.dtype, where)
    return found


def unused(options: Options, *names: str) -> None:
    """Refuses options that this source has no use for."""
    for name in names:
        if getattr(options, name) is not None:
            raise InputError("has no meaning for this source", where=name, mend="leave it out")
