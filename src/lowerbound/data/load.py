"""From a name, a file or an array to a data set."""

from __future__ import annotations

import os
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np

from lowerbound.data.build import build
from lowerbound.data.dataset import Data
from lowerbound.data.named import NAMES, load_named
from lowerbound.data.options import Options
from lowerbound.data.raw import ALL, Raw


def load(
    source: str | PathLike[str],
    *,
    data_dir: str | PathLike[str] | None = None,
    download: bool = True,
    **options: Any,
) -> Data:
    """The data set of ``source``: a name of :data:`NAMES`, a file, or a folder of pictures."""
    chosen = Options(**options)
    folder = data_dir or os.environ.get("LOWERBOUND_DATA")
    if source in NAMES:
        return build(load_named(str(source), Path(folder) if folder else None, download), chosen)
    from lowerbound.data.formats import npy

    return build(Raw(str(source), str(source), {ALL: npy.read(Path(source))}), chosen)


def from_array(x: Any, y: Any = None, *, name: str = "array", **options: Any) -> Data:
    """The data set of an array."""
    return build(Raw(name, name, {ALL: np.asarray(x)}), Options(**options))
