"""Finding the files of a named set: a data folder, the cache, or a mirror, each download held to its SHA-256."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from lowerbound.data.guard import show
from lowerbound.errors import InputError

FOLDERS = {
    "mnist": "mnist",
    "fashion-mnist": "fashion_mnist",
    "binarized-mnist": "binarized_mnist",
    "frey": "freyface",
}
"""Set -> its folder inside a data folder or the cache."""

PACKED = {"binarized-mnist": "binarized_mnist.npz", "frey": "freyface.npz"}
"""A single file that may stand for the published ones."""

MIRRORS = {
    "mnist": (
        "https://ossci-datasets.s3.amazonaws.com/mnist/",
        "https://storage.googleapis.com/cvdf-datasets/mnist/",
    ),
    "fashion-mnist": (
        "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",
        "https://raw.githubusercontent.com/zalandoresearch/fashion-mnist/master/data/fashion/",
        "https://storage.googleapis.com/tensorflow/tf-keras-datasets/",
    ),
    "binarized-mnist": (
        "http://www.cs.toronto.edu/~larocheh/public/datasets/binarized_mnist/",
        "https://raw.githubusercontent.com/riannevdberg/sylvester-flows/master/data/MNIST_static/",
    ),
    "frey": ("https://cs.nyu.edu/~roweis/data/", "http://www.cs.nyu.edu/~roweis/data/"),
}
"""Where each set is kept, tried in this order. The checksum is ours, so a mirror need not be trusted."""

HASHES = {
    "mnist/train-images-idx3-ubyte.gz": "440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609",
    "mnist/train-labels-idx1-ubyte.gz": "3552534a0a558bbed6aed32b30c495cca23d567ec52cac8be1a0730e8010255c",
    "mnist/t10k-images-idx3-ubyte.gz": "8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6",
    "mnist/t10k-labels-idx1-ubyte.gz": "f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6",
    "fashion_mnist/train-images-idx3-ubyte.gz": "3aede38d61863908ad78613f6a32ed271626dd12800ba2636569512369268a84",
    "fashion_mnist/train-labels-idx1-ubyte.gz": "a04f17134ac03560a47e3764e11b92fc97de4d1bfaf8ba1a3aa29af54cc90845",
    "fashion_mnist/t10k-images-idx3-ubyte.gz": "346e55b948d973a97e58d2351dde16a484bd415d4595297633bb08f03db6a073",
    "fashion_mnist/t10k-labels-idx1-ubyte.gz": "67da17c76eaffca5446c3361aaab5c3cd6d1c2608764d35dfb1850b086bf8dd5",
    "binarized_mnist/binarized_mnist_train.amat": "ad693b29f94c14277b095f5238ddefbbdaaae0939789dd2f4f0205278cee3e4d",
    "binarized_mnist/binarized_mnist_valid.amat": "1de3d397c40fe8eeb33dafd4099a1f665ec01e96d9be234aaeeac8a34930e2e2",
    "binarized_mnist/binarized_mnist_test.amat": "e6687bfea3f820c174f33b7865140b2a2dd2930ef786f35d45795fc193b5ab2c",
}
"""SHA-256 of every file that may be downloaded."""

UNHASHED = ("freyface/frey_rawface.mat",)
"""Files whose pixels are held to a hash after reading, where that of the file itself was never published."""

PATIENCE = 10
"""Seconds that a mirror may stay silent."""


def fetch(name: str, files: Sequence[str], data_dir: Path | None, download: bool) -> list[Path]:
    """The paths of ``files`` of the set ``name``."""
    if data_dir is not None:
        return local(name, files, data_dir)
    return [cached(name, file, download) for file in files]


def local(name: str, files: Sequence[str], data_dir: Path) -> list[Path]:
    """The files in a data folder, or the one packed file that stands for them; .gz may have been unpacked."""
    folder = data_dir / FOLDERS[name]
    if name in PACKED and (folder / PACKED[name]).exists():
        return [folder / PACKED[name]]
    found = []
    for file in files:
        choices = [folder / file, folder / file.removesuffix(".gz")]
        present = [path for path in choices if path.exists()]
        if not present:
            mend = f"the data folder must hold {FOLDERS[name]}/{file}, or leave --data-dir out to download it"
            raise InputError("does not exist", where=show(choices[0]), mend=mend)
        found.append(present[0])
    return found


def cached(name: str, file: str, download: bool) -> Path:
    """One file from the cache, fetched into it first if it must be."""
    path = cache() / FOLDERS[name] / file
    if not download and not path.exists():
        mend = "allow the download, or give --data-dir DIR"
        raise InputError(f"is not in the cache ({show(path)}) and downloads are off", where=name, mend=mend)
    return _retrieve(name, file, path)


def cache() -> Path:
    """The folder that downloads are kept in: LOWERBOUND_CACHE, else the system's own cache folder."""
    import pooch

    return Path(os.environ.get("LOWERBOUND_CACHE") or pooch.os_cache("lowerbound"))


def _retrieve(name: str, file: str, path: Path) -> Path:
    import pooch

    key = f"{FOLDERS[name]}/{file}"
    digest = None if key in UNHASHED else f"sha256:{HASHES[key]}"
    faults = []
    for mirror in MIRRORS[name]:
        try:
            with _quiet(pooch.get_logger()):
                downloader = pooch.HTTPDownloader(timeout=PATIENCE)
                return Path(pooch.retrieve(mirror + file, digest, file, path.parent, downloader=downloader))
        except Exception as error:
            faults.append(f"{mirror.split('/')[2]}: {type(error).__name__}")
    mend = f"give --data-dir DIR (or set LOWERBOUND_DATA) with {key} in it"
    raise InputError(f"cannot be downloaded ({', '.join(faults)})", where=f"{name} {file}", mend=mend)


@contextmanager
def _quiet(logger: logging.Logger) -> Iterator[None]:
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(level)
