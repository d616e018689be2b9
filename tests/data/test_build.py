"""Splits, binarisation, the hash, and rows that stay on disk."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from lowerbound.data import Data, from_array, load, summary
from lowerbound.data.draws import order, uniform
from lowerbound.data.rows import Rows
from lowerbound.errors import InputError

RANDOM = np.random.default_rng(0)
GREY = RANDOM.integers(0, 256, (200, 4, 5)).astype(np.uint8)


def everything(data: Data) -> torch.Tensor:
    """All examples in the order of the source."""
    rows = np.concatenate([split.rows for split in data.splits.values()])
    x = torch.cat([torch.as_tensor(np.asarray(split.x[0 : len(split)])) for split in data.splits.values()])
    return x[np.argsort(rows)]


def test_every_example_is_in_one_split() -> None:
    data = from_array(GREY, np.arange(200), valid=0.15, test=0.2)
    assert data.record["examples"] == {"train": 130, "valid": 30, "test": 40}
    assert torch.equal(everything(data), torch.from_numpy(GREY[:, None]).float())
    for split in data.splits.values():
        assert (split.labels == split.rows).all()
        assert np.array_equal(split.x.numpy(), GREY[split.rows, None])


def test_splits_are_a_function_of_the_seed() -> None:
    one, two, other = (from_array(GREY, seed=seed).splits["test"].rows for seed in (1, 1, 2))
    assert (one == two).all() and (one != other).any()
    assert sorted(order(1000, 3).tolist()) == list(range(1000))
    assert order(6, 7).tolist() == [2, 5, 3, 0, 4, 1], "published: it must never change"


def test_nothing_held_out_keeps_the_order() -> None:
    data = from_array(GREY, valid=0, test=0)
    assert (data.splits["train"].rows == np.arange(200)).all() and len(data.splits["test"]) == 0


def test_smallest_sets() -> None:
    assert from_array(GREY[:4]).record["examples"] == {"train": 2, "valid": 1, "test": 1}
    assert from_array(GREY[:2], valid=0, test=0).record["examples"]["train"] == 2
    with pytest.raises(InputError, match="give at least 4 examples"):
        from_array(GREY[:3])


def test_named_splits_are_kept(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", x_train=GREY[:150], x_test=GREY[150:], y_train=np.arange(150), y_test=np.arange(50))
    data = load(tmp_path / "a.npz")
    assert data.record["examples"] == {"train": 135, "valid": 15, "test": 50}
    assert data.record["split"]["named"] == ["train", "test"]
    assert np.array_equal(data.splits["test"].x.numpy()[:, 0], GREY[150:])
    held = np.concatenate([data.splits["train"].rows, data.splits["valid"].rows])
    assert sorted(held.tolist()) == list(range(150))


def test_threshold() -> None:
    data = from_array(GREY, binarise="threshold")
    assert data.kind == "binary" and data.binarisation == "threshold"
    assert torch.equal(everything(data), torch.from_numpy(GREY[:, None] > 127.5).float())


def test_fixed_draw_does_not_depend_on_the_split() -> None:
    one, two = (everything(from_array(GREY, binarise="fixed", seed=seed)) for seed in (0, 1))
    assert torch.equal(one, two) and set(one.unique().tolist()) == {0.0, 1.0}
    z = (float(one.sum()) - GREY.sum() / 255) / np.sqrt((GREY / 255 * (1 - GREY / 255)).sum())
    assert abs(z) < 4
    assert (one[torch.from_numpy(GREY[:, None] == 0)] == 0).all() and (
        one[torch.from_numpy(GREY[:, None] == 255)] == 1
    ).all()


def test_draws_are_a_function_of_the_row() -> None:
    whole = uniform(np.arange(50), 7, "train")
    rows = np.array([3, 4, 5, 9, 49])
    assert np.array_equal(uniform(rows, 7, "train"), whole[rows])
    assert not np.array_equal(uniform(rows, 7, "test"), whole[rows])
    assert whole[0, :2].tolist() == [0.017033092742092082, 0.6994063292674539], "published: it must never change"
    many = uniform(np.arange(5000), 16, "all")
    assert abs(many.sum() / many.size - 0.5) < 0.005 and many.min() >= 0 and many.max() < 1


def test_fresh_draws_in_training_only() -> None:
    data = from_array(GREY, binarise="fresh")
    rows = torch.arange(50)
    assert not torch.equal(data.batch("train", rows), data.batch("train", rows))
    assert set(data.batch("train", rows).unique().tolist()) == {0.0, 1.0}
    assert torch.equal(data.batch("test", rows[:20]), data.batch("test", rows[:20]))
    fixed = from_array(GREY, binarise="fixed")
    assert torch.equal(data.splits["valid"].x, fixed.splits["valid"].x)
    mean = summary(data).mean
    assert torch.allclose(summary(data).std, (mean * (1 - mean)).sqrt())


def test_record_is_json_and_says_what_was_done() -> None:
    record: dict[str, Any] = dict(from_array(GREY, name="mine", binarise="fresh", seed=3).record)
    assert json.loads(json.dumps(record)) == record
    assert record["binarisation"] == "fresh" and record["binarisation_seed"] == 2014
    assert record["split"]["seed"] == 3 and "drawn anew" in record["kind_why"] and len(record["sha256"]) == 64


def test_hash_is_of_the_values_alone(tmp_path: Path) -> None:
    def of(data: Data) -> str:
        return data.record["sha256"]

    np.save(tmp_path / "a.npy", GREY)
    np.save(tmp_path / "f.npy", np.asfortranarray(GREY))
    np.savez_compressed(tmp_path / "a.npz", x=GREY)
    same = of(from_array(GREY))
    assert same == of(load(tmp_path / "a.npy", seed=5, binarise="fixed")) == of(load(tmp_path / "a.npz"))
    assert same == of(load(tmp_path / "f.npy")) == of(from_array(torch.from_numpy(GREY)))
    changed = GREY.copy()
    changed[-1, -1, -1] ^= 1
    assert same != of(from_array(changed)) and same != of(from_array(GREY.astype(np.int16)))


@pytest.mark.parametrize("binarise", ["none", "threshold", "fixed", "fresh"])
def test_rows_on_disk_are_those_in_memory(tmp_path: Path, binarise: str) -> None:
    np.save(tmp_path / "a.npy", np.repeat(GREY[..., None], 3, 3))
    memory = load(tmp_path / "a.npy", binarise=binarise)
    disk = load(tmp_path / "a.npy", binarise=binarise, limit=1000)
    assert isinstance(disk.splits["train"].x, Rows) and any("from the file" in note for note in disk.notes)
    assert isinstance(disk.splits["train"].x.array, np.memmap), "still mapped, not read"
    assert torch.equal(everything(memory), everything(disk))
    rows = torch.tensor([7, 3, 100, 3])
    for split in ("train", "test") if binarise != "fresh" else ("test",):
        some = rows % len(memory.splits[split])
        assert torch.equal(memory.batch(split, some), disk.batch(split, some))
    assert torch.allclose(summary(memory).mean, summary(disk).mean)
    assert disk.record["sha256"] == memory.record["sha256"]


def test_a_sparse_giant_is_mapped(tmp_path: Path) -> None:
    path = tmp_path / "a.npy"
    made = np.lib.format.open_memmap(path, "w+", np.uint8, (3000, 100, 100))
    made[:, 0, 0] = np.arange(3000) % 256
    made.flush()
    data = load(path, limit=2**20)
    assert data.batch("train", torch.tensor([5])).shape == (1, 1, 100, 100)


def test_like_another_run() -> None:
    run = from_array(GREY, binarise="fresh").record
    data = from_array(GREY[:1], like=run)
    assert data.kind == "binary" and data.binarisation == "fixed" and len(data) == 1
    levels = from_array(GREY // 16, kind="levels:16").record
    assert from_array(GREY[:1] // 16, like=levels).levels == 16
    with pytest.raises(InputError, match=r"examples have the shape \(1, 4, 4\)"):
        from_array(GREY[:, :, :4], like=run)
    with pytest.raises(InputError, match="cannot be of kind levels:16"):
        from_array(GREY, like=levels)


@pytest.mark.parametrize("y", [np.arange(49), np.eye(50)], ids=["one too few", "one-hot"])
def test_labels_that_are_not_one_an_example_are_refused(tmp_path: Path, y: np.ndarray) -> None:
    np.savez(tmp_path / "a.npz", x=GREY[:50], y=y)
    with pytest.raises(InputError, match=r"beside 50 examples; .*--array"):
        load(tmp_path / "a.npz")
    assert load(tmp_path / "a.npz", array="x").splits["train"].labels is None
