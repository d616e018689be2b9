"""Sequences of unequal lengths: from texts, lists, padded arrays; what says where they end, and what does not."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from lowerbound.data import Data, dates, from_array, load, summary
from lowerbound.data.sequences import END, words
from lowerbound.errors import InputError

TEXTS = ["ada", "grace", "alan", "emmy", "kurt", "sofia"]
WHOLE = {"valid": 0, "test": 0}
NAN = np.nan


def texts_of(data: Data) -> list[str]:
    return words(data.splits["train"].x.numpy(), data.symbols)


def padded(values: list[list[float]], fill: float = 0.0) -> np.ndarray:
    most = max(map(len, values))
    return np.array([v + [fill] * (most - len(v)) for v in values])


# --- what goes in comes out -----------------------------------------------------------------------------------------


def test_texts_go_round() -> None:
    data = from_array(TEXTS, **WHOLE)
    assert (data.kind, data.levels, data.shape) == ("sequence", len(set("".join(TEXTS))) + 1, (6,))
    assert data.symbols == (*sorted(set("".join(TEXTS))), END) == tuple(data.record["symbols"])
    assert texts_of(data) == TEXTS
    x = data.splits["train"].x
    assert x.dtype == torch.float32 and x.nan_to_num(-1).tolist()[0][3:] == [data.levels - 1, -1, -1]


@pytest.mark.parametrize(
    "content", ["ada\ngrace\nalan\nemmy\nkurt\nsofia", "ada\r\n\r\ngrace\r\nalan\r\nemmy\nkurt\nsofia\n\n"]
)
def test_a_text_file_has_a_sequence_a_line(tmp_path: Path, content: str) -> None:
    path = tmp_path / "names.txt"
    path.write_bytes(b"\xef\xbb\xbf" + content.encode())
    data = load(path, **WHOLE)  # type: ignore[arg-type]
    assert texts_of(data) == TEXTS and data.record["source"] == str(path)
    assert data.record["sha256"] == from_array(TEXTS, **WHOLE).record["sha256"]
    assert load(path, kind="sequence", **WHOLE).record["sha256"] == data.record["sha256"]  # type: ignore[arg-type]


def test_a_text_file_of_numbers_or_cells_is_still_a_table(tmp_path: Path) -> None:
    path = tmp_path / "table.txt"
    path.write_text("a,b\n1,2\n3,4\n5,6\n7,9\n")
    assert load(path).kind == "table" and load(path, kind="sequence").kind == "sequence"
    path.write_text("0.5\n1.5\n2.5\n0.1\n")
    assert load(path).kind != "sequence"


def test_the_fingerprint_knows_the_symbols() -> None:
    """The codes of "ab" and of "xy" are the same; the texts are not."""
    same = from_array(["ab", "b", "a", "bb"]), from_array(["xy", "y", "x", "yy"])
    assert torch.equal(*(d.splits["train"].x.nan_to_num(-1) for d in same))
    assert same[0].record["sha256"] != same[1].record["sha256"]


CODES = [[0, 1], [2], [1, 2, 0, 1], [0]]
MASK = padded([[1.0] * len(c) for c in CODES])
WAYS: dict[str, Callable[[], Data]] = {
    "lists": lambda: from_array(CODES, kind="sequence", **WHOLE),
    "arrays": lambda: from_array([np.array(c) for c in CODES], kind="sequence", **WHOLE),
    "tensors": lambda: from_array([torch.tensor(c) for c in CODES], kind="sequence", **WHOLE),
    "lengths": lambda: from_array(padded(CODES).astype(int), lengths=[2, 1, 4, 1], **WHOLE),
    "mask": lambda: from_array(padded(CODES, 77).astype(int), mask=MASK, **WHOLE),
    "tensor and mask": lambda: from_array(torch.tensor(padded(CODES)).long(), mask=torch.tensor(MASK).bool(), **WHOLE),
    "NaN": lambda: from_array(padded(CODES, NAN), kind="sequence", **WHOLE),
}


@pytest.mark.parametrize("way", WAYS)
def test_symbols_by_number_however_their_ends_are_told(way: str) -> None:
    data = WAYS[way]()
    assert (data.kind, data.levels, data.shape, data.symbols) == ("sequence", 4, (5,), ("0", "1", "2", END))
    assert texts_of(data) == ["01", "2", "1201", "0"]
    assert data.record["sha256"] == WAYS["lists"]().record["sha256"]


def test_long_names_of_symbols_stand_apart() -> None:
    data = from_array([[10, 2], [3], [0, 1], [1]], kind="sequence", **WHOLE)
    assert texts_of(data) == ["10 2", "3", "0 1", "1"]


VALUES = [[0.5, 1.5], [2.0], [1.0, 3.0, 2.0], [4.0]]
SERIES: dict[str, Callable[[], Data]] = {
    "lists": lambda: from_array(VALUES, kind="series", **WHOLE),
    "lengths": lambda: from_array(padded(VALUES), lengths=[2, 1, 3, 1], **WHOLE),
    "features": lambda: from_array(padded(VALUES)[..., None], lengths=np.array([2, 1, 3, 1]), **WHOLE),
    "NaN": lambda: from_array(padded(VALUES, NAN), kind="series", **WHOLE),
}


@pytest.mark.parametrize("way", SERIES)
def test_series_however_their_ends_are_told(way: str) -> None:
    data = SERIES[way]()
    assert (data.kind, data.levels, data.shape) == ("series", 0, (3, 1))
    assert np.array_equal(
        data.splits["train"].x[..., 0].numpy(), padded(VALUES, NAN).astype(np.float32), equal_nan=True
    )


@pytest.mark.parametrize("said", ["lengths", "mask"])
def test_an_npz_with_lengths_or_a_mask(tmp_path: Path, said: str) -> None:
    path = tmp_path / "s.npz"
    ends = np.array([2, 1, 4, 1]) if said == "lengths" else MASK
    np.savez(path, x=padded(CODES).astype(np.int16), y=np.array([1, 0, 1, 1]), **{said: ends})
    data = load(path, **WHOLE)  # type: ignore[arg-type]
    assert texts_of(data) == ["01", "2", "1201", "0"] and data.splits["train"].labels.tolist() == [1, 0, 1, 1]  # type: ignore[union-attr]
    np.savez(path, x=np.random.default_rng(0).normal(size=(4, 4, 2)), **{said: ends})
    assert load(path).kind == "series" and load(path, kind="real").kind == "real"


def test_what_is_no_length_stays_what_it_was(tmp_path: Path) -> None:
    path = tmp_path / "s.npz"
    np.savez(path, x=np.random.default_rng(0).normal(size=(4, 3)), mask=np.ones((7, 7)))
    assert load(path, array="x").kind == "real"


UNFIT: dict[str, tuple[dict[str, Any], str]] = {
    "a mask of other steps": (
        {"mask": np.ones((4, 5))},
        r"'mask' has the shape \(4, 5\).*; give it the shape \(4, 3\)",
    ),
    "too few lengths": ({"lengths": np.ones(3, int)}, r"'lengths' has the shape \(3,\).*--kind"),
    "both, and they disagree": ({"lengths": [2, 1, 3, 1], "mask": np.ones((4, 3))}, "disagree, first in example 0"),
    "too few labels": ({"lengths": [2, 1, 3, 1], "y": [0, 1, 0]}, r"shape \(3,\) beside 4 examples"),
}


@pytest.mark.parametrize("case", UNFIT)
def test_an_npz_whose_arrays_do_not_fit_is_refused(tmp_path: Path, case: str) -> None:
    beside, words = UNFIT[case]
    np.savez(tmp_path / "s.npz", x=np.random.default_rng(0).normal(size=(4, 3, 2)), **beside)
    with pytest.raises(InputError, match=words) as refusal:
        load(tmp_path / "s.npz")
    assert refusal.value.mend


def test_lengths_and_a_mask_that_agree_are_taken(tmp_path: Path) -> None:
    np.savez(tmp_path / "s.npz", x=padded(CODES).astype(int), lengths=[2, 1, 4, 1], mask=MASK)
    assert texts_of(load(tmp_path / "s.npz", **WHOLE)) == ["01", "2", "1201", "0"]  # type: ignore[arg-type]


def test_statistics_are_of_the_steps_that_are_there() -> None:
    data = from_array([[[1.0, 10.0]], [[3.0, 30.0], [5.0, 20.0]]] * 2, kind="series", **WHOLE)
    s = summary(data)
    assert s.mean.tolist() == [[3.0, 20.0]] * 2
    assert s.std.tolist() == pytest.approx(np.array([[(8 / 3) ** 0.5, (200 / 3) ** 0.5]] * 2), rel=1e-6)
    s = summary(from_array(["ab", "a", "aab", "b"], **WHOLE))
    assert s.frequencies is not None and s.frequencies.tolist() == pytest.approx([4 / 11, 3 / 11, 4 / 11])


# --- data like those of a run ---------------------------------------------------------------------------------------


def test_other_data_keep_the_vocabulary_and_the_steps_of_the_run(tmp_path: Path) -> None:
    record = from_array(TEXTS, **WHOLE).record
    like = from_array(["ag"], like=record)
    assert like.shape == (6,) and like.symbols == tuple(record["symbols"]) and texts_of(like) == ["ag"]
    (tmp_path / "new.txt").write_text("ag\n")
    assert texts_of(load(tmp_path / "new.txt", like=record)) == ["ag"]
    numbers = from_array(CODES, kind="sequence", **WHOLE).record
    assert from_array([[0]], like=numbers).levels == 4


# --- refusals -------------------------------------------------------------------------------------------------------

WHOLE_NUMBERS = padded(CODES).astype(int)
REAL = padded(VALUES)
BAD: dict[str, tuple[Callable[[], Any], str]] = {
    "symbols without ends": (lambda: from_array(WHOLE_NUMBERS, kind="sequence"), "neither lengths nor a mask; give"),
    "series without ends": (lambda: from_array(REAL, kind="series"), "neither lengths nor a mask; give"),
    "unequal lists without a kind": (lambda: from_array(VALUES), "kind sequence or series for unequal ones"),
    "lengths too long": (lambda: from_array(REAL, lengths=[2, 1, 9, 1]), "whole numbers from 1 to 3"),
    "a length of 0": (lambda: from_array(REAL, lengths=[2, 1, 0, 1]), "whole numbers from 1 to 3"),
    "too few lengths": (lambda: from_array(REAL, lengths=[2, 1, 1]), r"of shape \(3,\)"),
    "broken lengths": (lambda: from_array(REAL, lengths=[2.5, 1, 1, 1]), "whole numbers"),
    "a mask of another shape": (lambda: from_array(REAL, mask=np.ones((4, 9))), r"mask has the shape \(4, 9\)"),
    "a mask of halves": (lambda: from_array(REAL, mask=np.full((4, 3), 0.5)), "more than 0 and 1"),
    "a mask with a gap": (lambda: from_array(REAL, mask=np.array([[1, 0, 1]] * 4)), "has a gap"),
    "a mask that starts late": (lambda: from_array(REAL, mask=np.array([[0, 1, 1]] * 4)), "has a gap"),
    "NaN inside": (lambda: from_array([[1.0, NAN, 2.0], [1.0]] * 2, kind="series"), "before its end"),
    "infinity": (lambda: from_array([[1.0, np.inf], [1.0]] * 2, kind="series"), "before its end"),
    "an empty series": (lambda: from_array([[1.0], []] * 2, kind="series"), "example 1 is empty"),
    "all texts empty": (lambda: from_array(["", "", "", ""]), "0 different symbols"),
    "other features": (lambda: from_array([[[1.0, 2.0]], [[1.0]]] * 2, kind="series"), "has features"),
    "halves as symbols": (lambda: from_array(VALUES, kind="sequence"), "not a list of whole numbers from 0 up"),
    "negative symbols": (lambda: from_array([[-1], [0, 1]] * 2, kind="sequence"), "whole numbers from 0 up"),
    "huge symbols": (lambda: from_array([[2**40], [0, 1]] * 2, kind="sequence"), "number the symbols"),
    "words in lists": (lambda: from_array([["a"], ["b", "c"]] * 2, kind="sequence"), "not a list of numbers"),
    "a number": (lambda: from_array(3.0, kind="series"), "float is not a list of sequences"),
    "one text": (lambda: from_array("abc", kind="sequence"), "str is not a list of sequences"),
    "four axes": (lambda: from_array(np.ones((2, 3, 4, 5)), kind="series"), "give \\(examples, steps\\)"),
    "no examples": (lambda: from_array([], kind="series"), "holds 0 samples"),
    "few": (lambda: from_array(["ab", "b"]), "holds only 2 samples"),
    "an unknown character": (lambda: from_array(["ax"], like=from_array(TEXTS).record), "'x', which is not in"),
    "too long": (lambda: from_array(["aaaaaaaaa"], like=from_array(TEXTS).record), "the model's longest has 6; cut"),
    "unknown symbol": (lambda: from_array([[9]], like=from_array(CODES, kind="sequence").record), "knows 0 to 2"),
    "digits as a sequence": (lambda: load("digits", kind="sequence"), "cannot be of kind sequence; give"),
}


@pytest.mark.parametrize("name", BAD)
def test_refused_in_one_line(name: str) -> None:
    build, fragment = BAD[name]
    with pytest.raises(InputError, match=fragment) as refusal:
        build()
    assert "\n" not in str(refusal.value)


FILES: dict[str, tuple[str, bytes, dict[str, Any], str]] = {
    "a line too long": ("a.txt", b"x" * 20_000 + b"\ny\nz\n", {}, "holds a line of 20,000 characters"),
    "only empty lines": ("a.txt", b"\n\n\n", {}, "only empty lines"),
    "latin-1": ("a.txt", "caf\xe9\nb\nc\n".encode("latin-1"), {}, "not text in UTF-8"),
    "UTF-16": ("a.txt", "ab\ncd".encode("utf-16"), {}, "no format that is read"),
    "zero bytes": ("a.txt", b"a\0b\nc\n", {}, "no format that is read"),
    "labels of a text": ("a.txt", b"ab\ncd\nef\ngh", {"labels": "y"}, "labels"),
    "a CSV as series": ("a.csv", b"1,2\n3,4\n", {"kind": "series"}, "cannot be of kind series"),
}


@pytest.mark.parametrize("name", FILES)
def test_bad_files(tmp_path: Path, name: str) -> None:
    file, content, options, fragment = FILES[name]
    (tmp_path / file).write_bytes(content)
    with pytest.raises(InputError, match=fragment) as refusal:
        load(tmp_path / file, **options)
    assert "\n" not in str(refusal.value)


def test_arrays_in_files_without_their_ends(tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", WHOLE_NUMBERS)
    np.savez(tmp_path / "x.npz", x=WHOLE_NUMBERS)
    for file in ("x.npy", "x.npz"):
        with pytest.raises(InputError, match="neither lengths nor a mask"):
            load(tmp_path / file, kind="sequence")
    np.save(tmp_path / "x.npy", padded(VALUES, NAN))
    assert load(tmp_path / "x.npy", kind="series").kind == "series"


# --- dates ----------------------------------------------------------------------------------------------------------


def test_dates_are_what_they_say() -> None:
    data = load("dates")
    assert (data.kind, data.levels, data.shape) == ("sequence", 44, (19,))
    assert data.record["examples"] == {"train": 7200, "valid": 900, "test": 900}
    texts, ways = dates.texts()
    assert len(set(texts)) == 9000 and np.bincount(ways).tolist() == [1500] * 6
    assert data.label_names == dates.WAYS and data.record["sha256"] == load("dates").record["sha256"]
    lengths = {len(text) for text in texts}
    assert (min(lengths), max(lengths)) == (8, 18), "unequal lengths"


def test_the_way_says_nothing_of_the_day() -> None:
    """Chi-square of way against month, weekday, and day modulo 3: a false alarm of 1e-6 each."""
    from scipy import stats

    n = dates.EACH * len(dates.WAYS)
    days, ways = np.arange(1, n + 1) * dates.STRIDE % dates.DAYS, dates.texts()[1]
    months = (np.datetime64(dates.FIRST) + days).astype("datetime64[M]").astype(int) % 12
    for parts in (months, days % 7, days % 3, days // 3653):
        counts = np.histogram2d(ways, parts, (6, len(np.unique(parts))))[0]
        assert stats.chi2_contingency(counts).pvalue > 1e-6
