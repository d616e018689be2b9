"""The figures that a reproduction reports: name -> what is measured on a run, with unit and standard error."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any
from weakref import WeakKeyDictionary

Figure = Callable[[Any], Any]


def _evaluation(trained: Any, split: str = "test") -> Any:
    """The bound and its parts on a split: one pass, however many figures are asked of it."""
    from lowerbound.readers.evaluate import evaluate

    kept = _EVALUATIONS.setdefault(trained.model, {})
    if split not in kept:
        kept[split] = evaluate(trained, split)
    return kept[split]


_EVALUATIONS: WeakKeyDictionary[Any, dict[str, Any]] = WeakKeyDictionary()


def bound(trained: Any) -> Any:
    """The ELBO, nats per example."""
    return _evaluation(trained).elbo


def training_bound(trained: Any) -> Any:
    """The ELBO of the training split, nats per example: above the bound of the test split by the over-fitting."""
    return _evaluation(trained, "train").elbo


def rate(trained: Any) -> Any:
    """The rate, nats per example."""
    return _evaluation(trained).rate


def distortion(trained: Any) -> Any:
    """The distortion, nats per example."""
    return _evaluation(trained).distortion


def cross_entropy(trained: Any) -> Any:
    """The distortion per value, the "loss" of tutorials: a mean over pixels, of grey pixels no likelihood."""
    from lowerbound.maths.units import Estimate

    found, parts = _evaluation(trained).distortion, trained.data.shape
    n = 1
    for size in parts:
        n *= size
    return Estimate(found.value / n, found.stderr / n, "nats per value", found.n)


def active(trained: Any) -> Any:
    """Active dimensions: those above 0.01 nats of average rate; NaN where the rate does not split by dimension."""
    from lowerbound.maths.units import Estimate

    found = _evaluation(trained)
    count = math.nan if found.active_dimensions is None else float(found.active_dimensions)
    return Estimate(count, 0.0, "dimensions", found.examples)


def error(trained: Any) -> Any:
    """The share of test examples whose class is guessed wrongly, in percent."""
    return _percent(trained, None)


def cluster_error(trained: Any) -> Any:
    """The same of clusters, each named after most of its validation examples."""
    return _percent(trained, "valid")


def _percent(trained: Any, named: str | None) -> Any:
    from lowerbound.maths.units import Estimate
    from lowerbound.readers.classes import accuracy

    share = accuracy(trained, "test", named=named)
    return Estimate(100 * (1 - share.value), 100 * share.stderr, "% error", share.n)


def code_size(trained: Any) -> Any:
    """The mean absolute number of the code."""
    import torch

    from lowerbound.maths.units import Estimate
    from lowerbound.training.codes import codes

    z = codes(trained.model, trained.data, "test").abs()
    width = z.shape[1]
    return Estimate.of(torch.as_tensor(z).sum(1) / width, unit="a number of the code")  # not nats: sizes of a code


def claimed(trained: Any) -> Any:
    """The KL that the loss of 2016 claims, which is not the true one, nats per example."""
    import torch

    from lowerbound.maths.units import Estimate
    from lowerbound.training.load import summary_of
    from lowerbound.training.setup import objective_of

    objective: Any = objective_of(trained.spec, summary_of(trained.run.record()))
    x = trained.data.batch("test", torch.arange(len(trained.data.splits["test"])))
    with torch.no_grad():
        return Estimate.of(objective.claimed(trained.model(x)))


def claimed_by_a_mean(trained: Any) -> Any:
    """The rate averaged over dimensions: what a loss that takes the mean for the sum calls its KL."""
    from lowerbound.maths.units import Estimate

    found, latent = rate(trained), trained.spec.latent
    return Estimate(found.value / latent, found.stderr / latent, "nats per dimension", found.n)


def log_likelihood(samples: int, examples: int | None = None) -> Figure:
    """log p(x) by importance sampling, of the first ``examples`` of the test split or of all."""

    def measured(trained: Any) -> Any:
        from lowerbound.readers.log_likelihood import log_likelihood

        return log_likelihood(trained, "test", method="importance", samples=samples, examples=examples).estimate

    return measured


def codes_match(trained: Any) -> Any:
    """The p-value of the test that codes are draws of the prior."""
    from lowerbound.maths.units import Estimate
    from lowerbound.readers.two_sample import codes_match_prior

    found = codes_match_prior(trained)
    return Estimate(found.p_value, 0.0, "p-value", found.n)


def fidelity(trained: Any) -> Any:
    """The Frechet distance of samples from test examples on 32 principal components, with its spread over halves."""
    from lowerbound.maths.units import Estimate
    from lowerbound.readers.fidelity import fidelity as measured

    found = measured(trained, "test")
    distance = found.figures[0]
    return Estimate(distance.value, distance.stderr, "squared units of 32 components", found.n)


def denoised(trained: Any) -> Any:
    """The distortion per value where the encoder is given the corrupted example, as in training."""
    import torch

    from lowerbound.maths.units import Estimate, mean_samples
    from lowerbound.training.randomness import borrowed, reseed

    x = trained.data.batch("test", torch.arange(len(trained.data.splits["test"])))
    with borrowed(torch.device("cpu")), torch.no_grad():
        reseed(torch.device("cpu"), 1, 0)
        trained.model.corruption.train()
        per_example = mean_samples(trained.model(x).distortion) / x[0].numel()
        trained.model.corruption.eval()
    return Estimate.of(per_example, unit="nats per value")


def forecast(trained: Any) -> Any:
    """How many dimensions the forecast of collapse lets live, before the first step."""
    from lowerbound.data import summary
    from lowerbound.maths.units import Estimate
    from lowerbound.training.forecast import collapse_forecast
    from lowerbound.training.setup import objective_of

    seen = summary(trained.data)
    beta, latent = objective_of(trained.spec, seen).first_nat(), trained.spec.latent
    found = collapse_forecast(trained.data, seen, trained.model.likelihood, beta=beta, latent=latent)
    return Estimate(float(found.can_live), 0.0, "dimensions", trained.spec.latent)


FIGURES: dict[str, Figure] = {
    "bound": bound,
    "rate": rate,
    "distortion": distortion,
    "cross-entropy": cross_entropy,
    "active": active,
    "error": error,
    "cluster-error": cluster_error,
    "code-size": code_size,
    "claimed-kl": claimed,
    "claimed-mean-kl": claimed_by_a_mean,
    "training-bound": training_bound,
    "log-likelihood": log_likelihood(1000, examples=1000),
    "log-likelihood-200": log_likelihood(200),
    "log-likelihood-5000": log_likelihood(5000),
    "codes-match": codes_match,
    "fidelity": fidelity,
    "denoised": denoised,
    "forecast": forecast,
}
