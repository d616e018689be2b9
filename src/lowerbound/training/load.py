"""Load a finished run: the model in evaluation mode, its spec, its metrics, and its data when they are asked for."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import torch

from lowerbound import data as data_floor
from lowerbound.data.dataset import Column, Data, Summary
from lowerbound.data.load import MEMORY
from lowerbound.errors import InputError
from lowerbound.model.autoencoder import Autoencoder
from lowerbound.training.precision import DTYPES
from lowerbound.training.run import Run
from lowerbound.training.setup import bound_of, build, game_of, objective_of, refuse_other_data, regulariser_of
from lowerbound.training.spec import Spec


@dataclass
class Trained:
    """A trained run. ``model`` carries the weights with the best validation bound."""

    run: Run
    spec: Spec
    model: Autoencoder
    given: Data | None = None
    data_dir: Path | None = field(default=None)

    @cached_property
    def data(self) -> Data:
        """The run's data, loaded again from its source; refused if they are not the same by SHA-256."""
        loaded = self.given or self._reload()
        refuse_other_data(self.run, loaded)
        return loaded

    @property
    def objective_words(self) -> str:
        """What was minimised, in words: objective and effective beta, bound, game, regularisers."""
        parts: list[Any] = [bound_of(self.spec), game_of(self.spec, self.model)]
        if parts[1].minimises:
            parts.insert(0, objective_of(self.spec, summary_of(self.run.record())))
        regularisers = [regulariser_of(self.spec, self.model, key) for key in ("regulariser", "supervision")]
        said = [part.words() for part in [*parts, *(r for r in regularisers if r.name != "none")]]
        return " ".join(sentence for sentence in said if sentence)

    def _reload(self) -> Data:
        options = self.spec.data.model_dump()
        source = options.pop("source")
        if self.run.record()["source"] == MEMORY:
            what = "was trained on an array in memory, which a run folder does not keep"
            raise InputError(what, where=self.run.path, mend="give the data: lowerbound.load(run, data=...)")
        return data_floor.load(source, data_dir=self.data_dir, **options)


def summary_of(record: dict[str, Any]) -> Summary:
    """The shape of the data as the run's record keeps it; its statistics are buffers of the weights."""
    shape = tuple(record["shape"])
    columns = tuple(Column(c["name"], c["kind"], tuple(c["levels"])) for c in record.get("columns", ()))
    neutral = torch.zeros(shape), torch.ones(shape)
    levels, classes = record.get("levels", 0), record.get("classes", 0)
    return Summary(record["kind"], shape, *neutral, levels=levels, columns=columns, classes=classes)


def load(
    path: str | os.PathLike[str],
    data: Data | None = None,
    *,
    encoder: Any = None,
    decoder: Any = None,
    data_dir: str | os.PathLike[str] | None = None,
) -> Trained:
    """Load the run in ``path``.

    Args:
        data: the data, where the run's source cannot be read again (an array in memory).
        encoder, decoder: the person's own modules, where the run was trained with them.
        data_dir: where named data sets lie.

    Raises:
        InputError: a file is missing, damaged or altered, or the run is of a newer format.
    """
    run = Run(path)
    spec = run.spec()
    weights = run.weights()
    own = [k for k, v in (("encoder", encoder), ("decoder", decoder)) if spec.part(k)["name"] == "own" and v is None]
    if own:
        raise InputError(
            f"was trained with your own {' and '.join(own)}", where=path, mend="pass it: load(run, encoder=...)"
        )
    model = build(spec, summary_of(run.record()), encoder, decoder).to(DTYPES[spec.training.precision])
    try:
        model.load_state_dict(weights)
    except RuntimeError as error:
        first = str(error).splitlines()[1:2] or [str(error)]
        raise InputError(
            f"weights do not fit the spec: {first[0].strip()}", where=path, mend="restore the run"
        ) from None
    return Trained(run, spec, model.eval(), data, Path(data_dir) if data_dir else None)
