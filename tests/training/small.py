"""A run small enough to train in a fraction of a second, shared by the tests of this floor."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from lowerbound import data as data_floor
from lowerbound.data.dataset import Data
from lowerbound.training.spec import Spec, complete


def stripes(n: int = 300, parts: int = 12, seed: int = 0) -> Data:
    """Binary rows with two hidden causes, so that two latent dimensions have something to say."""
    random = np.random.default_rng(seed)
    causes = random.integers(0, 2, (n, 2))
    pattern = np.repeat(causes, parts // 2, axis=1)
    flipped = random.random((n, parts)) < 0.05
    return data_floor.from_array(np.where(flipped, 1 - pattern, pattern).astype(np.float32), name="stripes")


def blobs(n: int = 400, parts: int = 6, seed: int = 0) -> Data:
    """Real rows on a noisy plane."""
    random = np.random.default_rng(seed)
    x = random.normal(size=(n, 2)) @ random.normal(size=(2, parts)) + 0.1 * random.normal(size=(n, parts))
    return data_floor.from_array(x.astype(np.float32), name="blobs")


def spec(**settings: Any) -> Spec:
    """A small spec; settings are laid on it."""
    base = {"latent": 2, "encoder": {"hidden": [16]}, "training": {"epochs": 3, "batch": 32}}
    from lowerbound.training.spec import merge

    return Spec.of(complete(merge(base, settings)))


def contents(run: Path) -> dict[str, bytes]:
    """The files of a run that must not depend on how often it was stopped."""
    return {name: (run / name).read_bytes() for name in ("weights.safetensors", "metrics.jsonl", "alarms.json")}
