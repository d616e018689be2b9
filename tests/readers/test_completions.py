"""Completions: what is given stays as it was, the rest varies, and a model without latents has one answer."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from lowerbound import data as data_floor
from lowerbound.errors import InputError
from lowerbound.readers import pictures
from lowerbound.readers.completions import HIDDEN, cells, completions

from .conftest import finished

ROWS = [3, 17]
FEW = {"encoder": {"hidden": [16]}, "decoder": {"hidden": [16]}, "training": {"epochs": 1, "batch": 64}}
BINARY = data_floor.load("digits", binarise="threshold")


def picked(trained, count=5, **how):
    rows = torch.tensor(ROWS)
    x, y = trained.data.batch("test", rows), trained.data.labels("test", rows)
    return completions(trained, x, y, ROWS, "test", count, **how)


@pytest.fixture(scope="module")
def halves(tmp_path_factory):
    """A model of the lower half of a digit, given the upper."""
    path = tmp_path_factory.mktemp("given") / "top"
    return finished(path, BINARY, **FEW, condition={"name": "part", "known": "top"})


def test_the_given_part_is_kept_and_the_rest_varies(halves):
    made = picked(halves)
    assert made.x.shape == (2, 5, 1, 8, 8) and made.known[0].float().mean(1).tolist() == [1.0] * 4 + [0.0] * 4
    assert torch.equal(made.x[..., :4, :], made.truth[:, None, :, :4].expand(-1, 5, -1, -1, -1))
    assert (made.x[..., 4:, :].std(1) > 0).any(-1).any()
    assert torch.equal(picked(halves).x, made.x) and not torch.equal(picked(halves, seed=1).x, made.x)
    assert set(picked(halves, draw=True).x.unique().tolist()) == {0.0, 1.0}


def test_each_row_is_completed_under_its_own_part(halves):
    """The decoder was told of the row's own part, not of another's: the same z under the part gives the same x."""
    made = picked(halves, count=2)
    c = pictures.conditions(halves, made.truth, None).repeat_interleave(2, 0)
    assert torch.equal(pictures.sample_under(halves, c, 4), made.x.flatten(0, 1))
    assert not torch.equal(pictures.sample_under(halves, c.flip(0), 4), made.x.flatten(0, 1))


def test_the_sheet_shows_the_true_one_what_is_given_and_what_was_made(halves):
    made = picked(halves)
    shown, head = cells(halves, made)
    assert shown.shape == (2, 7, 8, 8, 3) and head == ["true", "given", "1", "2", "3", "4", "5"]
    assert np.allclose(shown[:, 0, ..., 0], made.truth[:, 0].numpy())
    assert np.allclose(shown[:, 1, 4:], HIDDEN) and np.allclose(shown[:, 1, :4], shown[:, 0, :4])
    assert np.allclose(shown[:, 2:, 4:, :, 0], made.x[:, :, 0, 4:].numpy())
    assert (np.ptp(shown[:, 2:, :4], -1) > 0).all(), "what is given is tinted"
    assert made.sentence().startswith("Given of each test example: the upper half, tinted. Right: expected x at 5")


def test_what_is_given_is_called_as_in_the_bound(halves):
    assert halves.model.condition.bounded == f"log p(rest | {picked(halves).given.removeprefix('the ')})"


def test_a_model_without_latents_has_one_answer(tmp_path):
    trained = finished(
        tmp_path / "run", BINARY, latent=0, **{k: FEW[k] for k in ("decoder", "training")}, condition={"name": "part"}
    )
    made = picked(trained)
    assert made.x.shape[1] == 1 and "the one answer" in made.made and cells(trained, made)[1][2] == "answer"
    assert torch.equal(made.x[:, 0], pictures.sample_under(trained, pictures.conditions(trained, made.truth, None), 2))
    assert picked(trained, draw=True).x.shape[1] == 5


def test_a_class_is_given_by_the_label_of_the_row(tmp_path):
    trained = finished(tmp_path / "run", data_floor.load("digits"), **FEW, condition={"name": "labels"})
    made = picked(trained)
    y = trained.data.labels("test", torch.tensor(ROWS)).tolist()
    assert made.names == tuple(f"row {row}, class {k}" for row, k in zip(ROWS, y, strict=True))
    assert not made.known.any() and cells(trained, made)[0].shape == (2, 6, 8, 8, 3)


def test_columns_of_a_row_are_completed_by_the_others(tmp_path):
    random = np.random.default_rng(0)
    columns = {"a": random.normal(size=90), "town": ["Ulm", "Bonn", "Köln"] * 30, "b": random.normal(size=90)}
    data = data_floor.from_array({name: list(values) for name, values in columns.items()}, test=0.3)
    condition = {"name": "columns", "names": ("town", "b")}
    made = picked(finished(tmp_path / "run", data, **FEW, condition=condition))
    assert made.given == "town, b" and made.known.tolist() == [False, True, True]
    assert torch.equal(made.x[..., 1:], made.truth[:, None, 1:].expand(-1, 5, -1))
    assert made.table()[1][4:6] == [[3, 4], [17, 0]]


def test_a_model_without_condition_is_refused(digits):
    with pytest.raises(InputError, match="has no condition"):
        picked(digits)
