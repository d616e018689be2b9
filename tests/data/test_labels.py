"""Labels: their codes, their names, and the same codes again for data that are read later."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lowerbound.data import from_array, load
from lowerbound.data.labels import coded, known, spoken
from lowerbound.errors import InputError

X = np.random.default_rng(0).normal(size=(40, 3))
WHOLE = {"valid": 0, "test": 0}


def of(y: Any, **like: Any) -> tuple[list[int], tuple[str, ...]]:
    codes, names, notes = coded({"all": np.asarray(y)}, like or None)
    assert not notes
    return codes["all"].tolist(), names


@pytest.mark.parametrize(
    ("y", "codes", "names"),
    [
        ([2, 0, 1], [2, 0, 1], ()),
        ([25, 5, 490_000_000], [1, 0, 2], ("5", "25", "490000000")),
        ([2.0, 4.0, 10.0], [0, 1, 2], ("2", "4", "10")),
        ([True, False, True], [1, 0, 1], ()),
        (["b", "a", "b"], [1, 0, 1], ("a", "b")),
        (np.array([10, 2, 2], object), [1, 0, 0], ("2", "10")),
        ([-1, 0, 1, 2], [-1, 0, 1, 2], ()),
        ([-1, 1, -1], [0, 1, 0], ("-1", "1")),
        ([-5, 3, -1], [0, 1, -1], ("-5", "3")),
    ],
)
def test_labels_become_codes_with_names(y: Any, codes: list[int], names: tuple[str, ...]) -> None:
    assert of(y) == (codes, names)


@pytest.mark.parametrize("y", [np.arange(1001), [0.5, 1.0], [1.0, np.nan], [1e300, 1.0]])
def test_measurements_are_left_out_with_a_note(y: Any) -> None:
    codes, names, notes = coded({"all": np.asarray(y)})
    assert not codes and not names and "left out" in notes[0]


def test_a_run_s_labels_keep_their_codes() -> None:
    """Also where a class is missing; what training never saw comes after its classes."""
    assert of([9, 3], label_names=[], classes=10) == ([9, 3], ())
    assert of(["b", "c"], label_names=["a", "b", "c"], classes=3) == ([1, 2], ("a", "b", "c"))
    assert of([25, 15], label_names=["5", "15", "25"], classes=3) == ([2, 1], ("5", "15", "25"))
    assert of([2, 0], label_names=["bag", "shoe", "hat"], classes=3) == ([2, 0], ("bag", "shoe", "hat"))
    assert of([35, 5], label_names=["5", "15"], classes=2) == ([2, 0], ("5", "15", "35"))
    assert of([-1, 5], label_names=["5", "15"], classes=2) == ([-1, 0], ("5", "15"))


def test_data_read_for_a_run_have_its_codes(tmp_path: Path) -> None:
    record = from_array(X, np.array(["ape", "bee", "cat", "dog"] * 10)).record
    later = from_array(X[:2], ["dog", "bee"], like=record)
    assert later.splits["train"].labels.tolist() == [3, 1] and later.classes == 4  # type: ignore[union-attr]
    np.savez(tmp_path / "a.npz", x=X[:2], y=np.array(["dog", "bee"]))
    assert load(tmp_path / "a.npz", like=record).splits["train"].labels.tolist() == [3, 1]  # type: ignore[union-attr]
    (tmp_path / "a.csv").write_text("p,q,r,name\n1,2,3,cat\n4,5,6,ape\n")
    pandas = {name: X[:, i] for i, name in enumerate("pqr")} | {"name": np.array(["ape", "bee", "cat", "dog"] * 10)}
    run = from_array(pandas, labels="name").record
    assert load(tmp_path / "a.csv", labels="name", like=run).splits["train"].labels.tolist() == [2, 0]  # type: ignore[union-attr]


def test_unknown_labels_are_no_class() -> None:
    data = from_array(X, [-1, 0, 1, 2] * 10, **WHOLE)
    assert data.classes == 3 and data.splits["train"].labels.min() == -1  # type: ignore[union-attr]
    assert from_array(X, [-1] * 40, **WHOLE).classes == 0


def test_codes_are_said_as_they_were_given() -> None:
    for y in ([25, 5, 15], ["b", "a", "b"], [2, 0, 1]):
        codes, names = of(y)
        assert spoken(np.array(codes), names).tolist() == y


def test_known_labels_are_checked() -> None:
    classes = np.array([5, 15, 25])
    assert known([25, 5.0], 2, classes, "x").tolist() == [2, 0]
    assert known([25, -1], 2, classes, "x", unknown=True).tolist() == [2, -1]
    for y, words in (
        ([5], "shape"), ([[5], [15]], "shape"), ([5, -1], "-1 is no label"), ([5, 5.5], "5.5 is no label"),
        (["5", 5], "'5' is no label"), ([5, np.nan], "nan is no label"), (np.array([5, None]), "None is no label"),
    ):  # fmt: skip
        with pytest.raises(InputError, match=words):
            known(y, 2, classes, "x")
