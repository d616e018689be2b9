"""The data sets known by name: bundled, in a data folder, or fetched on first use."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from lowerbound.data.download import fetch
from lowerbound.data.formats import amat, idx, npz
from lowerbound.data.raw import ALL, Raw
from lowerbound.data.scan import fingerprint
from lowerbound.errors import InputError, nearest

NAMES = {
    "digits": "1,797 handwritten digits, 8 x 8, 17 grey levels; bundled with scikit-learn, no network",
    "mnist": "70,000 handwritten digits, 28 x 28, grey; binarised afresh at each use unless said otherwise",
    "fashion-mnist": "70,000 pictures of clothing, 28 x 28, grey; binarised afresh unless said otherwise",
    "binarized-mnist": "MNIST as drawn once by Larochelle and Murray: 50,000 / 10,000 / 10,000, 28 x 28, 0 or 1",
    "frey": "1,965 video frames of one face, 28 x 20, 256 grey levels (needs a data folder)",
}
"""Name -> what it is."""

PUBLISHED: dict[str, str] = {}
"""The fingerprint of each set's arrays as first published."""

CLOTHES = ("T-shirt/top", "trouser", "pullover", "dress", "coat", "sandal", "shirt", "sneaker", "bag", "ankle boot")
IDX = (
    "train-images-idx3-ubyte.gz",
    "train-labels-idx1-ubyte.gz",
    "t10k-images-idx3-ubyte.gz",
    "t10k-labels-idx1-ubyte.gz",
)
"""The four files of MNIST and of Fashion-MNIST."""

Find = Callable[[str, Sequence[str]], list[Path]]
"""Finds the files of a set: (name, file names) -> paths."""


def load_named(name: str, data_dir: Path | None, download: bool) -> Raw:
    """The named set, from ``data_dir`` if that is given, else from the cache or the network."""
    if name not in READERS:
        raise InputError(f"unknown data set {name!r}", where="data", mend=nearest(name, NAMES))

    def find(name: str, files: Sequence[str]) -> list[Path]:
        return fetch(name, files, data_dir, download)

    raw = READERS[name](find)
    known = PUBLISHED.get(name)
    if known and fingerprint(raw.x) != known:
        raise InputError("is not the published data: its hash differs", where=name, mend="fetch the files again")
    return raw


def digits(find: Find) -> Raw:
    """The digits that come with scikit-learn (UCI optical recognition, Alpaydin and Kaynak 1998)."""
    from sklearn.datasets import load_digits

    bunch = load_digits()
    why = "levels:17, because each value counts the dark dots, 0 to 16, of a 4 x 4 block"
    x = bunch.images.astype(np.uint8)
    return Raw("digits", "scikit-learn", {ALL: x}, {ALL: bunch.target.astype(np.int64)}, (), "levels:17", why)


def idx_folder(name: str, source: str, paths: Sequence[Path], label_names: Sequence[str] = ()) -> Raw:
    """A set of four idx files: training pictures and labels, test pictures and labels."""
    arrays = [idx.read(path) for path in paths]
    for pictures, labels, path in ((arrays[0], arrays[1], paths[1]), (arrays[2], arrays[3], paths[3])):
        if labels.shape != pictures.shape[:1]:
            what = f"holds labels of shape {labels.shape} for {len(pictures):,} pictures"
            raise InputError(what, where=path, mend="fetch both files again")
    x, y = {"train": arrays[0], "test": arrays[2]}, {"train": arrays[1], "test": arrays[3]}
    return Raw(name, source, x, {k: v.astype(np.int64) for k, v in y.items()}, tuple(label_names), binarise="fresh")


def mnist(find: Find) -> Raw:
    """MNIST (LeCun, Cortes and Burges 1998)."""
    return idx_folder("mnist", "mnist", find("mnist", IDX))


def fashion(find: Find) -> Raw:
    """Fashion-MNIST (Xiao, Rasul and Vollgraf 2017)."""
    return idx_folder("fashion-mnist", "fashion-mnist", find("fashion-mnist", IDX), CLOTHES)


def binarized(find: Find) -> Raw:
    """Binarised MNIST (Salakhutdinov and Murray 2008; the fixed draw of Larochelle and Murray 2011)."""
    paths = find("binarized-mnist", amat.FILES)
    names = ("train", "valid", "test")
    if len(paths) == 1:
        packed = npz.arrays(paths[0], names)
        x = {name: np.unpackbits(packed[name], axis=1) for name in names}
    else:
        x = {name: amat.read(path) for name, path in zip(names, paths, strict=True)}
    for name, pixels in x.items():
        if pixels.shape[1:] != (784,):
            raise InputError(f"its {name} pictures are not of 28 x 28", where=paths[0], mend="fetch the files again")
    note = "the test pictures are sorted by class: the first ones are all zeros"
    pictures = {name: pixels.reshape(-1, 28, 28) for name, pixels in x.items()}
    return Raw("binarized-mnist", "binarized-mnist", pictures, kind="binary", why="binary, as published", notes=(note,))


def frey(find: Find) -> Raw:
    """The Frey faces (Roweis, Saul and Hinton 2002)."""
    (path,) = find("frey", ("freyface.npz",))
    images = npz.arrays(path, ("images",))["images"]
    note = "the pictures are neighbours in time: a random split leaves near copies of test pictures in training"
    return Raw("frey", "frey", {ALL: images}, notes=(note,))


READERS: dict[str, Callable[[Find], Raw]] = {
    "digits": digits,
    "mnist": mnist,
    "fashion-mnist": fashion,
    "binarized-mnist": binarized,
    "frey": frey,
}
