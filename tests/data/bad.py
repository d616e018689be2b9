"""Bad inputs of the data side: each must end in one line that names the file, the fault and the mend.

``BAD`` holds (name, build, words): ``build(folder)`` writes the input under ``folder`` and returns the source for
:func:`lowerbound.data.load` and its options; ``words`` must stand in the line. The same list is run through the
command line.
"""

from __future__ import annotations

import csv
import gzip
import io
import os
import pickle
import struct
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from PIL import Image

Built = tuple[str, dict[str, Any]]


class Bad(NamedTuple):
    """One bad input."""

    name: str
    build: Callable[[Path], Built]
    words: str


BAD: list[Bad] = []


def bad(words: str) -> Callable[[Callable[[Path], Any]], Callable[[Path], Any]]:
    """Decorator: adds a builder that returns a source, or a source and options, under its own name."""

    def add(build: Callable[[Path], Any]) -> Callable[[Path], Any]:
        def whole(folder: Path) -> Built:
            made = build(folder)
            source, options = made if isinstance(made, tuple) else (made, {})
            return str(source), options

        BAD.append(Bad(build.__name__.replace("_", "-"), whole, words))
        return build

    return add


def written(path: Path, content: bytes | str) -> Path:
    """``path``, with ``content`` in it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def npy_bytes(header: str, body: bytes = b"") -> bytes:
    """A .npy of any header."""
    text = header.encode("latin1")
    text += b" " * (-(len(text) + 11) % 64) + b"\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text)) + text + body


def saved(path: Path, array: np.ndarray, **options: Any) -> Path:
    """``path``, with ``array`` saved in it."""
    np.save(path, array, **options)
    return path


def grey(size: int = 8, seed: int = 0) -> np.ndarray:
    """A noisy grey picture."""
    return np.random.default_rng(seed).integers(0, 256, (size, size)).astype(np.uint8)


def pictured(folder: Path, **last: Any) -> Path:
    """A folder of three good pictures; ``last`` are names and images (or bytes) to add."""
    (folder / "pictures").mkdir()
    for i in range(3):
        Image.fromarray(grey(seed=i)).save(folder / "pictures" / f"{i}.png")
    for name, image in last.items():
        target = folder / "pictures" / name.replace("_", ".")
        image.save(target) if isinstance(image, Image.Image) else target.write_bytes(image)
    return folder / "pictures"


def idx_bytes(array: np.ndarray, kind: int = 8) -> bytes:
    """An idx file of bytes."""
    return struct.pack(f">BBBB{array.ndim}I", 0, 0, kind, array.ndim, *array.shape) + array.astype(np.uint8).tobytes()


# paths


@bad("does not exist")
def missing_file(folder: Path) -> Path:
    return folder / "nothing.npy"


@bad("did you mean mnist?")
def misspelt_name(folder: Path) -> str:
    return "mnits"


@bad("does not exist")
def missing_data_folder(folder: Path) -> tuple[str, dict[str, Any]]:
    return "mnist", {"data_dir": str(folder / "nowhere")}


@bad("does not exist")
def file_as_a_folder(folder: Path) -> Path:
    return written(folder / "a.npy", b"x") / "b.npy"


@bad("is empty")
def empty_file(folder: Path) -> Path:
    return written(folder / "empty.npy", b"")


@bad("holds no pictures")
def empty_folder(folder: Path) -> Path:
    (folder / "empty").mkdir()
    return folder / "empty"


@bad("loop of links")
def loop_of_links(folder: Path) -> Path:
    (folder / "loop.npy").symlink_to(folder / "loop.npy")
    return folder / "loop.npy"


@bad("a pipe or a device")
def pipe(folder: Path) -> Path:
    os.mkfifo(folder / "pipe.npy")
    return folder / "pipe.npy"


@bad("a pipe or a device")
def endless_device(folder: Path) -> str:
    return "/dev/zero"


@bad("too long for a path")
def long_path(folder: Path) -> str:
    return str(folder / ("x" * 5000 + ".npy"))


@bad("does not exist")
def newline_in_path(folder: Path) -> str:
    return str(folder / "two\nlines.npy")


@bad("is a folder")
def folder_named_like_a_file(folder: Path) -> tuple[str, dict[str, Any]]:
    for name in ("train-images-idx3-ubyte.gz", "train-labels-idx1-ubyte.gz"):
        (folder / "mnist" / name).mkdir(parents=True)
    for name in ("t10k-images-idx3-ubyte.gz", "t10k-labels-idx1-ubyte.gz"):
        (folder / "mnist" / name).mkdir(parents=True)
    return "mnist", {"data_dir": str(folder)}


if os.geteuid() != 0:

    @bad("permission denied")
    def unreadable_file(folder: Path) -> Path:
        path = saved(folder / "secret.npy", np.eye(4))
        path.chmod(0)
        return path


# formats that are never read


@bad("is a pickle")
def pickle_file(folder: Path) -> Path:
    return written(folder / "data.pkl", pickle.dumps([1, 2, 3]))


@bad("is a pickle")
def pickle_without_suffix(folder: Path) -> Path:
    return written(folder / "data", pickle.dumps([1, 2, 3]))


@bad("is a pickle")
def torch_file(folder: Path) -> Path:
    return written(folder / "data.pt", b"PK\x03\x04")


@bad("save the array with numpy.save")
def matlab_file(folder: Path) -> Path:
    return written(folder / "data.mat", b"MATLAB 5.0 MAT-file")


@bad("save the table as CSV")
def excel_file(folder: Path) -> Path:
    return written(folder / "data.xlsx", b"PK\x03\x04")


@bad("is an archive")
def archive(folder: Path) -> Path:
    return written(folder / "data.tar", b"ustar")


@bad("is a single picture")
def single_picture(folder: Path) -> Path:
    Image.fromarray(grey()).save(folder / "one.png")
    return folder / "one.png"


@bad("no format that is read here")
def random_bytes(folder: Path) -> Path:
    return written(folder / "data", b"\x01\x00\x7f\x00" * 100)


# npy


@bad("wrong first bytes")
def npy_wrong_magic(folder: Path) -> Path:
    return written(folder / "a.npy", b"not an array at all")


@bad("a .npy file")
def npy_one_byte(folder: Path) -> Path:
    return written(folder / "a.npy", b"\x93")


@bad("its header")
def npy_truncated_header(folder: Path) -> Path:
    return written(folder / "a.npy", saved(folder / "b.npy", np.eye(3)).read_bytes()[:40])


@bad("and 100 follow")
def npy_truncated_values(folder: Path) -> Path:
    return written(folder / "a.npy", saved(folder / "b.npy", np.eye(9)).read_bytes()[:228])


@bad("its header asks for")
def npy_header_asks_for_terabytes(folder: Path) -> Path:
    header = "{'descr': '<f8', 'fortran_order': False, 'shape': (1000000, 1000000), }"
    return written(folder / "a.npy", npy_bytes(header, b"\0" * 64))


@bad("its header")
def npy_negative_shape(folder: Path) -> Path:
    header = "{'descr': '<f8', 'fortran_order': False, 'shape': (-2, -4), }"
    return written(folder / "a.npy", npy_bytes(header, b"\0" * 64))


@bad("its header claims")
def npy_header_of_four_gigabytes(folder: Path) -> Path:
    return written(folder / "a.npy", b"\x93NUMPY\x02\x00" + struct.pack("<I", 2**32 - 1) + b"{" * 100)


@bad("cannot be read as a .npy file")
def npy_header_of_parentheses(folder: Path) -> Path:
    return written(folder / "a.npy", npy_bytes("(" * 9000))


@bad("cannot be read as a .npy file")
def npy_header_with_odd_type(folder: Path) -> Path:
    return written(folder / "a.npy", npy_bytes("{'descr': ('|u1',), 'fortran_order': False, 'shape': (4, 4), }"))


@bad("Python objects")
def npy_of_objects(folder: Path) -> Path:
    return saved(folder / "a.npy", np.array([[1, "a"], [{}, None]], object), allow_pickle=True)


@bad("not numbers")
def npy_of_words(folder: Path) -> Path:
    return saved(folder / "a.npy", np.array([["a", "b"], ["c", "d"]]))


@bad("Complex data")
def npy_of_complex_numbers(folder: Path) -> Path:
    return saved(folder / "a.npy", np.eye(4) * 1j)


@bad("not numbers")
def npy_of_records(folder: Path) -> Path:
    return saved(folder / "a.npy", np.zeros(5, [("a", "f4"), ("b", "i4")]))


@bad("has the shape (12,)")
def npy_of_one_axis(folder: Path) -> Path:
    return saved(folder / "a.npy", np.arange(12.0))


@bad("has the shape")
def npy_of_five_axes(folder: Path) -> Path:
    return saved(folder / "a.npy", np.random.default_rng(0).random((4, 2, 2, 2, 2)))


@bad("holds 0 samples")
def npy_without_rows(folder: Path) -> Path:
    return saved(folder / "a.npy", np.zeros((0, 4)))


@bad("has the shape (4, 0)")
def npy_without_columns(folder: Path) -> Path:
    return saved(folder / "a.npy", np.zeros((4, 0)))


@bad("holds only 1 sample")
def npy_of_one_row(folder: Path) -> Path:
    return saved(folder / "a.npy", np.arange(6.0)[None])


@bad("every value is 7")
def npy_constant(folder: Path) -> Path:
    return saved(folder / "a.npy", np.full((20, 3), 7))


@bad("NaN in example 5 at (2,)")
def npy_with_nan(folder: Path) -> Path:
    x = np.random.default_rng(0).random((20, 3))
    x[5, 2] = np.nan
    return saved(folder / "a.npy", x)


@bad("an infinite value in example 0")
def npy_with_infinity(folder: Path) -> Path:
    x = np.random.default_rng(0).random((20, 3))
    x[0, 0] = -np.inf
    return saved(folder / "a.npy", x)


@bad("too large for float32")
def npy_beyond_float32(folder: Path) -> Path:
    return saved(folder / "a.npy", np.eye(20) * 1e300)


# npz


@bad("cannot be read as an .npz file")
def npz_of_noise(folder: Path) -> Path:
    return written(folder / "a.npz", b"PK\x03\x04 nothing here")


@bad("cannot be read as an .npz file")
def npz_truncated(folder: Path) -> Path:
    np.savez(folder / "b.npz", x=np.random.default_rng(0).random((50, 4)))
    return written(folder / "a.npz", (folder / "b.npz").read_bytes()[:-100])


@bad("holds no arrays")
def npz_without_arrays(folder: Path) -> Path:
    with zipfile.ZipFile(folder / "a.npz", "w") as archive:
        archive.writestr("readme.txt", "nothing")
    return folder / "a.npz"


@bad("none has a usual name")
def npz_of_two_strangers(folder: Path) -> Path:
    np.savez(folder / "a.npz", left=np.eye(4), right=np.eye(4))
    return folder / "a.npz"


@bad("holds no array 'lefd'; did you mean left?")
def npz_misspelt_array(folder: Path) -> tuple[Path, dict[str, Any]]:
    np.savez(folder / "a.npz", left=np.eye(4), right=np.eye(4))
    return folder / "a.npz", {"array": "lefd"}


@bad("Python objects")
def npz_of_objects(folder: Path) -> Path:
    np.savez(folder / "a.npz", x=np.array([[1, None]], object))
    return folder / "a.npz"


@bad("would unpack")
def npz_bomb(folder: Path) -> Path:
    np.savez_compressed(folder / "a.npz", x=np.zeros((200, 2**20), np.uint8))
    return folder / "a.npz"


@bad("its splits differ in shape")
def npz_of_unlike_splits(folder: Path) -> Path:
    np.savez(folder / "a.npz", train=np.random.default_rng(0).random((9, 4)), test=np.eye(3))
    return folder / "a.npz"


@bad("its header asks for")
def npz_member_that_lies(folder: Path) -> Path:
    with zipfile.ZipFile(folder / "a.npz", "w") as archive:
        archive.writestr("x.npy", npy_bytes("{'descr': '<f8', 'fortran_order': False, 'shape': (99999, 9999), }"))
    return folder / "a.npz"


@bad("cannot be read as an array")
def npz_encrypted(folder: Path) -> Path:
    np.savez(folder / "b.npz", x=np.eye(4))
    raw = bytearray((folder / "b.npz").read_bytes())
    raw[6] |= 1
    raw[raw.index(b"PK\x01\x02") + 8] |= 1
    return written(folder / "a.npz", bytes(raw))


# idx


@bad("wrong first bytes")
def idx_wrong_magic(folder: Path) -> Path:
    return written(folder / "a.idx", b"\x00\x01\x08\x03" + b"\0" * 100)


@bad("cut short within its header")
def idx_truncated_header(folder: Path) -> Path:
    return written(folder / "a.idx", b"\x00\x00\x08\x03\x00\x00")


@bad("is cut short")
def idx_truncated_values(folder: Path) -> Path:
    return written(folder / "a.idx.gz", gzip.compress(idx_bytes(grey(40))[:-1]))


@bad("more than the file can hold")
def idx_asks_for_terabytes(folder: Path) -> Path:
    head = struct.pack(">BBBBIII", 0, 0, 8, 3, 2**31, 1000, 1000)
    return written(folder / "a.idx.gz", gzip.compress(head + b"\0" * 100))


@bad("and more follow")
def idx_with_a_tail(folder: Path) -> Path:
    return written(folder / "a.idx", idx_bytes(grey()) + b"!")


@bad("is cut short or damaged")
def idx_truncated_gzip(folder: Path) -> Path:
    return written(folder / "a.idx.gz", gzip.compress(idx_bytes(grey(40)))[:-20])


@bad("is cut short or damaged")
def idx_damaged_gzip(folder: Path) -> Path:
    raw = bytearray(gzip.compress(idx_bytes(grey(40))))
    raw[len(raw) // 2] ^= 255
    return written(folder / "a.idx.gz", bytes(raw))


@bad("compressed twice")
def idx_gzipped_twice(folder: Path) -> Path:
    return written(folder / "a.idx.gz", gzip.compress(gzip.compress(idx_bytes(grey()))))


@bad("is not the published data")
def mnist_altered(folder: Path) -> tuple[str, dict[str, Any]]:
    for name, count in (("train", 30), ("t10k", 20)):
        pictures = np.random.default_rng(0).integers(0, 256, (count, 28, 28))
        written(folder / f"mnist/{name}-images-idx3-ubyte.gz", gzip.compress(idx_bytes(pictures)))
        written(folder / f"mnist/{name}-labels-idx1-ubyte.gz", gzip.compress(idx_bytes(np.arange(count))))
    return "mnist", {"data_dir": str(folder)}


@bad("holds labels of shape (19,) for 20 pictures")
def idx_labels_that_do_not_fit(folder: Path) -> Path:
    for name, count in (("train", 30), ("t10k", 19)):
        pictures = np.random.default_rng(0).integers(0, 256, (30 if name == "train" else 20, 28, 28))
        written(folder / f"set/{name}-images-idx3-ubyte.gz", gzip.compress(idx_bytes(pictures)))
        written(folder / f"set/{name}-labels-idx1-ubyte.gz", gzip.compress(idx_bytes(np.arange(count))))
    return folder / "set"


# pictures


@bad("is 9 x 9 of 8 bits, and 0.png is 8 x 8")
def pictures_of_two_sizes(folder: Path) -> Path:
    return pictured(folder, z_png=Image.fromarray(grey(9)))


@bad("of 16 bits")
def pictures_of_8_and_16_bits(folder: Path) -> Path:
    return pictured(folder, z_png=Image.fromarray(grey().astype(np.uint16) * 200))


@bad("mode CMYK")
def picture_in_cmyk(folder: Path) -> Path:
    return pictured(folder, z_jpg=Image.new("CMYK", (8, 8)))


@bad("partly transparent")
def picture_transparent(folder: Path) -> Path:
    return pictured(folder, z_png=Image.new("RGBA", (8, 8), (1, 2, 3, 100)))


@bad("partly transparent")
def picture_with_transparent_palette(folder: Path) -> Path:
    stream = io.BytesIO()
    Image.fromarray(grey() % 4).convert("P").save(stream, "PNG", transparency=0)
    return pictured(folder, z_png=stream.getvalue())


@bad("mode F")
def picture_of_floats(folder: Path) -> Path:
    return pictured(folder, z_tif=Image.fromarray(np.random.default_rng(0).random((8, 8)).astype(np.float32)))


@bad("has 3 frames")
def picture_that_moves(folder: Path) -> Path:
    stream = io.BytesIO()
    frames = [Image.fromarray(grey(seed=i)) for i in range(3)]
    frames[0].save(stream, "GIF", save_all=True, append_images=frames[1:])
    return pictured(folder, z_gif=stream.getvalue())


@bad("cannot be read as a picture")
def picture_of_noise(folder: Path) -> Path:
    return pictured(folder, z_png=b"no picture")


@bad("cannot be read as a picture")
def picture_truncated(folder: Path) -> Path:
    stream = io.BytesIO()
    Image.fromarray(grey(64)).save(stream, "PNG")
    return pictured(folder, a_png=stream.getvalue()[:2000])


@bad("is empty")
def picture_empty(folder: Path) -> Path:
    return pictured(folder, z_png=b"")


def _png(width: int, height: int) -> bytes:
    def chunk(name: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))

    head = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(b"\0" * 999)) + chunk(b"IEND", b"")
    )


@bad("pixels, more than")
def picture_bomb(folder: Path) -> Path:
    return pictured(folder, z_png=_png(9000, 9000))


@bad("cannot be read as a picture")
def picture_bomb_beyond_pillow(folder: Path) -> Path:
    return pictured(folder, z_png=_png(60000, 60000))


@bad("is 8 x 16 of 8 bits")
def picture_turned_by_exif(folder: Path) -> Path:
    stream = io.BytesIO()
    image = Image.fromarray(np.concatenate([grey(), grey()], 1))
    exif = image.getexif()
    exif[0x0112] = 6
    image.save(stream, "JPEG", exif=exif)
    return pictured(folder, z_jpg=stream.getvalue())


@bad("every value is 9")
def pictures_constant(folder: Path) -> Path:
    (folder / "flat").mkdir()
    for i in range(4):
        Image.new("L", (8, 8), 9).save(folder / "flat" / f"{i}.png")
    return folder / "flat"


@bad("holds only 1 sample")
def picture_alone(folder: Path) -> Path:
    (folder / "one").mkdir()
    Image.fromarray(grey()).save(folder / "one" / "0.png")
    return folder / "one"


# tables


def numbers(rows: int = 30) -> list[list[Any]]:
    """A good table."""
    return [["a", "b"], *np.random.default_rng(0).normal(size=(rows, 2)).round(3).tolist()]


def csv_file(path: Path, rows: list[list[Any]], **options: Any) -> Path:
    """``path``, with ``rows`` as CSV."""
    with path.open("w", newline="") as file:
        csv.writer(file, **options).writerows(rows)
    return path


@bad("line 13 has 3 cells and the first line 2")
def csv_ragged(folder: Path) -> Path:
    rows = numbers()
    rows[12] = [1, 2, 3]
    return csv_file(folder / "a.csv", rows)


@bad("line 8, column 'b': 'oops' is not a number")
def csv_word_among_numbers(folder: Path) -> Path:
    rows = numbers()
    rows[7][1] = "oops"
    return csv_file(folder / "a.csv", rows)


@bad("decimal point")
def csv_with_decimal_commas(folder: Path) -> Path:
    rows = [[str(cell).replace(".", ",") for cell in row] for row in numbers()]
    return csv_file(folder / "a.csv", rows, delimiter=";")


@bad("0 samples: a header and no rows")
def csv_header_alone(folder: Path) -> Path:
    return written(folder / "a.csv", "a,b\n")


@bad("only empty lines")
def csv_of_empty_lines(folder: Path) -> Path:
    return written(folder / "a.csv", "\n \n\n")


@bad("holds only 1 sample")
def csv_of_one_row(folder: Path) -> Path:
    return written(folder / "a.csv", "a,b\n1.5,2.5\n")


@bad("every value is 2")
def csv_constant(folder: Path) -> Path:
    return written(folder / "a.csv", "a,b\n" + "2,2\n" * 20)


@bad("names the column 'a' twice")
def csv_with_double_names(folder: Path) -> Path:
    return written(folder / "a.csv", "a,a\n1,2\n3,4\n5,7\n")


@bad("text in UTF-16")
def csv_in_utf_16(folder: Path) -> Path:
    return written(folder / "a.csv", "a,b\n1,2\n3,4\n".encode("utf-16"))


@bad("not text in UTF-8")
def csv_in_latin_1(folder: Path) -> Path:
    return written(folder / "a.csv", "naïve,b\n1,2\n3,4\n".encode("latin1"))


@bad("line 2 is not text")
def csv_with_zero_bytes(folder: Path) -> Path:
    return written(folder / "a.csv", b"a,b\n1,\0\n")


@bad("infinite value in example 1")
def csv_with_infinity(folder: Path) -> Path:
    return written(folder / "a.csv", "a,b\n1.5,2\n-inf,3\n2.5,4\n3.5,9\n")


@bad("no column that a model can use")
def csv_of_free_text(folder: Path) -> Path:
    return csv_file(folder / "a.csv", [["story"], *([f"once upon a time {i}"] for i in range(60))])


@bad("no column that a model can use")
def csv_of_missing_cells(folder: Path) -> Path:
    return written(folder / "a.csv", "a,b\n" + "?,NA\n" * 20)


@bad("has no column 'clas'; did you mean class?")
def csv_misspelt_labels(folder: Path) -> tuple[Path, dict[str, Any]]:
    rows = [["a", "b", "class"], *([*row, i % 2] for i, row in enumerate(numbers()[1:]))]
    return csv_file(folder / "a.csv", rows), {"labels": "clas"}


@bad("is cut short or damaged")
def csv_truncated_gzip(folder: Path) -> Path:
    return written(folder / "a.csv.gz", gzip.compress(b"a,b\n" + os.urandom(999).hex().encode())[:-200])


@bad("compressed twice")
def csv_gzipped_twice(folder: Path) -> Path:
    return written(folder / "a.csv.gz", gzip.compress(gzip.compress(b"a,b\n1,2\n3,4\n")))


@bad("bytes")
def csv_of_one_endless_line(folder: Path) -> Path:
    return written(folder / "a.csv.gz", gzip.compress(b"1," * 2**24, 1))


@bad("cannot be read")
def csv_with_a_huge_cell(folder: Path) -> Path:
    return written(folder / "a.csv", 'a,b\n"' + "x" * 200_000 + '",1\n2,3\n')


@bad("wrong first bytes")
def parquet_of_noise(folder: Path) -> Path:
    return written(folder / "a.parquet", b"not parquet")


@bad("cannot be read as a Parquet table")
def parquet_truncated(folder: Path) -> Path:
    return written(folder / "a.parquet", b"PAR1" + b"\0" * 60)


# options


def option(name: str, words: str, **options: Any) -> None:
    """Adds a good file with bad options."""
    BAD.append(
        Bad(
            name,
            lambda folder: (str(saved(folder / "a.npy", np.random.default_rng(0).normal(size=(30, 4)))), options),
            words,
        )
    )


option("unknown-binarisation", "did you mean threshold?", binarise="treshold")
option("binarise-real-numbers", "needs grey values", binarise="fixed")
option("valid-above-one", "valid: 1.5 is not a share", valid=1.5)
option("test-below-zero", "test: -0.1 is not a share", test=-0.1)
option("valid-not-a-number", "valid: nan is not a share", valid=float("nan"))
option("nothing-left-to-train-on", "nothing to train on", valid=0.5, test=0.5)
option("negative-seed", "seed: -1 is not a seed", seed=-1)
option("unknown-kind", "did you mean levels?", kind="level")
option("kind-that-cannot-be", "cannot be of kind binary", kind="binary")
option("kind-with-odd-levels", "levels:N", kind="levels:one")
option("array-of-an-npy", "array: has no meaning", array="x")
option("labels-of-an-npy", "labels: has no meaning", labels="y")
