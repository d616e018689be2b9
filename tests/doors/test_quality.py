"""The commands ``disentangle``, ``fidelity`` and ``match``: what they say, write and refuse."""

from __future__ import annotations

import json

import numpy as np
import pytest

from lowerbound.doors.cli import main


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    folder = tmp_path_factory.mktemp("quality")
    for name in ("factors", "digits"):
        few = [
            "--epochs",
            "1",
            "--latent",
            "3",
            "--no-report",
            "--out",
            str(folder / name),
            "-s",
            "encoder.hidden=[16]",
        ]
        assert main(["train", name, *few]) == 0
    return folder


def test_disentangle(runs, capsys):
    picture = runs / "known.svg"
    assert main(["disentangle", str(runs / "factors"), "--halves", "2", "--out", str(picture)]) == 0
    said = capsys.readouterr().out
    for words in ("MIG", "DCI completeness", "FactorVAE score", "by chance", "Locatello"):
        assert words in said
    assert picture.read_text("utf-8").startswith("<?xml")
    both = [str(runs / "factors")] * 2
    assert main(["disentangle", *both, "--halves", "2", "--split", "test", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert len(found["runs"]) == 2
    assert found["over_runs"]["MIG"]["deviation"] == 0
    assert found["runs"][0]["rows"] == "614 examples (test)"


def test_disentangle_with_factors_of_one_s_own(runs, capsys):
    np.save(runs / "levels.npy", np.stack([np.arange(1797) % 3, np.arange(1797) % 2], 1))
    assert main(["disentangle", str(runs / "digits"), "--factors", str(runs / "levels.npy"), "--halves", "2"]) == 0
    assert "v1" in capsys.readouterr().out
    assert main(["disentangle", str(runs / "digits")]) == 2
    assert "the true factors of digits are not known" in capsys.readouterr().err
    np.save(runs / "short.npy", np.zeros((5, 2)))
    assert main(["disentangle", str(runs / "digits"), "--factors", str(runs / "short.npy")]) == 2
    assert "does not fit 1,797 examples" in capsys.readouterr().err


def test_fidelity(runs, capsys):
    assert main(["fidelity", str(runs / "digits")]) == 0
    said = capsys.readouterr().out
    for words in (
        "Frechet distance",
        "in features: 32 principal components",
        "C_T",
        "no FID",
        "nearest-neighbours.png",
    ):
        assert words in said
    assert (runs / "digits" / "figures" / "nearest-neighbours.png").exists()
    assert main(["fidelity", str(runs / "digits"), "--features", "inception"]) == 2
    assert "unknown features" in capsys.readouterr().err


def test_parzen_comes_with_a_real_estimate(runs, capsys):
    command = ["fidelity", str(runs / "digits"), "--parzen", "3", "--temperatures", "5", "--json"]
    assert main(command) == 0
    found = json.loads(capsys.readouterr().out)["parzen"]
    assert found["log_likelihood"]["n"] == found["parzen"]["n"] == 3
    assert "AIS" in found["log_likelihood"]["what"]
    assert "no log-likelihood" in found["warnings"][0]


def test_match(runs, capsys):
    picture = runs / "codes.svg"
    assert main(["match", str(runs / "digits"), "--permutations", "99", "--out", str(picture)]) == 0
    assert "against as many draws from the prior" in capsys.readouterr().out
    assert "Codes beside the prior" in picture.read_text("utf-8")
    assert main(["match", str(runs / "digits"), "--permutations", "99", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["n"] == 180
