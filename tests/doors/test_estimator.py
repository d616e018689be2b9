"""The estimator: scikit-learn's own checks, and what it promises beyond them."""

from __future__ import annotations

import pickle
from typing import Any

import numpy as np
import pytest
import torch
from sklearn.base import clone
from sklearn.datasets import load_digits
from sklearn.model_selection import cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import parametrize_with_checks
from torch import nn

from lowerbound import VAE, InputError

NOT_APPLICABLE: dict[str, str] = {}
"""scikit-learn's checks that do not apply, and why: none."""


def small(**options: Any) -> VAE:
    return VAE(**({"latent": 2, "epochs": 2, "encoder": {"name": "mlp", "hidden": [16]}} | options))


@parametrize_with_checks([small()], expected_failed_checks=lambda estimator: NOT_APPLICABLE)
def test_scikit_learn_checks(estimator: Any, check: Any) -> None:
    check(estimator)


@pytest.fixture(scope="module")
def digits() -> tuple[np.ndarray, np.ndarray]:
    x, y = load_digits(return_X_y=True)
    return (x[:300] > 7).astype(np.float32), y[:300]


@pytest.fixture(scope="module")
def fitted(digits: tuple[np.ndarray, np.ndarray]) -> VAE:
    return small(epochs=3).fit(*digits)


def test_codes_do_not_depend_on_the_rows_beside(fitted: VAE, digits: tuple[np.ndarray, np.ndarray]) -> None:
    x = digits[0]
    some = np.random.default_rng(0).permutation(len(x))[:70]
    np.testing.assert_allclose(fitted.transform(x)[some], fitted.transform(x[some]), rtol=0, atol=1e-12)
    np.testing.assert_allclose(fitted.score_samples(x)[some], fitted.score_samples(x[some]), rtol=0, atol=1e-10)


def test_score_is_the_mean_in_nats(fitted: VAE, digits: tuple[np.ndarray, np.ndarray]) -> None:
    each = fitted.score_samples(digits[0])
    assert fitted.score(digits[0]) == pytest.approx(sum(each) / len(each))
    assert -64 * np.log(2) < fitted.score(digits[0]) < 0


def test_encode_and_decode_return_distributions(fitted: VAE, digits: tuple[np.ndarray, np.ndarray]) -> None:
    q = fitted.encode(digits[0][:5])
    np.testing.assert_array_equal(q.mean.numpy(), fitted.transform(digits[0][:5]))
    p = fitted.decode(q.mean)
    assert p.log_prob(torch.as_tensor(digits[0][:5], dtype=torch.float64)).shape == (5, 64)
    np.testing.assert_allclose(p.mean.numpy(), fitted.inverse_transform(q.mean.numpy()))


def test_samples_are_seeded_and_leave_the_callers_draws_alone(fitted: VAE) -> None:
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    one, again, other = fitted.sample(4), fitted.sample(4), fitted.sample(4, seed=1)
    assert torch.equal(torch.rand(3), expected)
    np.testing.assert_array_equal(one, again)
    assert one.shape == (4, 64) and not np.array_equal(one, other)
    assert set(np.unique(fitted.sample(4, mean=False))) <= {0.0, 1.0}


def test_fit_is_a_pure_function_of_its_seed(digits: tuple[np.ndarray, np.ndarray], fitted: VAE) -> None:
    again = clone(fitted).fit(*digits)
    np.testing.assert_array_equal(again.transform(digits[0]), fitted.transform(digits[0]))
    assert again.history_ == fitted.history_


def test_pickled_and_back(fitted: VAE, digits: tuple[np.ndarray, np.ndarray]) -> None:
    back = pickle.loads(pickle.dumps(fitted))
    np.testing.assert_array_equal(back.transform(digits[0]), fitted.transform(digits[0]))
    with pytest.raises(InputError, match="pickled"):
        back.report("never.html")


def test_pictures_keep_their_shape(digits: tuple[np.ndarray, np.ndarray]) -> None:
    pictures = digits[0].reshape(-1, 8, 8)
    vae = small().fit(pictures)
    assert vae.sample(2).shape == (2, 8, 8)
    colours_last = np.repeat(pictures[..., None], 3, axis=-1)
    assert small().fit(colours_last).sample(2).shape == (2, 8, 8, 3)
    assert small().fit(torch.as_tensor(pictures)).transform(pictures).shape == (300, 2)


def test_own_modules(digits: tuple[np.ndarray, np.ndarray]) -> None:
    encoder, decoder = nn.Sequential(nn.Linear(64, 20), nn.ReLU()), nn.Linear(2, 64)
    before = encoder[0].weight.clone()
    vae = small(encoder=encoder, decoder=decoder).fit(digits[0])
    assert torch.equal(encoder[0].weight, before), "a copy is trained"
    assert clone(vae).fit(digits[0]).history_ == vae.history_
    with pytest.raises(InputError, match="emits 63 numbers"):
        small(decoder=nn.Linear(2, 63)).fit(digits[0])


def test_pipeline_and_cross_validation(digits: tuple[np.ndarray, np.ndarray]) -> None:
    x = digits[0]
    pipe = make_pipeline(StandardScaler(), small())
    assert pipe.fit_transform(x).shape == (300, 2)
    assert np.isfinite(cross_val_score(small(), x, cv=2)).all()


def test_names_of_codes(fitted: VAE) -> None:
    assert list(fitted.get_feature_names_out()) == ["vae0", "vae1"]


def test_recipe() -> None:
    vae = VAE.from_recipe("aevb", latent=3)
    assert (vae.latent, vae.likelihood, vae.epochs) == (3, {"name": "bernoulli"}, 30)


def test_run_folder_is_kept_where_asked(digits: tuple[np.ndarray, np.ndarray], tmp_path: Any) -> None:
    small(out=tmp_path / "run").fit(digits[0])
    assert (tmp_path / "run" / "weights.safetensors").exists()
    with pytest.raises(InputError, match="exists already"):
        small(out=tmp_path / "run").fit(digits[0])


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"latent": 0}, "latent: .*greater than or equal to 1"),
        ({"beta": -1.0}, "objective.beta: .*greater than or equal to 0"),
        ({"likelihood": "bernuolli"}, "did you mean bernoulli"),
        ({"encoder": {"name": "mlp", "hiden": [3]}}, "did you mean hidden"),
        ({"epochs": 0, "learning_rate": -1.0}, "training.epochs.*training.learning_rate"),
        ({"device": "cud"}, "unknown device"),
        ({"kind": "levles"}, "levels"),
    ],
)
def test_wrong_options_are_named(options: dict[str, Any], words: str, digits: tuple[np.ndarray, np.ndarray]) -> None:
    with pytest.raises(InputError, match=words):
        small(**options).fit(digits[0])


def test_wrong_codes_are_named(fitted: VAE) -> None:
    with pytest.raises(InputError, match=r"give \(n, 2\)"):
        fitted.inverse_transform(np.zeros((3, 5)))
    with pytest.raises(InputError, match="number of samples"):
        fitted.sample(0)


def test_report(fitted: VAE, tmp_path: Any) -> None:
    page = fitted.report(tmp_path / "report.html").read_text(encoding="utf-8")
    assert "nats per example" in page and "<svg" in page


def test_mixed_columns_with_missing_cells() -> None:
    pandas = pytest.importorskip("pandas")
    random = np.random.default_rng(0)
    frame = pandas.DataFrame(
        {"height": random.normal(size=80), "group": random.choice(["x", "y"], 80), "count": random.integers(0, 9, 80)}
    )
    frame.loc[3, "height"] = np.nan
    vae = small().fit(frame)
    assert vae.record_["kind"] == "table" and list(vae.feature_names_in_) == ["height", "group", "count"]
    assert np.isfinite(vae.transform(frame)).all() and np.isfinite(vae.score(frame))
    assert vae.transform(frame.iloc[[3]]).shape == (1, 2)
    with pytest.raises(ValueError, match="feature names"):
        vae.transform(frame[["group", "height", "count"]])


def test_a_conditional_estimator_takes_labels():
    """Encoded, decoded, sampled and scored under a label; without one, a sentence."""
    x = np.random.default_rng(0).normal(size=(80, 5))
    y = np.arange(80) % 4
    small = {"name": "mlp", "hidden": [8]}
    prior = {"name": "conditional-normal", "hidden": [4]}
    vae = VAE(latent=2, epochs=1, encoder=small, condition="labels", prior=prior).fit(x, y)
    z = vae.transform(x, y)
    assert z.shape == (80, 2) and vae.inverse_transform(z, y).shape == x.shape
    assert vae.sample(6, y=3).shape == (6, 5) and vae.score_samples(x, y).shape == (80,)
    assert not np.allclose(vae.score_samples(x, y), vae.score_samples(x, (y + 1) % 4))
    for call in (lambda: vae.sample(3), lambda: vae.transform(x), lambda: vae.sample(3, y=9)):
        with pytest.raises(InputError):
            call()


def test_a_few_labels_let_it_predict():
    x = np.random.default_rng(0).normal(size=(120, 4))
    y = (x[:, 0] > 0).astype(int)
    x[:, 1] += 6 * y
    small = {"name": "mlp", "hidden": [16]}
    options = {"condition": "inferred-labels", "supervision": {"name": "classify", "weight": 10.0}, "labelled": 30}
    vae = VAE(latent=2, epochs=40, batch=20, learning_rate=1e-2, encoder=small, **options).fit(x, y)
    assert (vae.predict(x) == y).mean() > 0.9


def test_an_autoencoder_has_codes_and_no_score():
    x = np.random.default_rng(0).normal(size=(60, 4))
    vae = VAE(latent=2, epochs=1, posterior="deterministic", objective="reconstruction").fit(x)
    assert vae.transform(x).shape == (60, 2)
    with pytest.raises(InputError, match="no bound"):
        vae.score(x)
