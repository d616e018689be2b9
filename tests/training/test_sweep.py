"""A sweep is the runs one after another: same weights, same batches, same noise, one stack."""

from __future__ import annotations

import dataclasses
import json
import signal
from itertools import count

import numpy as np
import pytest
import torch

from lowerbound import data as data_floor
from lowerbound.errors import InputError, Interrupted, NonFiniteError
from lowerbound.maths.tracing import spelt_out
from lowerbound.training.compiled import find_compiler
from lowerbound.training.load import load
from lowerbound.training.loop import resume as resume_run
from lowerbound.training.loop import train
from lowerbound.training.randomness import order
from lowerbound.training.run import Run
from lowerbound.training.spec import Spec, merge
from lowerbound.training.sweep import betas_of, resume, sweep
from lowerbound.training.sweep.compiled import CompiledSweep
from lowerbound.training.sweep.members import member
from lowerbound.training.watch import Watch

from .small import blobs, contents, spec, stripes

BETAS = [0.1, 1.0, 4.0]
DOUBLE = {"precision": "float64"}


def fresh():
    """Grey rows, drawn anew at every step: what is drawn before the noise moves it."""
    x = np.random.default_rng(0).random((300, 12)).astype(np.float32)
    return dataclasses.replace(data_floor.from_array(x, binarise="fresh"), name="fresh")


def alone(settings, betas, data, folder):
    """The same runs, one after another."""
    return [train(member(settings, b), data, folder / f"alone-{b:g}") for b in betas]


def assert_equal_runs(one, other, tolerance):
    mine, theirs = one.weights(), other.weights()
    assert mine.keys() == theirs.keys()
    for name in mine:
        torch.testing.assert_close(mine[name], theirs[name], rtol=0, atol=tolerance)
    for row, its in zip(one.metrics(), other.metrics(), strict=True):
        assert row.keys() == its.keys()
        for part in ("train", "valid"):
            for key in row[part]:
                assert row[part][key] == pytest.approx(its[part][key], rel=tolerance, abs=tolerance), (part, key)
        assert (row["best"], row["step"], row["alarms"]) == (its["best"], its["step"], its["alarms"])
        assert row["effective_beta"] == its["effective_beta"]


CASES = {
    "plain": {},
    "ragged-clip-samples": {"training": {"epochs": 2, "batch": 37, "clip": 5.0, "samples": 3}},
    "warm-up": {"schedule": {"name": "linear", "epochs": 2}},
    "deep-tanh": {"encoder": {"hidden": [16, 8], "activation": "tanh"}},
    "mixture": {"prior": {"name": "mixture"}},
    "corrupted": {"corruption": {"name": "masking"}},
    "noisy": {"corruption": {"name": "gaussian"}},
    "dropout": {"encoder": {"hidden": [16], "dropout": 0.2}},
    "adamw": {"training": {"epochs": 2, "optimiser": "adamw", "weight_decay": 0.1, "decay": "cosine"}},
    "adam-decay-mixture": {"prior": {"name": "mixture"}, "training": {"epochs": 2, "weight_decay": 0.1}},
    "sgd": {"training": {"epochs": 2, "optimiser": "sgd"}},
    "sampled": {"bound": {"name": "elbo", "estimator": "sampled"}},
}


@pytest.mark.parametrize("case", CASES)
def test_every_member_is_the_run_that_train_makes(tmp_path, case):
    settings = spec(**CASES[case])
    settings = settings.model_copy(update={"training": settings.training.model_copy(update=DOUBLE)})
    runs = sweep(settings, BETAS, stripes(), tmp_path / "sweep")
    for run, other in zip(runs, alone(settings, BETAS, stripes(), tmp_path), strict=True):
        assert_equal_runs(run, other, 1e-9)
        assert run.spec() == other.spec()
        run.verify()


def test_fresh_draws_and_labels_are_the_same_for_all_members(tmp_path):
    random = np.random.default_rng(0)
    y = random.integers(0, 3, 150)
    grey = (0.1 + 0.8 * random.random((150, 8)) * (y[:, None] + 1) / 3).astype(np.float32)
    data = data_floor.from_array(grey, y, binarise="fresh")
    settings = spec(training=DOUBLE, condition={"name": "labels"})
    runs = sweep(settings, BETAS, data, tmp_path / "sweep")
    for run, other in zip(runs, alone(settings, BETAS, data, tmp_path), strict=True):
        assert_equal_runs(run, other, 1e-9)


def test_grey_values_have_a_rule_too(tmp_path):
    grey = np.random.default_rng(0).random((150, 8)).astype(np.float32)
    data = data_floor.from_array(grey)
    settings = spec(training=DOUBLE, likelihood={"name": "continuous-bernoulli"})
    runs = sweep(settings, BETAS, data, tmp_path / "sweep")
    for run, other in zip(runs, alone(settings, BETAS, data, tmp_path), strict=True):
        assert_equal_runs(run, other, 1e-9)


@pytest.mark.parametrize("likelihood", [{}, {"variance": "optimal"}, {"variance": "fixed", "sigma": 0.5}])
def test_deviations_learned_optimal_or_fixed_are_each_member_s_own(tmp_path, likelihood):
    settings = spec(likelihood={"name": "normal"} | likelihood, training=DOUBLE)
    runs = sweep(settings, BETAS, blobs(), tmp_path / "sweep")
    for run, other in zip(runs, alone(settings, BETAS, blobs(), tmp_path), strict=True):
        assert_equal_runs(run, other, 1e-9)


def test_in_single_precision_and_half_the_terms_agree_to_rounding(tmp_path):
    for precision, tolerance in (("float32", 1e-3), ("bfloat16", 0.05)):
        settings = spec(training={"precision": precision, "epochs": 1})
        runs = sweep(settings, BETAS, stripes(), tmp_path / precision)
        others = alone(settings, BETAS, stripes(), tmp_path / f"{precision}-alone")
        for run, other in zip(runs, others, strict=True):
            ours, theirs = run.metrics()[-1]["train"]["bound"], other.metrics()[-1]["train"]["bound"]
            assert ours == pytest.approx(theirs, abs=tolerance)


def test_patience_ends_each_member_when_its_own_run_would_have_ended(tmp_path):
    settings = spec(training=DOUBLE | {"epochs": 40, "patience": 2, "learning_rate": 0.03})
    runs = sweep(settings, BETAS, stripes(120), tmp_path / "sweep")
    others = alone(settings, BETAS, stripes(120), tmp_path)
    lengths = [len(run.metrics()) for run in runs]
    assert lengths == [len(run.metrics()) for run in others]
    assert len(set(lengths)) > 1
    for run, other in zip(runs, others, strict=True):
        assert_equal_runs(run, other, 1e-6)


class After:
    """Asks to stop after so many questions."""

    def __init__(self, steps):
        self.left = steps

    def __call__(self):
        self.left -= 1
        return signal.SIGINT if self.left < 0 else None


@pytest.mark.parametrize("steps", [0, 3, 8, 12])
def test_a_stopped_sweep_goes_on_as_if_never_stopped(tmp_path, steps):
    settings = spec(training=DOUBLE)
    whole = sweep(settings, BETAS, stripes(), tmp_path / "whole")
    with pytest.raises(Interrupted):
        sweep(settings, BETAS, stripes(), tmp_path / "cut", stop=After(steps))
    assert not list((tmp_path / "cut").rglob("*.part"))
    cut = resume(tmp_path / "cut", stripes())
    for run, other in zip(cut, whole, strict=True):
        assert_equal_runs(run, other, 0)


def test_a_member_that_is_a_step_ahead_goes_back_to_the_others(tmp_path):
    """As if the machine had died between the checkpoints of two members."""
    settings = spec(training=DOUBLE)
    whole = sweep(settings, BETAS, stripes(), tmp_path / "whole")
    seen = iter([False, False, True, False, False, True] + [False] * 100)
    with pytest.raises(Interrupted):
        sweep(settings, BETAS, stripes(), tmp_path / "cut", due=lambda: next(seen), stop=After(6))
    late = Run(tmp_path / "cut" / "beta-1")
    ahead = late.checkpoints()
    assert len(ahead) == 2
    late.forget_checkpoints_after(int(ahead[0].name))
    for run, other in zip(resume(tmp_path / "cut", stripes()), whole, strict=True):
        assert_equal_runs(run, other, 0)


def test_one_member_of_a_stopped_sweep_can_be_finished_alone(tmp_path):
    settings = spec(training=DOUBLE)
    whole = sweep(settings, BETAS, stripes(), tmp_path / "whole")
    with pytest.raises(Interrupted):
        sweep(settings, BETAS, stripes(), tmp_path / "cut", stop=After(10))
    assert_equal_runs(resume_run(tmp_path / "cut" / "beta-4", stripes()), whole[2], 1e-9)


def test_a_finished_sweep_is_returned_as_it_is(tmp_path):
    runs = sweep(spec(), BETAS, stripes(), tmp_path / "sweep")
    before = [run.metrics() for run in runs]
    assert [run.metrics() for run in resume(tmp_path / "sweep", stripes())] == before


def test_every_member_loads_and_its_best_weights_are_those_of_its_own_bound(tmp_path):
    for run in sweep(spec(), BETAS, stripes(), tmp_path / "sweep"):
        assert load(run.path, stripes()).run.metrics()[-1]["epoch"] == 3
    head = json.loads((tmp_path / "sweep" / "sweep.json").read_text())
    assert head["betas"] == BETAS
    assert head["runs"] == ["beta-0.1", "beta-1", "beta-4"]


def test_alarms_name_their_beta(tmp_path):
    heard = []

    class Ear(Watch):
        def on_alarm(self, alarm):
            heard.append(alarm.message)

    settings = spec(training={"epochs": 30, "learning_rate": 0.01, "batch": 16})
    runs = sweep(settings, [0.5, 200.0], stripes(), tmp_path / "sweep", watch=Ear())
    collapsed = {a["name"] for a in runs[1].alarms()}
    assert "total-collapse" in collapsed
    assert "total-collapse" not in {a["name"] for a in runs[0].alarms()}
    assert any(message.startswith("beta 200: All 2 latent dimensions") for message in heard)


def test_a_member_that_diverges_is_named_and_all_keep_their_last_good_weights(tmp_path):
    settings = spec(training={"learning_rate": 1e6, "optimiser": "sgd", "epochs": 20})
    with pytest.raises(NonFiniteError, match=r"^beta \d"):
        sweep(settings, BETAS, blobs(), tmp_path / "sweep")
    runs = [Run(tmp_path / "sweep" / f"beta-{b:g}") for b in BETAS]
    for run in runs:
        run.verify()
        assert all(torch.isfinite(t).all() for t in run.weights().values())
    assert [a["name"] for run in runs for a in run.alarms() if a["severity"] == "failure"] == ["non-finite"]


def test_a_long_sweep_is_trained(tmp_path):
    """10,000 steps, from which a run alone is compiled: the stack was asked for weights that are not its own."""
    calls = count()
    settings = spec(training={"epochs": 10_000, "batch": 240})
    with pytest.raises(Interrupted):
        sweep(settings, BETAS, stripes(), tmp_path / "sweep", stop=lambda: 15 if next(calls) == 3 else None)
    assert [int(Run(tmp_path / "sweep" / f"beta-{b:g}").checkpoints()[-1].name) for b in BETAS] == [3] * 3


COMPILED = {
    "plain": {},
    "fresh noise, ragged, clip, decay": {"training": {"batch": 37, "clip": 5.0, "samples": 3, "decay": "cosine"}},
    "warm-up": {"schedule": {"name": "linear", "epochs": 1}},
    "corrupted": {"corruption": {"name": "masking"}},
    "vampprior": {"prior": {"name": "vampprior", "components": 5}},
}
compiler = pytest.mark.skipif(not find_compiler(), reason="no C++ compiler")


@compiler
@pytest.mark.parametrize("case", COMPILED)
def test_a_compiled_sweep_is_the_eager_one_up_to_rounding(tmp_path, monkeypatch, case):
    taken = []
    own = CompiledSweep._block
    monkeypatch.setattr(CompiledSweep, "_block", lambda self, i: taken.append((len(self.waiting), i)) or own(self, i))
    settings = spec(**merge({"training": {"epochs": 4, **DOUBLE}}, COMPILED[case]))
    with spelt_out():  # eager code draws as a graph does
        runs = [
            sweep(Spec.of(merge(settings.settings(), {"training": {"compile": how}})), BETAS, fresh(), tmp_path / how)
            for how in ("on", "off")
        ]
    assert {i for _, i in taken} == {0, 1, 2}
    assert max(n for n, _ in taken) > 1, "blocks of several steps"
    for mine, theirs in zip(*runs, strict=True):
        assert_equal_runs(mine, theirs, 1e-9)


@compiler
@pytest.mark.parametrize("steps", [0, 3, 8, 12])
def test_a_stopped_compiled_sweep_goes_on_as_if_never_stopped(tmp_path, steps):
    settings = spec(training={"compile": "on"})
    whole = sweep(settings, BETAS, fresh(), tmp_path / "whole")
    calls = count()
    with pytest.raises(Interrupted):
        sweep(settings, BETAS, fresh(), tmp_path / "sweep", stop=lambda: 15 if next(calls) == steps else None)
    for mine, its in zip(resume(tmp_path / "sweep", fresh()), whole, strict=True):
        assert contents(mine.path) == contents(its.path)


@compiler
def test_a_compiled_member_that_diverges_is_named_at_its_step(tmp_path):
    """A row is spoilt in the middle of a block: no member keeps what came after the steps before it."""
    rows = order(0, 0, 240)
    settings, found = spec(training={"compile": "on", "epochs": 1}), {}
    for how in ("on", "off"):
        data = stripes()
        spoil = Watch()
        spoil.on_start = lambda *said, x=data.splits["train"].x: x[rows[4 * 32 + 5]].fill_(float("inf"))
        given = Spec.of(merge(settings.settings(), {"training": {"compile": how}}))
        with pytest.raises(NonFiniteError, match=r"^beta 0\.1: .* at step 4") as found[how]:
            sweep(given, BETAS, data, tmp_path / how, watch=spoil)
    assert str(found["on"].value) == str(found["off"].value)
    for b in BETAS:
        mine, its = (Run(tmp_path / how / f"beta-{b:g}") for how in ("on", "off"))
        assert mine.checkpoints()[-1].name == its.checkpoints()[-1].name if its.checkpoints() else True
        for name, tensor in mine.weights().items():
            torch.testing.assert_close(tensor, its.weights()[name], rtol=1e-4, atol=1e-4)


REFUSED = {
    "objective": {"objective": {"name": "free-bits"}},
    "bound": {"bound": {"name": "iwae"}},
    "regulariser": {"regulariser": {"name": "mmd"}},
    "game": {"game": {"name": "wake-sleep"}},
    "posterior": {"posterior": {"name": "deterministic"}},
    "encoder": {"encoder": {"name": "own"}},
    "sweep": {"posterior": {"name": "full-normal"}},
    "snapshots": {"training": {"snapshots": True}},
}


@pytest.mark.parametrize("part", REFUSED)
def test_what_cannot_be_stacked_is_refused_in_a_sentence_and_leaves_nothing(tmp_path, part):
    with pytest.raises(InputError, match=part) as error:
        sweep(spec(**REFUSED[part]), BETAS, stripes(), tmp_path / "sweep")
    assert "\n" not in str(error.value)
    assert not (tmp_path / "sweep").exists()


def test_a_folder_that_exists_is_refused(tmp_path):
    (tmp_path / "sweep").mkdir()
    (tmp_path / "sweep" / "note").write_text("mine")
    with pytest.raises(InputError, match="exists already"):
        sweep(spec(), BETAS, stripes(), tmp_path / "sweep")


@pytest.mark.parametrize("text", ["", "a", "1,1", "-1", "nan", "1:2", "2:1:3", "0:1:3", "1:2:1", "1:2:3.5", "1:inf:3"])
def test_betas_that_make_no_sense_are_refused(text):
    with pytest.raises(InputError, match="--beta"):
        betas_of(text)


def test_spaced_betas_are_even_in_their_logarithm_and_rounded_to_four_digits():
    betas = betas_of("0.1:10:12")
    assert betas[0] == 0.1
    assert betas[-1] == 10.0
    assert len(betas) == 12
    assert betas[1:3] == [0.152, 0.231]
