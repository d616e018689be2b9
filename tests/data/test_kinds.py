"""What the numbers mean is guessed from type and range, said in a sentence, and can be overruled."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from lowerbound.data import from_array, summary
from lowerbound.errors import InputError

RANDOM = np.random.default_rng(0)
BYTES = RANDOM.integers(0, 256, (40, 5, 5))
GREY = RANDOM.random((40, 5, 5))
BITS = RANDOM.integers(0, 2, (40, 7))

GUESSES: list[tuple[str, Any, str, int]] = [
    ("byte pictures", BYTES.astype(np.uint8), "levels", 256),
    ("dark byte pictures", (BYTES // 8).astype(np.uint8), "levels", 256),
    ("integer pictures 0..255", BYTES, "levels", 256),
    ("whole floats 0..255", BYTES.astype(np.float32), "levels", 256),
    ("grey in [0, 1]", GREY, "unit", 0),
    ("bits", BITS, "binary", 0),
    ("bools", BITS.astype(bool), "binary", 0),
    ("bits as floats", BITS.astype(float), "binary", 0),
    ("bits as 0 and 255", (BITS * 255).astype(np.uint8), "binary", 0),
    ("whole numbers", RANDOM.integers(0, 900, (40, 3)), "count", 0),
    ("whole numbers below 0", RANDOM.integers(-9, 9, (40, 3)), "real", 0),
    ("real numbers", RANDOM.normal(size=(40, 3)), "real", 0),
    ("big-endian", RANDOM.normal(size=(40, 3)).astype(">f8"), "real", 0),
    ("Fortran order", np.asfortranarray(RANDOM.normal(size=(40, 3))), "real", 0),
    ("half precision tensor", torch.randn(40, 3).bfloat16(), "real", 0),
    ("tensor with a gradient", torch.randn(40, 3, requires_grad=True), "real", 0),
    ("objects that are numbers", RANDOM.normal(size=(40, 3)).astype(object), "real", 0),
    ("nested lists", RANDOM.normal(size=(40, 3)).tolist(), "real", 0),
]


@pytest.mark.parametrize(("x", "kind", "levels"), [row[1:] for row in GUESSES], ids=[row[0] for row in GUESSES])
def test_guess(x: Any, kind: str, levels: int) -> None:
    data = from_array(x)
    assert (data.kind, data.levels) == (kind, levels)
    assert data.record["kind_why"].startswith(f"{kind}, because ")
    assert data.splits["train"].x.dtype == torch.float32
    assert torch.isfinite(data.splits["train"].x).all()


def test_bits_as_bytes_become_bits() -> None:
    assert set(from_array((BITS * 255).astype(np.uint8)).splits["train"].x.unique().tolist()) == {0.0, 1.0}


@pytest.mark.parametrize(
    ("x", "kind", "levels", "top"),
    [
        (BYTES.astype(np.uint8), "unit", 0, 1.0),
        (BYTES.astype(np.uint8) // 16, "levels:16", 16, 15.0),
        (BYTES, "count", 0, 255.0),
        (BYTES, "real", 0, 255.0),
        (BITS, "unit", 0, 1.0),
        (BITS, "real", 0, 1.0),
        (BYTES[:, 0] // 16, "levels", 256, 15.0),
    ],
)
def test_asked(x: Any, kind: str, levels: int, top: float) -> None:
    data = from_array(x, kind=kind)
    assert (data.kind, data.levels) == (kind.split(":")[0], levels)
    assert float(max(split.x.max() for split in data.splits.values())) == pytest.approx(top)
    assert data.record["kind_why"] == f"{kind}, as asked"


@pytest.mark.parametrize(
    ("x", "kind"),
    [(GREY, "levels"), (GREY, "binary"), (GREY, "count"), (BYTES, "binary"), (-GREY, "unit"), (BYTES, "levels:16")],
)
def test_asked_for_what_cannot_be(x: Any, kind: str) -> None:
    with pytest.raises(InputError, match="cannot be of kind"):
        from_array(x, kind=kind)


@pytest.mark.parametrize(
    ("given", "shape"),
    [
        ((9, 6), (6,)),
        ((9, 6, 5), (1, 6, 5)),
        ((9, 6, 5, 3), (3, 6, 5)),
        ((9, 6, 5, 1), (1, 6, 5)),
        ((9, 3, 6, 5), (3, 6, 5)),
        ((9, 1, 6, 3), (1, 6, 3)),
        ((9, 2, 6, 5), (2, 6, 5)),
    ],
)
def test_shapes(given: tuple[int, ...], shape: tuple[int, ...]) -> None:
    x = RANDOM.normal(size=given)
    data = from_array(x, valid=0, test=0)
    assert data.shape == shape == tuple(data.record["shape"])
    expected = x.transpose(0, 3, 1, 2) if given[-1] in (1, 3) and given[1] not in (1, 3) else x
    assert np.allclose(data.splits["train"].x.numpy().ravel(), expected.ravel())


def test_summary_is_of_the_training_split_alone() -> None:
    x = RANDOM.normal(size=(50, 4))
    data = from_array(x)
    rows = data.splits["train"].rows
    found = summary(data)
    assert np.allclose(found.mean, x[rows].sum(0) / len(rows)) and np.allclose(found.std, x[rows].std(0), rtol=1e-6)
    assert found.parts == 4 and found.kind == "real"


def test_summary_of_a_constant_column_has_no_deviation() -> None:
    x = RANDOM.normal(size=(50, 2)) * [0, 1] + [0.1, 0]
    assert summary(from_array(x)).std[0] == 0 and float(summary(from_array(x)).mean[0]) == pytest.approx(0.1)


def test_note_where_columns_need_a_variance_each() -> None:
    x = RANDOM.normal(size=(50, 2)) * [1, 1000]
    assert any("kind table" in note for note in from_array(x).notes)
    data = from_array(x, kind="table")
    assert data.kind == "table" and [column.name for column in data.columns] == ["column 1", "column 2"]


def test_missing_values_are_taken_as_a_table() -> None:
    x = RANDOM.normal(size=(50, 2))
    x[3, 1] = np.nan
    data = from_array(x, kind="table", valid=0, test=0)
    assert torch.isnan(data.splits["train"].x).sum() == 1
    assert torch.isfinite(summary(data).mean).all()


def test_note_on_rounding() -> None:
    assert any("16,777,216" in note for note in from_array(np.arange(20.0).reshape(10, 2) * 2.0**23).notes)
