"""A compiled step is the eager step: its numbers, its noise (not that of a corruption or a dropout); stopped and
resumed it is bitwise equal; or refused."""

from __future__ import annotations

import math
from itertools import count

import pytest
import torch

from lowerbound.errors import InputError, Interrupted, NonFiniteError
from lowerbound.maths import draws
from lowerbound.maths.tracing import spelt_out
from lowerbound.objective import Player, Weights
from lowerbound.objective.objectives import BetaElbo
from lowerbound.training import compiled
from lowerbound.training.compiled import CompiledStep, in_range
from lowerbound.training.graphs import OPTIONS, inductor, traced
from lowerbound.training.loop import Training, resume, train
from lowerbound.training.run import Run
from lowerbound.training.watch import Watch

from .small import blobs, contents, spec, stripes

pytestmark = pytest.mark.skipif(not compiled.find_compiler(), reason="no C++ compiler")


def settings(**training):
    return spec(training={"compile": "on", "epochs": 2, **training})


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    path = tmp_path_factory.mktemp("compiled") / "run"
    train(settings(snapshots=True), stripes(), path)
    return path


def test_its_numbers_are_those_of_the_eager_step(tmp_path, whole):
    """240 examples in batches of 32: seven whole steps and a ragged one an epoch, all with the noise of the seed."""
    train(settings(compile="off", snapshots=True), stripes(), tmp_path / "eager")
    rows = zip(Run(whole).metrics(), Run(tmp_path / "eager").metrics(), strict=True)
    for ours, eager in rows:
        for key in ("bound", "rate", "distortion", "objective", "gradient_norm"):
            assert ours["train"][key] == pytest.approx(eager["train"][key], rel=1e-5), key
    assert Run(whole).snapshots() == [1, 2, 3, 4, 6, 8, 11, 16]
    for step in Run(whole).snapshots():
        for name, tensor in Run(tmp_path / "eager").snapshot(step).items():
            assert torch.allclose(Run(whole).snapshot(step)[name], tensor, rtol=1e-3, atol=1e-4), (step, name)


@pytest.mark.parametrize("step", [1, 7, 9])
def test_stopped_and_resumed_it_is_bitwise_equal(tmp_path, whole, step):
    calls = count()
    with pytest.raises(Interrupted):
        train(settings(), stripes(), tmp_path / "run", stop=lambda: 15 if next(calls) == step else None)
    resume(tmp_path / "run", stripes())
    assert contents(tmp_path / "run") == contents(whole)


@pytest.mark.filterwarnings("ignore")
def test_what_is_too_small_to_matter_is_zero_once_compiled_too():
    """A compiler that took the sum and the difference for each other's inverse would leave it as it is."""
    given = torch.tensor([1e-20, -3e-18, 2e-17, -0.3, math.inf, math.nan]).repeat(100)
    graph = inductor(traced(in_range, [given]), [given], options=OPTIONS["cpu"])
    for found in (in_range(given)[:6], graph(given)[:6]):
        assert found[:2].tolist() == [0, 0]
        assert found[2:5].tolist() == pytest.approx([2e-17, -0.3, math.inf], rel=1e-6, abs=4e-18)
        assert found[5].isnan()


WARM = {
    "linear": {"schedule": {"name": "linear", "epochs": 1.5}},
    "longer than the run": {"schedule": {"name": "linear", "epochs": 60, "start": 0.3}},
    "cyclical": {"schedule": {"name": "cyclical", "epochs": 1, "cycles": 2, "ramp": 0.7}},
    "capacity": {"objective": {"name": "capacity", "target": 9.0}, "schedule": {"name": "linear", "epochs": 2}},
}


def warm(case="linear", **training):
    return spec(**WARM[case], training={"epochs": 3, "compile": "on", **training})


@pytest.mark.parametrize("case", WARM)
def test_a_run_that_warms_up_is_compiled_from_its_first_step(tmp_path, monkeypatch, case):
    """The share that the schedule has in force is handed to the same graph at every step."""
    taken = []
    own = CompiledStep.__call__
    monkeypatch.setattr(CompiledStep, "__call__", lambda self, *given: taken.append(given[2]) or own(self, *given))
    train(warm(case), stripes(), tmp_path / "whole")
    assert taken == [step for step in range(1, 25) if step % 8], "all of 24 but the ragged ones"
    train(warm(case, compile="off"), stripes(), tmp_path / "eager")
    for ours, eager in zip(Run(tmp_path / "whole").metrics(), Run(tmp_path / "eager").metrics(), strict=True):
        for key in ("objective", "rate", "distortion"):
            assert ours["train"][key] == pytest.approx(eager["train"][key], rel=1e-5), key


@pytest.mark.parametrize("step", [3, 9, 16, 19])
def test_a_compiled_warm_up_resumes_bitwise(tmp_path, step):
    train(warm(), stripes(), tmp_path / "whole")
    calls = count()
    with pytest.raises(Interrupted):
        train(warm(), stripes(), tmp_path / "run", stop=lambda: 15 if next(calls) == step else None)
    resume(tmp_path / "run", stripes())
    assert contents(tmp_path / "run") == contents(tmp_path / "whole")


def test_an_objective_that_reads_the_epoch_itself_is_no_constant_graph(tmp_path, monkeypatch):
    """What is traced once would keep the epoch of that moment for ever."""
    monkeypatch.setattr(BetaElbo, "weights", lambda self, epoch: Weights(1.0, 0.1 * epoch))
    with pytest.raises(InputError, match="reads the epoch past its schedule"):
        train(settings(), stripes(), tmp_path / "run")


CASES = {
    "clip": {"training": {"clip": 0.5}},
    "adamw": {"training": {"optimiser": "adamw", "weight_decay": 0.1, "decay": "cosine"}},
    "adam with decay": {"training": {"weight_decay": 1.0}, "prior": {"name": "mixture"}},
    "iwae": {"bound": {"name": "iwae", "k": 3}},
    "dreg": {"bound": {"name": "iwae", "k": 3, "gradient": "dreg"}},
    "free bits": {"objective": {"name": "free-bits", "floor": 0.2}},
    "free bits, warm-up": {"objective": {"name": "free-bits", "floor": 0.2}, "schedule": {"name": "linear"}},
    "averaged, warm-up": {"objective": {"name": "averaged"}, "schedule": {"name": "linear"}},
    "keras-2016, warm-up": {"objective": {"name": "keras-2016"}, "schedule": {"name": "linear"}},
    "dropout": {"encoder": {"hidden": [16], "dropout": 0.2}},
    "full normal": {"posterior": {"name": "full-normal"}},
    "vampprior": {"prior": {"name": "vampprior", "components": 5}},
    "mmd": {"regulariser": {"name": "mmd"}},
    "total correlation": {"regulariser": {"name": "total-correlation"}},
    "dip": {"regulariser": {"name": "dip"}},
    "l1": {"regulariser": {"name": "l1"}},
    "categorical": {"posterior": {"name": "categorical"}, "prior": {"name": "categorical"}},
    "mixture": {"prior": {"name": "mixture"}},
    "noise": {"corruption": {"name": "gaussian"}},
    "a mask": {"corruption": {"name": "masking"}},
}


@pytest.mark.slow
@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("data", [stripes, blobs])
def test_every_part_that_is_compiled_gives_the_eager_numbers(tmp_path, case, data):
    rows = []
    for how in ("on", "off"):
        chosen = dict(CASES[case])
        chosen["training"] = {"epochs": 1, "compile": how, **chosen.get("training", {})}
        with spelt_out():  # eager code draws as a graph does
            train(spec(**chosen), data(), tmp_path / how)
        rows.append(Run(tmp_path / how).metrics()[-1]["train"])
    for key in ("bound", "objective", "gradient_norm"):
        assert rows[0][key] == pytest.approx(rows[1][key], rel=1e-4), key


@pytest.mark.filterwarnings("ignore")
def test_words_are_written_in_their_own_place_alone():
    """Where the compiler knows that k + i gamma overflows, C++ lets it write the last words past their end."""
    whole = torch.full((15_000 + 64,), -1)
    words = whole[:15_000]

    def step(words):
        return words.copy_(draws.random_words(len(words), words.device)).sum()

    inductor(traced(step, [words.clone()]), [words.clone()], options=OPTIONS["cpu"])(words)
    assert (words != -1).all() and (whole[15_000:] == -1).all()


CUDA = pytest.param(torch.device("cuda", 0), marks=pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA"))


@pytest.mark.parametrize("device", [torch.device("cpu"), CUDA])
def test_a_step_that_is_not_finite_changes_nothing_and_is_named(tmp_path, device):
    """The graph leaves the weights as they were; the eager step then says which term, step and rows."""
    given = (settings(device=str(device)), stripes(), Run(tmp_path / "run"), None, Watch(), lambda: None, lambda: False)
    training = Training(*given, device)
    training.run.create(training.spec, training.data.record, {}, "0")
    training.model.train()
    training.whole = training._compile()
    assert training.whole.look > 3 or device.type == "cpu"
    rows = torch.arange(32, device=device)
    training._step(rows)
    before = [p.detach().clone() for p in training.players[0].parameters]
    training.near.splits["train"].x[3] = float("nan")
    for _ in range(2):
        training._step(rows)
    assert all(torch.equal(a, b) for a, b in zip(before, training.players[0].parameters, strict=True))
    assert (training.step, training.ledger.steps, training.ledger.examples) == (3, 3, 96)
    with pytest.raises(NonFiniteError, match="step 1, rows 3 of the training split"):
        training._settle(rows.repeat(8))
    assert (training.step, training.position, training.ledger.steps, training.ledger.examples) == (1, 1, 1, 32)
    assert torch.isfinite(training.ledger.sums).all()


def test_a_graph_that_gives_other_numbers_is_not_used(tmp_path, monkeypatch):
    """A planted fault: the traced step forgets the second moment."""
    own = compiled.traced

    def planted(step, given):
        n = (len(given) - 4) // 3  # beside weights, means and squares: steps, whether all was finite, x, the factors
        squares = range(2 * n, 3 * n)
        return own(lambda *a: step(*(v + 1 if i in squares else v for i, v in enumerate(a))), given)

    monkeypatch.setattr(compiled, "traced", planted)
    with pytest.raises(InputError, match="other numbers"):
        train(settings(), stripes(), tmp_path / "run")


REFUSED = {
    "objective": {"objective": {"name": "geco"}},
    "regulariser": {"regulariser": {"name": "critic"}},
    "contractive": {"regulariser": {"name": "contractive"}},
    "optimiser": {"training": {"optimiser": "sgd"}},
    "batch": {"training": {"batch": 10_000}},
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_is_no_constant_graph_is_refused_where_asked_and_left_eager_where_not(tmp_path, case):
    chosen = dict(REFUSED[case])
    for how in ("on", "auto"):
        given = spec(**chosen | {"training": {"compile": how, "epochs": 50_000, **chosen.get("training", {})}})
        arguments = (given, stripes(), Run(tmp_path / how), None, Watch(), lambda: None, lambda: False)
        if how == "on":
            with pytest.raises(InputError, match=r"training\.compile"):
                Training(*arguments, torch.device("cpu"))
        else:
            assert not Training(*arguments, torch.device("cpu")).compiled


def test_a_short_run_is_not_compiled_and_a_long_one_is():
    def asked(epochs):
        given = spec(training={"epochs": epochs})
        arguments = (given, stripes(), Run("nowhere"), None, Watch(), lambda: None, lambda: False, torch.device("cpu"))
        return Training(*arguments).compiled

    assert not asked(100)
    assert not asked(1_428) and asked(1_429)  # of 7 whole steps


def test_what_gains_little_is_compiled_unasked_only_where_a_run_is_longer():
    """Networks of convolutions spend their time in them."""

    def asked(encoder, steps):
        given = spec(encoder=encoder, training={"epochs": steps, "batch": 240})
        return compiled.wanted(given, [Player("model", [], lambda batch: None)], "binary", 240, torch.device("cpu"))

    assert asked({"name": "mlp"}, 10_000)
    assert not asked({"name": "convolutional"}, 29_999)
    assert asked({"name": "convolutional"}, 30_000)
