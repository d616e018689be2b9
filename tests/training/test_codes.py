"""Codes of a split and of the prior: the same for the same seed, whatever the rows asked beside them."""

from __future__ import annotations

import pytest
import torch

from lowerbound import data as data_floor
from lowerbound.data import summary
from lowerbound.errors import InputError
from lowerbound.model.assemble import assemble
from lowerbound.training.codes import codes, prior_codes
from lowerbound.training.randomness import noise

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


def test_a_draw_belongs_to_its_row_and_not_to_its_batch():
    """Of 1,200 rows, more than are encoded at a time: by hand in one piece, to 1e-12 in float64."""
    made, rows = model().double(), torch.arange(1200)
    with torch.no_grad():
        q = made.encode(DATA.batch("train", rows).double())
        by_hand = q.transform(noise(7, 0, 1200, 1, 3))[0]
    torch.testing.assert_close(codes(made, DATA, "train", rows=rows, draws=True, seed=7), by_hand, rtol=0, atol=1e-12)


def test_a_model_without_encoder_has_none():
    with pytest.raises(InputError, match="has no encoder"):
        codes(model(posterior="none"), DATA, "test")
