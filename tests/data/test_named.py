"""The named sets: bundled, from a data folder, and from mirrors held to their checksums."""

from __future__ import annotations

import gzip
import hashlib
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lowerbound.data import NAMES, download, load, named, summary
from lowerbound.errors import InputError

from .bad import idx_bytes
from .real import FOLDER, needs_data

GONE = "http://127.0.0.1:9/"
"""A mirror that nobody answers."""


def test_digits() -> None:
    data = load("digits")
    assert (data.kind, data.levels, data.shape) == ("levels", 17, (1, 8, 8))
    assert data.record["examples"] == {"train": 1437, "valid": 180, "test": 180}
    assert data.splits["train"].x.max() == 16 and set(data.splits["test"].labels) == set(range(10))


def test_digits_come_without_network_or_heavy_imports() -> None:
    heavy = "['pooch', 'sklearn', 'pyarrow', 'PIL', 'scipy', 'pandas', 'requests']"
    code = f"import sys, lowerbound.data; print([m for m in {heavy} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@needs_data
@pytest.mark.parametrize(
    ("name", "kind", "shape", "counts"),
    [
        ("mnist", "binary", (1, 28, 28), (54000, 6000, 10000)),
        ("fashion-mnist", "binary", (1, 28, 28), (54000, 6000, 10000)),
        ("binarized-mnist", "binary", (1, 28, 28), (50000, 10000, 10000)),
        ("frey", "levels", (1, 28, 20), (1573, 196, 196)),
    ],
)
def test_real_sets(name: str, kind: str, shape: tuple[int, ...], counts: tuple[int, ...]) -> None:
    data = load(name, data_dir=FOLDER)
    assert (data.kind, data.shape) == (kind, shape)
    assert tuple(data.record["examples"].values()) == counts
    assert data.record["sha256"] == named.PUBLISHED[name]


@needs_data
def test_mnist_is_quick_and_right(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOWERBOUND_DATA", str(FOLDER))
    start = time.perf_counter()
    data = load("mnist", valid=0)
    taken = time.perf_counter() - start
    assert float(summary(data).mean.sum()) / 784 == pytest.approx(0.130660, abs=1e-6)
    counts = np.bincount(data.splits["train"].labels).tolist()
    assert counts == [5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949]
    assert taken < 6, "under two seconds on an idle machine"


@needs_data
def test_grey_mnist() -> None:
    for options in ({"binarise": "none"}, {"kind": "levels"}):
        data = load("mnist", data_dir=FOLDER, **options)  # type: ignore[arg-type]
        assert (data.kind, data.levels, data.binarisation) == ("levels", 256, "none")
    assert load("mnist", data_dir=FOLDER, kind="unit").kind == "unit"
    fixed = load("mnist", data_dir=FOLDER, binarise="fixed")
    assert fixed.kind == "binary" and fixed.splits["train"].x.unique().tolist() == [0, 1]


@needs_data
def test_own_files_of_real_data() -> None:
    assert FOLDER is not None
    cifar = load(FOLDER / "cifar10_subset" / "cifar10_subset.npz")
    assert cifar.shape == (3, 32, 32) and cifar.record["split"]["named"] == ["train", "test"]
    pictures = load(FOLDER / "rgb_folder")
    assert pictures.shape == (3, 32, 32) and len(pictures.label_names) == 10
    adult = load(FOLDER / "tabular" / "adult.csv.gz", labels="income")
    assert adult.kind == "table" and len(adult.columns) == 14 and adult.label_names == ("<=50K", ">50K")
    assert load(FOLDER / "binary" / "nltcs.npz").record["examples"] == {"train": 16181, "valid": 2157, "test": 3236}
    assert load(FOLDER / "mnist").shape == (1, 28, 28)
    assert load(FOLDER / "omniglot" / "omniglot28.npz").kind == "levels"


@needs_data
def test_published_text_of_binarized_mnist(tmp_path: Path) -> None:
    assert FOLDER is not None
    folder = tmp_path / "binarized_mnist"
    folder.mkdir()
    packed = np.load(FOLDER / "binarized_mnist" / "binarized_mnist.npz")
    for split in ("train", "valid", "test"):
        bits = np.unpackbits(packed[split], axis=1)
        text = np.full((len(bits), 2 * 784), ord(" "), np.uint8)
        text[:, ::2], text[:, -1] = bits + ord("0"), ord("\n")
        path = folder / f"binarized_mnist_{split}.amat"
        path.write_bytes(text.tobytes())
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        assert digest == download.HASHES[f"binarized_mnist/{path.name}"], "as published"
    assert load("binarized-mnist", data_dir=tmp_path).record["sha256"] == named.PUBLISHED["binarized-mnist"]


@pytest.fixture
def mirror(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A mirror on this machine with a small MNIST, whose checksums stand for the published ones."""
    folder, random = tmp_path / "mirror", np.random.default_rng(0)
    folder.mkdir()
    for name, count in (("train", 40), ("t10k", 20)):
        pictures = random.integers(0, 256, (count, 28, 28))
        (folder / f"{name}-images-idx3-ubyte.gz").write_bytes(gzip.compress(idx_bytes(pictures)))
        (folder / f"{name}-labels-idx1-ubyte.gz").write_bytes(gzip.compress(idx_bytes(np.arange(count) % 10)))
    hashes = {f"mnist/{path.name}": hashlib.sha256(path.read_bytes()).hexdigest() for path in folder.iterdir()}
    monkeypatch.setattr(download, "HASHES", hashes)
    monkeypatch.setitem(named.PUBLISHED, "mnist", "")
    monkeypatch.setenv("LOWERBOUND_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("LOWERBOUND_DATA", raising=False)
    monkeypatch.setenv("no_proxy", "*")
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(folder)))
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/"
    server.shutdown()
    thread.join()
    server.server_close()


class Quiet(SimpleHTTPRequestHandler):
    """Serves a folder and says nothing."""

    def log_message(self, *_: Any) -> None:
        pass


def mirrors(monkeypatch: pytest.MonkeyPatch, *hosts: str) -> None:
    monkeypatch.setattr(download, "MIRRORS", {"mnist": hosts})


def test_download_from_the_second_mirror(
    mirror: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    mirrors(monkeypatch, GONE, mirror)
    assert load("mnist").record["examples"] == {"train": 36, "valid": 4, "test": 20}
    mirrors(monkeypatch, GONE)
    assert load("mnist", download=False).record["examples"]["test"] == 20, "now from the cache"
    assert capfd.readouterr() == ("", ""), "only doors print"


def test_no_mirror_answers(monkeypatch: pytest.MonkeyPatch, mirror: str, tmp_path: Path) -> None:
    mirrors(monkeypatch, GONE)
    with pytest.raises(InputError, match=r"mnist train-images.*cannot be downloaded \(127.0.0.1:9: .*--data-dir"):
        load("mnist")
    with pytest.raises(InputError, match="downloads are off; allow the download, or give --data-dir"):
        load("mnist", download=False)


def test_a_mirror_with_other_contents_is_not_believed(
    monkeypatch: pytest.MonkeyPatch, mirror: str, tmp_path: Path
) -> None:
    mirrors(monkeypatch, mirror)
    (tmp_path / "mirror" / "train-images-idx3-ubyte.gz").write_bytes(b"something else")
    with pytest.raises(InputError, match="cannot be downloaded"):
        load("mnist")
    assert not list((tmp_path / "cache").rglob("train-images*"))


@needs_data
def test_frey_as_its_author_keeps_it(mirror: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A MATLAB file, whose pixels are held to the published hash after reading."""
    from scipy.io import savemat

    assert FOLDER is not None
    images = np.load(FOLDER / "freyface" / "freyface.npz")["images"]
    file = tmp_path / "mirror" / "frey_rawface.mat"
    savemat(file, {"ff": images.reshape(len(images), -1).T})
    monkeypatch.setattr(download, "MIRRORS", {"frey": (mirror,)})
    assert load("frey").record["sha256"] == named.PUBLISHED["frey"]
    savemat(tmp_path / "cache" / "freyface" / "frey_rawface.mat", {"ff": 255 - images.reshape(len(images), -1).T})
    with pytest.raises(InputError, match="frey"):
        load("frey")


def test_frey_is_refused_where_it_is_no_matlab_file(tmp_path: Path) -> None:
    (tmp_path / "freyface").mkdir()
    (tmp_path / "freyface" / "frey_rawface.mat").write_bytes(b"no matlab file" * 100)
    with pytest.raises(InputError, match=r"frey_rawface.mat: is no MATLAB file with an array 'ff'"):
        load("frey", data_dir=tmp_path)


def test_every_set_has_a_reader_and_a_hash() -> None:
    assert set(NAMES) == set(named.READERS) == set(named.PUBLISHED)
    for name, hosts in download.MIRRORS.items():
        assert len(hosts) > 1 and any(
            key.startswith(download.FOLDERS[name]) for key in (*download.HASHES, *download.UNHASHED)
        )


def test_grey_digits_use_the_whole_of_the_unit_interval() -> None:
    for kind in ("unit", "levels"):
        assert load("digits", kind=kind).kind == kind
    assert float(load("digits", kind="unit").splits["train"].x.max()) == 1.0
