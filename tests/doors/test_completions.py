"""``sample --given``: what it writes, prints and refuses."""

from __future__ import annotations

import csv
import io
import json

import numpy as np
import pytest
from PIL import Image

from lowerbound.doors.cli import main


@pytest.fixture(scope="module")
def given(tmp_path_factory):
    folder = tmp_path_factory.mktemp("given") / "run"
    few = ["--epochs", "1", "--no-report", "-s", "encoder.hidden=[16]", "-s", "data.binarise=threshold"]
    assert main(["train", "digits", *few, "-s", "condition=part", "--out", str(folder)]) == 0
    return folder


def test_completions_as_a_picture_as_json_and_as_numbers(given, tmp_path, capsys):
    assert main(["sample", str(given), "--given", "3,17", "--count", "4"]) == 0
    path = given / "figures" / "completions.png"
    assert capsys.readouterr().out.splitlines()[-1] == str(path)
    with Image.open(path) as picture:
        assert picture.width > 6 * 64
    out = tmp_path / "made.npy"
    assert main(["sample", str(given), "--given", "3,17", "--count", "4", "--out", str(out), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["shape"] == [2, 4, 1, 8, 8] and found["rows"] == [3, 17] and found["written"] == str(out)
    assert np.allclose(np.load(out).reshape(8, 64), found["values"])
    made, known = np.array(found["values"]).reshape(2, 4, 64), np.array(found["known"])
    assert known.sum() == 8 and (made[..., known] == np.array(found["true"])[:, None, known]).all()
    assert main(["sample", str(given), "--given", "3", "--split", "valid", "--out", str(tmp_path / "made.csv")]) == 0
    head, *rows = csv.reader(io.StringIO((tmp_path / "made.csv").read_text("utf-8")))
    assert head[:3] == ["row", "completion", "x0"] and [row[:2] for row in rows] == [["3", str(k)] for k in range(8)]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--given", "3,999"], "row 999 is not in the test split"),
        (["--given", "three"], "is not whole numbers"),
        (["--given", "3", "-n", "5"], "how many completions of each: --count"),
        (["--given", "3", "--label", "1"], "the class is that of the row"),
        (["--given", "3", "--out", "made.txt"], "ends in .png, .npy, .csv"),
        (["--count", "5"], "the completions of --given ROW"),
        (["--split", "valid"], "where the rows of --given are"),
    ],
)
def test_what_makes_no_sense_is_refused(given, words, said, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main(["sample", str(given), *words]) == 2
    assert said in capsys.readouterr().err and not list(tmp_path.iterdir())


def test_a_model_without_condition_has_nothing_given(run, capsys):
    assert main(["sample", str(run), "--given", "3"]) == 2
    assert "the model has no condition" in capsys.readouterr().err
