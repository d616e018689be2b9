"""Evaluation: figures with uncertainty, the same for any batch size."""

from __future__ import annotations

import json
import math

import pytest

from lowerbound import data as data_floor
from lowerbound.errors import InputError
from lowerbound.readers.evaluate import evaluate
from lowerbound.readers.log_likelihood import log_likelihood
from lowerbound.training.measure import measure
from tests.readers.conftest import ONE, finished


def test_the_json_holds_what_is_promised(digits):
    found = evaluate(digits).json()
    for term in ("elbo", "rate", "distortion"):
        assert found[term]["unit"] == "nats"
        assert found[term]["stderr"] > 0
    assert found["elbo"]["value"] == pytest.approx(-(found["rate"]["value"] + found["distortion"]["value"]), abs=1e-9)
    assert len(found["rate_per_dimension"]) == 2
    assert sum(found["rate_per_dimension"]) == pytest.approx(found["rate"]["value"], abs=1e-9)
    assert (found["examples"], found["split"], found["binarisation"]) == (180, "test", "none")
    assert found["active_dimensions"] == 2
    json.dumps(found, allow_nan=False)


def test_no_batch_size_changes_a_figure(digits):
    whole = measure(digits.model, digits.data, "test", batch=180).elbo
    pieces = measure(digits.model, digits.data, "test", batch=7).elbo
    assert pieces.tolist() == pytest.approx(whole.tolist(), rel=1e-5)


def test_bits_are_spoken_of_only_where_values_are_discrete(digits, table):
    assert "bits_per_dimension" in evaluate(digits).json()
    assert "bits_per_dimension" not in evaluate(table).json()


def test_bits_are_those_of_minus_log_p(digits):
    found = evaluate(digits)
    assert found.json()["bits_per_dimension"]["value"] == pytest.approx(-found.elbo.value / 64 / math.log(2))
    assert found.elbo.value < 0 and f"{-found.elbo.value / 64 / math.log(2):.4f} bits per value" in found.lines()[3]


def test_an_unknown_split_is_refused(digits):
    with pytest.raises(InputError, match="it has: train, valid, test"):
        evaluate(digits, "exam")


WORDS = {
    "digits": "lower bound on log p(x), beta = 1",
    "conditional": "lower bound on log p(x | label), beta = 1",
    "regressor": "exactly log p(rest | middle column)",
    "semi": "lower bound on log p(x), beta = 1",
    "grey": "minus rate and distortion, no bound on log p(x), beta = 1",
}


@pytest.mark.parametrize("kind", WORDS)
def test_a_figure_says_what_it_is_on(kind, request):
    found = evaluate(request.getfixturevalue(kind))
    assert found.json()["elbo"]["what"] == WORDS[kind]
    assert found.what in found.lines()[0]


def test_without_latents_there_is_no_rate_to_tell_and_only_the_rest_is_coded(regressor):
    found = evaluate(regressor)
    assert not [line for line in found.lines() if line.startswith(("bound", "rate", "active"))]
    assert found.parts == 8 * 7


def test_a_rate_that_does_not_split_counts_no_dimension(mixture):
    found = evaluate(mixture)
    assert (found.active_dimensions, found.latent, found.names) == (None, 2, ("code",))
    assert "one number" in "\n".join(found.lines())


def test_an_inferred_label_is_no_latent_dimension(semi):
    found = evaluate(semi)
    assert found.names == ("z0", "z1", "label")
    assert found.active_dimensions <= found.latent == 2


def test_nats_of_no_probability_are_doubted_and_no_bits(grey, digits, monkeypatch):
    found = evaluate(grey)
    assert "likelihood of nothing" in found.lines()[-1] and found.json()["warning"]
    monkeypatch.setattr(digits.model.likelihood, "warning", lambda summary: "A density of levels.")
    assert "bits_per_dimension" not in evaluate(digits).json()
    assert evaluate(digits).what == "lower bound on log p(x)"


def test_one_example_has_no_standard_error(tmp_path):
    """A dash for people, and null in JSON, of the bits as well."""
    few = finished(tmp_path / "few", data_floor.load("digits", test=0.0005), **ONE)
    found = evaluate(few)
    assert found.examples == 1 and "± - nats (n = 1)" in found.lines()[0]
    assert json.loads(json.dumps(found.json(), allow_nan=False))["bits_per_dimension"]["stderr"] is None
    alone = log_likelihood(few, samples=20).json()
    assert json.loads(json.dumps(alone, allow_nan=False))["bits_per_dimension"]["stderr"] is None
