"""A split of one example: what does not exist is a dash or one line, never nan, never a traceback."""

from __future__ import annotations

import re

import numpy as np
import pytest

from lowerbound.doors.cli import main

SHAPES = {"rows": (6,), "pictures": (4, 4)}
FEW = ["--samples", "10"]
AIS = ["--method", "annealed", *FEW, "--temperatures", "9"]
COMMANDS = {
    "evaluate": ["evaluate", "RUN"],
    "evaluate as JSON": ["evaluate", "RUN", "--json"],
    "importance": ["evaluate", "RUN", "--method", "importance", *FEW],
    "annealed": ["evaluate", "RUN", *AIS],
    "annealed from both sides": ["evaluate", "RUN", *AIS, "--reverse", "--examples", "1"],
    "appendix-d": ["evaluate", "RUN", "--method", "appendix-d", "--samples", "50"],
    "quadrature": ["evaluate", "RUN", "--method", "quadrature"],
    "explain": ["explain", "RUN", "--split", "test"],
    "surgery": ["surgery", "RUN"],
    "compare": ["compare", "RUN", "RUN"],
    "compare by a method": ["compare", "RUN", "RUN", "--method", "importance", *FEW],
    "match": ["match", "RUN"],
    "disentangle": ["disentangle", "RUN"],
    "fidelity": ["fidelity", "RUN"],
    "report": ["report", "RUN"],
    "score": ["score", "RUN"],
    "score by iwae": ["score", "RUN", "--estimator", "iwae"],
    "impute": ["impute", "RUN", "--check", "--draws", "9"],
    "encode": ["encode", "RUN"],
    "reconstruct": ["reconstruct", "RUN"],
    "interpolate": ["interpolate", "RUN"],
    "interpolate to itself": ["interpolate", "RUN", "--from", "0", "--to", "0"],
    "morph": ["morph", "RUN", "--through", "0,0"],
    "traverse": ["traverse", "RUN"],
    "manifold": ["manifold", "RUN"],
    "plane": ["plane", "RUN"],
    "plane by pca": ["plane", "RUN", "--by", "pca"],
    "plane by tsne": ["plane", "RUN", "--by", "tsne"],
    "arithmetic": ["arithmetic", "RUN", "--from", "class:0", "--to", "class:1"],
}


@pytest.fixture(scope="module", params=SHAPES)
def alone(request, tmp_path_factory):
    """A run whose test split and validation split are of one example each."""
    folder = tmp_path_factory.mktemp("alone")
    x = (np.random.default_rng(0).random((12, *SHAPES[request.param])) > 0.5).astype(np.float32)
    np.savez(folder / "few.npz", x=x, y=np.arange(12) % 2)
    split = ["--valid", "0.1", "--test", "0.1", "--latent", "2", "--epochs", "1", "-s", "encoder.hidden=[8]"]
    assert main(["train", str(folder / "few.npz"), "--out", str(folder / "run"), *split]) == 0
    return folder / "run"


@pytest.mark.parametrize("words", COMMANDS.values(), ids=COMMANDS)
def test_one_example_gives_figures_that_exist_or_one_line(words, alone, capsys):
    code = main([str(alone) if word == "RUN" else word for word in words])
    out, err = capsys.readouterr()
    assert code in (0, 2) and not re.search(r"\b(nan|inf|infinity)\b", out + err, re.IGNORECASE)
    assert code == 0 or (not out and err.count("\n") == 1)


def test_what_one_example_cannot_show_is_refused_by_its_reason(alone, capsys):
    for words, said in ((["explain", "--split", "test"], "fewer than two"), (["interpolate"], "a way needs two")):
        assert main([words[0], str(alone), *words[1:]]) == 2
        assert said in capsys.readouterr().err


def test_the_report_of_one_example_has_no_figure_that_is_none(alone):
    text = re.sub(r"<(script|style).*?</\1>|base64,[^\"']*", "", (alone / "report.html").read_text(), flags=re.DOTALL)
    assert not re.search(r"\bnan\b", text, re.IGNORECASE)
