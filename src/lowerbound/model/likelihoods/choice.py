"""The likelihood that the data's own kind asks for."""

from __future__ import annotations

from lowerbound.data.dataset import Summary

CHOICES = {
    "binary": ("bernoulli", "every value is 0 or 1"),
}


def choose(summary: Summary) -> tuple[str, str]:
    """The name of the default likelihood of such data, and the reason as a sentence for people."""
    name, why = CHOICES[summary.kind]
    return name, f"Likelihood {name}, because {why}."
