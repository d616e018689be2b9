"""Real objects through the module path and the passive path, with their effective betas."""

from __future__ import annotations

from typing import Any

import pytest
import torch
import torch.nn.functional as F

from lowerbound.audit import Verdict, check, watch

from . import objects


@pytest.fixture
def batch() -> torch.Tensor:
    return torch.rand(16, objects.D, generator=torch.Generator().manual_seed(0))


def test_lightning_style(batch: torch.Tensor) -> None:
    verdict = check(objects.LightningStyle(), batch=(batch, torch.zeros(16, dtype=torch.long)))
    assert verdict.bound == "yes", str(verdict)
    assert verdict.beta == pytest.approx(1, rel=1e-3)
    assert verdict.parametrisation == "logvar"
    assert verdict.sampler_agrees is True


def test_keras_guide(batch: torch.Tensor) -> None:
    verdict = check(objects.KerasGuide(), batch=batch)
    assert {"R1", "R2"} <= set(verdict.codes), str(verdict)
    assert verdict.beta == pytest.approx(objects.D / (2 * objects.Z), rel=1e-3)


def test_chunked_softplus_sampled(batch: torch.Tensor) -> None:
    verdict = check(objects.Chunked(), batch=batch.reshape(16, 1, 6, 6))
    assert verdict.bound == "yes", str(verdict)
    assert verdict.parametrisation == "softplus_std"
    assert verdict.sampler_agrees is True


def test_scale_that_no_optimiser_holds(batch: torch.Tensor) -> None:
    model = objects.ScaleNobodyHolds()
    held = [p for n, p in model.named_parameters() if n != "log_scale"]
    verdict = check(model, batch=batch, x="real", out="real", optimizer=torch.optim.SGD(held, lr=0.1))
    assert verdict.beta == pytest.approx(1, rel=1e-3), str(verdict)
    assert verdict.likelihood == "gaussian_learned"
    assert "O1" in verdict.codes


def test_evaluation_has_another_weight(batch: torch.Tensor) -> None:
    verdict = check(objects.EvalWeight(), batch=batch, x="real", out="real")
    assert "T1" in verdict.codes, str(verdict)
    assert verdict.beta == pytest.approx(0.00025 * objects.D / 2, rel=1e-3)


def test_detached_kl_and_wrong_noise(batch: torch.Tensor) -> None:
    verdict = check(objects.DetachedKl(), batch=batch)
    assert {"M6", "S2"} <= set(verdict.codes), str(verdict)


def step(model: Any, batch: Any) -> Any:
    return model(batch)


def pythae(name: str, **more: Any) -> Verdict:
    models = pytest.importorskip("pythae.models")
    from pythae.data.datasets import DatasetOutput

    config = getattr(models, f"{name}Config")(input_dim=(1, 6, 6), latent_dim=5, **more)
    data = torch.rand(16, 1, 6, 6, generator=torch.Generator().manual_seed(0))
    return check(getattr(models, name)(config), step=step, batch=DatasetOutput(data=data))


def test_pythae_vae() -> None:
    verdict = pythae("VAE")
    assert verdict.bound == "yes"
    assert verdict.likelihood == "gaussian_mse"
    assert pythae("VAE", reconstruction_loss="bce").beta == pytest.approx(1, rel=1e-3)


def test_pythae_beta_vae() -> None:
    verdict = pythae("BetaVAE", beta=4.0, reconstruction_loss="bce")
    assert verdict.bound == "no"
    assert verdict.beta == pytest.approx(4, rel=1e-3)


def test_pythae_iwae() -> None:
    verdict = pythae("IWAE", number_samples=3, reconstruction_loss="bce")
    assert verdict.beta == pytest.approx(1, rel=1e-3), str(verdict)


def test_pythae_capacity() -> None:
    assert "M2" in pythae("DisentangledBetaVAE", C=8.0, beta=10.0, warmup_epoch=1, reconstruction_loss="bce").codes


@pytest.mark.parametrize("reduction", ["sum", "mean"])
def test_watch_a_loop(reduction: str) -> None:
    torch.manual_seed(0)
    model = objects.Base()
    optimiser = torch.optim.Adam(model.parameters(), 1e-2)
    with watch(model) as audit:
        for i in range(24):
            x = (torch.rand(16, objects.D) < 0.2 + 0.02 * i).float()
            out, mu, s = model(x)
            kl = -0.5 * (1 + s - mu**2 - s.exp())
            kl = kl.sum(1).mean() if reduction == "sum" else kl.mean()
            loss = F.binary_cross_entropy_with_logits(out, x, reduction="none").sum(1).mean() + kl
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
    seen = audit.verdict()
    assert seen.confident, seen
    assert seen.parametrisation == "logvar"
    assert seen.likelihood == "bernoulli_logit"
    assert seen.beta == pytest.approx(1.0 if reduction == "sum" else 1 / objects.Z, rel=0.02)


@pytest.mark.parametrize("name", ["CIWAE", "MIWAE"])
def test_pythae_importance_weighted(name: str) -> None:
    more = {"number_gradient_estimates": 2} if name == "MIWAE" else {}
    assert pythae(name, number_samples=3, **more).beta == pytest.approx(1, rel=1e-3)


@pytest.mark.parametrize(("capacity", "code"), [(0.0, "K7"), (5.0, "M1")])
def test_pyod_vae(capacity: float, code: str) -> None:
    vae = pytest.importorskip("pyod.models.vae", exc_type=ImportError)
    model = vae.VAEModel(feature_size=12, latent_dim=3, encoder_neuron_list=[10, 8], decoder_neuron_list=[8, 10])

    def training_step(module: Any, rows: torch.Tensor) -> torch.Tensor:
        return vae.vae_loss(rows, *module(rows), beta=1.0, capacity=capacity)

    rows = torch.randn(16, 12, generator=torch.Generator().manual_seed(0))
    verdict = check(model, step=training_step, batch=rows, x="real", out="real")
    assert {code, "R1"} <= set(verdict.codes), str(verdict)
