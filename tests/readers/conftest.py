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


ONE = {"training": {"epochs": 1, "batch": 64, "learning_rate": 3e-3}}


@pytest.fixture(scope="session")
def conditional(tmp_path_factory):
    """Digits given their label, and a prior that knows it."""
    settings = {"condition": {"name": "labels"}, "prior": {"name": "conditional-normal"}} | ONE
    return finished(tmp_path_factory.mktemp("runs") / "conditional", data_floor.load("digits"), **settings)


@pytest.fixture(scope="session")
def regressor(tmp_path_factory):
    """The rest of a digit given its centre column, without latents."""
    settings = {"latent": 0, "condition": {"name": "part"}, "decoder": {"hidden": [32]}} | ONE
    data = data_floor.load("digits", binarise="threshold")
    return finished(tmp_path_factory.mktemp("runs") / "regressor", data, **settings)


@pytest.fixture(scope="session")
def semi(tmp_path_factory):
    """Digits whose label is inferred, 50 of them known."""
    training = ONE["training"] | {"labelled": 50, "epochs": 8}
    settings = {"condition": {"name": "inferred-labels", "hidden": [32]}, "supervision": {"name": "classify"}}
    data = data_floor.load("digits", binarise="threshold")
    return finished(tmp_path_factory.mktemp("runs") / "semi", data, **settings, training=training)


@pytest.fixture(scope="session")
def grey(tmp_path_factory):
    """A Bernoulli of grey digits, which is a likelihood of nothing."""
    settings = {"likelihood": {"name": "bernoulli"}} | ONE
    return finished(tmp_path_factory.mktemp("runs") / "grey", data_floor.load("digits", kind="unit"), **settings)


def styled(path, **posterior):
    """An adversarial autoencoder of class and style."""
    parts = {part: {"name": "class-and-style"} for part in ("posterior", "prior")}
    parts["posterior"] |= posterior
    settings = parts | {"objective": {"name": "reconstruction"}, "regulariser": {"name": "adversary", "hidden": [16]}}
    return finished(path, data_floor.load("digits"), **settings, **ONE)


@pytest.fixture(scope="session")
def clusters(tmp_path_factory):
    """Class and style without a label."""
    return styled(tmp_path_factory.mktemp("runs") / "clusters")


@pytest.fixture(scope="session")
def heads(tmp_path_factory):
    """The same, its class and style summed in a plane."""
    return styled(tmp_path_factory.mktemp("runs") / "heads", plane=True)


@pytest.fixture(scope="session")
def mixture(tmp_path_factory):
    """A prior whose rate does not split by dimension."""
    settings = {"prior": {"name": "mixture"}} | ONE
    return finished(tmp_path_factory.mktemp("runs") / "mixture", data_floor.load("digits"), **settings)


@pytest.fixture(scope="session")
def rival(tmp_path_factory):
    """A generative adversarial network."""
    settings = {
        "posterior": {"name": "none"},
        "game": {"name": "gan", "hidden": [16]},
        "decoder": {"hidden": [32]},
    } | ONE
    return finished(tmp_path_factory.mktemp("runs") / "rival", data_floor.load("digits"), **settings)
