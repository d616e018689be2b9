"""The published text of binarised MNIST: one picture a line, 784 zeros and ones between spaces."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from lowerbound.data.guard import fits, guarded, plain_file, show
from lowerbound.errors import InputError

FILES = tuple(f"binarized_mnist_{split}.amat" for split in ("train", "valid", "test"))
MEND = "download the file again"
LARGEST = 2**28


def read(path: Path) -> np.ndarray:
    """(n, width) bytes 0 or 1."""
    path = plain_file(path)
    fits(path.stat().st_size, path, LARGEST)
    with guarded(path, "the text of binarised MNIST", MEND):
        text = np.frombuffer(path.read_bytes(), np.uint8)
        width = int(np.argmax(text == ord("\n"))) + 1
        lines = text.reshape(-1, width)
        digits, gaps = lines[:, ::2] - ord("0"), lines[:, 1:-1:2]
        if (digits > 1).any() or (gaps != ord(" ")).any() or (lines[:, -1] != ord("\n")).any():
            raise InputError("is not lines of 0 and 1 between single spaces", where=show(path), mend=MEND)
        return digits
