"""The three scores on codes whose answer is known, and on a run."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
import torch

from lowerbound.data.factors import factors_of
from lowerbound.errors import InputError
from lowerbound.readers.disentangle import (
    WARNING,
    dci,
    disentangle,
    factor_vae_score,
    mig,
    picture,
    score,
    several,
)
from lowerbound.readers.disentangle.dci import focus, summarise
from lowerbound.readers.disentangle.mig import binned, information
from lowerbound.readers.disentangle.run import levels

from .conftest import finished

V = factors_of()
K = V.shape[1]
Z = (V - V.mean(0)) / V.std(0)
"""The perfect code: each coordinate is one factor."""


def test_a_perfect_code_scores_one():
    found = dci(Z, V)
    assert mig(Z, V) == pytest.approx(1, abs=1e-12)
    assert (found.disentanglement, found.completeness, found.informativeness) == pytest.approx((1, 1, 1))
    assert factor_vae_score(Z, V) == 1


def test_order_sign_and_scale_of_coordinates_change_nothing():
    other = Z[:, ::-1] * np.array([-3.0, 0.01, 100.0, 1.0, -1.0])
    assert mig(other, V) == pytest.approx(1, abs=1e-12)
    assert dci(other, V).disentanglement == pytest.approx(1)
    assert factor_vae_score(other, V) == 1


def test_noise_scores_what_chance_does():
    """Ten coordinates of noise; the FactorVAE score's chance is 1/K, with a standard error of 0.014 (five of them)."""
    z = np.random.default_rng(1).normal(size=(len(V), 10))
    found = dci(z, V)
    assert mig(z, V) < 0.005
    assert max(found.disentanglement, found.completeness) < 0.01
    assert factor_vae_score(z, V) == pytest.approx(1 / K, abs=0.07)
    guess = np.mean([1 / n for n in (3, 4, 8, 8, 8)])
    assert found.informativeness == pytest.approx(guess, abs=0.03)


def test_a_rotation_keeps_the_information_and_loses_the_disentanglement():
    """x and y turned by 45 degrees: either coordinate knows either factor equally well, so that MIG is 0."""
    v = V[:, 3:]
    z = Z[:, 3:] @ np.array([[1.0, 1.0], [1.0, -1.0]]) / math.sqrt(2)
    found = dci(z, v)
    assert mig(z, v) == pytest.approx(0, abs=0.01)
    assert max(found.disentanglement, found.completeness) < 0.02
    assert found.informativeness > 0.9
    assert factor_vae_score(z, v) == pytest.approx(0.5, abs=0.1)


def test_the_scores_of_a_factor_held_twice():
    """A second copy of each coordinate: nothing is gained by the first, so MIG is 0; disentanglement stays 1.

    Each factor is then served by two of ten coordinates: completeness is at most 1 - 0 and at least 1 - log 2 / log 10.
    """
    z = np.concatenate([Z, Z], 1)
    found = dci(z, V)
    assert mig(z, V) == pytest.approx(0, abs=1e-12)
    assert found.disentanglement == pytest.approx(1)
    assert 1 - math.log(2) / math.log(10) - 1e-9 <= found.completeness < 0.95
    assert factor_vae_score(z, V) == 1


def test_two_factors_in_one_coordinate():
    """One coordinate names the pair (a, b), 16 levels in 20 cells: it knows both to the last nat, serves neither."""
    v = np.stack(np.meshgrid(np.arange(4), np.arange(4)), -1).reshape(-1, 2).repeat(50, 0)
    z = (4 * v[:, :1] + v[:, 1:]).astype(float)
    assert information(z, v) == pytest.approx(np.full((1, 2), math.log(4)))
    assert mig(z, v) == pytest.approx(1), "no other coordinate knows anything: MIG does not see that the two share one"
    assert dci(z, v).disentanglement < 0.1


def test_mutual_information_is_exact_on_a_table_of_counts():
    """A binary factor seen through a channel that flips one in ten: log 2 - H(0.1) nats."""
    v = np.repeat([0, 1], 1000)
    z = np.concatenate([np.repeat([0.0, 1.0], [900, 100]), np.repeat([0.0, 1.0], [100, 900])])
    exact = math.log(2) + 0.1 * math.log(0.1) + 0.9 * math.log(0.9)
    assert information(z[:, None], v[:, None])[0, 0] == pytest.approx(exact, abs=1e-12)
    assert mig(np.stack([z, v], 1), v[:, None]) == pytest.approx(1 - exact / math.log(2), abs=1e-12)


@pytest.mark.parametrize(
    ("importance", "answer"),
    [
        (np.eye(3), (1, 1)),
        (np.ones((3, 3)) / 3, (0, 0)),
        (np.diag([1.0, 0.0]), (1, 0.5)),
        (np.array([[1.0, 1.0], [0.0, 0.0]]), (0, 1)),
        (np.array([[1.0], [1.0]]), (1, 0)),
    ],
    ids=["one to one", "all alike", "one factor unserved", "one for both", "both for one"],
)
def test_dci_of_known_importances(importance, answer):
    assert summarise(importance) == pytest.approx(answer)


def test_focus_is_one_minus_entropy():
    p = np.array([[0.2, 0.3, 0.5]])
    assert focus(7 * p)[0] == pytest.approx(1 + (p * np.log(p)).sum() / math.log(3))


def test_cells_are_of_equal_width():
    assert binned(np.linspace(0, 1, 201)).max() == 19
    assert np.bincount(binned(np.arange(20.0))).tolist() == [1] * 20
    assert binned(np.full(5, 3.0)).tolist() == [0] * 5


def test_a_constant_code_scores_nothing():
    z = np.zeros((len(V), 3))
    assert mig(z, V) == 0
    assert factor_vae_score(z, V) == 1 / K
    assert dci(z, V).disentanglement == 0


def test_spread_and_chance():
    """The standard error from halves is of the size of the deviation over fresh sets of noise (a factor of two)."""
    random = np.random.default_rng(5)
    order = random.permutation(len(V))[:2000]
    v = V[order]
    sets = [Z[order] + 0.7 * random.normal(size=(2000, K)) for _ in range(20)]
    found = {s.name: s for s in score(sets[0], v, halves=12)}
    over = np.std([mig(z, v) for z in sets], ddof=1)
    assert over / 2 < found["MIG"].stderr < 2 * over + 0.01
    assert found["MIG"].value > 0.2 > 0.05 > found["MIG"].chance
    assert found["FactorVAE score"].chance < 0.35


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    from lowerbound import data as data_floor

    settings = {"latent": 4, "encoder": {"hidden": [64]}, "training": {"epochs": 3, "batch": 128}}
    return finished(tmp_path_factory.mktemp("runs") / "factors", data_floor.load("factors"), **settings)


def test_a_run_is_scored_with_all_that_it_was_computed_from(run):
    found = disentangle(run, halves=2)
    assert found.rows == "6,144 examples (train, valid, test)"
    assert found.factors == ("shape", "scale", "rotation", "x", "y")
    assert all(0 <= s.value <= 1 and s.stderr >= 0 for s in found.scores)
    assert json.loads(json.dumps(found.json(), allow_nan=False))["warning"] == WARNING
    assert found.entropy.tolist() == pytest.approx([math.log(n) for n in (3, 4, 8, 8, 8)])
    assert (found.information <= found.entropy).all()
    assert "Locatello" in WARNING
    assert "posterior means of 6,144 examples" in "\n".join(found.lines())
    drawn = disentangle(run, halves=2, draws=True, split="test")
    assert (drawn.codes, drawn.rows) == ("draws from q(z|x)", "614 examples (test)")
    assert disentangle(run, halves=2).json() == found.json()


def test_runs_are_averaged_with_the_spread_over_them(run):
    one = disentangle(run, halves=2)
    table = several([one, one])
    assert [name for name, _, _ in table] == [s.name for s in one.scores]
    assert all(deviation == 0 for _, _, deviation in table)


def test_the_picture_names_every_factor(run):
    found = disentangle(run, halves=2)
    drawn = picture([found, found])
    assert drawn.count("share of each factor known") == 2
    assert all(name in drawn for name in found.factors)


def test_factors_of_one_s_own(run):
    own = V[:, [0, 3]] * 10 + 5
    found = disentangle(run, factors=own, names=("kind", "across"), halves=2)
    assert found.information == pytest.approx(disentangle(run, halves=2).information[:, [0, 3]])
    assert found.factors == ("kind", "across")


def test_unknown_factors_are_refused(digits):
    with pytest.raises(InputError, match="the true factors of digits are not known"):
        disentangle(digits)


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (V[:10], "does not fit 6,144 examples"),
        (V[:, 0], "does not fit"),
        (np.zeros((len(V), 2)), "factor 0 never changes"),
        (np.arange(len(V))[:, None], "has 6144 levels"),
    ],
)
def test_factors_that_do_not_fit_are_refused(given, words):
    with pytest.raises(InputError, match=words):
        levels(given, len(V))


def test_threads_change_no_score_by_a_bit(monkeypatch):
    random = np.random.default_rng(3)
    z, v = random.normal(size=(400, 3)), random.integers(5, size=(400, 2))
    found = []
    for threads in (1, 4):
        monkeypatch.setattr(torch, "get_num_threads", lambda n=threads: n)
        found.append(dci(z, v))
    assert found[0].importance.tolist() == found[1].importance.tolist()
    assert found[0].informativeness == found[1].informativeness
