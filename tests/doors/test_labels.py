"""Labels from the command line: gapped numbers are classes, and come back as they were given."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from lowerbound.doors.cli import main

X = np.random.default_rng(0).normal(size=(60, 3))
FEW = ("--epochs", "1", "--latent", "2", "-s", "encoder.hidden=[8]", "-s", "condition=labels", "--no-report")


def test_numbers_with_gaps_are_classes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    np.savez(tmp_path / "a.npz", x=X, y=np.array([5, 490_000_000, 15] * 20))
    np.savez(tmp_path / "b.npz", x=X[:4], y=np.array([490_000_000, 5, 490_000_000, 5]))
    run, codes = str(tmp_path / "run"), str(tmp_path / "codes.npz")
    assert main(["train", str(tmp_path / "a.npz"), *FEW, "--out", run]) == 0
    assert main(["sample", run, "-n", "2", "--label", "15"]) == 0
    assert main(["encode", run, str(tmp_path / "b.npz"), "--out", codes]) == 0
    with np.load(codes) as held:
        assert held["labels"].tolist() == [490_000_000, 5, 490_000_000, 5]
    assert main(["encode", run, "--split", "all", "--out", codes]) == 0
    with np.load(codes) as held:
        assert set(held["y_train"].tolist()) == {5, 15, 490_000_000}
    capsys.readouterr()
    assert main(["sample", run, "--label", "7"]) == 2
    assert "no such class '7'" in capsys.readouterr().err


def test_words_come_back_as_words(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    np.savez(tmp_path / "a.npz", x=X, y=np.array(["cat", "ape", "bee"] * 20))
    assert main(["train", str(tmp_path / "a.npz"), *FEW, "--out", str(tmp_path / "run")]) == 0
    capsys.readouterr()
    assert main(["encode", str(tmp_path / "run"), "--json"]) == 0
    assert set(json.loads(capsys.readouterr().out)["labels"]) == {"ape", "bee", "cat"}
    assert main(["encode", str(tmp_path / "run")]) == 0
    assert "\nape," in capsys.readouterr().out


@pytest.mark.parametrize(
    ("y", "words"),
    [(np.arange(60), "60 classes, and"), (np.arange(60) + 0.5, "none that are classes")],
    ids=["a class a row", "fractions"],
)
def test_measurements_are_no_classes(
    y: np.ndarray, words: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    np.savez(tmp_path / "a.npz", x=X, y=y)
    assert main(["train", str(tmp_path / "a.npz"), *FEW, "--out", str(tmp_path / "run")]) == 2
    said = capsys.readouterr().err
    assert words in said and said.count("\n") == 1 and not (tmp_path / "run").exists()
