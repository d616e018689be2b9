"""The data sets known by name: bundled, in a data folder, or fetched on first use."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from lowerbound.data import dates, factors, sequences
from lowerbound.data.download import fetch
from lowerbound.data.formats import amat, idx, mat, npz
from lowerbound.data.raw import ALL, Raw
from lowerbound.errors import InputError, nearest

NAMES = {
    "digits": "1,797 handwritten digits, 8 x 8, 17 grey levels; bundled with scikit-learn, no network",
    "mnist": "70,000 handwritten digits, 28 x 28, grey; binarised afresh at each use unless said otherwise",
    "fashion-mnist": "70,000 pictures of clothing, 28 x 28, grey; binarised afresh unless said otherwise",
    "binarized-mnist": "MNIST as drawn once by Larochelle and Murray: 50,000 / 10,000 / 10,000, 28 x 28, 0 or 1",
    "frey": "1,965 video frames of one face, 28 x 20, 256 grey levels",
    "factors": "6,144 pictures of one shape, 32 x 32, 0 or 1: shape, scale, rotation, x and y known; drawn here",
    "dates": "9,000 dates written in six ways: texts of 8 to 18 characters whose entropy is known; written here",
}
"""Name -> what it is."""

PUBLISHED = {
    "digits": "2b1eabf7635ec4538fd1f3bc49b500ac67672568d584c7fd1ed6f9db46e5ae88",
    "mnist": "12b136cfadbaf135f66d694b976f1f9295605563a207d97500cf36c7d313c518",
    "fashion-mnist": "6f7ef3337a98d5118536a02ebcbbd7c4986a0ff51c9b46c637f13e9dfc457212",
    "binarized-mnist": "548d8ece6786f957f299965364083471fca6abaea9694a7c28f1e4faf281fb7b",
    "frey": "25c791ab700859a54c4ca849f4bb4889849f1e47f82cb26eff213dfedb57d4f2",
    "factors": "5399217bc7c749765f89e4e7bd2aa374659cfbcbdf7097fd92fd8a158c308657",
    "dates": "54f4952ecf71ba910010a5a4306962409d979e986aca5890bb72c76d911a392c",
}
"""The fingerprint of each set's arrays as published: other contents under the same name are refused."""

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

    return replace(READERS[name](find), published=PUBLISHED[name])


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
    y = recovered(paths[0].with_name("recovered_labels.npz"))
    why = "binary, as published"
    return Raw("binarized-mnist", "binarized-mnist", pictures, y, kind="binary", why=why, notes=(note,))


def recovered(path: Path) -> dict[str, np.ndarray]:
    """The labels of binarised MNIST, which were not published with it, if a file of them lies beside the pictures."""
    if not path.exists():
        return {}
    names = ("train", "valid", "test")
    found = npz.arrays(path, [f"{name}_label" for name in names])
    return {name: found[f"{name}_label"].astype(np.int64) for name in names}


def frey(find: Find) -> Raw:
    """The Frey faces (Roweis, Saul and Hinton 2002)."""
    (path,) = find("frey", ("frey_rawface.mat",))
    images = npz.arrays(path, ("images",))["images"] if path.suffix == ".npz" else mat.read(path, "ff", (1965, 28, 20))
    note = "the pictures are neighbours in time: a random split leaves near copies of test pictures in training"
    return Raw("frey", "frey", {ALL: images}, notes=(note,))


def factor_grid(find: Find) -> Raw:
    """The shapes of :mod:`lowerbound.data.factors`, labelled by shape."""
    x, shape = factors.pictures(), factors.factors_of()[:, 0]
    note = "the true factors of its rows: lowerbound.data.factors.factors_of"
    return Raw("factors", "lowerbound", {ALL: x}, {ALL: shape}, factors.SHAPES, notes=(note,))


def written_dates(find: Find) -> Raw:
    """The texts of :mod:`lowerbound.data.dates`, labelled by the way they are written."""
    texts, ways = dates.texts()
    note = f"no model can expect more than -{dates.ENTROPY:.3f} nats a text: days and ways are uniform"
    raw = sequences.of_texts(texts, "dates", "lowerbound")
    return replace(raw, y={ALL: ways}, label_names=dates.WAYS, notes=(note,))


READERS: dict[str, Callable[[Find], Raw]] = {
    "digits": digits,
    "mnist": mnist,
    "fashion-mnist": fashion,
    "binarized-mnist": binarized,
    "frey": frey,
    "factors": factor_grid,
    "dates": written_dates,
}
