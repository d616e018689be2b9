"""pytest entry point: the fixtures ``assert_elbo`` and ``check_loss``."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest


@pytest.fixture(name="assert_elbo")
def assert_elbo_fixture() -> Callable[..., Any]:
    """``assert_elbo(loss, sampler=None, x=..., out=..., sizes=...)`` fails the test unless the loss is a bound."""
    from lowerbound.audit import assert_elbo

    return assert_elbo


@pytest.fixture(name="check_loss")
def check_loss_fixture() -> Callable[..., Any]:
    """``lowerbound.check``."""
    from lowerbound.audit import check

    return check
