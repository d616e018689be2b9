"""The command, its exit codes and JSON; the sandbox; the picture; logs; forecast; roles; settings; the plugin."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import typer
from typer.testing import CliRunner

from lowerbound.audit import assert_elbo, check, check_log
from lowerbound.audit.forecast import forecast
from lowerbound.audit.log import mean_of_means
from lowerbound.audit.verdict import from_dict
from lowerbound.doors.check import check as command
from lowerbound.errors import InputError

CODE = """
import time
import torch
import torch.nn.functional as F

print("noise on standard output")

def right(recon_x, x, mu, logvar):
    return F.binary_cross_entropy(recon_x, x, reduction="sum") - 0.5 * (1 + logvar - mu**2 - logvar.exp()).sum()

def wrong(recon_x, x, mu, logvar):
    return F.binary_cross_entropy(recon_x, x) - 0.5 * (1 + logvar - mu**2 - logvar.exp()).mean()

def sampler(mu, s, eps):
    return mu + (0.5 * s).exp() * eps

def odd(a, b, c, d):
    return ((b - a) ** 2).sum() + (-0.5 * (1 + d - c**2 - d.exp())).sum()

def slow(x, out, mu, s):
    time.sleep(60)
    return x.sum()

def fails(x, out, mu, s):
    raise RuntimeError("nothing works")
"""


@pytest.fixture
def code(tmp_path: Path) -> Path:
    path = tmp_path / "user_losses.py"
    path.write_text(CODE)
    return path


@pytest.fixture
def run() -> Any:
    app = typer.Typer()
    app.command()(command)
    return lambda *words: CliRunner().invoke(app, [str(w) for w in words])


def test_acquitted_is_zero_and_json_is_whole(code: Path, run: Any) -> None:
    result = run(f"{code}:right", "--x-space", "binary", "--sampler", "sampler", "--json", "--sizes", "8,20,4")
    assert result.exit_code == 0, result.output
    data = json.loads(result.stdout)
    assert data["bound"] == "yes"
    assert data["sampler_agrees"] is True
    assert from_dict(data).beta == pytest.approx(1)


def test_convicted_is_one_with_sentence_and_picture(code: Path, run: Any, tmp_path: Path) -> None:
    result = run(f"{code}:wrong", "--picture", tmp_path / "kl.png")
    assert result.exit_code == 1
    assert "39.2 KL( N(mu, sigma^2)" in result.stdout.replace("\n", " ")
    assert "mend:" in result.stdout
    assert (tmp_path / "kl.png").stat().st_size > 5000


def test_roles_by_response_and_declared(code: Path, run: Any) -> None:
    found = json.loads(run(f"{code}:odd", "--out-space", "real", "--json", "--sizes", "8,20,4").stdout)
    said = run(
        f"{code}:odd", "--out-space", "real", "--json", "--sizes", "8,20,4",
        "--x", "a", "--recon", "b", "--mean", "c", "--spread", "d",
    )  # fmt: skip
    assert found["decoder_variance"] == pytest.approx(0.5)
    assert json.loads(said.stdout)["decoder_variance"] == pytest.approx(0.5)


@pytest.mark.parametrize(
    ("words", "mend"),
    [
        (["{code}:absent"], "it has"),
        (["{code}"], "FILE:NAME"),
        (["nowhere.py:loss"], "give the path"),
        (["{code}:fails"], "nothing works"),
        (["{code}:right", "--sizes", "1,2"], "three positive integers"),
        (["{code}:right", "--x-space", "grey"], "known:"),
        (["{code}:slow", "--limit", "6"], "took more than"),
        (["{code}:right", "--limit", "0"], "--limit: is 0; give seconds"),
        (["{code}:right", "--limit", "-1"], "--limit: is -1"),
        (["{code}:right", "--limit", "1e300"], "--limit: is 1e+300"),
        (["{code}:right", "--memory", "nan"], "--memory: is nan; give GiB"),
        ([], "FILE:NAME"),
        (["--log", "nowhere.csv"], "CSV"),
    ],
)
def test_unusable_is_two_in_one_line(code: Path, run: Any, words: list[str], mend: str) -> None:
    result = run(*(w.format(code=code) for w in words))
    assert result.exit_code == 2
    assert mend in result.output
    assert len(result.output.strip().splitlines()) == 1


def test_forecast_from_data(code: Path, run: Any, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    data = rng.normal(size=(200, 2)) @ rng.normal(size=(2, 12)) * 3 + 0.01 * rng.normal(size=(200, 12))
    np.save(tmp_path / "data.npy", data)
    result = run(
        f"{code}:odd", "--out-space", "real", "--x-space", "real", "--sizes", "8,12,5", "--data", tmp_path / "data.npy"
    )
    assert "2 of 5 latents can live" in result.stdout
    assert forecast(data, 1e6, 5).live == 0
    assert "collapse" in forecast(data, 1e6, 5).sentence


def test_a_log_with_three_lies(run: Any, tmp_path: Path) -> None:
    long = "Epoch,Loss,Value\n" + "\n".join(
        f"399,{name},{value}" for name, value in
        [("recon_loss", 147.1), ("mi_loss", 41.69), ("tc_loss", -33.0), ("kl_loss", 9.37), ("loss", -8.49)]
    )  # fmt: skip
    path = tmp_path / "train_losses.log"
    path.write_text(long)
    result = run("--log", path, "--examples", 60000, "--bernoulli")
    assert result.exit_code == 1
    for words in ("Total correlation is -33", "above the KL", "above log N", "Bernoulli loss of -8.49"):
        assert words in result.stdout
    assert check_log("epoch,train_loss,test_loss\n1,131.0,2.1838\n", batches=60).findings[0].code == "D2"
    assert run("--log", _write(tmp_path, "epoch,loss,kl\n1,90.2,20.1\n2,88.0,21.0\n")).exit_code == 0
    assert mean_of_means([10, 10, 3], [1.0, 1.0, 4.0]) is not None
    assert mean_of_means([10, 10], [1.0, 4.0]) is None


def _write(folder: Path, words: str) -> Path:
    path = folder / "metrics.csv"
    path.write_text(words)
    return path


def kl(mu: torch.Tensor, s: torch.Tensor) -> torch.Tensor:
    return -0.5 * (1 + s - mu**2 - s.exp())


def test_a_step_a_mode_and_a_dead_beta() -> None:
    def loss(x, out, mu, s, beta=1.0, step=100, training=True):  # type: ignore[no-untyped-def]
        w = min(1.0, step / 1000) if training else 1.0
        return ((x - out) ** 2).sum() + w * kl(mu, s).sum()

    codes = check(loss, x="real", out="real", sizes=(8, 20, 4)).codes
    assert {"M3", "T1", "M4"} <= set(codes)


def test_tuples_dicts_and_chunked_heads() -> None:
    def parts(recon, x, mu, logvar):  # type: ignore[no-untyped-def]
        r, k = ((x - recon) ** 2).sum() / 2, kl(mu, logvar).sum()
        return {"kl": k, "recon_loss": r, "total_loss": r + k}

    def pair(recon, x, mu, logvar):  # type: ignore[no-untyped-def]
        values = parts(recon, x, mu, logvar)
        return values["recon_loss"], values["total_loss"], values["kl"]

    def chunked(x, recon, params):  # type: ignore[no-untyped-def]
        return parts(recon, x, *params.chunk(2, dim=-1))["total_loss"]

    for loss in (parts, pair, chunked):
        assert check(loss, x="real", out="real", sizes=(8, 20, 4)).bound == "yes"


def test_assert_elbo() -> None:
    def loss(x, out, mu, s):  # type: ignore[no-untyped-def]
        return torch.nn.functional.binary_cross_entropy(out, x, reduction="sum") + 4 * kl(mu, s).sum()

    with pytest.raises(AssertionError, match="effective beta is 4"):
        assert_elbo(loss, x="binary", sizes=(8, 20, 4))
    assert assert_elbo(loss, x="binary", sizes=(8, 20, 4), beta=4.0).beta == pytest.approx(4)


def test_numpy_values_only() -> None:
    def loss(x: Any, out: Any, mu: Any, s: Any) -> Any:
        return np.sum((x - out) ** 2) / 2 + np.sum(np.exp(s) + mu**2 - 1 - s) / 2

    verdict = check(loss, x="real", out="real", sizes=(8, 20, 4), framework="numpy")
    assert verdict.bound == "yes"
    assert verdict.beta == pytest.approx(1)


def test_jax() -> None:
    jax = pytest.importorskip("jax")
    jnp = jax.numpy

    def loss(x: Any, out: Any, mu: Any, s: Any) -> Any:
        kl_ = 0.5 * jnp.sum(jnp.exp(s) + mu**2 - 1 - s, axis=1)
        return jnp.mean(jnp.sum(jax.nn.softplus(out) - x * out, axis=1)) + jnp.mean(jax.lax.stop_gradient(kl_))

    verdict = check(loss, x="binary", out="logit", sizes=(8, 20, 4), framework="jax")
    assert verdict.beta == pytest.approx(1)
    assert "M6" in verdict.codes


def test_keras(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KERAS_BACKEND", "torch")
    keras = pytest.importorskip("keras")
    ops = keras.ops

    def loss(x: Any, out: Any, mu: Any, s: Any) -> Any:
        return ops.mean(ops.square(x - out)) - 0.5 * ops.mean(1 + s - ops.square(mu) - ops.exp(s))

    verdict = check(loss, x="unit", out="real", sizes=(64, 784, 32), framework="keras")
    assert verdict.beta == pytest.approx(12.25, rel=1e-3)
    assert {"R1", "R2"} <= set(verdict.codes)


def test_the_fixture(pytester_plugins: None = None) -> None:
    from lowerbound.audit import pytest_plugin

    assert callable(pytest_plugin.assert_elbo_fixture)


def test_audit_is_quick() -> None:
    import time

    def loss(x, out, mu, s):  # type: ignore[no-untyped-def]
        return torch.nn.functional.binary_cross_entropy(out, x, reduction="sum") + kl(mu, s).sum()

    start = time.process_time()
    check(loss, x="binary")
    assert time.process_time() - start < 5.0


def test_wrong_arguments() -> None:
    with pytest.raises(InputError, match="not a function"):
        check(3)
    with pytest.raises(InputError, match="three positive integers"):
        check(lambda x, out, mu, s: x.sum(), sizes=(0, 1, 2))
    assert math.isclose(1, 1)


def test_a_column_with_the_very_name_goes_first():
    from lowerbound.audit.log import recognise

    found = recognise(["recon", "mi", "tc", "dw_kl", "kl", "loss"])
    assert (found["kl"], found["mi"], found["tc"], found["loss"]) == ("kl", "mi", "tc", "loss")
