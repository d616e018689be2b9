"""Classes: a classifier by its own labels, clusters by the names that held-out labels give them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from lowerbound.readers import classes
from lowerbound.readers.classes import accuracy, classified, names


def relabel(trained, monkeypatch, labels) -> None:
    """Other labels for the test split."""
    part = trained.data.splits["test"]
    monkeypatch.setitem(trained.data.splits, "test", replace(part, labels=labels))


def test_a_classifier_tells_its_error_and_its_labels(semi):
    found = classified(semi)
    y = torch.from_numpy(np.asarray(semi.data.splits["test"].labels))
    guess = semi.model.class_logits(semi.data.batch("test", torch.arange(len(y)))).argmax(-1)
    assert found.accuracy.value == pytest.approx((guess == y).double().mean().item())
    assert found.error.value == pytest.approx(100 * (1 - found.accuracy.value))
    assert (found.labels, found.named) == (50, None)
    assert found.lines()[1].strip() == "50 labels used in training"
    assert found.json()["error"]["stderr"] > 0


def test_clusters_are_named_after_most_of_their_validation_examples(clusters):
    found = classified(clusters)
    assert (found.labels, found.clusters, found.named, found.naming) == (0, 10, "valid", 180)
    assert found.accuracy.value == accuracy(clusters, "test", named="valid").value
    assert "each of the 10 clusters is named after what most" in found.how()
    assert names(torch.tensor([0, 0, 0, 2]), torch.tensor([7, 7, 1, 4]))[:3].tolist() == [7, -1, 4]


def test_a_model_or_a_split_without_classes_tells_none(digits, semi, monkeypatch):
    assert classified(digits) is None
    relabel(semi, monkeypatch, None)
    assert classified(semi) is None


def test_examples_without_a_label_are_left_out(semi, monkeypatch):
    known = semi.data.splits["test"].labels
    relabel(semi, monkeypatch, np.where(np.arange(len(known)) < 100, known, -1))
    assert classified(semi).accuracy.n == classes.labels_of(semi.data, "test") == 100
