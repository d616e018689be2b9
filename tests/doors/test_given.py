"""What a person gives the estimator: labels of every kind, texts and lists, examples whose part is known."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from sklearn.model_selection import cross_val_score

from lowerbound import VAE, InputError

RANDOM = np.random.default_rng(0)
X = RANDOM.normal(size=(80, 5))
Y = np.arange(80) % 4
WORDS = np.array(["ape", "bee", "cat", "dog"])
TEXTS = ["ada", "grace", "alan", "emmy", "kurt"] * 8
LISTS = [RANDOM.integers(0, 4, 1 + i % 5).tolist() for i in range(40)]
SERIES = [RANDOM.normal(size=(2 + i % 4, 2)) for i in range(40)]


def small(**options: Any) -> VAE:
    return VAE(**({"latent": 2, "epochs": 1, "encoder": {"name": "mlp", "hidden": [8]}} | options))


def padded(examples: list[Any]) -> np.ndarray:
    """One array, NaN after the end of each."""
    longest = max(map(len, examples))
    x = np.full((len(examples), longest, *np.shape(examples[0])[1:]), np.nan)
    for row, example in zip(x, examples, strict=True):
        row[: len(example)] = example
    return x


# --- labels ---------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def conditional() -> VAE:
    return small(condition="labels").fit(X, Y)


@pytest.mark.parametrize(
    "names", [WORDS, WORDS.astype(object), 10 * np.arange(4) + 5, np.array([-7.0, 0.0, 1.0, 490_000_000.0])]
)
def test_any_labels_make_the_same_model(names: np.ndarray, conditional: VAE) -> None:
    """Words, gapped and large numbers: as many classes as there are, in their order."""
    vae = small(condition="labels").fit(X, names[Y])
    assert vae.model_.condition.width == 4 and vae.classes_.tolist() == names.tolist()
    np.testing.assert_array_equal(vae.score_samples(X, names[Y]), conditional.score_samples(X, Y))
    np.testing.assert_array_equal(vae.transform(X[:3], names[Y[:3]].tolist()), conditional.transform(X[:3], Y[:3]))
    np.testing.assert_array_equal(vae.sample(4, y=names[2]), conditional.sample(4, y=2))
    np.testing.assert_array_equal(vae.sample(4, y=names), conditional.sample(4, y=torch.arange(4)))
    np.testing.assert_array_equal(vae.fit_transform(X, names[Y]), conditional.transform(X, Y))


WRONG: dict[str, tuple[Callable[[VAE], Any], str]] = {
    "too few to sample": (lambda v: v.sample(5, y=[1, 2]), r"has 5 examples, and its labels have the shape \(2,\)"),
    "a fraction": (lambda v: v.sample(5, y=1.5), "1.5 is no label of training"),
    "below the classes": (lambda v: v.sample(5, y=-1), "-1 is no label of training; its labels are 0, 1, 2, 3"),
    "above the classes": (lambda v: v.sample(5, y=4), "4 is no label"),
    "a word": (lambda v: v.sample(5, y="a"), "'a' is no label"),
    "an undefined one": (lambda v: v.score_samples(X, np.full(80, np.nan)), "nan is no label"),
    "too few to encode": (lambda v: v.encode(X, Y[:3]), "shape"),
    "too few to transform": (lambda v: v.transform(X, Y[:10]), "shape"),
    "too many to transform": (lambda v: v.transform(X, np.r_[Y, Y]), "shape"),
    "whole batches too few": (lambda v: v.score_samples(np.tile(X, (30, 1)), np.zeros(1000, int)), "shape"),
    "two columns": (lambda v: v.score_samples(X, np.c_[Y, Y]), "shape"),
    "too few to decode": (lambda v: v.decode(np.zeros((5, 2)), [1, 2]), "z: has 5 examples"),
    "one to invert": (lambda v: v.inverse_transform(np.zeros((5, 2)), [1]), "z: has 5 examples"),
    "none to sample": (lambda v: v.sample(2), "conditioned on labels"),
    "none to score": (lambda v: v.score(X), "has no label"),
    "examples": (lambda v: v.sample(2, given=X[:2]), "given: .* not conditioned on a part of examples; give labels"),
}


@pytest.mark.parametrize("what", WRONG)
def test_wrong_labels_are_refused_with_a_sentence(what: str, conditional: VAE) -> None:
    call, words = WRONG[what]
    with pytest.raises(InputError, match=words):
        call(conditional)


@pytest.mark.parametrize(
    ("y", "words"),
    [
        (None, "there are none; give fit"),
        (Y[:10], r"the shape \(10,\)"),
        (np.eye(4)[Y], r"the shape \(80, 4\)"),
        (Y + 0.5, "no classes: labels that are not whole numbers"),
        (np.full(80, -1), "all are unknown"),
        (np.array([None, "a"] * 40), "an example has no label"),
    ],
    ids=["none", "too few", "one-hot", "fractions", "unknown", "missing"],
)
def test_what_cannot_teach_is_refused(y: Any, words: str) -> None:
    """By what learns from it alone: beside the others stands a target of regression, which is no fault."""
    with pytest.raises(InputError, match=words) as refusal:
        small(condition="labels").fit(X, y)
    assert "--labels" not in str(refusal.value)
    if words != r"the shape \(10,\)":
        assert not hasattr(small().fit(X, y), "classes_")


def test_predict_answers_in_the_person_s_own_words() -> None:
    y = np.where(X[:, 0] > 0, "right", "left")
    options = {"condition": "inferred-labels", "supervision": {"name": "classify", "weight": 10.0}, "labelled": 40}
    vae = small(epochs=40, batch=20, learning_rate=1e-2, **options).fit(X, y)
    assert (vae.predict(X) == y).mean() > 0.9 and vae.reconstruct(X).shape == X.shape


def test_minus_one_is_unknown_where_labels_are_inferred() -> None:
    y = np.where(np.arange(80) < 60, 5 * Y, -1)
    vae = small(condition="inferred-labels", supervision="classify").fit(X, y)
    assert vae.classes_.tolist() == [0, 5, 10, 15] and set(vae.predict(X)) <= {0, 5, 10, 15}
    assert vae.score_samples(X, y)[-1] == vae.score_samples(X)[-1]
    assert vae.score_samples(X, y)[0] != vae.score_samples(X)[0]


def test_without_a_lesson_predict_numbers_the_clusters() -> None:
    parts = {"posterior": {"name": "class-and-style", "classes": 3}, "prior": {"name": "class-and-style", "classes": 3}}
    vae = small(objective="reconstruction", **parts).fit(X, WORDS[Y])
    assert not hasattr(vae, "classes_") and set(vae.predict(X)) <= {0, 1, 2}


# --- examples whose part is known -----------------------------------------------------------------------------------


def test_a_model_of_the_rest_is_sampled_under_a_part() -> None:
    """The part comes back as it was given, in the form of the pictures of fit."""
    x = RANDOM.random((60, 8, 8))
    vae = small(condition="part").fit(x)
    new = vae.sample(3, given=x[:3])
    assert new.shape == (3, 8, 8) and not np.allclose(new, x[:3])
    np.testing.assert_allclose(new[:, :, 3], x[:3, :, 3], atol=1e-6)
    np.testing.assert_allclose(vae.sample(3, given=x[:1])[2, :, 3], x[0, :, 3], atol=1e-6)
    assert vae.inverse_transform(vae.transform(x), given=x).shape == x.shape == vae.reconstruct(x).shape
    assert vae.decode(np.zeros((2, 2)), given=x[:2]).mean.shape == (2, 1, 8, 7)
    for call, words in (
        (lambda: vae.sample(3), "give examples whose part is known"),
        (lambda: vae.inverse_transform(np.zeros((2, 2))), "give examples whose part is known"),
        (lambda: vae.sample(3, given=x[:2]), "2 examples for 3; give one, or 3"),
        (lambda: vae.sample(3, y=1, given=x[:3]), "not conditioned on labels"),
        (lambda: vae.sample(3, given=x[:3, :4]), "expecting 8 features"),
    ):
        with pytest.raises(ValueError, match=words):
            call()


def test_a_row_is_sampled_under_its_columns() -> None:
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame({"town": ["a", "b", "c", "a"] * 20, "size": X[:, 0], "flag": ["y", "n"] * 40})
    vae = small(condition={"name": "columns", "names": ["town", "size"]}).fit(frame)
    given = pandas.DataFrame({"town": ["c", "b"], "size": [0.5, np.nan], "flag": ["y", "y"]})
    np.testing.assert_allclose(vae.sample(2, given=given)[:, :2], [[2.0, 0.5], [1.0, np.nan]], atol=1e-6)
    assert vae.reconstruct(frame).shape == (80, 3)


def test_nothing_is_given_where_nothing_is_asked() -> None:
    vae = small().fit(X)
    for options, words in (
        ({"y": 1}, "not conditioned on labels; leave"),
        ({"given": X[:2]}, "part of examples; leave"),
    ):
        with pytest.raises(InputError, match=words):
            vae.sample(2, **options)


# --- sequences ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("encoder", [{"name": "mlp", "hidden": [8]}, {"name": "recurrent", "hidden": 8}])
def test_texts_go_in_and_come_out(encoder: dict[str, Any]) -> None:
    vae = small(encoder=encoder).fit(TEXTS)
    assert vae.record_["kind"] == "sequence" and vae.transform(["ada", "emmy"]).shape == (2, 2)
    np.testing.assert_array_equal(vae.transform(np.array(TEXTS)), vae.transform(TEXTS))
    each = vae.score_samples(TEXTS)
    assert each.shape == (40,) and np.isfinite(each).all() and vae.score(TEXTS) == pytest.approx(each.sum() / 40)
    made = [vae.sample(3), vae.sample(3, mean=False), vae.reconstruct(TEXTS[:3]), vae.inverse_transform(np.eye(3, 2))]
    assert all(len(texts) == 3 and set("".join(texts)) <= set("adgrcelnmykut") for texts in made)
    assert pickle.loads(pickle.dumps(vae)).sample(3) == made[0]
    assert vae.encode(TEXTS[:4]).mean.shape == (4, 2)
    assert np.isfinite(cross_val_score(vae, TEXTS, cv=2)).all()
    with pytest.raises(InputError, match="not in the model's vocabulary"):
        vae.transform(["zoe"])


def test_lists_and_an_array_with_nan_after_the_end_are_the_same() -> None:
    one, other = small(kind="sequence").fit(LISTS), small(kind="sequence").fit(padded(LISTS))
    np.testing.assert_array_equal(one.transform(LISTS), other.transform(padded(LISTS)))
    np.testing.assert_array_equal(one.transform(LISTS[4:5]), other.transform(padded(LISTS)[4:5]))
    assert one.score(LISTS) == other.score(padded(LISTS))
    for made in (one.sample(4), other.sample(4), one.reconstruct(LISTS[:4])):
        assert len(made) == 4 and all(isinstance(row, list) and set(row) <= {0, 1, 2, 3} for row in made)


def test_series_keep_their_ends() -> None:
    vae = small(kind="series", encoder={"name": "recurrent", "hidden": 8}).fit(SERIES)
    assert vae.sample(3).shape == (3, 5, 2) and np.isfinite(vae.score_samples(SERIES)).all()
    np.testing.assert_array_equal(np.isnan(vae.reconstruct(SERIES)), np.isnan(padded(SERIES)))
    assert vae.transform(vae.reconstruct(SERIES[:4])).shape == (4, 2)
    np.testing.assert_array_equal(vae.transform(padded(SERIES)), vae.transform(SERIES))
    assert small(kind="series").fit([row[:, 0] for row in SERIES]).sample(3).shape == (3, 5)


def test_sequences_under_labels_and_their_report(tmp_path: Any) -> None:
    y = np.array(["old", "new"] * 20)
    vae = small(condition="labels").fit(TEXTS, y)
    assert len(vae.sample(2, y="old")) == 2 and len(vae.reconstruct(TEXTS, y)) == 40
    assert "<svg" in vae.report(tmp_path / "report.html").read_text(encoding="utf-8")


def test_unequal_rows_without_a_kind_are_refused_with_a_sentence() -> None:
    with pytest.raises(InputError, match="kind sequence or series"):
        small().fit([[1.0, 2.0], [3.0]])
