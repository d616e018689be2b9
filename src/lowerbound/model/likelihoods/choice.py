"""The likelihood that the data's own kind asks for."""

from __future__ import annotations

from lowerbound.data.dataset import Summary

SHORT = 32
"""Up to this many levels a free probability for each is affordable, and on the digits it is better."""
CHOICES = {
    "binary": ("bernoulli", "every value is 0 or 1"),
    "unit": ("continuous-bernoulli", "the values are grey values in [0, 1], and it is a density there"),
    "real": ("normal", "the values are real numbers; its deviation is learned"),
    "count": ("negative-binomial", "counts mostly vary more than a Poisson's; where they do not, it becomes one"),
    "table": ("columns", "each column of a table has a meaning of its own; missing cells are left out"),
    "few": ("categorical", "the values are whole numbers with {levels} levels, few enough for a probability each"),
    "many": ("discretised-logistic", "the values are whole numbers with {levels} levels, too many for one each"),
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
