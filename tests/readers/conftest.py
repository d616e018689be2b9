"""Small finished runs of each kind, trained once."""

from __future__ import annotations

import numpy as np
import pytest

from lowerbound import data as data_floor
from lowerbound.training.load import load
from lowerbound.training.loop import train
from lowerbound.training.spec import Spec, complete


def finished(path, data, **settings):
    base = {"latent": 2, "encoder": {"hidden": [32]}, "training": {"epochs": 4, "batch": 64, "learning_rate": 3e-3}}
    run = train(Spec.of(complete(base | settings)), data, path)
    return load(run.path, data)


@pytest.fixture(scope="session")
def digits(tmp_path_factory):
    return finished(tmp_path_factory.mktemp("runs") / "digits", data_floor.load("digits"))


@pytest.fixture(scope="session")
def wide(tmp_path_factory):
    settings = {"latent": 6, "posterior": {"name": "full-normal"}}
    return finished(
        tmp_path_factory.mktemp("runs") / "wide", data_floor.load("digits", binarise="threshold"), **settings
    )


@pytest.fixture(scope="session")
def table(tmp_path_factory):
    random = np.random.default_rng(0)
    rows = {
        "height": random.normal(170, 9, 300).round(1).tolist(),
        "children": random.poisson(2, 300).tolist(),
        "town": random.choice(["Ulm", "Bonn", "<b>Köln</b>"], 300).tolist(),
    }
    rows["height"][5] = None
    data = data_floor.from_array(rows, name="people <script>")
    return finished(tmp_path_factory.mktemp("runs") / "table", data)
