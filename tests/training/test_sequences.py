"""Sequences through the loop: collapse is seen and cured, a stopped run goes on bitwise, a saved one comes back."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from lowerbound.data import Data, from_array
from lowerbound.errors import Interrupted
from lowerbound.training.load import load
from lowerbound.training.loop import resume, train
from lowerbound.training.measure import measure
from lowerbound.training.run import Run

from .small import contents, spec

KEYS = ("abab", "cdcdcd", "efe", "ghghg")


def texts(n: int = 500, seed: int = 0) -> Data:
    """One of four patterns, each letter replaced by any other one time in ten: ln 4 nats for z to hold."""
    random = np.random.default_rng(seed)
    rows = [list(KEYS[i]) for i in random.integers(0, 4, n)]
    return from_array(
        ["".join(random.choice(list("abcdefgh")) if random.random() < 0.1 else c for c in r) for r in rows]
    )


def letters(n: int = 500, seed: int = 0) -> Data:
    """Letters drawn one by one, three to five of them: a code of them saves nothing."""
    random = np.random.default_rng(seed)
    return from_array(["".join(random.choice(list("abcd"), random.integers(3, 6))) for _ in range(n)])


def settings(epochs: int = 8, decoder: dict | None = None, **more):
    network = {"name": "recurrent", "hidden": 12, "embedding": 6}
    training = {"epochs": epochs, "batch": 10, "learning_rate": 1e-2}
    return spec(latent=2, encoder=network, decoder=network | (decoder or {}), training=training, **more)


@pytest.fixture(scope="module")
def collapsed(tmp_path_factory) -> Run:
    return train(settings(decoder={"teacher": True}), letters(), tmp_path_factory.mktemp("runs") / "collapsed")


def test_a_decoder_that_reads_what_it_emits_collapses_and_the_alarm_says_so(collapsed):
    rate = collapsed.metrics()[-1]["valid"]["rate"]
    assert rate < 0.01
    (said,) = [a for a in collapsed.alarms() if a["name"] == "total-collapse"]
    assert said["severity"] == "failure" and any("word_dropout" in cure for cure in said["cures"])


def test_word_dropout_and_warm_up_cure_it(tmp_path, collapsed):
    """The code holds most of the ln 4 nats that tell the patterns apart, and nothing is said to have collapsed."""
    cured = settings(decoder={"teacher": True, "word_dropout": 0.7}, schedule={"name": "linear", "epochs": 4})
    run = train(cured, texts(), tmp_path / "cured")
    assert run.metrics()[-1]["valid"]["rate"] > 0.7 * math.log(4)
    assert "total-collapse" not in [a["name"] for a in run.alarms()]


def test_an_encoder_that_is_moved_more_keeps_the_code_alive(tmp_path):
    """Of three epochs, all aggressive: the code holds more than twice what it does without, at a like bound."""
    alone, cured = (
        train(settings(3, decoder={"teacher": True}, **game), texts(), tmp_path / name).metrics()[-1]
        for name, game in (("alone", {}), ("cured", {"game": {"name": "aggressive", "steps": 3, "epochs": 3}}))
    )
    assert cured["valid"]["rate"] > max(0.3, 2 * alone["valid"]["rate"])
    assert cured["valid"]["bound"] > alone["valid"]["bound"] - 0.3
    assert list(cured["players"]) == ["encoder"]


def test_the_start_is_the_shares_of_the_symbols(collapsed):
    """No alarm compares it to a worse baseline: the marginals are those of symbols at any step."""
    assert "below-baseline" not in [a["name"] for a in collapsed.alarms()]


@pytest.mark.parametrize("name", ["recurrent"])
def test_a_stopped_run_goes_on_bitwise(tmp_path, name):
    data, wanted = texts(120), settings(2, decoder={"teacher": True, "word_dropout": 0.5})
    whole = train(wanted, data, tmp_path / "whole")
    steps = iter(range(100))
    with pytest.raises(Interrupted):
        train(wanted, data, tmp_path / "part", stop=lambda: 15 if next(steps) == 13 else None)
    resume(tmp_path / "part", data)
    assert contents(tmp_path / "part") == contents(whole.path)


def test_a_saved_model_comes_back_with_its_symbols(collapsed):
    data = letters()
    trained = load(collapsed.path, data)
    assert trained.run.record()["symbols"] == list(data.symbols) == [*"abcd", "<end>"]
    measured = measure(trained.model, data, "valid").row()
    best = max(row["valid"]["bound"] for row in collapsed.metrics())
    assert measured["bound"] == best
    drawn = trained.model.decode(torch.randn(5, 2)).sample()
    assert drawn.shape == (5, 6) and drawn.nan_to_num(0).max() <= 4


def test_series_learn(tmp_path):
    """Sines of unequal lengths and two speeds: the bound rises far above that of the marginals."""
    random = np.random.default_rng(0)
    t, speeds = np.arange(12), random.choice([0.4, 0.9], 300)
    x = np.sin(speeds[:, None] * t)[..., None] + 0.05 * random.normal(size=(300, 12, 1))
    data = from_array(x, lengths=random.integers(6, 13, 300))
    run = train(settings(20, schedule={"name": "linear", "epochs": 5}), data, tmp_path / "series")
    bounds = [row["valid"]["bound"] for row in run.metrics()]
    assert bounds[-1] > bounds[0] + 3 and run.metrics()[-1]["valid"]["rate"] > 0.4
    assert run.metrics()[-1]["sigma"] < 0.35
