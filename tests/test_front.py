"""The names at the top: all are there, and with them Python does what the command line does."""

from __future__ import annotations

import importlib
import json
import re
from pathlib import Path

import numpy as np
import pytest

import lowerbound
from lowerbound.doors.cli import main

ROOT = Path(__file__).resolve().parents[1]
FEW = {"epochs": 1}


def test_every_name_is_found_and_listed():
    assert sorted(lowerbound.__all__) == dir(lowerbound)
    assert all(callable(getattr(lowerbound, name)) for name in lowerbound.__all__ if name != "__version__")
    with pytest.raises(AttributeError, match="no attribute 'trane'"):
        _ = lowerbound.trane


def test_python_trains_the_run_of_the_command_line(tmp_path: Path) -> None:
    """The same recipe and settings give the same weights to the bit, and the same bound."""
    flags = ["--recipe", "plain", "--epochs", "1", "--latent", "2", "-s", "encoder.hidden=[8]", "--no-report"]
    assert main(["train", "digits", *flags, "--out", str(tmp_path / "command")]) == 0
    encoder = {"hidden": [8]}
    spec = lowerbound.recipe("plain", latent=2, encoder=encoder, training=FEW, data={"source": "digits"})
    run = lowerbound.train(spec, lowerbound.load_data("digits"), tmp_path / "python")
    other = lowerbound.load(tmp_path / "command")
    assert spec == other.spec
    assert run.metrics() == other.run.metrics()
    assert lowerbound.evaluate(lowerbound.load(run.path)).elbo == lowerbound.evaluate(other).elbo
    assert lowerbound.resume(run.path, lowerbound.load_data("digits")).metrics() == run.metrics()


def test_an_array_trains_and_is_read_again(tmp_path: Path) -> None:
    data = lowerbound.from_array(np.random.default_rng(0).normal(size=(60, 4)))
    spec = lowerbound.recipe(latent=2, encoder={"name": "mlp", "hidden": [8]}, prior="mixture", training=FEW)
    run = lowerbound.train(spec, data, tmp_path / "run")
    found = lowerbound.evaluate(lowerbound.load(run.path, data), "valid")
    assert np.isfinite(found.elbo.value) and json.loads(json.dumps(found.json()))


def test_mistakes_in_settings_are_named() -> None:
    with pytest.raises(lowerbound.InputError, match="did you mean mixture"):
        lowerbound.recipe(prior="mixtur")
    with pytest.raises(lowerbound.InputError, match="latnt: no such setting"):
        lowerbound.recipe(latnt=2)


def test_the_reference_names_functions_that_exist():
    table = (ROOT / "docs" / "reference.md").read_text("utf-8").partition("| command | function |")[2]
    homes = re.findall(r"`(lowerbound(?:\.\w+)+)`", table.partition("\n\n")[0])
    assert len(homes) > 12
    for home in homes:
        module, _, name = home.rpartition(".")
        assert callable(getattr(importlib.import_module(module), name)), home
