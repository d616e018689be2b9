"""Texts on the command line: trained from a file, shown as text wherever examples are given out."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lowerbound.doors import recipes
from lowerbound.doors.cli import main
from lowerbound.errors import InputError
from lowerbound.readers.fidelity.features import feature_map

WORDS = ["abab", "cdcdcd", "efe", "ghghg"]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run on 200 words in a .txt file."""
    folder = tmp_path_factory.mktemp("texts")
    (folder / "words.txt").write_text("\n".join(WORDS[i % 4] for i in range(200)) + "\n")
    few = [
        "--epochs",
        "4",
        "--lr",
        "0.01",
        "--batch",
        "10",
        "--latent",
        "2",
        "--no-report",
        "--out",
        str(folder / "run"),
    ]
    assert main(["train", str(folder / "words.txt"), "-s", "encoder.hidden=8", "-s", "decoder.hidden=8", *few]) == 0
    return folder / "run"


def spoken(capsys: pytest.CaptureFixture[str], *arguments: str, code: int = 0) -> str:
    assert main(list(arguments)) == code
    out, err = capsys.readouterr()
    return out if code == 0 else err


def test_a_text_file_gets_the_recipe_of_sequences(run: Path, tmp_path: Path) -> None:
    assert recipes.suited("dates") == recipes.suited(str(run.parent / "words.txt")) == "sequence"
    assert json.loads((run / "spec.json").read_text())["spec"]["recipe"] == "sequence"
    (tmp_path / "table.txt").write_text("a,b\n1,2\n3,4\n")
    assert recipes.suited(str(tmp_path / "table.txt")) == "table"


def test_data_are_described(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    said = spoken(capsys, "data", str(run.parent / "words.txt"))
    assert "sequence, because examples are lists of symbols: 8 of them, and the end" in said
    assert "Likelihood tokens" in said


@pytest.mark.parametrize("more", [[], ["--draw"]])
def test_samples_are_lines_of_text(run: Path, capsys: pytest.CaptureFixture[str], more: list[str]) -> None:
    lines = spoken(capsys, "sample", str(run), "--n", "7", *more).split("\n")
    assert len(lines) == 8 and set("".join(lines)) <= set("abcdefgh")
    found = json.loads(spoken(capsys, "sample", str(run), "--n", "7", "--json", *more))
    assert found["texts"] == lines[:7] and found["shape"] == [7, 7]


def test_where_texts_go(run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for suffix in (".txt", ".csv", ".npy"):
        spoken(capsys, "reconstruct", str(run), "--n", "3", "--out", str(tmp_path / f"out{suffix}"))
    lines = (tmp_path / "out.txt").read_text().splitlines()
    assert [row[0] for row in csv.reader((tmp_path / "out.csv").read_text().splitlines())] == ["text", *lines]
    assert np.load(tmp_path / "out.npy").shape == (3, 7)
    fault = spoken(capsys, "sample", str(run), "--out", str(tmp_path / "out.png"), code=2)
    assert "the examples are texts; give .txt" in fault and not (tmp_path / "out.png").exists()


def test_readers_read_texts(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "bits per symbol, as a code would spend" in spoken(capsys, "evaluate", str(run))
    assert len(spoken(capsys, "interpolate", str(run), "--from", "0", "--to", "1", "--steps", "5").splitlines()) == 5
    assert spoken(capsys, "traverse", str(run), "--dims", "0").startswith("dimension,nats,quantile,z,text\n")
    spoken(capsys, "report", str(run))
    page = (run / "report.html").read_text()
    assert "Texts drawn from p(x|z)" in page and "bits a symbol" in page
    assert page.count('<table class="words">') == 3, "texts begin at the left"
    with pytest.raises(InputError, match="values are all there"):
        feature_map("pca", np.array([[1.0, np.nan], [2.0, 1.0]]), None)


def test_bits_are_counted_by_the_symbol(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found: Any = json.loads(spoken(capsys, "evaluate", str(run), "--split", "train", "--json"))
    per = found["bits_per_dimension"]
    texts = [WORDS[i % 4] for i in range(200)]
    mean = sum(map(len, texts)) / 200 + 1  # of all; the training split has nearly their average
    assert per["unit"] == "bits per symbol"
    assert -found["elbo"]["value"] / np.log(2) / per["value"] == pytest.approx(mean, abs=0.15)


def test_other_texts_are_read_in_the_run_s_vocabulary(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    new = tmp_path / "new.txt"
    new.write_text("abab\nhg\n")
    assert len(spoken(capsys, "reconstruct", str(run), str(new)).splitlines()) == 2
    new.write_text("xyz\n")
    assert "'x', which is not in the model's vocabulary" in spoken(capsys, "reconstruct", str(run), str(new), code=2)
    new.write_text("abababababab\n")
    assert "the model's longest has 7; cut it" in spoken(capsys, "reconstruct", str(run), str(new), code=2)


def test_numbers_are_no_text(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "run"
    assert main(["train", "digits", "--epochs", "1", "--latent", "2", "--no-report", "--out", str(path)]) == 0
    fault = spoken(capsys, "sample", str(path), "--out", str(tmp_path / "a.txt"), code=2)
    assert "the examples are no texts; give .npy or .csv" in fault


def test_unequal_lengths_without_a_mask_end_in_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    np.savez(tmp_path / "x.npz", x=np.random.default_rng(0).integers(0, 4, (30, 5)))
    arguments = ["train", str(tmp_path / "x.npz"), "-s", "data.kind=sequence", "--out", str(tmp_path / "run")]
    fault = spoken(capsys, *arguments, code=2)
    assert fault.count("\n") == 1 and "neither lengths nor a mask; give lengths (n,) or a mask" in fault
    assert not (tmp_path / "run").exists()
