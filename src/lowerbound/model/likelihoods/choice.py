"""The likelihood that the data's own kind asks for."""

from __future__ import annotations

from lowerbound.data.dataset import Summary

SHORT = 4
"""Up to this many levels each has a free probability. Above, their order is worth more: on the digits (17 levels) the
discretised logistic reaches -88.5 nats, the categorical -94.5 (200 units, 10 latents, best of 100 epochs)."""
CHOICES = {
    "binary": ("bernoulli", "every value is 0 or 1"),
    "unit": ("continuous-bernoulli", "the values are grey values in [0, 1], and it is a density there"),
    "real": ("normal", "the values are real numbers; its deviation is learned"),
    "count": ("negative-binomial", "counts mostly vary more than a Poisson's; where they do not, it becomes one"),
    "table": ("columns", "each column of a table has a meaning of its own; missing cells are left out"),
    "sequence": ("tokens", "the values are symbols in a sequence, up to and with its end"),
    "series": ("normal", "the values are measurements; steps after the end are left out, its deviation is learned"),
    "few": ("categorical", "the values are whole numbers with {levels} levels, few enough for a probability each"),
    "many": ("discretised-logistic", "the values are whole numbers with {levels} levels, whose order it knows"),
}


def choose(summary: Summary) -> tuple[str, str]:
    """The name of the default likelihood of such data, and the reason as a sentence for people.

    It looks at kind and levels alone, so that a run that is loaded again makes the same choice.

    >>> import torch
    >>> choose(Summary("binary", (1,), torch.zeros(1), torch.zeros(1)))
    ('bernoulli', 'Likelihood bernoulli, because every value is 0 or 1.')
    """
    kind = summary.kind if summary.kind != "levels" else ("few" if summary.levels <= SHORT else "many")
    name, why = CHOICES[kind]
    return name, f"Likelihood {name}, because {why.format(levels=summary.levels)}."
