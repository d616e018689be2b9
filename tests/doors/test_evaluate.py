"""``evaluate`` on the command line: the bound by default, log p(x) by the method that is asked for."""

from __future__ import annotations

import json

import numpy as np
import pytest

from lowerbound.doors.cli import main


def out(capsys, *words: object) -> str:
    assert main(["evaluate", *map(str, words)]) == 0
    return capsys.readouterr().out


def test_the_bound_is_what_it_was(run, capsys, tmp_path):
    text = out(capsys, run)
    assert text.startswith("bound ") and "rate per latent dimension, nats:" in text
    found = json.loads(out(capsys, run, "--json", "--arrays", tmp_path / "a.npz"))
    assert found["samples"] == 1 and found["elbo"]["unit"] == "nats"
    arrays = np.load(tmp_path / "a.npz")
    assert arrays["elbo"].mean() == pytest.approx(found["elbo"]["value"], abs=1e-9)


def test_a_model_that_names_classes_tells_their_error(tmp_path, capsys):
    small = [
        "-s",
        "encoder.hidden=[16]",
        "-s",
        "regulariser.hidden=[16]",
        "-s",
        "training.labelled=50",
        "--epochs",
        "1",
    ]
    folder = tmp_path / "semi"
    assert main(["train", "digits", "--recipe", "aae-semi", "--out", str(folder), *small, "--no-report"]) == 0
    capsys.readouterr()
    text = out(capsys, folder)
    assert "rate per latent dimension" not in text and "labels used in training" in text
    found = json.loads(out(capsys, folder, "--json"))["classes"]
    assert f"{found['error']['value']:.2f} ± {found['error']['stderr']:.2f} % of 180 labelled test examples" in text
    assert found["labels_in_training"] == int(text.split(" labels used")[0].split()[-1])


METHODS = {
    "importance": (["--samples", 20], "lower bound in expectation, IS-20"),
    "annealed": (["--samples", 2, "--temperatures", 3], "AIS, 2 chains over 3 temperatures"),
    "appendix-d": (["--samples", 50, "--fit", "diagonal"], "estimate, appendix D, 50 posterior draws"),
    "quadrature": ([], "exact by quadrature, grids agree to"),
}


@pytest.mark.parametrize("method", METHODS)
def test_every_method_says_what_its_figure_is(run, capsys, method, tmp_path, monkeypatch):
    monkeypatch.setattr("lowerbound.readers.log_likelihood.appendix_d.BURN_IN", 3)
    flags, what = METHODS[method]
    told = ["--method", method, *flags, "--examples", 4]
    text = out(capsys, run, *told)
    assert text.startswith("log p(x) ") and what in text and "95 % interval" in text
    found = json.loads(out(capsys, run, *told, "--json", "--arrays", tmp_path / "a.npz"))
    assert what in found["log_p"]["what"] and found["examples"] == 4 and found["method"] == method
    arrays = np.load(tmp_path / "a.npz")
    assert arrays["log_p"].mean() == pytest.approx(found["log_p"]["value"], abs=1e-9)
    assert arrays["rows"].tolist() == [0, 1, 2, 3]


def test_chains_may_start_from_the_prior(run, capsys):
    told = ["--method", "annealed", "--samples", 2, "--temperatures", 2, "--examples", 2, "--start", "prior", "--json"]
    assert json.loads(out(capsys, run, *told))["start"] == "prior"


def test_both_sides_of_data_drawn_from_the_model(run, capsys):
    text = out(capsys, run, "--method", "annealed", "--reverse", "--examples", 3, "--temperatures", 2)
    assert [line.split()[0] for line in text.splitlines()[:4]] == ["lower", "upper", "gap", "examples"]


REFUSED = {
    "unknown method": (["--method", "magic"], "--method: unknown method 'magic'"),
    "a flag of another method": (["--method", "importance", "--fit", "full"], "--fit: not for method importance"),
    "a flag without a method": (["--precision", "bfloat16"], "--precision: not for method bound"),
    "both sides of importance": (["--method", "importance", "--reverse"], "--reverse: not for method importance"),
    "more samples than are held at a time": (["--samples", "100000000"], "give at most 100,000"),
    "memory of a bound": (["--memory", "64"], "--memory: not for method bound"),
    "batches of another method": (["--method", "importance", "--batch", "9"], "--batch: not for method importance"),
    "samples of a grid": (["--method", "quadrature", "--samples", "10"], "--samples: not for method quadrature"),
    "a start without chains": (["--method", "importance", "--start", "prior"], "--start: not for method importance"),
    "an unknown start": (["--method", "annealed", "--start", "pst"], "did you mean posterior"),
    "a split of the model's own": (["--method", "annealed", "--reverse", "--split", "train"], "of no split"),
    "endless memory": (["--method", "importance", "--memory", "inf"], "give a number of MiB"),
    "few draws": (["--method", "appendix-d", "--samples", "1"], "give at least 50"),
    "arrays that are no npz": (["--arrays", "a.csv"], "ends in .npz"),
    "exact of a model that is not linear": (["--method", "exact"], "is not linear"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_makes_no_sense_is_refused_in_one_line(run, capsys, case):
    flags, words = REFUSED[case]
    assert main(["evaluate", str(run), *flags]) == 2
    said = capsys.readouterr().err.strip()
    assert words in said and "\n" not in said


def test_the_bound_of_a_model_without_an_encoder_points_to_annealing(tmp_path, capsys):
    small = ["-s", "decoder.hidden=[8]", "-s", "game.hidden=[8]", "--epochs", "1", "--no-report"]
    folder = str(tmp_path / "gan")
    assert main(["train", "digits", "--recipe", "gan", "--out", folder, *small]) == 0
    capsys.readouterr()
    assert main(["evaluate", folder]) == 2
    said = capsys.readouterr().err.strip()
    assert said.startswith(f"lowerbound: {folder}: it has no encoder") and said.endswith("method annealed")
    assert "AIS" in out(capsys, folder, "--method", "annealed", "--samples", 2, "--temperatures", 2, "--examples", 2)


def compared(capsys, *words: object) -> str:
    assert main(["compare", *map(str, words)]) == 0
    return capsys.readouterr().out


def test_runs_are_compared_by_any_method(run, capsys):
    """A run against itself: the figure is that of evaluate, and nothing differs."""
    alone = json.loads(out(capsys, run, "--method", "importance", "--samples", 20, "--json"))
    found = json.loads(compared(capsys, run, run, "--method", "importance", "--samples", 20, "--json"))
    assert found["same"]["estimator"] == "importance, samples 20, seed 0"
    assert found["runs"][1]["figure"]["value"] == alone["log_p"]["value"]
    assert found["runs"][1]["difference"]["value"] == 0
    assert "log p(x)" in compared(capsys, run, run, "--method", "importance", "--samples", 2)


def test_a_comparison_keeps_the_figures_of_each_example(run, capsys, tmp_path):
    """Those of evaluate, run by run."""
    told, kept = ["--method", "importance", "--samples", 20], tmp_path / "compared.npz"
    out(capsys, run, *told, "--arrays", tmp_path / "alone.npz")
    compared(capsys, run, run, *told, "--arrays", kept)
    alone, both = np.load(tmp_path / "alone.npz"), np.load(kept)
    assert both["log_p"].shape == (2, 180) and (both["log_p"] == alone["log_p"]).all()
    assert both["runs"].tolist() == [str(run)] * 2 and not both["difference"].any()
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".")] == []


@pytest.mark.parametrize(
    "flags",
    [
        ["--method", "magic"],
        ["--memory", "9"],
        ["--method", "importance", "--temperatures", "3"],
        ["--arrays", "a.csv"],
    ],
)
def test_a_comparison_refuses_what_it_would_not_use(run, capsys, flags):
    assert main(["compare", str(run), str(run), *flags]) == 2
    assert flags[-2] in capsys.readouterr().err
