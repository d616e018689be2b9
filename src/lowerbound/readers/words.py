"""Numbers in sentences."""

from __future__ import annotations


def several(n: int, noun: str) -> str:
    """A number of things, in the singular where it is one.

    >>> several(1, "example"), several(10_000, "test example")
    ('1 example', '10,000 test examples')
    """
    return f"{n:,} {noun}{'' if n == 1 else 's'}"
