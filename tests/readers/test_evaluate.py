"""Evaluation: figures with uncertainty, the same for any batch size."""

from __future__ import annotations

import json

import pytest

from lowerbound.errors import InputError
from lowerbound.readers.evaluate import evaluate
from lowerbound.training.measure import measure


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


def test_an_unknown_split_is_refused(digits):
    with pytest.raises(InputError, match="it has: train, valid, test"):
        evaluate(digits, "exam")
