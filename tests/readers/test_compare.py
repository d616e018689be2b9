"""Comparisons: paired differences with their errors, and everything that is not the same thing refused.

Random tests are seeded; their false-alarm rates are stated.
"""

from __future__ import annotations

import json
import math
import re
from dataclasses import replace

import numpy as np
import pytest
import torch

import lowerbound
from lowerbound import data as data_floor
from lowerbound.errors import InputError
from lowerbound.maths.units import Estimate
from lowerbound.readers.compare import CURES, Entry, Figure, compare, side_by_side
from lowerbound.readers.compare_picture import SIZE, picture, room
from lowerbound.readers.evaluate import evaluate
from lowerbound.readers.figures import page
from lowerbound.readers.log_likelihood import log_likelihood
from tests.readers.conftest import finished
from tests.readers.linear import as_run, exact, plane

FACTS = {"data": "SHA-256 a", "estimator": "elbo, 1 sample(s), seed 0"}


def entry(name: str, bound: torch.Tensor, **facts: str) -> Entry:
    """A run whose rate is a tenth of what it costs."""
    return Entry(name, bound, -0.1 * bound, -0.9 * bound, 2, 2, 100, 5, FACTS | facts)


def pair(n: int = 400, seed: int = 0) -> tuple[Entry, Entry]:
    """Two runs whose bounds vary by 30 nats with the example, and differ by 0.5 with a deviation of 1."""
    g = torch.Generator().manual_seed(seed)
    common = -100 + 30 * torch.randn(n, generator=g).double()
    return entry("a", common), entry("b", common + 0.5 + torch.randn(n, generator=g).double())


def test_the_difference_is_paired():
    """Its error is that of the differences, 1 / sqrt(400), not that of the bounds, 30 / sqrt(400)."""
    found = side_by_side(pair(), "test")
    difference = found.rows[1].difference
    assert difference.stderr == pytest.approx(0.05, rel=0.15)
    assert abs(difference.value - 0.5) < 5 * difference.stderr
    assert found.rows[0].difference is None
    assert "b is better than a" in found.words()[0]


def test_the_interval_covers_at_its_rate():
    """Of 400 intervals at 95 %, between 365 and 393 hold the truth (binomial, false alarm in some 1,000)."""
    held = 0
    for seed in range(400):
        found = side_by_side(pair(100, seed), "test").rows[1].json()["difference"]["interval95"]
        held += found[0] < 0.5 < found[1]
    assert 365 <= held <= 393


def test_the_reference_may_be_the_best():
    found = side_by_side(pair(), "test", "best")
    assert found.reference == 1 and found.rows[0].difference.value < 0
    assert "a is worse than b" in found.words()[0]


@pytest.mark.parametrize("fact", list(CURES))
def test_what_is_not_the_same_is_refused_with_its_reason(fact):
    a, b = pair()
    a, b = replace(a, facts=a.facts | {fact: "this"}), replace(b, facts=b.facts | {fact: "that"})
    with pytest.raises(InputError) as refused:
        side_by_side([a, b], "test")
    assert str(refused.value) == f"b: cannot be compared with a: its {fact} is that, there it is this; {CURES[fact]}"


def test_another_number_of_examples_is_refused():
    a, b = pair()
    with pytest.raises(InputError, match="its examples is 399, there it is 400"):
        side_by_side([a, replace(b, bound=b.bound[1:])], "test")


def test_an_unknown_reference_is_refused():
    with pytest.raises(InputError, match="did you mean best"):
        side_by_side(pair(), "test", "bets")


@pytest.fixture(scope="module")
def two(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs")
    data = data_floor.load("digits")
    few = {"training": {"epochs": 2, "batch": 64, "learning_rate": 3e-3}}
    more = {"training": {"epochs": 6, "batch": 64, "learning_rate": 3e-3}, "latent": 4}
    return finished(folder / "short", data, **few), finished(folder / "long", data, **more)


def test_runs_are_measured_as_evaluate_measures_them(two):
    found = compare(two, seconds=[0.5, None])
    for row, trained in zip(found.rows, two, strict=True):
        whole = evaluate(trained)
        assert row.bound == whole.elbo and row.rate == whole.rate and row.distortion == whole.distortion
        assert row.entry.parameters == sum(p.numel() for p in trained.model.parameters())
    assert [row.entry.epochs for row in found.rows] == [2, 6]
    assert [row.entry.seconds for row in found.rows] == [0.5, None]
    gap = found.rows[1].difference
    assert gap.value == pytest.approx(found.rows[1].bound.value - found.rows[0].bound.value, abs=1e-9)
    assert gap.value > 0 and gap.stderr < found.rows[0].bound.stderr
    json.dumps(found.json(), allow_nan=False)
    assert "long is better than short" in "\n".join(found.lines())


def test_the_arrays_are_those_of_the_examples(two):
    found = compare(two, against="best")
    arrays = found.arrays()
    assert arrays["runs"].tolist() == ["short", "long"] and found.reference == 1
    assert np.array_equal(arrays["elbo"], -arrays["rate"] - arrays["distortion"]) and "log_p" not in arrays
    assert np.array_equal(arrays["difference"], arrays["elbo"] - arrays["elbo"][1])
    assert Estimate.of(torch.from_numpy(arrays["difference"][0])) == found.rows[0].difference
    assert lowerbound.compare is compare


def test_the_arrays_hold_what_is_compared_in_place_of_the_bound():
    a, b = (replace(e, figure=Figure(e.bound + 1 + i, "log p(x)", "exact")) for i, e in enumerate(pair()))
    arrays = side_by_side([a, b], "test").arrays()
    assert np.array_equal(arrays["log_p"] - arrays["elbo"], np.array([[1.0], [2.0]]) + np.zeros((2, 400)))
    assert np.array_equal(arrays["difference"][1], arrays["log_p"][1] - arrays["log_p"][0])


def test_no_batch_size_changes_a_difference(two):
    whole, pieces = (compare(two, batch=batch).rows[1].difference for batch in (1000, 7))
    assert pieces.value == pytest.approx(whole.value, abs=1e-4)


def test_a_run_against_itself_differs_by_nothing(two):
    difference = compare([two[0], two[0]]).rows[1].difference
    assert difference == Estimate(0.0, 0.0, "nats", 180)


def test_the_exact_model_is_better_by_the_exact_gap(tmp_path):
    """Two linear models, both with known log p(x): the difference is that of the exact bounds, to 5 errors."""
    a, first = exact(tmp_path / "a", plane(2000))
    second = type(first).build(data_floor.summary(a.data), 2).double()
    second.load_state_dict(first.state_dict())
    with torch.no_grad():
        second.posterior.head.bias[2:] += 1.0
    b = as_run(tmp_path / "b", second, a.data)
    for run in (a.run, b.run):
        run.truncate_metrics(0)
    found = compare([a, b], samples=16).rows[1].difference
    with torch.no_grad():
        x = a.data.splits["test"].x.double()
        truth = (second.exact_elbo(x) - first.exact_elbo(x)).mean().item()
    assert truth < -0.3
    assert abs(found.value - truth) < 5 * found.stderr


def test_another_draw_of_the_split_is_refused(two, tmp_path):
    other = finished(tmp_path / "other", data_floor.load("digits", seed=1))
    with pytest.raises(InputError, match="rows of the split"):
        compare([two[0], other])


def test_another_binarisation_and_a_density_are_refused(two, tmp_path):
    drawn = finished(tmp_path / "drawn", data_floor.load("digits", binarise="threshold"))
    with pytest.raises(InputError, match="binarisation"):
        compare([two[0], drawn])
    normal = finished(tmp_path / "normal", data_floor.load("digits"), likelihood={"name": "normal"})
    with pytest.raises(InputError, match="unit of the likelihood is density"):
        compare([two[0], normal])


def test_runs_are_compared_in_log_p(two):
    """The figures and the differences are those of each run's own estimate; the bound stands beside them."""
    own = [log_likelihood(trained, samples=20) for trained in two]

    def estimate(trained):
        found = own[two.index(trained)]
        return Figure(found.log_p, found.bounded, found.what)

    found = compare(two, estimate=estimate, estimator="importance, samples 20, seed 0", against="best")
    assert found.compared == "log p(x)" and found.facts["estimator"] == "importance, samples 20, seed 0"
    difference = Estimate.of(own[0].log_p - own[1].log_p)
    assert found.reference == 1 and found.rows[0].difference == difference
    told = found.json()
    assert told["compared"] == "log p(x)" and told["runs"][0]["figure"]["what"] == "lower bound in expectation, IS-20"
    assert told["runs"][0]["figure"]["value"] == own[0].estimate.value
    assert found.rows[0].bound == evaluate(two[0]).elbo
    text = found.lines()
    assert "log p(x)" in text[0] and f"{own[0].estimate.value:.3f} ±" in text[1]
    assert "log p(x): higher is better, lower bound in expectation, IS-20" in "\n".join(text)
    assert "log p(x) less that of long, nats" in picture(told)


def test_a_bound_and_log_p_are_not_compared(two):
    a, b = pair()
    facts = a.facts | {"estimator": "importance, samples 20, seed 0"}
    with pytest.raises(InputError, match="its estimator is importance, samples 20, seed 0"):
        side_by_side([a, replace(b, facts=facts, figure=Figure(b.bound, "log p(x)", "IS-20"))], "test")


def test_the_name_of_a_diagonal_keeps_off_points_and_names():
    x, y = (0.0, 10.0), (0.0, 10.0)
    free = room(10.0, x, y, [])
    at = (free + 0.5) / 10 * SIZE[0], (10 - free - 0.5) / 10 * SIZE[1]
    box = (at[0] - 6, at[1] - 6, at[0] + 6, at[1] + 6)
    moved = room(10.0, x, y, [box])
    assert moved > free + 0.5
    assert room(10.0, x, y, [(0, 0, *SIZE)]) is None


def test_one_run_a_missing_split_and_no_bound_are_refused(two, monkeypatch):
    with pytest.raises(InputError, match="needs two runs"):
        compare(two[:1])
    with pytest.raises(InputError, match="no examples in 'exam'"):
        compare(two, "exam")
    monkeypatch.setattr(two[1].model.posterior, "density", False, raising=False)
    with pytest.raises(InputError, match="no density"):
        compare(two)


def test_the_picture_names_every_run(two):
    drawn = picture(compare(two).json())
    assert drawn.startswith("<svg") and "short" in drawn and "long" in drawn
    assert not re.search(r"nan|inf(?!o)", re.sub(r"<style.*?</style>", "", drawn, flags=re.S).split("<defs>")[0])
    assert page(drawn, "Runs").startswith("<?xml") or "<svg" in page(drawn, "Runs")


def test_an_infinite_bound_has_no_verdict_of_its_own():
    a, b = pair()
    b.bound[0] = -math.inf
    assert side_by_side([a, b], "test").json()["runs"][1]["bound"]["value"] is None


def test_runs_without_a_bound_are_compared_in_log_p(two, rival):
    """A GAN has a dash for bound, rate and distortion, with the reason; its difference is that of log p(x) alone."""

    def estimate(trained):
        found = log_likelihood(trained, method="annealed", samples=2, temperatures=2, start="prior")
        return Figure(found.log_p, found.bounded, found.what, found.notes)

    with pytest.raises(InputError, match=r"compare log p\(x\): method annealed"):
        compare([two[0], rival])
    found = compare([two[0], rival], estimate=estimate, estimator="annealed, start prior")
    told = found.json()["runs"][1]
    assert told["bound"] is told["rate"] is told["distortion"] is None and told["unbounded"] == "it has no encoder"
    assert "under a likelihood that nothing fitted" in told["figure"]["notes"][0]
    assert found.json()["runs"][0]["unbounded"] is None and not found.json()["runs"][0]["figure"]["notes"]
    each = found.arrays()
    assert np.isnan(each["elbo"][1]).all() and np.array_equal(
        each["difference"][1], each["log_p"][1] - each["log_p"][0]
    )
    assert "rival has no bound: it has no encoder" in found.lines()
    assert found.lines()[2].split()[4] == "-"
    assert "rival" in picture(found.json()) and "no run has a bound" in picture(replaced(found, 1).json())


def replaced(found, i):
    """A comparison of one of its runs with itself."""
    return side_by_side([found.rows[i].entry] * 2, "test")


def test_one_example_has_no_interval():
    """No standard error is a dash for people and null in JSON, and no verdict is made of it."""
    a, b = (replace(e, bound=e.bound[:1], rate=e.rate[:1], distortion=e.distortion[:1]) for e in pair())
    found = side_by_side([a, b], "test")
    told = found.json()
    assert json.loads(json.dumps(told, allow_nan=False))["runs"][1]["difference"]["interval95"] is None
    assert "± -" in found.lines()[2] and "inf" not in "\n".join(found.lines())
    assert found.words() == ["b and a: no interval, since no standard error is known"]
    assert picture(told).startswith("<svg")
