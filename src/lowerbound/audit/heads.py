"""What the second parameter of the posterior may mean: heads s -> variance."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

Array = np.ndarray


@dataclass(frozen=True)
class Head:
    """A map from the raw parameter s to the variance v(s, *free), with free constants that are fitted."""

    name: str
    variance: Callable[..., Array]
    start: tuple[float, ...] = ()
    words: str = ""

    def __call__(self, s: Array, free: tuple[float, ...] = ()) -> Array:
        """The variance at s."""
        with np.errstate(all="ignore"):
            return np.asarray(self.variance(np.asarray(s, dtype=float), *(free or self.start)))


def softplus(s: Array) -> Array:
    """log(1 + e^s), stable."""
    return np.logaddexp(0.0, s)


def sigmoid(s: Array) -> Array:
    """1 / (1 + e^-s)."""
    return 1.0 / (1.0 + np.exp(-s))


def elu(s: Array) -> Array:
    """elu(s) + 1."""
    return np.where(s > 0, s + 1.0, np.exp(np.minimum(s, 0.0)))


PLAIN = [
    Head("logvar", lambda s: np.exp(s), words="s is log sigma^2"),
    Head("logstd", lambda s: np.exp(2 * s), words="s is log sigma"),
    Head("std", lambda s: s**2, words="s is sigma"),
    Head("var", lambda s: s, words="s is sigma^2"),
    Head("logprec", lambda s: np.exp(-s), words="s is log 1/sigma^2"),
    Head("neglogstd", lambda s: np.exp(-2 * s), words="s is -log sigma"),
    Head("prec", lambda s: 1 / s, words="s is 1/sigma^2"),
    Head("inv_std", lambda s: 1 / s**2, words="s is 1/sigma"),
    Head("softplus_std", lambda s: softplus(s) ** 2, words="sigma = softplus(s)"),
    Head("softplus_var", lambda s: softplus(s), words="sigma^2 = softplus(s)"),
    Head("sigmoid_std", lambda s: sigmoid(s) ** 2, words="sigma = sigmoid(s)"),
    Head("sigmoid_var", lambda s: sigmoid(s), words="sigma^2 = sigmoid(s)"),
    Head("elu_std", lambda s: elu(s) ** 2, words="sigma = elu(s) + 1"),
    Head("elu_var", lambda s: elu(s), words="sigma^2 = elu(s) + 1"),
    Head("tanh_logvar", lambda s: np.exp(np.tanh(s)), words="log sigma^2 = tanh(s)"),
    Head("tanh_logstd", lambda s: np.exp(2 * np.tanh(s)), words="log sigma = tanh(s)"),
]

FREE = [
    Head("softplus_std", lambda s, c: (softplus(s) + c) ** 2, (1e-3,), "sigma = softplus(s) + c"),
    Head("softplus_var", lambda s, c: softplus(s) + c, (1e-3,), "sigma^2 = softplus(s) + c"),
    Head("softplus_std", lambda s, c, b: (softplus(s + b) + c) ** 2, (1e-3, -0.5), "sigma = softplus(s + b) + c"),
    Head("softplus_std", lambda s, c, b: (softplus(s + b) + c) ** 2, (1e-3, -4.0), "sigma = softplus(s + b) + c"),
    Head("softplus_var", lambda s, c, b: softplus(s + b) + c, (1e-3, -0.5), "sigma^2 = softplus(s + b) + c"),
    Head(
        "softplus_std",
        lambda s, c, b, a: (a * softplus(s + b) + c) ** 2,
        (1e-3, 0.2, 0.9),
        "sigma = a softplus(s + b) + c",
    ),
    Head("softplus_std", lambda s, c, a: (softplus(a * s) + c) ** 2, (1e-3, 0.8), "sigma = softplus(a s) + c"),
    Head("logvar", lambda s, c: np.exp(s) + c, (1e-3,), "sigma^2 = e^s + c"),
    Head("logstd", lambda s, c: (np.exp(s) + c) ** 2, (1e-3,), "sigma = e^s + c"),
    Head("logvar", lambda s, c: (np.exp(0.5 * s) + c) ** 2, (1e-3,), "sigma = e^(s/2) + c"),
    Head("exp", lambda s, a: np.exp(a * s), (0.7,), "sigma^2 = e^(a s)"),
    Head("exp", lambda s, a: np.exp(a * s), (-0.7,), "sigma^2 = e^(a s)"),
    Head("std", lambda s, c: (np.abs(s) + c) ** 2, (1e-3,), "sigma = |s| + c"),
    Head("var", lambda s, c: s + c, (1e-3,), "sigma^2 = s + c"),
    Head("std", lambda s, c: s**2 + c, (1e-3,), "sigma^2 = s^2 + c"),
    Head("sigmoid_std", lambda s, a, c: (a * sigmoid(s) + c) ** 2, (1.5, 0.01), "sigma = a sigmoid(s) + c"),
    Head("sigmoid_var", lambda s, a, c: a * sigmoid(s) + c, (1.5, 0.01), "sigma^2 = a sigmoid(s) + c"),
    Head(
        "sigmoid_std",
        lambda s, a, b, c: (a * sigmoid(s + b) + c) ** 2,
        (1.8, 0.3, 0.05),
        "sigma = a sigmoid(s + b) + c",
    ),
    Head("tanh_logvar", lambda s, a, b: np.exp(a * np.tanh(s) + b), (2.0, 0.1), "log sigma^2 = a tanh(s) + b"),
    Head("tanh_logvar", lambda s, a, c: np.exp(a * np.tanh(s / c)), (2.0, 2.0), "log sigma^2 = a tanh(s / c)"),
    Head("sigmoid_logvar", lambda s, a, b: np.exp(a * sigmoid(s) + b), (2.0, -1.0), "log sigma^2 = a sigmoid(s) + b"),
    Head("elu_std", lambda s, c: (elu(s) + c) ** 2, (1e-3,), "sigma = elu(s) + 1 + c"),
    Head("elu_var", lambda s, c: elu(s) + c, (1e-3,), "sigma^2 = elu(s) + 1 + c"),
    Head("clamped_logvar", lambda s, lo, hi: np.exp(np.clip(s, lo, hi)), (-2.0, 1.5), "log sigma^2 = clamp(s)"),
    Head("clamped_logstd", lambda s, lo, hi: np.exp(2 * np.clip(s, lo, hi)), (-2.0, 1.5), "log sigma = clamp(s)"),
    Head("softplus_logvar", lambda s, a: np.exp(a - softplus(a - s)), (1.0,), "log sigma^2 = a - softplus(a - s)"),
]
