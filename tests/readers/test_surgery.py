"""What the KL of a run is made of, against the linear model, whose aggregate posterior is Gaussian and known."""

from __future__ import annotations

import json
import math
import os
from dataclasses import replace
from functools import partial

import pytest
import torch

from lowerbound import data as data_floor
from lowerbound.errors import InputError
from lowerbound.maths import surgery as parts_of
from lowerbound.maths.divergence import kl
from lowerbound.maths.normal import DiagonalNormal
from lowerbound.model.assemble import assemble
from lowerbound.readers import surgery as reader
from lowerbound.readers.surgery import surgery
from lowerbound.readers.two_sample import codes_match_prior
from lowerbound.training.randomness import generator
from tests.readers.linear import as_run, exact, plane


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return exact(tmp_path_factory.mktemp("linear") / "run", plane(6000))


def truth(trained, model) -> dict[str, float]:
    """Closed forms: m = V (x - b), so that q(z) is a Normal with the covariance of m and the posterior's own.

    The covariance of x is that of the test rows themselves, whose distribution the figures are of.
    """
    x = trained.data.splits["test"].x.double()
    q = model.encode(x)
    mean, within = q.mean.mean(0), torch.diag(q.variance[0])
    between = torch.cov(q.mean.T, correction=0)
    C = between + within
    variances = torch.diagonal(C)
    information = 0.5 * (torch.logdet(C) - torch.logdet(within))
    wise = 0.5 * (variances + mean.square() - 1 - variances.log()).sum()
    correlation = 0.5 * (variances.log().sum() - torch.logdet(C))
    found = {"information": information, "correlation": correlation, "dimension_wise": wise}
    return {name: value.item() for name, value in found.items()}


def test_the_parts_are_those_of_the_linear_model(run):
    """Brackets, widened by four standard errors, hold the closed forms."""
    trained, model = run
    parts = surgery(trained, "test", examples=2000).parts
    for name, value in truth(trained, model).items():
        part = getattr(parts, name)
        assert part.low - 4 * part.stderr - 1e-3 < value < part.high + 4 * part.stderr + 1e-3, name
    assert parts.information.high - parts.information.low < 0.05


def test_the_parts_add_up_to_the_rate(run):
    parts = surgery(run[0], "test", examples=500).parts
    assert parts.information.value + parts.correlation.value + parts.dimension_wise.value == pytest.approx(
        parts.rate.value, abs=1e-9
    )
    assert 0 <= parts.information.value <= math.log(500)


@pytest.mark.parametrize("split", ["train", "test"])
def test_it_is_the_split_that_was_asked_for(run, split):
    """The exact rate of all its examples, by hand."""
    trained, model = run
    x = trained.data.splits[split].x.double()
    with torch.no_grad():
        q = model.encode(x)
    by_hand = kl(q, model.prior_at()).total().mean().item()
    assert surgery(trained, split, examples=len(x)).parts.rate.value == pytest.approx(by_hand, abs=1e-12)


def test_no_batch_and_no_budget_changes_a_figure(run, monkeypatch):
    """To 1e-12 in float64: posteriors of 7 examples at a time, and tables of a few rows."""
    whole = surgery(run[0], "test", examples=150)
    encoded = reader.posteriors
    monkeypatch.setattr(reader, "posteriors", lambda model, x, y: encoded(model, x, y, batch=7))
    monkeypatch.setattr(parts_of, "BUDGET", 8 * 150 * 3 * 4)
    pieces = surgery(run[0], "test", examples=150)
    for name in ("information", "marginal", "correlation", "dimension_wise"):
        one, other = (vars(getattr(found.parts, name)) for found in (whole, pieces))
        assert one == pytest.approx(other, abs=1e-12, rel=0)
    assert whole.holes == pieces.holes


def test_a_code_is_that_of_its_row(run, monkeypatch):
    """Chosen among 3,000, so among blocks of noise, an example has the code it has where all are taken, to 1e-12."""
    seen = []

    def dissect(q, p, z, rates):
        seen.append(z)
        return parts_of.surgery(q, p, z, rates)

    monkeypatch.setattr(reader, "dissect", dissect)
    n = len(run[0].data.splits["test"])
    for examples in (n, 100):
        surgery(run[0], "test", examples=examples, seed=2)
    rows = torch.randperm(n, generator=generator(reader.CHOICE, 2))[:100].sort().values
    torch.testing.assert_close(seen[1], seen[0][rows], rtol=0, atol=1e-12)


@pytest.mark.skipif("LOWERBOUND_DATA" not in os.environ, reason="needs the data sets")
def test_what_is_binarised_afresh_is_the_same_each_time(tmp_path):
    """The training split of MNIST, whose draws are the seed's alone."""
    data = data_floor.load("mnist", binarise="fresh")
    model = assemble(data_floor.summary(data), latent=2, encoder={"name": "mlp", "hidden": (4,)})
    trained = as_run(tmp_path / "run", model, data)
    for read in (partial(surgery, examples=40), partial(codes_match_prior, n=40, permutations=19)):
        torch.manual_seed(0)
        first = read(trained, "train").json()
        after = torch.rand(1).item()
        torch.manual_seed(1)
        assert read(trained, "train").json() == first
        torch.manual_seed(0)
        assert torch.rand(1).item() == after, "and a person's own draws stay as they are"


def test_few_examples_show_at_most_log_n(run):
    found = surgery(run[0], "test", examples=4)
    assert found.parts.information.value <= math.log(4) + 1e-12
    assert found.parts.information.high > math.log(4)
    assert "at least" in "\n".join(found.lines())


def test_an_optimal_linear_model_has_no_holes(run):
    """Its aggregate posterior is the prior, so 1 % of the prior lies below the 1 % quantile (within 5 deviations)."""
    found = surgery(run[0], "test", examples=2000).holes
    assert found.value == pytest.approx(0.01, abs=5 * math.sqrt(2 * 0.01 * 0.99 / 2000))


def test_a_prior_with_an_empty_half_has_a_hole(run, monkeypatch):
    """Codes moved to the right of 0: about half of the prior is then where no code is."""
    trained, model = run
    encode = model.encode

    def folded(x, y=None):
        q = encode(x)
        return DiagonalNormal(q.mean.abs() + 1.0, q.log_variance)

    monkeypatch.setattr(model, "encode", folded, raising=False)
    assert surgery(trained, "test", examples=1000).holes.value > 0.5


def test_both_definitions_of_active_units(run):
    found = surgery(run[0], "test", examples=500)
    assert found.active() == {"by_rate": 2, "by_variance_of_the_mean": 2}
    assert found.json()["active_thresholds"] == {"by_rate_nats": 0.01, "by_variance_of_the_mean": 0.01}
    json.dumps(found.json(), allow_nan=False)


def test_the_same_seed_gives_the_same_figures(run):
    assert surgery(run[0], "test", examples=300).json() == surgery(run[0], "test", examples=300).json()
    assert surgery(run[0], "test", examples=300, seed=1).json() != surgery(run[0], "test", examples=300).json()


def test_a_full_posterior_and_a_table(wide, table):
    for trained in (wide, table):
        found = surgery(trained, "test")
        parts = found.parts
        assert parts.information.value + parts.marginal.value == pytest.approx(parts.rate.value, abs=1e-9)
        whole = parts.information.value + parts.correlation.value + parts.dimension_wise.value
        assert whole == pytest.approx(parts.rate.value, abs=1e-9)
        assert found.lines()


def test_a_rate_that_is_sampled_is_called_so(run):
    found = surgery(run[0], "test", examples=100)
    assert "sampled" not in found.lines()[0]
    other = replace(found, parts=replace(found.parts, sampled=True))
    assert "(sampled: no closed form)" in other.lines()[0] and other.json()["rate"]["kind"] == "sampled"


def test_a_model_without_a_bound_is_refused(run, monkeypatch):
    monkeypatch.setattr(run[1].posterior, "density", False, raising=False)
    with pytest.raises(InputError, match="no density"):
        surgery(run[0])


def test_an_empty_split_is_refused(run):
    with pytest.raises(InputError, match="fewer than two"):
        surgery(run[0], "valid")
