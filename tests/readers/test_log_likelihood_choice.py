"""Models without an encoder, or without a density over codes: what is refused points to what works."""

from __future__ import annotations

import pytest

from lowerbound import data as data_floor
from lowerbound.errors import InputError
from lowerbound.readers.evaluate import evaluate
from lowerbound.readers.log_likelihood import log_likelihood

from .conftest import ONE, finished


@pytest.fixture(scope="module")
def em(tmp_path_factory):
    """A model trained by Monte Carlo EM."""
    parts = {"game": {"name": "mcem", "leapfrog": 1}, "posterior": {"name": "none"}, "decoder": {"hidden": [8]}}
    return finished(tmp_path_factory.mktemp("runs") / "em", data_floor.load("digits"), **parts, **ONE)


@pytest.mark.parametrize("kind", ["rival", "em"])
def test_without_an_encoder_the_refusal_names_the_method_that_works(kind, request):
    unencoded = request.getfixturevalue(kind)
    with pytest.raises(InputError, match=r"no encoder, and so no bound.*; estimate log p.x. .* method annealed$"):
        evaluate(unencoded)
    with pytest.raises(InputError, match=r"no density.*; use method annealed$"):
        log_likelihood(unencoded, samples=5)
    found = log_likelihood(unencoded, method="annealed", examples=2, samples=2, temperatures=2)
    assert found.log_p.isfinite().all()


def test_no_method_is_named_where_none_works(clusters):
    """Codes of a class and a style, both points: neither importance weights nor chains."""
    for method in ("importance", "annealed", "quadrature"):
        with pytest.raises(InputError, match=r"evaluate its distortion: leave --method out$"):
            log_likelihood(clusters, method=method, examples=1)


def test_of_one_hot_codes_only_importance_is_named(tmp_path):
    parts = {"posterior": {"name": "categorical"}, "prior": {"name": "categorical"}}
    model = finished(tmp_path / "hot", data_floor.load("digits", binarise="threshold"), **parts, **ONE)
    for method in ("annealed", "quadrature"):
        with pytest.raises(InputError, match=r"; use method importance$"):
            log_likelihood(model, method=method, examples=1)


def test_without_latents_chains_have_nowhere_to_go_and_find_what_is_exact(regressor):
    found = log_likelihood(regressor, method="annealed", examples=4, samples=2, temperatures=2)
    assert found.log_p.tolist() == pytest.approx(log_likelihood(regressor, examples=4, samples=1).log_p.tolist())


def test_a_figure_of_a_likelihood_that_nothing_fitted_says_so(rival, em):
    """A GAN trains no likelihood, in the lines and in the JSON; Monte Carlo EM trains one, and has no such note."""
    told = {"method": "annealed", "examples": 2, "samples": 2, "temperatures": 2}
    found, fitted = log_likelihood(rival, **told), log_likelihood(em, **told)
    note = "game gan trains no likelihood: the figure is of its decoder under a likelihood that nothing fitted"
    assert found.json()["notes"][0] == note and f"note        {note}" in found.lines()
    assert not any("nothing fitted" in note for note in fitted.notes)


def test_without_a_density_of_codes_evaluate_names_annealing_where_it_works(tmp_path, clusters):
    parts = {"posterior": {"name": "deterministic"}, "objective": {"name": "reconstruction"}}
    plain = finished(tmp_path / "plain", data_floor.load("digits"), **parts, **ONE)
    assert evaluate(plain).lines()[0].endswith("over its codes; estimate log p(x) from its prior: method annealed")
    assert evaluate(clusters).lines()[0].endswith("over its codes")
