"""Whether a step is being traced for a compiler, which is quick at other operations than torch itself."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

_SPELT_OUT: ContextVar[bool] = ContextVar("spelt_out", default=False)


@contextmanager
def spelt_out() -> Iterator[None]:
    """Within, what has two ways goes the one that is quick once it is compiled."""
    before = _SPELT_OUT.set(True)
    try:
        yield
    finally:
        _SPELT_OUT.reset(before)


def is_spelt_out() -> bool:
    """Whether :func:`spelt_out` is open."""
    return _SPELT_OUT.get()
