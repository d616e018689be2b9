"""A run stopped anywhere and resumed is bitwise equal to one never stopped."""

from __future__ import annotations

import subprocess
import sys
from itertools import count
from pathlib import Path

import pytest
import torch

from lowerbound.errors import InputError, Interrupted
from lowerbound.training import loop
from lowerbound.training.loop import resume, train
from lowerbound.training.run import Run

from .small import contents, spec, stripes


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory):
    path = tmp_path_factory.mktemp("whole") / "run"
    train(spec(), stripes(), path)
    return contents(path)


@pytest.mark.parametrize("step", [0, 1, 5, 8, 9, 17, 23])
def test_a_signal_at_any_step_changes_nothing(tmp_path, uninterrupted, step):
    calls = count()
    with pytest.raises(Interrupted) as stopped:
        train(spec(), stripes(), tmp_path / "run", stop=lambda: 15 if next(calls) == step else None)
    assert stopped.value.signal == 15
    resume(tmp_path / "run", stripes())
    assert contents(tmp_path / "run") == uninterrupted


def test_a_run_stopped_at_every_step_is_the_same_run(tmp_path, uninterrupted):
    def once():
        calls = count()
        return lambda: 2 if next(calls) == 1 else None

    with pytest.raises(Interrupted):
        train(spec(), stripes(), tmp_path / "run", stop=once())
    for _ in range(100):
        try:
            resume(tmp_path / "run", stripes(), stop=once())
            break
        except Interrupted:
            continue
    assert contents(tmp_path / "run") == uninterrupted


def test_snapshots_of_a_stopped_run_are_those_of_one_never_stopped(tmp_path, uninterrupted):
    kept = spec(training={"snapshots": True})
    whole = train(kept, stripes(), tmp_path / "whole")
    calls = count()
    with pytest.raises(Interrupted):
        train(kept, stripes(), tmp_path / "cut", stop=lambda: 15 if next(calls) == 5 else None)
    cut = resume(tmp_path / "cut", stripes())
    assert whole.snapshots() == cut.snapshots() == [1, 2, 3, 4, 6, 8, 11, 16, 23]
    files = [{p.name: p.read_bytes() for p in (tmp_path / n / "snapshots").iterdir()} for n in ("whole", "cut")]
    assert files[0] == files[1]
    assert len(set(files[0].values())) == 9
    assert contents(tmp_path / "whole") == uninterrupted


def test_a_person_s_random_state_is_left_alone(tmp_path):
    torch.manual_seed(7)
    expected = torch.rand(3)
    torch.manual_seed(7)
    train(spec(), stripes(), tmp_path / "run")
    assert torch.equal(torch.rand(3), expected)


def test_two_runs_of_one_seed_are_equal_and_of_two_seeds_are_not(tmp_path, uninterrupted):
    train(spec(), stripes(), tmp_path / "same")
    train(spec(training={"seed": 1}), stripes(), tmp_path / "other")
    assert contents(tmp_path / "same") == uninterrupted
    assert contents(tmp_path / "other")["weights.safetensors"] != uninterrupted["weights.safetensors"]


@pytest.mark.parametrize("optimiser", ["adam", "adamw", "sgd", "adagrad", "rmsprop"])
def test_every_optimiser_resumes_bitwise(tmp_path, optimiser):
    settings = spec(training={"optimiser": optimiser, "decay": "cosine", "epochs": 2, "clip": 5.0})
    train(settings, stripes(), tmp_path / "whole")
    calls = count()
    with pytest.raises(Interrupted):
        train(settings, stripes(), tmp_path / "cut", stop=lambda: 2 if next(calls) == 11 else None)
    resume(tmp_path / "cut", stripes())
    assert contents(tmp_path / "cut") == contents(tmp_path / "whole")


def test_resuming_a_finished_run_changes_nothing(tmp_path, uninterrupted):
    train(spec(), stripes(), tmp_path / "run")
    resume(tmp_path / "run", stripes())
    assert contents(tmp_path / "run") == uninterrupted


def test_resuming_on_other_data_is_refused(tmp_path):
    train(spec(), stripes(), tmp_path / "run")
    with pytest.raises(InputError, match="differ"):
        resume(tmp_path / "run", stripes(seed=5))


def test_a_stopped_run_whose_checkpoint_is_refused_stays_as_it_was(tmp_path, monkeypatch):
    def refused(*given):
        raise InputError("its optimiser remembers other parameters", where="checkpoint", mend="train anew")

    calls = count()
    with pytest.raises(Interrupted):
        train(spec(), stripes(), tmp_path / "run", stop=lambda: 15 if next(calls) == 12 else None)
    metrics = tmp_path / "run" / "metrics.jsonl"
    with metrics.open("a") as later:  # an epoch after the checkpoint, as a kill leaves it
        later.write("{}\n")
    before = metrics.read_bytes()
    monkeypatch.setattr(loop, "restore", refused)
    with pytest.raises(InputError, match="optimiser remembers"):
        resume(tmp_path / "run", stripes())
    assert metrics.read_bytes() == before


def test_a_second_process_is_refused(tmp_path):
    train(spec(), stripes(), tmp_path / "run")
    with Run(tmp_path / "run").lock(), pytest.raises(InputError, match="another process"):
        resume(tmp_path / "run", stripes())


def test_fifty_kills_at_random_moments(tmp_path):
    """SIGKILL, not a signal that can be caught; each killed run is resumed and compared byte for byte."""
    script = Path(__file__).with_name("kill.py")
    done = subprocess.run(
        [sys.executable, script, "--kills", "50", "--folder", tmp_path], capture_output=True, text=True, timeout=600
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "50 kills, 50 equal" in done.stdout
