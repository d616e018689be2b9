"""The precision of a run: the type of its weights, and what its products are computed in."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from lowerbound.errors import InputError

DTYPES = {"float32": torch.float32, "tf32": torch.float32, "bfloat16": torch.float32, "float64": torch.float64}
"""Precision -> the type of weights; under bfloat16 they stay float32, and only the networks compute in half."""


def dtype_of(precision: str, device: torch.device) -> torch.dtype:
    """The type of the weights of a run on ``device``.

    Raises:
        InputError: "tf32" on another device than CUDA.
    """
    if precision == "tf32" and device.type != "cuda":
        raise InputError("only CUDA computes in tf32", where="training.precision", mend="use float32")
    return DTYPES[precision]


@contextmanager
def products_in(precision: str, device: torch.device) -> Iterator[None]:
    """CUDA's products of float32 with factors rounded to 10 bits under "tf32", and with all 23 otherwise.

    Without it convolutions would be rounded unasked, which is torch's default.
    """
    if device.type != "cuda":
        yield
        return
    cudnn = torch.backends.cudnn
    before = torch.get_float32_matmul_precision(), cudnn.allow_tf32
    torch.set_float32_matmul_precision("high" if precision == "tf32" else "highest")
    cudnn.allow_tf32 = precision == "tf32"
    try:
        yield
    finally:
        torch.set_float32_matmul_precision(before[0])
        cudnn.allow_tf32 = before[1]
