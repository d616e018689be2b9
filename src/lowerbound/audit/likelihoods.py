"""Negative log-likelihoods that a reconstruction may be, per part of an example, up to terms free of the output."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

Array = np.ndarray


@dataclass(frozen=True)
class Family:
    """``nll(x, out, *free)`` per element in nats at unit scale (sigma = 1, b = 1)."""

    name: str
    nll: Callable[..., Array]
    start: tuple[float, ...] = ()
    scale: str = ""  # "sigma^2" or "b" where a fixed scale is not separable from the weight
    proper: bool = True
    words: str = ""


def _clip(p: Array) -> Array:
    return np.clip(p, 1e-300, 1.0)


def bernoulli(x: Array, p: Array) -> Array:
    """-(x log p + (1 - x) log(1 - p))."""
    return -(x * np.log(_clip(p)) + (1 - x) * np.log(_clip(1 - p)))


def bernoulli_logit(x: Array, o: Array) -> Array:
    """log(1 + e^o) - x o."""
    return np.logaddexp(0, o) - x * o


def sigmoid(o: Array) -> Array:
    """1 / (1 + e^-o)."""
    return 1 / (1 + np.exp(-o))


def log_cosh(t: Array) -> Array:
    """log cosh t, stable."""
    return np.logaddexp(t, -t) - np.log(2.0)


def huber(t: Array, d: float) -> Array:
    """t^2/2 inside |t| < d, linear outside."""
    return np.where(np.abs(t) < d, 0.5 * t * t, d * (np.abs(t) - 0.5 * d))


def continuous_bernoulli(x: Array, p: Array) -> Array:
    """Bernoulli's formula with the constant that makes it a density on [0, 1]."""
    d = np.where(np.abs(p - 0.5) < 1e-3, 1e-3, 1 - 2 * p)
    exact = np.log(np.maximum(2 * np.arctanh(d) / d, 1e-300))
    near = np.log(2.0) + 4 / 3 * (p - 0.5) ** 2
    return bernoulli(x, p) - np.where(np.abs(p - 0.5) < 1e-3, near, exact)


FIXED = [
    Family("bernoulli_prob", bernoulli, words="Bernoulli on probabilities"),
    Family("bernoulli_logit", bernoulli_logit, words="Bernoulli on logits"),
    Family("gaussian_mse", lambda x, o: 0.5 * (x - o) ** 2, scale="sigma^2", words="Gaussian"),
    Family("laplace", lambda x, o: np.abs(x - o), scale="b", words="Laplace"),
    Family("poisson", lambda x, o: o - x * np.log(np.maximum(o, 1e-300)), words="Poisson on rates"),
    Family("poisson_lograte", lambda x, o: np.exp(o) - x * o, words="Poisson on log rates"),
    Family(
        "gaussian_mse_tanh", lambda x, o: 0.5 * (x - np.tanh(o)) ** 2, scale="sigma^2", words="Gaussian on tanh(out)"
    ),
    Family(
        "gaussian_mse_sigmoid",
        lambda x, o: 0.5 * (x - sigmoid(o)) ** 2,
        scale="sigma^2",
        words="Gaussian on sigmoid(out)",
    ),
    Family("laplace_sigmoid", lambda x, o: np.abs(x - sigmoid(o)), scale="b", words="Laplace on sigmoid(out)"),
    Family("laplace_tanh", lambda x, o: np.abs(x - np.tanh(o)), scale="b", words="Laplace on tanh(out)"),
    Family("bernoulli_prob_of_logit", lambda x, o: bernoulli_logit(x, sigmoid(o)), proper=False, words="sigmoid twice"),
    Family("categorical_prob", lambda x, o: -x * np.log(_clip(o)), words="categorical on probabilities"),
    Family(
        "exponential",
        lambda x, o: x / np.where(o == 0, 1e-300, o) + np.log(np.maximum(np.abs(o), 1e-300)),
        words="exponential",
    ),
    Family("continuous_bernoulli", continuous_bernoulli, words="continuous Bernoulli on probabilities"),
    Family(
        "continuous_bernoulli_logit",
        lambda x, o: continuous_bernoulli(x, sigmoid(o)),
        words="continuous Bernoulli on logits",
    ),
    Family(
        "squared_log",
        lambda x, o: 0.5 * (np.log1p(np.abs(x)) - np.log1p(np.abs(o))) ** 2,
        scale="sigma^2",
        words="Gaussian on log(1 + x)",
    ),
    Family("bernoulli_signed", lambda x, o: bernoulli(np.sign(x) * 0.5 + 0.5, o), words="Bernoulli on signs"),
]

FREE = [
    Family("logcosh", lambda x, o, a: log_cosh(a * (x - o)) / a, (3.0,), scale="b", words="hyperbolic secant"),
    Family("huber", lambda x, o, d: huber(x - o, abs(d)), (0.6,), scale="sigma^2", words="Huber"),
    Family(
        "student_t",
        lambda x, o, n: 0.5 * (abs(n) + 1) * np.log1p((x - o) ** 2 / abs(n)),
        (3.0,),
        scale="sigma^2",
        words="Student t",
    ),
    Family("charbonnier", lambda x, o, e: np.sqrt((x - o) ** 2 + e * e), (0.1,), scale="b", words="Charbonnier"),
    Family(
        "negative_binomial",
        lambda x, o, t: (x + abs(t)) * np.log(np.abs(o) + abs(t)) - x * np.log(np.maximum(np.abs(o), 1e-300)),
        (2.0,),
        words="negative binomial on means",
    ),
    Family(
        "bernoulli_prob",
        lambda x, o, e: bernoulli_eps(x, o, e),
        (1e-6,),
        words="Bernoulli on probabilities, log(p + e)",
    ),
    Family("poisson", lambda x, o, e: o - x * np.log(o + abs(e)), (1e-6,), words="Poisson on rates, log(rate + e)"),
    Family("focal", lambda x, o, g: focal(x, o, abs(g)), (1.5,), proper=False, words="focal loss on probabilities"),
]


def bernoulli_eps(x: Array, p: Array, e: float) -> Array:
    """Bernoulli's formula with a small number inside the logarithms."""
    return -(x * np.log(p + abs(e)) + (1 - x) * np.log(1 - p + abs(e)))


def focal(x: Array, p: Array, g: float) -> Array:
    """Bernoulli's formula with each logarithm scaled by the other probability."""
    return -(x * (1 - p) ** g * np.log(_clip(p)) + (1 - x) * p**g * np.log(_clip(1 - p)))


def log_softmax(o: Array) -> Array:
    """Log probabilities over the last axis."""
    shifted = o - o.max(-1, keepdims=True)
    return shifted - np.log(np.exp(shifted).sum(-1, keepdims=True))


def categorical(x: Array, o: Array) -> Array:
    """Cross entropy per group: sum of x times minus log softmax over the last axis."""
    return -(x * log_softmax(o)).sum(-1)


def bernoulli_onehot(x: Array, o: Array) -> Array:
    """Binary cross entropies of a softmax, summed over the last axis."""
    return bernoulli(x, np.clip(np.exp(log_softmax(o)), 1e-7, 1 - 1e-7)).sum(-1)
