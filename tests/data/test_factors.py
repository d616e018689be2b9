"""The generated set: every combination once, every picture its own, the same on every machine."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from lowerbound.data import factors, load
from lowerbound.data.named import PUBLISHED


def test_the_grid_is_whole_and_its_factors_independent() -> None:
    rows = factors.factors_of()
    assert rows.shape == (6144, 5)
    assert len(np.unique(rows, axis=0)) == 6144
    for a, b in itertools.combinations(range(5), 2):
        pairs = np.unique(rows[:, [a, b]], axis=0, return_counts=True)[1]
        assert len(set(pairs)) == 1, "each pair of levels occurs equally often"


def test_no_two_pictures_are_alike() -> None:
    x = factors.pictures().reshape(6144, -1)
    assert len(np.unique(x, axis=0)) == 6144
    assert set(np.unique(x)) == {0, 1}


def test_no_pixel_stands_on_an_edge() -> None:
    """The least distance of a pixel's centre from an edge is far above what another cosine could move."""
    fields = [factors.field(*at) for at in np.ndindex(3, 4, 8)]
    assert min(np.abs(f).min() for f in fields) > 1e-5
    assert all((f[[0, -1]] > 0).all() and (f[:, [0, -1]] > 0).all() for f in fields), "no shape is cut off by its box"


@pytest.mark.parametrize(("factor", "axis", "sign"), [("x", 1, 1), ("y", 0, -1)])
def test_position_moves_the_shape_by_two_pixels(factor: str, axis: int, sign: int) -> None:
    x, rows = factors.pictures(), factors.factors_of()
    at = list(factors.FACTORS).index(factor)
    low, high = np.flatnonzero(rows[:, at] == 2), np.flatnonzero(rows[:, at] == 3)
    assert np.array_equal(np.roll(x[low], 2 * sign, axis=axis + 1), x[high])


def test_scale_is_a_matter_of_size() -> None:
    ink, rows = factors.pictures().sum((1, 2)), factors.factors_of()
    sizes = [[ink[(rows[:, 0] == s) & (rows[:, 1] == k)].mean() for k in range(4)] for s in range(3)]
    assert (np.diff(sizes, axis=1) > 0).all()


def test_the_named_set_knows_the_factors_of_its_rows() -> None:
    data = load("factors", seed=3)
    assert (data.kind, data.shape, data.label_names) == ("binary", (1, 32, 32), factors.SHAPES)
    assert data.record["sha256"] == PUBLISHED["factors"]
    x = factors.pictures()
    for split in data.splits.values():
        assert np.array_equal(np.asarray(split.x)[:, 0], x[split.rows])
        assert np.array_equal(factors.factors_of(split.rows)[:, 0], split.labels)
