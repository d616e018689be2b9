"""Regularisers in a run: nothing at weight 0, and resumed bitwise with their critics and multipliers."""

from __future__ import annotations

from itertools import count

import pytest

from lowerbound.errors import Interrupted
from lowerbound.objective.regularisers import REGULARISERS
from lowerbound.training.loop import resume, train

from .small import contents, spec, stripes

WEIGHTED = [n for n in REGULARISERS if "weight" in REGULARISERS.options(n) and n != "classify"]
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


@pytest.mark.parametrize("name", WEIGHTED)
def test_at_weight_0_a_run_is_the_plain_run_bitwise(name, plain, tmp_path):
    train(spec(regulariser={"name": name, "weight": 0.0}), stripes(), tmp_path / "run")
    assert contents(tmp_path / "run") == plain


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
