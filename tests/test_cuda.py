"""On a machine with a CUDA device: the figures of the CPU, steps that are one graph, and runs that resume bitwise."""

from __future__ import annotations

from itertools import count

import pytest
import torch

from lowerbound.errors import InputError, Interrupted
from lowerbound.objective import Player
from lowerbound.readers.log_likelihood import log_likelihood
from lowerbound.training import compiled
from lowerbound.training.load import load
from lowerbound.training.loop import resume, train
from lowerbound.training.measure import measure
from lowerbound.training.run import Run
from lowerbound.training.sweep import sweep

from .training.small import blobs, contents, spec, stripes
from .training.test_compiled import CASES

cuda = pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
GPU = torch.device("cuda", 0)


def settings(**training):
    return spec(training={"device": "cuda", "epochs": 2, **training})


def test_only_cuda_computes_in_tf32(tmp_path):
    with pytest.raises(InputError, match=r"training\.precision: only CUDA"):
        train(spec(training={"device": "cpu", "precision": "tf32"}), stripes(), tmp_path / "run")
    with pytest.raises(InputError, match=r"training\.precision: only CUDA"):
        sweep(spec(training={"device": "cpu", "precision": "tf32"}), [0.5, 1.0], stripes(), tmp_path / "run")
    assert not (tmp_path / "run").exists()


@cuda
@pytest.mark.parametrize("precision", ["float32", "tf32", "bfloat16", "float64"])
def test_a_run_learns_and_its_figures_are_those_of_the_cpu(tmp_path, precision):
    run = train(settings(precision=precision, epochs=30, learning_rate=1e-2), stripes(), tmp_path / "run")
    rows = run.metrics()
    assert rows[-1]["train"]["bound"] > rows[0]["train"]["bound"] + 0.5
    trained = load(tmp_path / "run", stripes())
    here = measure(trained.model, stripes(), "test", samples=3)
    there = measure(trained.model.to(GPU), stripes(), "test", samples=3)
    assert torch.allclose(here.elbo, there.elbo, atol=1e-4)


@cuda
@pytest.mark.parametrize("method", ["importance", "annealed", "appendix-d", "quadrature"])
def test_estimators_give_the_figures_of_the_cpu(tmp_path, method):
    trained = load(train(settings(epochs=20, learning_rate=1e-2), stripes(), tmp_path / "run").path, stripes())
    found = []
    for device in ("cpu", "cuda"):
        trained.model.to(device)
        found.append(log_likelihood(trained, "test", method=method, samples=64).log_p)
    near = {"annealed": 0.5, "appendix-d": 0.5}.get(method, 1e-3)
    assert torch.allclose(*found, atol=near), "chains part where a step is accepted here and refused there"


@cuda
@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("data", [stripes, blobs])
@pytest.mark.parametrize("fuse", [False, True])
def test_a_graph_gives_the_eager_numbers(tmp_path, monkeypatch, case, data, fuse):
    monkeypatch.setattr("lowerbound.training.loop.fused", lambda *given: fuse)
    rows = []
    for how in ("on", "off"):
        chosen = dict(CASES[case])
        chosen["training"] = {"epochs": 2, "compile": how, "device": "cuda", **chosen.get("training", {})}
        train(spec(**chosen), data(), tmp_path / how)
        rows.append(Run(tmp_path / how).metrics()[-1]["train"])
    for key in ("bound", "objective", "gradient_norm"):
        assert rows[0][key] == pytest.approx(rows[1][key], rel=1e-3), key


@cuda
@pytest.mark.parametrize("how", ["on", "off"])
@pytest.mark.parametrize("step", [1, 7, 9])
def test_stopped_and_resumed_it_is_bitwise_equal(tmp_path, how, step):
    train(settings(compile=how), stripes(), tmp_path / "whole")
    calls = count()
    with pytest.raises(Interrupted):
        train(settings(compile=how), stripes(), tmp_path / "run", stop=lambda: 15 if next(calls) == step else None)
    resume(tmp_path / "run", stripes())
    assert contents(tmp_path / "run") == contents(tmp_path / "whole")


def test_what_was_never_measured_is_not_done_unasked():
    asked = [spec(training={"epochs": 10**6, "batch": 240, "compile": how}) for how in ("auto", "on")]
    players = [Player("model", [], lambda batch: None)]
    assert [compiled.wanted(given, players, "binary", 240, GPU) for given in asked] == [False, True]
