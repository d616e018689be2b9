"""Whatever bytes a file holds, reading it ends in data or in an InputError."""

from __future__ import annotations

import contextlib
import gzip
import io
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as some
from PIL import Image

from lowerbound.data import load
from lowerbound.data.formats import pictures
from lowerbound.errors import InputError

from .bad import grey, idx_bytes


def _stream(write: Callable[[io.BytesIO], object]) -> bytes:
    stream = io.BytesIO()
    write(stream)
    return stream.getvalue()


X = np.random.default_rng(0).integers(0, 256, (12, 6, 6)).astype(np.uint8)
SEEDS = {
    "a.npy": _stream(lambda s: np.save(s, X)),
    "a.npz": _stream(lambda s: np.savez_compressed(s, x=X, y=np.arange(12))),
    "b.npz": _stream(lambda s: np.savez(s, x_train=X, x_test=X)),
    "a.idx": idx_bytes(X),
    "a.idx.gz": gzip.compress(idx_bytes(X), mtime=0),
    "a.csv": b"age,kind,share\n"
    + b"".join(b"%d,%s,%.2f\n" % (i % 7, b"ab"[i % 2 : i % 2 + 1], i / 9) for i in range(20)),
    "a.csv.gz": gzip.compress(b"a,b\n1,2\n3,5\n4,9\n" * 5, mtime=0),
    "a.amat": b"0 1 1 0\n1 0 0 1\n1 1 0 0\n" * 4,
    "a.bin": idx_bytes(X),
    "a.png": _stream(lambda s: Image.fromarray(grey()).save(s, "PNG")),
    "a.jpg": _stream(lambda s: Image.fromarray(grey(16)).save(s, "JPEG")),
    "a.tif": _stream(lambda s: Image.fromarray(grey()).save(s, "TIFF")),
    "a.gif": _stream(lambda s: Image.fromarray(grey()).save(s, "GIF")),
    "a.bmp": _stream(lambda s: Image.fromarray(grey()).save(s, "BMP")),
}
Edit = tuple[float, int, int]


def mutated(content: bytes, edits: list[Edit], cut: float) -> bytes:
    """``content`` with bytes overwritten, removed or inserted at relative places, and its end cut off."""
    raw = bytearray(content)
    for place, what, byte in edits:
        at = int(place * (len(raw) - 1)) if raw else 0
        raw[at : at + (what != 2)] = b"" if what == 1 else bytes([byte])
    return bytes(raw[: max(1, int(cut * len(raw)))])


EDITS = some.lists(
    some.tuples(some.floats(0, 1), some.sampled_from([0, 0, 0, 1, 2]), some.integers(0, 255)), min_size=1, max_size=6
)


@pytest.mark.parametrize("name", SEEDS)
@settings(max_examples=300, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(edits=EDITS, cut=some.sampled_from([1.0, 1.0, 0.9, 0.5, 0.1]), near=some.booleans())
def test_mutated_files(tmp_path: Path, name: str, edits: list[Edit], cut: float, near: bool) -> None:
    path = tmp_path / name
    header = [(place * min(1.0, 150 / len(SEEDS[name])), what, byte) for place, what, byte in edits]
    path.write_bytes(mutated(SEEDS[name], header if near else edits, cut))
    with contextlib.suppress(InputError):
        pictures.decode(path) if path.suffix in pictures.SUFFIXES else load(path)


@settings(max_examples=300, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(text=some.text(alphabet=some.sampled_from('0123456789.,;"ab-? \n\r\t\0|eNnif'), min_size=1, max_size=200))
def test_any_text_as_a_table(tmp_path: Path, text: str) -> None:
    path = tmp_path / "any.csv"
    path.write_bytes(text.encode())
    with contextlib.suppress(InputError):
        load(path)


def test_seeds_are_good(tmp_path: Path) -> None:
    for name, content in SEEDS.items():
        path = tmp_path / name
        path.write_bytes(content)
        assert len(pictures.decode(path) if path.suffix in pictures.SUFFIXES else load(path)) > 1
