"""A catalogue of planted faults: each is put into a copy of the library and must turn a named test red.

The faults are the ones that people make in this subject. A suite that stays green with one of them planted does not
hold what it says it holds.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

import faults_family

TESTS = Path(__file__).parent
SOURCE = TESTS.parent / "src" / "lowerbound"

NORMAL, FORMS, TERMS = "maths/test_kl_normal.py", "maths/test_forms.py", "maths/test_terms.py"
SPLIT, UNITS = "maths/test_divergence.py", "maths/test_units.py"
GRADIENT, LINEAR = "training/test_gradient.py", "training/test_linear.py"
GAP = f"{TERMS}::test_bound_plus_gap_is_the_evidence"
UNBIASED = f"{GRADIENT}::test_the_average_minibatch_gradient_is_the_full_gradient"
FIGURES = f"{GRADIENT}::test_measured_figures_do_not_depend_on_the_batch_size"
LEDGER = f"{GRADIENT}::test_the_training_ledger_does_not_depend_on_the_batch_size"
BOUND = f"{GRADIENT}::test_the_gradient_is_that_of_the_negative_bound"
EXACT = f"{LINEAR}::test_at_the_analytic_optimum_the_bound_is_the_likelihood"


@dataclass(frozen=True)
class Fault:
    """In ``file``, ``old`` (there once) becomes ``new``; ``tests`` must notice."""

    file: str
    old: str
    new: str
    tests: tuple[str, ...]


def fault(file: str, old: str, new: str, *tests: str) -> Fault:
    return Fault(file, old, new, tests)


KL = "    return 0.5 * (phi(l1 - l2) + scaled.square())"
STANDARD = "        return 0.5 * (phi(l1) + m1.square())"
PHI, FORM, DIV, UNIT = "maths/phi.py", "maths/forms.py", "maths/divergence.py", "maths/units.py"
LEDGERS, NORMALS, OBJECTIVE = "maths/terms.py", "maths/normal.py", "objective/objectives.py"
SUM_PARTS = "    return at_least_float32(a).flatten(a.dim() - parts).sum(-1) if parts else at_least_float32(a)"
SUM_LATENT = '(..., latent) -> (...), nats per example."""\n    return at_least_float32(a).sum(-1)'
MEAN_EXAMPLES = '(batch, ...) -> (...), nats per example."""\n    return at_least_float32(a).mean(0)'
ELBO = "        return -(mean_samples(self.distortion) + sum_latent(self.rate))"

FAULTS = {
    # the reductions
    "mean for sum over latents": fault(UNIT, SUM_LATENT, SUM_LATENT.replace(".sum(", ".mean("), GAP),
    "mean for sum over parts": fault(
        UNIT, SUM_PARTS, SUM_PARTS.replace(".sum(-1)", ".mean(-1)"), f"{UNITS}::test_axes"
    ),
    "sum for mean over examples": fault(UNIT, MEAN_EXAMPLES, MEAN_EXAMPLES.replace(".mean(", ".sum("), UNBIASED),
    "log-mean-exp without log K": fault(UNIT, " - math.log(a.shape[0])", "", f"{TERMS}::test_bound_is_tight"),
    "mean of logs for log of mean": fault(
        UNIT,
        "torch.logsumexp(at_least_float32(a), 0) - math.log(a.shape[0])",
        "a.mean(0)",
        f"{TERMS}::test_iwae_increases",
    ),
    "half precision summed as it is": fault(
        UNIT,
        "(torch.float32, torch.float64) else a.float()",
        "(torch.float32, torch.float64) else a",
        f"{UNITS}::test_half",
    ),
    # the KL
    "log variance read as log sigma": fault(
        PHI, STANDARD, STANDARD.replace("phi(l1)", "phi(2 * l1)"), f"{NORMAL}::test_against"
    ),
    "log variance read as log sigma, general prior": fault(
        PHI, KL, KL.replace("l1 - l2", "2 * (l1 - l2)"), f"{NORMAL}::test_general"
    ),
    "variance read as log variance": fault(
        NORMALS, "torch.exp(0.5 * self.log_variance)", "self.log_variance.abs().sqrt()", GAP, EXACT
    ),
    "KL reversed": fault(
        FORM,
        "kl_normal(q.mean, q.log_variance, p.mean, p.log_variance)",
        "kl_normal(p.mean, p.log_variance, q.mean, q.log_variance)",
        GAP,
    ),
    "the half dropped": fault(PHI, KL, KL.replace("0.5 * ", ""), f"{NORMAL}::test_general"),
    "the half dropped, standard prior": fault(PHI, STANDARD, STANDARD.replace("0.5 * ", ""), f"{NORMAL}::test_against"),
    "sign of the KL flipped": fault(PHI, KL, KL.replace("0.5", "-0.5"), GAP),
    "mean divided by nothing": fault(PHI, KL, KL.replace("scaled", "shift"), f"{NORMAL}::test_general"),
    "divided by the deviation, not the variance": fault(
        PHI, "torch.exp(-0.5 * torch.as_tensor(l2", "torch.exp(-0.25 * torch.as_tensor(l2", f"{NORMAL}::test_general"
    ),
    "textbook form, cancelling": fault(
        PHI, STANDARD, "        return -0.5 * (1 + l1 - m1.square() - torch.exp(l1))", f"{NORMAL}::test_four_ulp"
    ),
    "series one term short": fault(
        PHI, "for power in range(degree + 1, 1, -1)", "for power in range(degree - 2, 1, -1)", f"{NORMAL}::test_phi"
    ),
    "pull of the variance without its half": fault(
        PHI, "0.5 * torch.expm1(at_least", "torch.expm1(at_least", f"{NORMAL}::test_pulls_four_ulp"
    ),
    "gradient of phi is phi's own": fault(
        PHI,
        "gradient * torch.expm1(ctx.saved_tensors[0])",
        "gradient * (torch.expm1(ctx.saved_tensors[0]) + 1)",
        f"{NORMAL}::test_gradcheck",
    ),
    "correlations forgotten": fault(FORM, "off.square().sum((-2, -1)) + ", "", f"{FORMS}::test_agrees_with_torch"),
    "covariance solved from the wrong side": fault(
        FORM,
        "torch.linalg.solve_triangular(L2, gap",
        "torch.linalg.solve_triangular(L1, gap",
        f"{FORMS}::test_agrees_with_torch",
    ),
    "one outcome of the Bernoulli": fault(
        FORM, " + _outcome(1 - a, 1 - b, a - b)", "", f"{FORMS}::test_agrees_with_torch"
    ),
    "an impossible class is finite": fault(
        PHI, "torch.where(lost, torch.inf, ", "torch.where(lost, 0.0, ", f"{FORMS}::test_overflow_is_inf"
    ),
    "sampled, called closed": fault(
        DIV, 'sampled[..., None], "sampled")', 'sampled[..., None], "closed")', f"{SPLIT}::test_sampled_is_labelled"
    ),
    "sampled with the signs crossed": fault(
        DIV,
        "sum_parts(log_q, log_q.dim() - axes) - sum_parts(log_p, log_p.dim() - axes)",
        "sum_parts(log_p, log_p.dim() - axes) - sum_parts(log_q, log_q.dim() - axes)",
        f"{SPLIT}::test_sampled_is_unbiased",
    ),
    "entropy taken for a constant": fault(
        DIV,
        "kl(q, p).total() + entropy(q)",
        "kl(q, p).total() + entropy(q).detach()",
        f"{SPLIT}::test_the_entropy_is_not",
    ),
    # the ledger
    "sign of the bound flipped": fault(LEDGERS, ELBO, ELBO.replace("-(", "("), GAP),
    "rate added, not taken": fault(
        LEDGERS, ELBO, "        return sum_latent(self.rate) - mean_samples(self.distortion)", GAP
    ),
    "a beta left in the bound": fault(
        LEDGERS, ELBO, ELBO.replace("sum_latent(self.rate)", "0.5 * sum_latent(self.rate)"), GAP
    ),
    "weights without the prior": fault(
        LEDGERS, "-distortion - sum_parts(ratio, ratio.dim() - 2)", "-distortion", f"{TERMS}::test_bound_is_tight"
    ),
    "a normaliser dropped": fault(
        NORMALS, "(LOG_2PI + log_variance + ", "(log_variance + ", f"{SPLIT}::test_diagonal_normal"
    ),
    "sample with sigma squared": fault(
        NORMALS, "torch.addcmul(self.loc, self.stddev, noise)", "torch.addcmul(self.loc, self.variance, noise)", EXACT
    ),
    "standard error without the root": fault(
        UNIT, "a.std().item() / math.sqrt(n)", "a.std().item()", f"{UNITS}::test_an_estimate_has"
    ),
    "an estimate in float32": fault(
        UNIT, "a = per_example.double()", "a = per_example", f"{UNITS}::test_an_estimate_is_acc"
    ),
    # objective, training, measuring
    "a weight left in the plain objective": fault(
        OBJECTIVE,
        "return Weights(1.0, self.beta * self.schedule(epoch))",
        "return Weights(1.0, 0.5 * self.beta * self.schedule(epoch))",
        BOUND,
    ),
    "last batch dropped in measure": fault(
        "training/measure.py",
        "range(0, len(data.splits[split]), batch)",
        "range(0, len(data.splits[split]) - batch + 1, batch)",
        FIGURES,
    ),
    "mean of batch means in the ledger": fault(
        "training/ledger.py",
        "self.objective += n * objective.detach()",
        "self.objective += 32 * objective.detach()",
        LEDGER,
    ),
    "noise that depends on the batch": fault(
        "training/measure.py",
        "noise(seed, first, last, samples, model.noise_width)",
        "noise(seed, 0, last - first, samples, model.noise_width)",
        FIGURES,
    ),
    "one noise for all examples": fault(
        "training/randomness.py",
        "blocks.append(drawn[:, max(first - start, 0) : last - start])",
        "blocks.append(drawn[:, :1].expand(-1, together, -1)[:, max(first - start, 0) : last - start])",
        "training/test_randomness.py",
    ),
    "a sum weighted by the batch": fault(
        OBJECTIVE,
        "distortion = mean_examples(mean_samples(terms.distortion))",
        "distortion = mean_examples(mean_samples(terms.distortion)) * len(terms.rate) / 32",
        UNBIASED,
    ),
    "encoder cut off from the gradient": fault(
        "model/autoencoder.py",
        "        z = q.transform(noise)",
        "        z = q.transform(noise).detach()",
        f"{LINEAR}::test_training",
    ),
    "variance of pPCA for its deviation": fault(
        "model/linear.py", "        self._put(W, b, variance)", "        self._put(W, b, variance.sqrt())", EXACT
    ),
}


FAULTS |= {name: fault(file, old, new, *tests) for name, (file, old, new, tests) in faults_family.FAULTS.items()}


def named(tests: tuple[str, ...]) -> list[str]:
    """Test ids; a shortened name stands for the tests that begin with it."""
    ids = []
    for test in tests:
        file, _, name = test.partition("::")
        text = (TESTS / file).read_text(encoding="utf-8")
        found = [line[4:].partition("(")[0] for line in text.splitlines() if line.startswith(f"def {name or 'test_'}")]
        assert found, f"no test {test}"
        ids += [f"{TESTS / file}::{each}" for each in found]
    return ids


class Server:
    """The process that judges; see ``fault_server.py``."""

    def __init__(self) -> None:
        command = [sys.executable, "-W", "ignore", str(TESTS / "fault_server.py")]
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
        self.process = subprocess.Popen(command, cwd=TESTS.parent, env={**os.environ, "OMP_NUM_THREADS": "1"}, **pipes)

    def judge(self, root: Path, tests: list[str]) -> tuple[int, str]:
        self.process.stdin.write(json.dumps({"root": str(root), "tests": tests}) + "\n")
        self.process.stdin.flush()
        answer = json.loads(self.process.stdout.readline())
        return answer["code"], answer["output"]

    def close(self) -> None:
        self.process.stdin.close()
        self.process.stdout.close()
        self.process.wait(timeout=30)


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    if not hasattr(os, "fork"):
        pytest.skip("needs fork")
    s = Server()
    yield s
    s.close()


@pytest.fixture
def plant(tmp_path: Path) -> Callable[[Fault | None], Path]:
    """A copy of the library with the fault in it: the folder to put on the path."""

    def copy(planted: Fault | None) -> Path:
        target = tmp_path / "lowerbound"
        shutil.copytree(SOURCE, target, ignore=shutil.ignore_patterns("__pycache__"))
        if planted is not None:
            file = target / planted.file
            text = file.read_text(encoding="utf-8")
            assert text.count(planted.old) == 1, f"{planted.old!r} is there {text.count(planted.old)} times"
            file.write_text(text.replace(planted.old, planted.new), encoding="utf-8")
        return tmp_path

    return copy


def test_without_a_fault_they_are_green(server, plant):
    """Else a red test would prove nothing. The quick ones; all of them are green in the suite itself."""
    code, output = server.judge(plant(None), named((TERMS, UNITS, SPLIT, BOUND, EXACT)))
    assert code == 0, output


@pytest.mark.parametrize("name", FAULTS)
def test_the_fault_is_noticed(name, server, plant):
    """Red (1), and neither green (0) nor broken (2 and more: nothing was collected, or pytest failed)."""
    code, output = server.judge(plant(FAULTS[name]), named(FAULTS[name].tests))
    assert code == 1, f"exit code {code}\n{output}"
    assert " error" not in output.splitlines()[-1], output


def test_the_catalogue_is_long_enough():
    assert len(FAULTS) >= 40
