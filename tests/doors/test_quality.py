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


@pytest.fixture(scope="module")
def rivals(runs):
    """A VAE, an adversarial autoencoder and a GAN of the same data, hardly trained."""
    few = ["--epochs", "1", "--no-report", "-s", "decoder.hidden=[16]"]
    for name, more in (("aae", ["encoder.hidden=[16]", "regulariser.hidden=[8]"]), ("gan", ["game.hidden=[8]"])):
        words = [word for setting in more for word in ("-s", setting)]
        assert main(["train", "digits", "--recipe", name, *few, *words, "--out", str(runs / name)]) == 0
    return [str(runs / name) for name in ("digits", "aae", "gan")]


def test_rivals_side_by_side(rivals, runs, capsys):
    """One table of a VAE, an AAE and a GAN: what a model has not is none, what it has is what it has alone."""
    assert main(["fidelity", *rivals]) == 0
    said = capsys.readouterr().out
    lines = {line.split("  ")[1]: line for line in said.splitlines() if line.startswith("  ")}
    assert lines["bound, nats"].split()[-2:] == ["none", "none"]
    assert lines["distortion, nats"].split()[-1] == lines["codes match the prior"].split()[-1] == "none"
    assert lines["recipe"].split()[1:] == ["digits", "aae", "gan"]
    assert "gan: its samples are what the generator makes" in said and "no FID" in said
    assert said.splitlines()[-1] == str(runs / "digits" / "figures" / "side-by-side.png")
    assert main(["fidelity", *rivals, "--json", "--out", str(runs / "rivals.csv")]) == 0
    vae, aae, gan = json.loads(capsys.readouterr().out)["runs"]
    assert main(["fidelity", rivals[1], "--json"]) == 0
    alone = json.loads(capsys.readouterr().out)
    assert all(aae[key] == alone[key] for key in ("figures", "copies", "features"))
    assert vae["bound"]["value"] < 0 < aae["distortion"]["value"] and vae["codes_match_prior"]["n"] == 180
    assert aae["bound"] is gan["bound"] is gan["distortion"] is gan["codes_match_prior"] is None
    head, *rows = (runs / "rivals.csv").read_text("utf-8").splitlines()
    assert head.startswith("run,recipe,Frechet distance,") and [row.split(",")[1] for row in rows] == [
        "digits",
        "aae",
        "gan",
    ]


def test_the_picture_of_rivals_has_a_row_of_each(rivals, runs, capsys):
    assert main(["fidelity", *rivals, "--out", str(runs / "rivals.npy"), "--seed", "3"]) == 0
    shown = np.load(runs / "rivals.npy")
    assert shown.shape == (4, 16, 1, 8, 8) and (shown[0] == shown[0].round()).all()
    assert main(["sample", rivals[0], "-n", "180", "--seed", "3", "--draw", "--out", str(runs / "draws.npy")]) == 0
    assert np.array_equal(shown[1], np.load(runs / "draws.npy")[:16])


def test_a_generator_has_no_draws_of_x(rivals, runs):
    """A GAN trains no p(x|z): drawing from the likelihood it carries would show noise that nobody chose."""
    for name, flag in (("mean", []), ("draw", ["--draw"])):
        assert main(["sample", rivals[2], "-n", "5", *flag, "--out", str(runs / f"{name}.npy")]) == 0
    assert np.array_equal(np.load(runs / "mean.npy"), np.load(runs / "draw.npy"))


def test_rivals_of_other_data_are_refused(rivals, runs, capsys):
    assert main(["fidelity", rivals[0], str(runs / "factors")]) == 2
    assert "its data is SHA-256" in capsys.readouterr().err
    assert main(["fidelity", *rivals, "--parzen", "3"]) == 2
    assert "--parzen: is for one run" in capsys.readouterr().err


def test_nats_that_are_not_of_one_thing_are_said_to_be(rivals, runs, capsys):
    few = ["--epochs", "1", "--no-report", "-s", "encoder.hidden=[16]", "-s", "likelihood=normal"]
    assert main(["train", "digits", *few, "--out", str(runs / "normal")]) == 0
    capsys.readouterr()
    assert main(["fidelity", rivals[0], str(runs / "normal"), "--json"]) == 0
    said = json.loads(capsys.readouterr().out)["warnings"][0]
    assert "not of one thing (unit of the likelihood: probability, density)" in said


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


@pytest.mark.parametrize("command", ["encode", "reconstruct", "interpolate", "match", "plane"])
def test_what_a_gan_cannot_names_the_run(rivals, command, capsys):
    assert main([command, rivals[2]]) == 2
    assert (
        f"{rivals[2]}: the model has no encoder: no example has a code; use sample, traverse" in capsys.readouterr().err
    )


def test_a_gan_is_compared_in_log_p_from_the_prior(rivals, capsys):
    """No bound, and so chains of all runs start at the prior; the note of the GAN stands in the JSON."""
    told = ["--method", "annealed", "--samples", "2", "--temperatures", "2", "--json"]
    gan = rivals[2]
    assert main(["compare", rivals[1], gan, *told]) == 0
    found = json.loads(capsys.readouterr().out)
    assert "start prior" in found["same"]["estimator"]
    assert found["runs"][1]["bound"] is None and "nothing fitted" in found["runs"][1]["figure"]["notes"][0]
