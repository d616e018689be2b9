"""log p(x) by every method against models whose log p(x) is known."""

from __future__ import annotations

import copy
import itertools
import math
import os
from pathlib import Path

import numpy as np
import pytest
import scipy.stats
import torch

from lowerbound import data as data_floor
from lowerbound.data import summary
from lowerbound.data.dataset import Data, Split
from lowerbound.errors import InputError
from lowerbound.model.assemble import assemble
from lowerbound.readers.log_likelihood import LogLikelihood, bracket, log_likelihood
from lowerbound.readers.log_likelihood.annealed import Annealer, prior_draws, simulated
from lowerbound.readers.log_likelihood.doubts import doubts
from lowerbound.readers.log_likelihood.problem import Problem

from .conftest import finished as trained_on
from .known import binary, finished, linear, truth


@pytest.fixture(scope="module")
def solved():
    return linear()


@pytest.fixture(scope="module")
def shifted():
    return linear(latent=2, off=0.1, n=40)


@pytest.fixture(scope="module")
def known():
    return binary(fit=300, n=30)


@pytest.fixture(scope="module")
def exact(known):
    return log_likelihood(known, method="quadrature", tolerance=1e-6).log_p


def test_the_exact_value_is_that_of_the_multivariate_normal(solved):
    found = log_likelihood(solved, method="exact")
    W, b, variance = (a.detach().numpy() for a in solved.model.loading())
    covariance = W @ W.T + variance * torch.eye(len(b)).numpy()
    direct = scipy.stats.multivariate_normal(b, covariance).logpdf(solved.data.splits["test"].x.numpy())
    assert found.log_p.numpy() == pytest.approx(direct, abs=1e-9)
    assert found.what == "exact, linear model"


@pytest.mark.parametrize("samples", [1, 7, 300, 10_000])
def test_under_the_exact_posterior_every_weight_is_p(solved, samples):
    """The weights do not vary, so that any slip in their number, their mean or their noise shows at once."""
    found = log_likelihood(solved, samples=samples, examples=5)
    assert found.log_p.tolist() == pytest.approx(truth(solved)[:5].tolist(), abs=1e-9)
    assert found.weights.tolist() == [samples] * 5
    assert found.effective.tolist() == pytest.approx([samples] * 5, rel=1e-9)


def test_every_example_of_the_split_is_estimated(solved):
    """300 weights an example fill a tile with 27 examples, and 60 examples are no multiple of that."""
    found = log_likelihood(solved, samples=300)
    assert found.rows.tolist() == list(range(len(solved.data.splits["test"].x)))
    assert found.log_p.tolist() == pytest.approx(truth(solved).tolist(), abs=1e-9)


def test_it_is_the_split_that_was_asked_for(solved):
    for split in ("train", "valid", "test"):
        found = log_likelihood(solved, split, samples=3)
        assert found.log_p.tolist() == pytest.approx(truth(solved, split).tolist(), abs=1e-9)
        assert found.split == split


def test_the_figure_is_the_mean_over_examples(solved):
    found = log_likelihood(solved, samples=2)
    exact = truth(solved)
    assert found.estimate.value == pytest.approx((exact.sum() / len(exact)).item(), abs=1e-9)
    assert found.estimate.stderr == pytest.approx(exact.std().item() / math.sqrt(len(exact)), abs=1e-9)
    assert found.estimate.n == len(exact)
    low, high = found.interval
    assert high - low == pytest.approx(2 * 1.959964 * found.estimate.stderr)


def test_the_negative_log_likelihood_is_negative_log_p(known, exact):
    """Of 0 and 1 every log probability is below 0, so that a flipped sign cannot hide."""
    found = log_likelihood(known, samples=200)
    assert found.estimate.value < 0 < found.nll.value
    assert found.nll.value == -found.estimate.value
    assert found.json()["nll"]["value"] == found.nll.value
    assert found.json()["bits_per_dimension"]["value"] == pytest.approx(found.nll.value / 30 / math.log(2))


METHODS = {
    "importance": ({"samples": 20_000}, 0.02),
    "annealed": ({"samples": 64, "temperatures": 100}, 0.05),
    "appendix-d": ({"samples": 1000}, 0.05),
    "quadrature": ({}, 1e-5),
}


@pytest.mark.parametrize("method", METHODS)
def test_off_the_optimum_every_method_finds_the_linear_truth(shifted, method):
    """q is shifted and too wide; the tolerance is on the mean of 12 examples, over 4 deviations of it."""
    settings, tolerance = METHODS[method]
    found = log_likelihood(shifted, method=method, **settings)
    assert found.estimate.value == pytest.approx((truth(shifted).sum() / len(found.rows)).item(), abs=tolerance)


@pytest.mark.parametrize("latent", [1, 2, 3])
def test_quadrature_is_exact_for_every_example(latent):
    trained = linear(latent, n=20)
    found = log_likelihood(trained, method="quadrature", tolerance=1e-8)
    assert found.log_p.tolist() == pytest.approx(truth(trained).tolist(), abs=1e-7)
    assert found.settings["grids_differ_at_most"] < 1e-8


def test_quadrature_integrates_every_example():
    """Also those of the last batch, which is not full: 1 MiB holds fewer codes than 60 x 256."""
    trained = linear(2, n=200)
    found = log_likelihood(trained, method="quadrature", memory=1)
    assert found.log_p.tolist() == pytest.approx(truth(trained).tolist(), abs=1e-4)


def test_quadrature_finds_a_posterior_with_two_modes():
    """x = z^2 + noise has modes at +-sqrt(x); the truth is a fine sum over a line that holds all of p(z)."""
    trained = binary(latent=1, parts=12, n=4, gain=0.0)

    class Square(torch.nn.Module):
        def forward(self, z):
            return (8 * (z.square() - 2)).expand(-1, 12).unsqueeze(1)

    trained.model.decoder = Square()
    trained.data.splits["test"].x[:] = torch.tensor([1.0, 0.0]).repeat(6)
    z = torch.linspace(-9, 9, 20_001, dtype=torch.float64)
    logit = 8 * (z**2 - 2)
    log_f = 6 * (logit - 2 * torch.nn.functional.softplus(logit)) - z**2 / 2 - math.log(2 * math.pi) / 2
    expected = torch.logsumexp(log_f, 0) + math.log(float(z[1] - z[0]))
    found = log_likelihood(trained, method="quadrature", tolerance=1e-8)
    assert found.log_p.tolist() == pytest.approx([expected.item()] * 4, abs=1e-6)


def test_importance_sampling_comes_from_below_and_rises(known, exact):
    """Averages over 30 examples and 20 seeds; each rise is over 4 of its standard errors."""
    gaps = [
        torch.stack([log_likelihood(known, samples=k, seed=s).log_p - exact for s in range(20)]) for k in (1, 5, 50)
    ]
    averages = [g.sum().item() / g.numel() for g in gaps]
    assert averages == sorted(averages) and averages[-1] < 0.01
    for a, b in itertools.pairwise(gaps):
        rise = (b - a).flatten()
        assert rise.sum() / len(rise) > 4 * rise.std() / math.sqrt(len(rise))


@pytest.mark.parametrize("fit", ["full", "diagonal"])
def test_appendix_d_is_within_a_tenth_of_a_nat(known, exact, fit):
    found = log_likelihood(known, method="appendix-d", fit=fit, samples=1000, examples=10)
    assert found.log_p.tolist() == pytest.approx(exact[:10].tolist(), abs=0.1)


def test_appendix_d_by_kernels_is_within_a_tenth_of_a_nat_on_average(known, exact):
    """Kernels have heavier tails than a posterior, so one example in twenty is some tenths too low; of six seeds the
    average was off by 0.07 at most, the median by 0.02."""
    found = log_likelihood(known, method="appendix-d", fit="kernel", samples=1000, examples=10)
    off = found.log_p - exact[:10]
    assert abs(off.sum().item() / 10) < 0.1 and off.abs().median() < 0.04


@pytest.mark.parametrize("start", ["prior", "posterior"])
def test_annealing_is_within_a_tenth_of_a_nat(known, exact, start):
    found = log_likelihood(known, method="annealed", samples=64, temperatures=150, start=start, examples=10)
    assert found.log_p.tolist() == pytest.approx(exact[:10].tolist(), abs=0.1)
    assert found.what.startswith("lower bound in expectation, AIS")


def test_few_draws_are_refused_by_appendix_d(known):
    """A density with more numbers than draws gave probabilities of e^100,000,000."""
    for draws in (1, 5, 49):
        with pytest.raises(
            InputError, match=f"{draws} draws are too few to fit a density to 2 latents; give at least 50"
        ):
            log_likelihood(known, method="appendix-d", samples=draws)
    with pytest.raises(InputError, match="give at least 110"):
        log_likelihood(binary(latent=10, n=1), method="appendix-d", samples=109)


def figures(**changed):
    """An estimate of ten binary examples, some figure of which is wrong."""
    of = torch.full((10,), -3.0).double(), torch.full((10,), 100), torch.full((10,), 50.0), torch.zeros(10)
    plain = dict(zip(("log_p", "weights", "effective", "pareto_k"), of, strict=True)) | {"kind": "binary", "parts": 4}
    plain |= {"rows": torch.arange(10), "method": "appendix-d", "what": "estimate", "split": "test", "samples": 100}
    return LogLikelihood(**plain | {"binarisation": "none", "seed": 0, "sha256": "0"} | changed)


DOUBTS = {
    "nothing": ({}, None),
    "a probability above 1": ({"log_p": torch.linspace(-3, 0.1, 10).double()}, "above 0 in 1 of 10 examples"),
    "a density above 1": ({"log_p": torch.full((10,), 2.0).double(), "kind": "real"}, None),
    "a heavy tail": ({"pareto_k": torch.full((10,), 0.9)}, "the true log p(x) is lower"),
    "few effective draws": ({"effective": torch.full((10,), 3.0)}, "fewer than 10 effective samples in 10 of 10"),
    "one chain for all": (
        {"effective": torch.full((10,), 1.2), "method": "annealed", "samples": 16},
        "take more temperatures",
    ),
    "a likelihood of other data": ({"warning": "no likelihood of such data"}, "no likelihood of such data"),
}


@pytest.mark.parametrize("case", DOUBTS)
def test_what_is_doubtful_is_said(case):
    changed, words = DOUBTS[case]
    said = list(doubts(figures(**changed)))
    assert (not said) if words is None else (len(said) == 1 and words in said[0])


def test_bits_are_spoken_of_where_nats_are_those_of_a_probability(known):
    found = log_likelihood(known, samples=5)
    assert "bits per value" in "\n".join(found.lines()) and "bits_per_dimension" in found.json()
    levels = data_floor.from_array(np.random.default_rng(0).integers(0, 256, (20, 6)).astype(np.uint8))
    model = assemble(summary(levels), latent=2, likelihood={"name": "normal"})
    density = log_likelihood(finished(model, levels), samples=5, examples=2)
    assert "bits" not in "\n".join(density.lines()) + str(density.json())
    assert density.notes[0] == model.likelihood.warning(summary(levels))


def test_the_condition_stands_in_every_figure():
    trained = binary(n=3, condition={"name": "labels"}, prior={"name": "conditional-normal"})
    found = log_likelihood(trained, samples=5)
    assert found.lines()[0].startswith("log p(x | label) ")
    assert found.json()["log_p"]["of"] == "log p(x | label)"
    assert found.json()["nll"]["what"] == "-log p(x | label), lower is better"


def test_examples_of_the_model_are_the_same_in_any_precision(known):
    """They are drawn in float32."""
    single = copy.deepcopy(known.model).float()
    for a, b in zip(simulated(single, torch.arange(9), 0), simulated(known.model, torch.arange(9), 0), strict=True):
        assert torch.equal(a, b.float()) and b.dtype == torch.float64


def test_draws_of_the_prior_belong_to_the_row_and_not_to_its_place():
    model = binary(n=3, condition={"name": "labels"}, prior={"name": "conditional-normal"}).model
    x, y = torch.zeros(3, 30).double(), torch.tensor([0, 1, 2])
    every = prior_draws(Problem(model, x, y), [4, 5, 6], 7, 0, 1)
    alone = prior_draws(Problem(model, x[2:], y[2:]), [6], 7, 0, 1)
    assert torch.equal(every[:, 2], alone[:, 0])


def test_the_bracket_covers_the_truth(known):
    """Of 20 examples drawn from the model; on average the two sides lie about the truth within their own error."""
    found = bracket(known, 20, samples=16, temperatures=60)

    x, _ = simulated(known.model, torch.arange(20), 0)
    drawn = finished(known.model, Data("drawn", "binary", (30,), {"test": Split(x.float())}, known.data.record))
    exact = log_likelihood(drawn, method="quadrature").log_p
    below, above = exact - found.lower.log_p, found.upper.log_p - exact
    for side in (below, above):
        assert side.sum() / 20 > -4 * side.std() / math.sqrt(20)
        assert abs(side.sum() / 20) < 0.1
    assert abs(found.gap.value) < 0.1
    assert found.upper.what.startswith("upper bound in expectation, reverse AIS")


def test_few_temperatures_leave_a_wide_bracket(known):
    """With one step annealing is plain importance sampling from the prior, and both sides are far from the truth."""
    wide = bracket(known, 20, samples=4, temperatures=1, start="prior")
    narrow = bracket(known, 20, samples=4, temperatures=40, start="prior")
    assert wide.gap.value > 5 * max(narrow.gap.value, 0.1)


def states(trained, parts: int):
    """Every state of ``parts`` binary variables under a model."""
    every = (torch.arange(2**parts)[:, None] >> torch.arange(parts)) & 1
    return finished(
        trained.model, Data("states", "binary", (parts,), {"test": Split(every.float())}, trained.data.record)
    )


def sums_to_1(trained, samples: int) -> None:
    """Each estimate is unbiased for p(x), so that their sum is for 1: a false alarm at 5 deviations, 6e-7."""
    found = log_likelihood(trained, samples=samples)
    p = found.log_p.exp()
    error = (p.square() * (1 / found.effective - 1 / samples).clamp(min=0)).sum().sqrt()
    assert abs(p.sum() - 1) < 5 * error < 0.1


def test_the_probabilities_of_all_states_sum_to_1():
    """1,024 states."""
    trained = states(binary(latent=2, parts=10, n=1, fit=300, gain=1.5), 10)
    sums_to_1(trained, 200)
    by_grid = log_likelihood(trained, method="quadrature", tolerance=1e-5)
    assert by_grid.log_p.exp().sum().item() == pytest.approx(1, abs=1e-5)


def test_the_probabilities_of_all_65_536_states_sum_to_1():
    sums_to_1(states(binary(latent=2, parts=16, n=1, fit=300, gain=1.5), 16), 20)


NLTCS = Path(os.environ.get("LOWERBOUND_DATA", "")) / "binary" / "nltcs.npz"


@pytest.mark.skipif(not NLTCS.is_file(), reason="needs binary/nltcs.npz in $LOWERBOUND_DATA")
def test_the_probabilities_of_all_states_of_nltcs_sum_to_1(tmp_path):
    """Its 16 variables have 65,536 states; the model is trained for two epochs, on them as they are in the file."""
    with np.load(NLTCS) as held:
        data = data_floor.from_array(held["train"].astype(np.float32), name="nltcs")
    sums_to_1(states(trained_on(tmp_path / "run", data, encoder={"hidden": [16]}, training={"epochs": 2}), 16), 20)


REFUSED = {
    "unknown method": ({"method": "import"}, "did you mean importance"),
    "unknown split": ({"split": "exam"}, "it has: train, test"),
    "samples of a grid": ({"method": "quadrature", "samples": 10}, "quadrature draws no samples"),
    "no samples": ({"samples": 0}, "from 1 to"),
    "no such row": ({"examples": [0, 99]}, "rows go from 0 to 29"),
    "no examples": ({"examples": 0}, "at least 1"),
    "unknown precision": ({"precision": "float8"}, "known: bfloat16, float32, float64"),
    "half precision for a chain": ({"method": "annealed", "precision": "bfloat16"}, "known: float32, float64"),
    "unknown fit": ({"method": "appendix-d", "fit": "round"}, "known: diagonal, full, kernel"),
    "not linear": ({"method": "exact"}, "is not linear"),
    "too little memory": ({"memory": 1e-4}, "give at least 1 MiB"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_be_done_is_refused(known, case):
    settings, words = REFUSED[case]
    with pytest.raises(InputError, match=words):
        log_likelihood(known, **settings)


def test_quadrature_in_many_dimensions_is_refused():
    with pytest.raises(InputError, match="1 to 3 real latent dimensions, this model has 4"):
        log_likelihood(binary(latent=4, n=2), method="quadrature")


def test_a_model_without_a_density_can_be_annealed_from_its_prior():
    trained = binary(posterior={"name": "deterministic"}, n=4)
    with pytest.raises(InputError, match="use method annealed"):
        log_likelihood(trained)
    exact = log_likelihood(trained, method="quadrature").log_p
    found = log_likelihood(trained, method="annealed", samples=64, temperatures=100)
    assert found.settings["start"] == "prior"
    assert found.log_p.tolist() == pytest.approx(exact.tolist(), abs=0.3)


@pytest.mark.parametrize("start", ["posterior", "prior"])
def test_chains_leave_the_weights_unbiased(shifted, start):
    """E[w] = p(x) forward, over 12 examples and 400 chains of 12 temperatures; 5 deviations: a false alarm of 6e-7."""
    x = shifted.data.splits["test"].x.double()
    with torch.no_grad():
        annealer = Annealer(Problem(shifted.model, x), list(range(len(x))), start=start, temperatures=12, seed=0)
        ratio = (annealer.forward(400) - truth(shifted)).exp()
    error = (ratio.var(0).sum() / 400).sqrt() / len(x)
    assert abs(ratio.sum() / ratio.numel() - 1) < 5 * error < 0.2


def test_appendix_d_does_not_judge_the_draws_it_was_fitted_to(monkeypatch):
    """A kernel at a draw makes that draw look likely: -0.1 nats with 50 of them. 120 examples: a deviation of 0.01."""
    monkeypatch.setattr("lowerbound.readers.log_likelihood.appendix_d.BURN_IN", 30)
    trained = linear(latent=2, n=400, off=0.1)
    found = log_likelihood(trained, method="appendix-d", samples=50, fit="kernel")
    assert found.estimate.value == pytest.approx((truth(trained).sum() / 120).item(), abs=0.05)
