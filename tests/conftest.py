"""What every test shares: hypothesis without chance or clock, one thread, a fixed seed."""

from __future__ import annotations

import pytest
import torch
from hypothesis import settings

settings.register_profile("house", derandomize=True, deadline=None, database=None, max_examples=500)
settings.load_profile("house")
torch.set_num_threads(1)


@pytest.fixture(autouse=True)
def _seed() -> None:
    torch.manual_seed(0)
