"""Missing cells: draws against the exact conditional of the linear model, and coverage of hidden cells.

Random tests are seeded; what is noisy is held to four or five standard errors, as each says.
"""

from __future__ import annotations

import importlib
from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy import stats

from lowerbound import data as data_floor
from lowerbound.data.dataset import Column, Summary
from lowerbound.errors import InputError
from lowerbound.model.likelihoods.columns import Columns
from lowerbound.readers.impute import coverage, impute, tiles
from lowerbound.readers.impute.cells import cells
from lowerbound.training.load import Trained
from tests.readers.conftest import finished
from tests.readers.linear import as_run, exact, plane


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A linear model and, as its data, rows drawn from the model itself, so that every figure of it is right."""
    folder = tmp_path_factory.mktemp("linear")
    _, model = exact(folder / "first", plane(1000))
    return as_run(folder / "run", model, data_floor.from_array(sampled(model, 1200), valid=0, test=0.5)), model


def sampled(model, n: int, seed: int = 5) -> np.ndarray:
    W, b, variance = (a.detach() for a in model.loading())
    g = torch.Generator().manual_seed(seed)
    z, e = torch.randn(n, 2, generator=g).double(), torch.randn(n, len(b), generator=g).double()
    return (z @ W.T + b + variance.sqrt() * e).float().numpy()


def masked(model, n: int = 200, seed: int = 1) -> np.ndarray:
    """Rows with about two of five cells missing, one of them wholly."""
    x = sampled(model, n, seed).astype(np.float64)
    away = np.random.default_rng(seed).random(x.shape) < 0.4
    away[0] = True
    return np.where(away, np.nan, x)


def conditional(model, row: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean and covariance of the missing cells of a row given the others, exact."""
    W, b, variance = (a.detach().numpy() for a in model.loading())
    C = W @ W.T + variance * np.eye(len(b))
    m, o = np.isnan(row), ~np.isnan(row)
    gain = C[np.ix_(m, o)] @ np.linalg.inv(C[np.ix_(o, o)])
    return b[m] + gain @ (row[o] - b[o]), C[np.ix_(m, m)] - gain @ C[np.ix_(o, m)]


def whitened(model, x: np.ndarray, draws: np.ndarray) -> np.ndarray:
    """The draws of the missing cells of every row, less their exact mean and divided by their exact root."""
    out = []
    for i, row in enumerate(x):
        if np.isnan(row).any():
            mean, covariance = conditional(model, row)
            out.append(np.linalg.solve(np.linalg.cholesky(covariance), (draws[:, i, np.isnan(row)] - mean).T).ravel())
    return np.concatenate(out)


def wrong(value: np.ndarray) -> float:
    """How many standard errors mean and variance of whitened draws are from 0 and 1, the larger."""
    n = len(value)
    return max(abs(value.mean()) * n**0.5, abs(value.var() - 1) * (n / 2) ** 0.5)


def narrowed(model, monkeypatch, by: float = 1.0):
    """An encoder that is too sure of itself and off by half a unit."""
    encode = model.encode

    def too_sure(x, y=None):
        q = encode(x)
        return type(q)(q.mean + 0.5 * torch.exp(0.5 * q.log_variance), q.log_variance - by)

    monkeypatch.setattr(model, "encode", too_sure, raising=False)


def test_draws_are_those_of_the_exact_conditional(run):
    """Whitened with the exact conditional they are N(0, 1): mean and variance to five errors, and correlations."""
    trained, model = run
    x = masked(model)
    found = impute(trained, x, draws=40, steps=20)
    assert wrong(whitened(model, x, found.draws)) < 5
    assert np.isfinite(found.draws).all()


def test_a_wrong_encoder_is_put_right_by_metropolis_and_not_by_gibbs(run, monkeypatch):
    trained, model = run
    x = masked(model)
    narrowed(model, monkeypatch)
    right = impute(trained, x, draws=40, steps=200)
    assert wrong(whitened(model, x, right.draws)) < 5
    assert 0.2 < np.nanmedian(right.accepted) < 0.9
    assert wrong(whitened(model, x, impute(trained, x, draws=40, steps=60, method="gibbs").draws)) > 10


def test_a_good_encoder_is_always_accepted(run):
    """With the exact posterior every proposal is a draw from the conditional itself."""
    trained, model = run
    accepted = impute(trained, masked(model), draws=4, steps=10).accepted
    assert np.nanmin(accepted) > 1 - 1e-6


def test_resampling_alone_is_nearly_right(run):
    trained, model = run
    x = masked(model)
    value = whitened(model, x, impute(trained, x, draws=40, method="resampling").draws)
    assert abs(value.mean()) < 0.05 and abs(value.var() - 1) < 0.1


def test_draws_differ_and_observed_cells_stay(run):
    trained, model = run
    x = masked(model)
    found = impute(trained, x, draws=5, steps=5)
    assert found.draws.shape == (5, *x.shape)
    known = ~np.isnan(x)
    assert (found.draws[:, known] == x[known]).all()
    assert (found.draws[:, ~known].std(0) > 0).all()
    assert (found.missing == ~known).all()


def test_a_whole_row_missing_is_a_draw_of_the_model(run):
    """Means and deviations of the columns to five errors."""
    trained, model = run
    found = impute(trained, np.full((1, 5), np.nan), draws=3000, steps=5).draws[:, 0]
    W, b, variance = (a.detach().numpy() for a in model.loading())
    deviation = np.sqrt(np.square(W).sum(1) + variance)
    np.testing.assert_array_less(abs(found.mean(0) - b), 5 * deviation / 3000**0.5)
    np.testing.assert_array_less(abs(found.std(0) / deviation - 1), 5 / 6000**0.5)


def test_nothing_missing_is_nothing_done(run):
    trained, model = run
    x = sampled(model, 10).astype(np.float64)
    found = impute(trained, x, draws=3)
    assert (found.draws == x).all() and np.isnan(found.accepted).all()


def test_the_same_seed_gives_the_same_draws(run):
    trained, model = run
    x = masked(model, 20)
    first, again, other = (impute(trained, x, draws=2, steps=3, seed=seed).draws for seed in (0, 0, 1))
    assert (first == again).all() and (first != other).any()


def test_no_two_rows_share_their_random_numbers(run):
    """Of 600 equal rows, more than are drawn at a time, no cell is drawn twice."""
    draws = impute(run[0], np.full((600, 5), np.nan), draws=2, steps=2).draws
    assert len(np.unique(draws)) == draws.size


@pytest.mark.parametrize("kind", ["linear", "table", "pictures", "flow"])
def test_a_row_has_the_same_draws_in_any_order_and_company(kind, request, tmp_path):
    """To the last bit in any precision: rows shuffled with a third left out, and rows alone."""
    trained = request.getfixturevalue({"linear": "run", "pictures": "digits"}.get(kind, "table"))
    trained = trained[0] if kind == "linear" else trained
    if kind == "flow":
        trained = finished(tmp_path / "run", trained.data, posterior={"name": "flow"}, prior={"name": "student-t"})
    x = trained.data.splits["train"].x[:150].double().numpy()
    x = np.where(np.random.default_rng(2).random(x.shape) < 0.3, np.nan, x)
    x[::3] = trained.data.splits["train"].x[:150:3]
    whole = impute(trained, x, draws=20, steps=6)
    some = np.random.default_rng(3).permutation(150)[:100]
    for rows in (some, [some[0]], [149]):
        found = impute(trained, x[rows], draws=20, steps=6, keys=rows)
        assert np.array_equal(found.draws, whole.draws[:, rows], equal_nan=True)
        assert np.array_equal(found.accepted, whole.accepted[rows], equal_nan=True)


def test_the_number_of_rows_at_a_time_changes_no_draw(run, monkeypatch):
    """To 1e-12 in float64: one row, seven and fifty at a time."""
    x = masked(run[1], 60)
    found = []
    for chains in (6, 42, 300):
        monkeypatch.setattr(tiles, "CHAINS", chains)
        found.append(impute(run[0], x, draws=6, steps=20).draws)
    np.testing.assert_allclose(found[1:], [found[0]] * 2, rtol=0, atol=1e-12)


def test_keys_that_are_not_one_a_row_are_refused(run):
    with pytest.raises(InputError, match="3 keys of 2 rows; give one whole number a row"):
        impute(run[0], np.full((2, 5), np.nan), keys=[0, 1, 2])


def test_cells_of_every_kind_are_drawn_with_their_probabilities():
    """4,000 draws of two rows: shares, mean and deviation to five standard errors; codes that cannot be never come."""
    columns = Column("height", "numeric"), Column("smokes", "binary"), Column("town", "category", ("A", "B", "C"))
    columns += (Column("pet", "category", ("no", "yes")),)
    columns_of = Columns(Summary("table", (4,), torch.zeros(4), torch.ones(4), columns=columns))
    out = torch.tensor([[0.5, 1.0, 0.0, 1.0, -torch.inf, 0.3, -0.3], [-1.0, -2.0, 1.0, 0.0, 2.0, 0.0, 0.0]])
    p = columns_of(out)
    dice = tiles.Dice(0, 1, [4, 9], tiles.Tile([0, 1], [0, 1], [0, 1]), out)
    drawn = cells(columns_of, out.expand(4000, 2, 7), dice).detach()
    normal, binary, codes = p.groups
    error = 5 / 4000**0.5
    assert ((drawn[..., 0].mean(0) - normal.mean[:, 0]).abs() < error * normal.stddev[:, 0]).all()
    assert ((drawn[..., 0].std(0) / normal.stddev[:, 0] - 1).abs() < error).all()
    assert ((drawn[..., 1].mean(0) - binary.probs[:, 0]).abs() < error / 2).all()
    shares = torch.stack([(drawn[..., 2:] == code).double().mean(0) for code in range(3)], -1)
    assert ((shares - codes.probs).abs() < error / 2).all() and (shares[codes.probs == 0] == 0).all()


def test_more_rows_change_no_rank_of_the_first(run):
    few, more = (coverage(run[0], "test", draws=19, steps=3, rows=n).ranks for n in (40, 90))
    assert np.array_equal(few, more[: len(few)])


def test_coverage_is_that_of_the_split_that_was_asked_for(run):
    """Held-out rows far from the model: their cells alone are not covered."""
    trained, splits = run[0], run[0].data.splits
    far = replace(splits["test"], x=splits["test"].x + 50)
    data = replace(trained.data, splits=splits | {"test": far})
    trained = Trained(trained.run, trained.spec, trained.model, data)
    found = {s: coverage(trained, s, draws=19, steps=3, rows=100).whole.value for s in ("train", "test")}
    assert found["train"] > 0.8 and found["test"] < 0.2


def test_coverage_is_nominal_where_the_model_is_right(run):
    """600 rows from the model: each column within four binomial errors, ranks uniform (chi-square, p > 1e-4)."""
    found = coverage(run[0], "test", draws=19, steps=10, rows=600, hidden=0.3)
    assert found.nominal == 0.9
    assert all(abs(column.score) < 4 for column in found.columns) and len(found.columns) == 5
    assert abs(found.whole.value - 0.9) < 4 * found.whole.stderr
    assert stats.chisquare(np.bincount(found.ranks, minlength=20)).pvalue > 1e-4
    assert found.lines()


def test_coverage_notices_draws_that_are_too_narrow(run):
    """A decoder with a sixth of the deviation: far fewer than nine in ten are covered."""
    trained, model = run
    variance = model.likelihood.log_variance.exp().detach().clone()
    model.likelihood.set_variance(variance / 36)
    try:
        found = coverage(trained, "test", draws=19, steps=50, rows=600, hidden=0.3)
    finally:
        model.likelihood.set_variance(variance)
    assert found.whole.value < 0.9 - 10 * found.whole.stderr


def test_a_table_is_filled_with_values_of_its_kinds(table):
    x = table.data.splits["test"].x.clone()
    x[:, 1], x[::2, 0], x[1::2, 2] = torch.nan, torch.nan, torch.nan
    draws = impute(table, x, draws=7, steps=10).draws
    assert np.isfinite(draws).all()
    height, children, town = draws[..., 0], draws[..., 1], draws[..., 2]
    assert (children == np.floor(children)).all() and (children >= 0).all()
    assert set(np.unique(town)) <= {0.0, 1.0, 2.0}
    assert height.min() > 100 and height.max() < 240


def test_hidden_cells_of_a_trained_table_are_covered(tmp_path):
    """A table whose columns hang together, and a model that has learned it: 85 to 95 % at nominal 90."""
    random = np.random.default_rng(0)
    z = random.normal(size=1500)
    rows = {
        "size": 170 + 9 * z + random.normal(size=1500),
        "visits": random.poisson(np.exp(0.7 + 0.5 * z)),
        "town": np.where(random.random(1500) < 1 / (1 + np.exp(-3 * z)), "Ulm", "Bonn"),
        "weight": 70 + 8 * z + 3 * random.normal(size=1500),
    }
    data = data_floor.from_array({name: values.tolist() for name, values in rows.items()}, name="made")
    more = {"latent": 2, "training": {"epochs": 30, "batch": 64, "learning_rate": 3e-3}}
    trained = finished(tmp_path / "run", data, **more)
    found = coverage(trained, "train", draws=19, rows=400, hidden=0.25, steps=50)
    assert 0.85 < found.whole.value < 0.95
    size = impute(trained, np.array([[np.nan, 8, 1, 95.0], [np.nan, 0, 0, 50.0]]), draws=200, steps=50).draws[..., 0]
    assert np.median(size[:, 0]) > np.median(size[:, 1]) + 15


def test_pictures_are_filled(digits):
    x = digits.data.splits["test"].x[:6].double().clone()
    x[..., 4:, :] = torch.nan
    found = impute(digits, x, draws=3, steps=10)
    assert found.draws.shape == (3, 6, 1, 8, 8)
    assert ((found.draws >= 0) & (found.draws <= 16) & (found.draws == np.floor(found.draws))).all()


def test_bad_wishes_are_refused(run, monkeypatch):
    trained, model = run
    x = masked(model, 4)
    for wish, said in (({"draws": 0}, "at least 1 draw"), ({"method": "metro"}, "metropolis")):
        with pytest.raises(InputError, match=said):
            impute(trained, x, **wish)
    with pytest.raises(InputError, match="shape"):
        impute(trained, x[:, :3])
    with pytest.raises(InputError, match="infinite"):
        impute(trained, np.full((1, 5), np.inf))
    with pytest.raises(InputError, match="make no interval"):
        coverage(trained, draws=1)
    with pytest.raises(InputError, match="no examples"):
        coverage(trained, "valid")
    monkeypatch.setattr(model.posterior, "density", False, raising=False)
    with pytest.raises(InputError, match="no density"):
        impute(trained, x)


def test_the_error_of_one_row_is_a_dash():
    coverages = importlib.import_module("lowerbound.readers.impute.coverage")
    away, inside = np.ones((1, 4), dtype=bool), np.ones((1, 4), dtype=bool)
    column = coverages.Column("a", 4, 4, 0.9)
    found = coverages.Coverage([column], coverages.whole(away, inside), 0.9, 19, 0.25, 1, "test", np.zeros(4))
    assert "all cells: 100.0% ± - covered" in "\n".join(found.lines())
    assert found.json()["covered"]["stderr"] is None
