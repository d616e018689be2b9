"""Ten and more engineered unhealthy runs each raise their alarm; ten healthy ones raise none."""

from __future__ import annotations

import numpy as np
import pytest

from lowerbound import data as data_floor
from lowerbound.errors import NonFiniteError
from lowerbound.training.alarms import CAUSES
from lowerbound.training.loop import train
from lowerbound.training.run import Run
from lowerbound.training.watch import Watch

from .small import blobs, spec, stripes


def digits():
    return data_floor.load("digits", binarise="threshold")


def tiny():
    """Fewer rows than a large network can remember."""
    return stripes(n=60, parts=40, seed=3)


def copied():
    """A column that is a copy of another: its density given the rest is unbounded."""
    random = np.random.default_rng(0)
    x = random.normal(size=(600, 1)).astype(np.float32)
    return data_floor.from_array(np.repeat(x, 6, axis=1), name="copied")


def quick(epochs: int, lr: float = 5e-3, **more):
    return {"epochs": epochs, "batch": 10, "learning_rate": lr} | more


UNHEALTHY = {
    "both terms averaged": ("collapse-forecast", stripes, {"objective": {"name": "averaged", "beta": 10}}),
    "a beta of 400": ("collapse-forecast", stripes, {"objective": {"beta": 400.0}}),
    "a decoder wider than the data": (
        "collapse-forecast",
        blobs,
        {"likelihood": {"name": "normal", "variance": "fixed", "sigma": 9.0}},
    ),
    "beta 400, seen afterwards": ("total-collapse", stripes, {"objective": {"beta": 400.0}, "training": quick(12)}),
    "averaged, seen afterwards": (
        "total-collapse",
        stripes,
        {"objective": {"name": "averaged", "beta": 10}, "training": quick(12)},
    ),
    "capacity of nothing": (
        "total-collapse",
        stripes,
        {"objective": {"name": "capacity", "target": 0.0, "gamma": 100.0}, "training": quick(12)},
    ),
    "ten times too many latents": (
        "collapsed-dimensions",
        blobs,
        {"latent": 12, "training": quick(25)},
    ),
    "a linear warm-up that is too long": (
        "warm-up-unfinished",
        stripes,
        {"schedule": {"name": "linear", "epochs": 50}},
    ),
    "a cyclical warm-up that is too long": (
        "warm-up-unfinished",
        stripes,
        {"schedule": {"name": "cyclical", "epochs": 9}},
    ),
    "a column that copies another": (
        "sigma-floor",
        copied,
        {"latent": 1, "encoder": {"hidden": []}, "training": quick(40, 2e-2, decay="cosine")},
    ),
    "a large network on sixty rows": (
        "over-fitting",
        tiny,
        {"encoder": {"hidden": [200]}, "latent": 8, "training": quick(150)},
    ),
    "a learning rate of 3": ("below-baseline", stripes, {"training": quick(12, 3.0)}),
    "a learning rate that diverges": ("non-finite", blobs, {"training": quick(20, 1e6, optimiser="sgd")}),
}

HEALTHY = {
    "stripes": (stripes, {"training": quick(12)}),
    "stripes, another seed": (stripes, {"training": quick(12, seed=5)}),
    "stripes, tanh": (stripes, {"encoder": {"activation": "tanh"}, "training": quick(12)}),
    "stripes, warm-up": (stripes, {"schedule": {"name": "linear", "epochs": 4}, "training": quick(12)}),
    "stripes, cyclical": (stripes, {"schedule": {"name": "cyclical", "epochs": 4, "cycles": 2}, "training": quick(12)}),
    "stripes, free bits": (stripes, {"objective": {"name": "free-bits"}, "training": quick(12)}),
    "stripes, capacity": (
        stripes,
        {"objective": {"name": "capacity", "gamma": 5.0, "target": 1.5}, "training": quick(12)},
    ),
    "stripes, full covariance": (stripes, {"posterior": {"name": "full-normal"}, "training": quick(12)}),
    "blobs": (blobs, {"training": quick(25)}),
    "blobs, beta 0.5": (blobs, {"objective": {"beta": 0.5}, "training": quick(25)}),
    "blobs, one latent": (blobs, {"latent": 1, "training": quick(25)}),
    "digits": (digits, {"latent": 4, "encoder": {"hidden": [64]}, "training": quick(6, 2e-3, batch=32)}),
}


def alarms(path, make, settings):
    try:
        run = train(spec(**settings), make(), path)
    except NonFiniteError:
        run = Run(path)
    return {a["name"]: a for a in run.alarms()}


@pytest.mark.parametrize("case", UNHEALTHY)
def test_an_unhealthy_run_raises_its_alarm(tmp_path, case):
    name, make, settings = UNHEALTHY[case]
    raised = alarms(tmp_path / "run", make, settings)
    assert name in raised, sorted(raised)
    assert raised[name]["cause"] and raised[name]["cures"] and raised[name]["message"]


@pytest.mark.parametrize("case", HEALTHY)
def test_a_healthy_run_raises_none(tmp_path, case):
    make, settings = HEALTHY[case]
    raised = alarms(tmp_path / "run", make, settings)
    assert not raised, [a["message"] for a in raised.values()]


def test_every_alarm_is_engineered_at_least_once():
    assert {name for name, _, _ in UNHEALTHY.values()} == set(CAUSES)


def test_an_unfinished_warm_up_is_said_before_and_after(tmp_path):
    heard = []

    class Listener(Watch):
        def on_alarm(self, alarm):
            heard.append((alarm.name, alarm.epoch))

    train(spec(schedule={"name": "linear", "epochs": 50}), stripes(), tmp_path / "run", watch=Listener())
    assert heard == [("warm-up-unfinished", 0), ("warm-up-unfinished", 3)]
    (kept,) = Run(tmp_path / "run").alarms()
    assert "ended at beta 0.06" in kept["message"]
