"""Explanations: the parts add up, the pulls are the derivatives, no figure is impossible."""

from __future__ import annotations

import math

import pytest

from lowerbound.errors import InputError
from lowerbound.readers.explain_kl import explain_kl
from lowerbound.readers.explain_run import explain_run
from lowerbound.training.measure import measure


@pytest.mark.parametrize("mean, log_variance", [(1.0, -1.0), (0.0, 0.0), (-3.0, 2.0), (1e-9, 1e-9), (0.0, -80.0)])
def test_the_parts_add_up(mean, log_variance):
    e = explain_kl(mean, log_variance)
    assert e.kl == pytest.approx(e.mean_paid + e.spread_paid, rel=1e-12)
    assert e.mean_paid == pytest.approx(mean**2 / 2, rel=1e-12)


def test_the_pulls_are_the_derivatives():
    step = 1e-5
    e = explain_kl(1.0, -1.0)
    on_mean = (explain_kl(1 + step, -1.0).kl - explain_kl(1 - step, -1.0).kl) / (2 * step)
    on_log = (explain_kl(1.0, -1 + step).kl - explain_kl(1.0, -1 - step).kl) / (2 * step)
    assert e.pull_on_mean == pytest.approx(on_mean, rel=1e-8)
    assert e.pull_on_log_variance == pytest.approx(on_log, rel=1e-8)


def test_the_thread_s_mistakes_are_put_right():
    text = "\n".join(explain_kl(1.0, -1.0).lines())
    for words in (
        "(s - 1) / (2 s)",
        "sigma - 1 / sigma",
        "H(q, p) - H(q)",
        "784 / 2 = 392",
        "0.68394 nats = 0.986716 bits",
    ):
        assert words in text


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_a_number_is_needed(value):
    with pytest.raises(InputError, match="--mean"):
        explain_kl(value, 0.0)


def test_a_run_s_nats_go_somewhere(digits):
    e = explain_run(digits)
    assert e.rate == pytest.approx(sum(d.nats for d in e.dimensions))
    assert e.information + e.gap == pytest.approx(e.rate)
    assert 0 <= e.information <= math.log(e.examples)
    assert e.gap >= 0
    assert len(e.lines()) > len(e.dimensions)


def test_prior_and_data_pull_in_opposite_ways(digits):
    for d in explain_run(digits).dimensions:
        assert d.prior_on_mean > 0 > d.data_on_mean
        assert d.prior_on_log_variance < 0 < d.data_on_log_variance


def test_the_pulls_cancel_at_the_optimum_of_the_linear_model(tmp_path):
    """At the exact optimum the two pulls are equal and opposite: along mu to rounding, where mirrored draws leave no
    noise, and on log variance but for the noise of 8 samples (six deviations)."""
    import numpy as np

    from lowerbound import data as data_floor
    from lowerbound.model.linear import LinearAutoencoder
    from lowerbound.training.load import Trained
    from lowerbound.training.run import Run
    from lowerbound.training.spec import Spec

    random = np.random.default_rng(0)
    x = random.normal(size=(2000, 2)) @ random.normal(size=(2, 5)) + 0.3 * random.normal(size=(2000, 5))
    data = data_floor.from_array(x.astype(np.float32), valid=0.0, test=0.0)
    rows = data.splits["train"].x
    model = LinearAutoencoder.build(data_floor.summary(data), 2).solve(rows).eval()
    run = Run(tmp_path / "run")
    run.create(Spec(latent=2), data.record, {}, "0")
    e = explain_run(Trained(run, Spec(latent=2), model, data), examples=2000)
    for d in e.dimensions:
        assert abs(d.left_on_mean) < 1e-4
        assert abs(d.left_on_log_variance) < 0.03 * abs(d.prior_on_log_variance) + 0.02


@pytest.mark.parametrize("kind, parts", [("conditional", 2), ("semi", 3)])
def test_a_condition_is_given_and_the_rate_is_that_of_the_prior_under_it(kind, parts, request):
    trained = request.getfixturevalue(kind)
    e, n = explain_run(trained, "test"), len(trained.data.splits["test"])
    measured = measure(trained.model, trained.data, "test")
    assert len(measured.rate_per_dimension()) == parts
    if kind == "conditional":
        assert [d.nats for d in e.dimensions] == pytest.approx(measured.rate_per_dimension().tolist(), rel=1e-4)
        assert e.information is e.gap is e.json()["information_at_most"] is None
        assert "changes with the condition" in " ".join(e.words())
    else:
        assert e.guessed and "likeliest" in " ".join(e.words())
        assert 0 <= e.information <= math.log(n)


REFUSED = {
    "clusters": "a deterministic code has no KL",
    "regressor": "it has no latents",
    "rival": "it has no encoder",
    "mixture": "its prior is mixture",
    "wide": "its posterior is full-normal",
}


@pytest.mark.parametrize("kind", REFUSED)
def test_what_has_no_pulls_is_refused_in_words_of_the_field(kind, request):
    with pytest.raises(InputError, match=REFUSED[kind]):
        explain_run(request.getfixturevalue(kind))
