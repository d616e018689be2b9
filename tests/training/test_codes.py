"""Codes of a split and of the prior: the same for the same seed, whatever the rows asked beside them."""

from __future__ import annotations

import pytest
import torch

from lowerbound import data as data_floor
from lowerbound.data import summary
from lowerbound.errors import InputError
from lowerbound.model.assemble import assemble
from lowerbound.training.codes import codes, prior_codes

DATA = data_floor.load("digits")
ROWS = torch.tensor([5, 3, 8, 1])


def model(**parts):
    torch.manual_seed(0)
    named = {key: value if isinstance(value, dict) else {"name": value} for key, value in parts.items()}
    return assemble(summary(DATA), latent=3, encoder={"name": "mlp", "hidden": (8,)}, **named)


@pytest.mark.parametrize(
    "parts",
    [
        {},
        {"posterior": "deterministic"},
        {"posterior": "full-normal"},
        {"condition": "labels"},
        {"condition": "labels", "prior": {"name": "conditional-normal", "hidden": (4,)}},
        {"posterior": "flow", "prior": "flow"},
        {"posterior": "categorical", "prior": "categorical"},
        {"prior": "vampprior"},
    ],
    ids=lambda parts: "-".join(str(value) for value in parts.values()),
)
def test_each_kind_of_model_has_codes_and_prior_draws(parts):
    made = model(**parts)
    for draws in (False, True):
        found = codes(made, DATA, "test", rows=ROWS, draws=draws, seed=1)
        assert found.shape == (4, made.width)
        assert found.dtype == torch.float64
        assert torch.equal(found, codes(made, DATA, "test", rows=ROWS, draws=draws, seed=1))
    drawn = prior_codes(made, DATA, "test", rows=ROWS, seed=1)
    assert drawn.shape == (4, made.width)
    assert len(drawn.unique(dim=0)) > 1
    assert torch.equal(drawn, prior_codes(made, DATA, "test", rows=ROWS, seed=1))


def test_means_are_those_of_the_posterior():
    made = model()
    x = DATA.batch("test", ROWS)
    with torch.no_grad():
        assert codes(made, DATA, "test", rows=ROWS) == pytest.approx(made.encode(x).mean.double())
    assert codes(made, DATA, "test").shape == (180, 3)


def test_a_model_without_encoder_has_none():
    with pytest.raises(InputError, match="has no encoder"):
        codes(model(posterior="none"), DATA, "test")
