"""Regularisers in a run: nothing at weight 0, and resumed bitwise with their critics and multipliers."""

from __future__ import annotations

from itertools import count

import pytest
import torch

from lowerbound.data import from_array
from lowerbound.errors import Interrupted
from lowerbound.objective.regularisers import REGULARISERS
from lowerbound.training.loop import resume, train

from .small import contents, spec, stripes

WEIGHTED = [n for n in REGULARISERS if "weight" in REGULARISERS.options(n) and n != "classify"]
NOTHING = {"none": {}, "dip": {"off": 0.0, "on": 0.0}}
"""Members without a weight -> their neutral setting."""

NEUTRAL = {
    "free bits of none": {"objective": {"name": "free-bits", "floor": 0.0}},
    "free bits of none, per example": {"objective": {"name": "free-bits", "floor": 0.0, "per": "example"}},
    "a target of none": {"objective": {"name": "capacity", "gamma": 1.0, "target": 0.0}},
    "noise of none": {"corruption": {"name": "gaussian", "scale": 0.0}},
    "no steps of the encoder alone": {"game": {"name": "aggressive", "steps": 0}},
    "a mask of none": {"corruption": {"name": "masking", "share": 0.0}},
    "a flow of no layer": {"posterior": {"name": "flow", "transforms": 0}},
}
PLAYED = {
    "critic": {"regulariser": {"name": "critic", "hidden": [8]}},
    "adversary": {
        "regulariser": {"name": "adversary", "hidden": [8], "speed": 0.5},
        "posterior": {"name": "deterministic"},
        "objective": {"name": "reconstruction"},
    },
    "geco": {"objective": {"name": "geco", "tolerance": 0.3}},
    "mmd": {"regulariser": {"name": "mmd"}},
    "hutchinson": {"regulariser": {"name": "contractive", "jacobian": "hutchinson"}},
    "total-correlation": {"regulariser": {"name": "total-correlation"}, "posterior": {"name": "full-normal"}},
}


@pytest.fixture(scope="module")
def plain(tmp_path_factory):
    path = tmp_path_factory.mktemp("plain") / "run"
    train(spec(), stripes(), path)
    return contents(path)


@pytest.mark.parametrize("key", ["regulariser", "supervision"])
@pytest.mark.parametrize("name", REGULARISERS)
def test_at_its_neutral_setting_a_run_is_the_plain_run_bitwise(name, key, plain, tmp_path):
    neutral = NOTHING.get(name, {"weight": 0.0})
    train(spec(**{key: {"name": name, **neutral}}), stripes(), tmp_path / "run")
    assert contents(tmp_path / "run") == plain


@pytest.mark.parametrize("name", NEUTRAL)
def test_so_it_is_with_every_other_part(name, plain, tmp_path):
    train(spec(**NEUTRAL[name]), stripes(), tmp_path / "run")
    assert weights(tmp_path / "run") == plain["weights.safetensors"]


@pytest.mark.parametrize("key", ["regulariser", "supervision"])
def test_labels_that_weigh_nothing_are_not_drawn(key, tmp_path):
    data = from_array(stripes().splits["train"].x.numpy(), torch.arange(240) % 3)
    few = {"condition": {"name": "inferred-labels", "hidden": [8]}, "training": {"epochs": 2, "labelled": 60}}
    train(spec(**few), data, tmp_path / "without")
    train(spec(**few, **{key: {"name": "classify", "weight": 0.0}}), data, tmp_path / "with")
    assert contents(tmp_path / "with") == contents(tmp_path / "without")


def weights(run):
    return (run / "weights.safetensors").read_bytes()


def test_at_speed_0_a_constrained_run_has_the_weights_of_the_plain_one(plain, tmp_path):
    train(spec(objective={"name": "geco", "speed": 0.0}), stripes(), tmp_path / "run")
    assert contents(tmp_path / "run") == plain


@pytest.mark.parametrize("name", PLAYED)
def test_a_run_with_players_or_a_memory_is_resumed_bitwise(name, tmp_path):
    chosen = spec(**PLAYED[name])
    whole = train(chosen, stripes(), tmp_path / "whole")
    calls = count()
    with pytest.raises(Interrupted):
        train(chosen, stripes(), tmp_path / "parts", stop=lambda: 15 if next(calls) == 11 else None)
    resume(tmp_path / "parts", stripes())
    assert contents(tmp_path / "parts") == contents(whole.path)
    assert ("players" in whole.metrics()[-1]) == (name in ("critic", "adversary"))


@pytest.mark.parametrize("name", WEIGHTED)
def test_half_precision_and_double_train_with_it(name, tmp_path):
    for precision in ("bfloat16", "float64"):
        chosen = spec(regulariser={"name": name}, training={"epochs": 1, "precision": precision})
        run = train(chosen, stripes(60), tmp_path / precision)
        assert run.metrics()[0]["valid"]["bound"] < 0
