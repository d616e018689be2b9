"""Every bad input ends in one line that names the file or the option, the fault and the mend; nothing is written."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from lowerbound.data import from_array, load
from lowerbound.errors import InputError

from .bad import BAD, Bad


def tree(folder: Path) -> set[Path]:
    return set(folder.rglob("*"))


@pytest.mark.parametrize("case", BAD, ids=lambda case: case.name)
def test_one_line(case: Bad, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("LOWERBOUND_DATA", raising=False)
    source, options = case.build(tmp_path)
    before = tree(tmp_path)
    with pytest.raises(InputError) as caught:
        load(source, **options)
    line = str(caught.value)
    assert case.words in line
    assert "\n" not in line
    assert caught.value.mend, "it must say how to mend it"
    places = [Path(source).name[:50].replace("\n", " "), str(options.get("data_dir", "\0")), *options, "data: "]
    assert any(place in line for place in places), "it must name the file or the option"
    assert tree(tmp_path) == before


def test_there_are_enough() -> None:
    assert len(BAD) >= 50
    assert len({case.name for case in BAD}) == len(BAD)


GOOD = np.random.default_rng(0).normal(size=(30, 4))
IN_PYTHON: list[tuple[str, Any, dict[str, Any], str]] = [
    ("ragged lists", [[1.0, 2.0], [3.0]], {}, "ragged"),
    ("words", [["a", "b"], ["c", "d"]], {}, "not numbers"),
    ("one axis", np.arange(9.0), {}, "has the shape (9,)"),
    ("one sample", GOOD[:1], {}, "1 sample"),
    ("no samples", GOOD[:0], {}, "0 samples"),
    ("complex", GOOD * 1j, {}, "Complex data not supported"),
    ("nan tensor", torch.full((9, 3), float("nan")), {}, "NaN in example 0"),
    ("constant tensor", torch.ones(9, 3), {}, "is constant"),
    ("masked", np.ma.masked_greater(GOOD, 1), {}, "masked values"),
    ("labels of another length", GOOD, {"y": [1, 2]}, "labels have the shape (2,)"),
    ("column with two axes", {"a": GOOD}, {}, "has 2 axes"),
    ("column of lists", {"a": np.array([[1], [2], None], object)}, {}, "holds a list"),
    ("no columns", {}, {}, "no columns"),
    ("columns of two lengths", {"a": [1.0, 2.0, 4.0], "b": [1.0, 3.0]}, {}, "differ in length"),
    ("kind of a missing column", {"a": [1.0, 2.0, 4.0]}, {"columns": {"c": "count"}}, "has no column 'c'"),
    ("unknown kind of column", {"a": [1.0, 2.0, 4.0]}, {"columns": {"a": "counts"}}, "did you mean count?"),
    ("column that is no count", {"a": [1.5, 2.0, 4.0]}, {"columns": {"a": "count"}}, "cannot be count"),
    ("nan in a kind without missing cells", {"a": [1.5, None, 4.0, 5.0]}, {"kind": "real"}, "NaN in example 1"),
]


@pytest.mark.parametrize(("x", "options", "words"), [row[1:] for row in IN_PYTHON], ids=[row[0] for row in IN_PYTHON])
def test_one_line_in_python(x: Any, options: dict[str, Any], words: str) -> None:
    with pytest.raises(InputError) as caught:
        from_array(x, **options)
    assert words in str(caught.value) and "\n" not in str(caught.value) and caught.value.mend


def test_sparse_matrix_is_refused() -> None:
    sparse = pytest.importorskip("scipy.sparse")
    with pytest.raises(InputError, match="sparse"):
        from_array(sparse.csr_matrix(np.eye(9)))


def test_no_path_is_refused() -> None:
    with pytest.raises(InputError, match="use from_array"):
        load(3)  # type: ignore[arg-type]
    with pytest.raises(InputError, match="is not a path"):
        load("zero\0byte.npy")
