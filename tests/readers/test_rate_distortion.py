"""The rate-distortion plane: on the linear oracle a sweep is reverse water-filling; the picture shows all of it."""

from __future__ import annotations

import re

import numpy as np
import pytest
import torch

from lowerbound import data as data_floor
from lowerbound.errors import InputError
from lowerbound.maths.units import mean_examples, sum_latent
from lowerbound.maths.water_filling import water_filling
from lowerbound.model.linear import LinearAutoencoder
from lowerbound.readers.rate_distortion import png, rate_distortion, svg
from lowerbound.training.load import load
from lowerbound.training.setup import build
from lowerbound.training.spec import Spec, complete
from lowerbound.training.sweep import sweep

SIGMA, LATENT = 0.625, 2
VARIANCE = SIGMA**2
BETAS = [0.3, 1.0, 2.0, 5.0]


def plane(n: int = 200) -> data_floor.Data:
    """Rows with four directions of different variance, the fourth below every water level, all to train on."""
    random = np.random.default_rng(0)
    turn, _ = np.linalg.qr(random.normal(size=(4, 4)))
    x = random.normal(size=(n, 4)) * np.sqrt([4.0, 1.5, 0.3, 0.05]) @ turn + 1.0
    return data_floor.from_array(x.astype(np.float32), name="plane", valid=0, test=0)


def settings(**training):
    likelihood = {"name": "normal", "variance": "fixed", "sigma": SIGMA}
    base = {"latent": LATENT, "encoder": {"name": "mlp", "hidden": []}, "likelihood": likelihood}
    return Spec.of(complete(base | {"training": {"precision": "float64"} | training}))


def eigen(x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    values, directions = torch.linalg.eigh(torch.cov(x.T, correction=0))
    return values.flip(0), directions.flip(1)


def at_optimum(model: LinearAutoencoder, x: torch.Tensor, beta: float) -> LinearAutoencoder:
    """The forward test channel of Cover & Thomas 2006, figure 10.7, written into the model's layers."""
    lam, U = eigen(x)
    lam, U, b = lam[:LATENT], U[:, :LATENT], x.mean(0)
    left = lam.clamp(max=beta * VARIANCE)
    W = U * (lam - left).sqrt()
    V = (W / lam).T
    head, last, scale = model.posterior.head, model.decoder.layers[-1], model.features.scale
    with torch.no_grad():
        head.weight.copy_(torch.cat([V * scale, torch.zeros_like(V)]))
        head.bias.copy_(torch.cat([V @ (model.features.mean - b), torch.log(left / lam)]))
        last.weight.copy_(W / model.likelihood.scale)
        last.bias.copy_((b - model.likelihood.centre) / model.likelihood.scale)
    return model


def exact(model: LinearAutoencoder, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Rate and distortion of the linear model without a sample, averages over the rows."""
    rate = mean_examples(sum_latent(model.prior.rate(model.encode(x), torch.empty(0)).value))
    return rate, -mean_examples(model.exact_elbo(x)) - rate


@pytest.mark.parametrize("beta", BETAS)
def test_at_the_optimum_rate_and_distortion_are_reverse_water_filling(beta):
    """Exact figures of the linear model, and no way down from there: the gradient of D + beta R is 0."""
    data = plane()
    x = data.splits["train"].x.double()
    model = LinearAutoencoder.of(build(settings(), data_floor.summary(data)).double())
    at_optimum(model, x, beta)
    rate, distortion = water_filling(eigen(x)[0], VARIANCE, beta, latent=LATENT)
    R, D = exact(model, x)
    assert R.item() == pytest.approx(rate.item(), abs=1e-6)
    assert D.item() == pytest.approx(distortion.item(), abs=1e-6)
    (D + beta * R).backward()
    assert max(p.grad.abs().max().item() for p in model.parameters() if p.grad is not None) < 1e-7


@pytest.fixture(scope="module")
def swept(tmp_path_factory):
    data = plane()
    path = tmp_path_factory.mktemp("sweep") / "linear"
    chosen = settings(epochs=700, batch=200, samples=8, learning_rate=0.05, decay="cosine")
    return [load(run.path, data) for run in sweep(chosen, BETAS, data, path)], data


def test_a_trained_sweep_lies_on_the_water_filling_curve(swept):
    """Seeded: each member's cost is within 0.002 nats of the least there is, and stands where the formula says."""
    runs, data = swept
    x = data.splits["train"].x.double()
    for trained, beta in zip(runs, BETAS, strict=True):
        rate, distortion = water_filling(eigen(x)[0], VARIANCE, beta, latent=LATENT)
        with torch.no_grad():
            R, D = exact(LinearAutoencoder.of(trained.model.double()), x)
        assert -1e-6 < (D + beta * R - distortion - beta * rate).item() < 2e-3
        assert R.item() == pytest.approx(rate.item(), abs=0.01)
        assert D.item() == pytest.approx(distortion.item(), abs=0.03)


def test_the_curve_has_every_beta_with_errors_and_the_best_bound(swept):
    runs, _ = swept
    curve = rate_distortion(reversed(runs), "train", samples=16)
    assert [p.beta for p in curve.points] == BETAS
    assert curve.best.beta == 1.0
    rates = [p.rate.value for p in curve.points]
    assert rates == sorted(rates, reverse=True)
    for p in curve.points:
        assert p.elbo.value == pytest.approx(-(p.rate.value + p.distortion.value), abs=1e-9)
        assert p.distortion.stderr > 0
    found = curve.json()
    assert found["best"] == "beta-1"
    assert found["points"][0]["rate"]["unit"] == "nats"
    assert len(curve.rows()) == 5
    assert curve.rows()[2][-1] == "best"


def test_the_picture_labels_every_beta_in_both_formats(swept):
    curve = rate_distortion(swept[0], "train")
    drawn = svg(curve)
    shown = re.sub(r"<[^>]+>", " ", drawn)
    for words in ("0.3", "slope -beta", "rate, nats per example", "distortion, nats per example", "the best bound"):
        assert words in shown
    assert "var(--blue)" in drawn
    assert not re.search(r"#0[0-9a-f]0[0-9a-f]0[0-9a-f]", drawn)
    assert png(curve).startswith(b"\x89PNG")


def test_runs_that_do_not_belong_together_are_refused(swept, digits):
    runs, _ = swept
    with pytest.raises(InputError, match="other data"):
        rate_distortion([*runs, digits], "train")
    with pytest.raises(InputError, match="no run"):
        rate_distortion([])
    with pytest.raises(InputError, match="no examples in 'test'"):
        rate_distortion(runs, "test")
