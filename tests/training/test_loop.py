"""The loop: it learns, it logs, it stops at the first non-finite number."""

from __future__ import annotations

import json
import math

import pytest
import torch

from lowerbound.errors import InputError, NonFiniteError
from lowerbound.training.load import load
from lowerbound.training.loop import train
from lowerbound.training.measure import measure
from lowerbound.training.run import Run
from lowerbound.training.setup import build
from lowerbound.training.watch import Watch

from .small import blobs, spec, stripes


def test_the_bound_rises(tmp_path):
    run = train(spec(training={"epochs": 30, "learning_rate": 5e-3}), stripes(), tmp_path / "run")
    bounds = [row["valid"]["bound"] for row in run.metrics()]
    assert max(bounds) > bounds[0] + 2


def test_the_best_weights_are_those_of_the_best_validation_bound(tmp_path):
    run = train(spec(training={"epochs": 8}), stripes(), tmp_path / "run")
    best = max(row["valid"]["bound"] for row in run.metrics())
    trained = load(tmp_path / "run", stripes())
    assert measure(trained.model, trained.data, "valid").row()["bound"] == pytest.approx(best, abs=1e-9)


def test_the_choice_is_closed_during_warm_up(tmp_path):
    settings = spec(schedule={"name": "linear", "epochs": 5}, training={"epochs": 7})
    rows = train(settings, stripes(), tmp_path / "run").metrics()
    assert not any(row["best"] for row in rows[:4])
    assert rows[4]["best"]


def test_patience_ends_a_run_early(tmp_path):
    settings = spec(training={"epochs": 200, "patience": 3, "learning_rate": 0.05})
    assert len(train(settings, stripes(), tmp_path / "run").metrics()) < 200


def test_the_ledger_is_the_mean_over_examples_with_a_ragged_last_batch(tmp_path):
    """At a learning rate of nothing the ledger of an epoch must be the same for any batch size."""
    rows = []
    for batch in (7, 240):
        settings = spec(
            training={"epochs": 1, "batch": batch, "learning_rate": 1e-30, "optimiser": "sgd", "samples": 1}
        )
        run = train(settings, stripes(), tmp_path / str(batch))
        rows.append(run.metrics()[0]["train"]["rate_per_dimension"])
    assert rows[0] == pytest.approx(rows[1], rel=1e-6)


def test_bfloat16_keeps_the_terms_in_float32(tmp_path):
    seen = []

    class Spy(Watch):
        def on_step(self, step, ledger):
            seen.append(ledger.rate.dtype)

    run = train(spec(training={"precision": "bfloat16"}), stripes(), tmp_path / "run", watch=Spy())
    assert set(seen) == {torch.float64}
    assert math.isfinite(run.metrics()[-1]["valid"]["bound"])


@pytest.mark.parametrize("planted", ["weight", "input", "gradient"])
def test_a_non_finite_number_stops_at_once_and_is_named(tmp_path, planted):
    data, settings = stripes(), spec()
    from lowerbound.data import summary

    model = build(settings, summary(data))
    words = {"weight": "distortion", "input": "distortion", "gradient": "gradient"}
    if planted == "weight":
        with torch.no_grad():
            model.posterior.head.weight[0, 0] = math.inf
    elif planted == "input":
        data.splits["train"].x[17, 3] = math.nan
        words["input"] = "finite"
    else:
        model.posterior.head.weight.register_hook(lambda g: g * math.nan)
    with pytest.raises(NonFiniteError, match=words[planted]) as error:
        train(settings, data, tmp_path / "run", model=model)
    assert "\n" not in str(error.value)
    assert "step 0" in str(error.value) or planted == "input"
    assert "rows" in str(error.value)
    alarms = json.loads((tmp_path / "run" / "alarms.json").read_text())
    assert [a["name"] for a in alarms if a["severity"] == "failure"] == ["non-finite"]


def test_divergence_keeps_the_last_good_weights(tmp_path):
    """A learning rate of 1e6 must end in the named error or in finite numbers, never in NaN on disk."""
    settings = spec(training={"learning_rate": 1e6, "optimiser": "sgd", "epochs": 20})
    with pytest.raises(NonFiniteError):
        train(settings, blobs(), tmp_path / "run")
    assert all(torch.isfinite(t).all() for t in Run(tmp_path / "run").weights().values())


def test_a_part_that_does_not_fit_leaves_no_folder(tmp_path):
    settings = spec(likelihood={"name": "categorical"})
    with pytest.raises(InputError):
        train(settings, blobs(), tmp_path / "run")
    assert not (tmp_path / "run").exists()
