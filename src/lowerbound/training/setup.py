"""From a spec to its model and objective, and what else a run depends on."""

from __future__ import annotations

import math
import platform
from typing import Any

import torch

from lowerbound import __version__
from lowerbound.data.dataset import Data, Summary
from lowerbound.data.labels import names_of
from lowerbound.errors import InputError
from lowerbound.model.assemble import assemble
from lowerbound.model.autoencoder import Autoencoder
from lowerbound.model.conditions import CONDITIONS
from lowerbound.objective import (
    BOUNDS,
    GAMES,
    OBJECTIVES,
    REGULARISERS,
    SCHEDULES,
    Bound,
    Game,
    Minimised,
    Objective,
    Player,
    Regulariser,
)
from lowerbound.training.randomness import INITIAL, borrowed, reseed
from lowerbound.training.run import Run
from lowerbound.training.spec import Spec


def build(spec: Spec, data_summary: Summary, encoder: Any = None, decoder: Any = None) -> Autoencoder:
    """The model of a spec, initialised from its seed; ``encoder`` and ``decoder`` may be a person's own modules."""
    with borrowed(torch.device("cpu")):
        reseed(torch.device("cpu"), INITIAL, spec.training.seed)
        return assemble(
            data_summary,
            latent=spec.latent,
            encoder=encoder if encoder is not None else spec.part("encoder"),
            decoder=decoder if decoder is not None else spec.part("decoder"),
            posterior=spec.part("posterior"),
            prior=spec.part("prior"),
            likelihood=spec.part("likelihood"),
            condition=spec.part("condition"),
            corruption=spec.part("corruption"),
        )


def objective_of(spec: Spec, data_summary: Summary) -> Objective:
    """The objective of a spec, with its schedule."""
    schedule, part = spec.part("schedule"), spec.part("objective")
    s = SCHEDULES.build(schedule.pop("name"), **schedule)
    return OBJECTIVES.build(part.pop("name"), data_summary.parts, spec.latent, s, **part)


def bound_of(spec: Spec) -> Bound:
    """The bound of a spec."""
    part = spec.part("bound")
    return BOUNDS.build(part.pop("name"), **part)


def regulariser_of(spec: Spec, model: Autoencoder, key: str = "regulariser") -> Regulariser:
    """The regulariser of a spec, or its second one (``supervision``), initialised from the run's seed."""
    part = spec.part(key)
    with borrowed(torch.device("cpu")):
        reseed(torch.device("cpu"), INITIAL, spec.training.seed, len(key))
        return REGULARISERS.build(part.pop("name"), math.prod(model.shape), model.width, **part)


def game_of(spec: Spec, model: Autoencoder) -> Game:
    """The game of a spec, initialised from the run's seed."""
    part = spec.part("game")
    with borrowed(torch.device("cpu")):
        reseed(torch.device("cpu"), INITIAL, spec.training.seed, 1)
        return GAMES.build(part.pop("name"), math.prod(model.features.output_shape), model.width, **part)


def players_of(spec: Spec, model: Autoencoder, game: Game, minimised: Minimised) -> list[Player]:
    """The players of a run: those of its game, then the critics of its regularisers, initialised from its seed."""
    with borrowed(torch.device("cpu")):
        reseed(torch.device("cpu"), INITIAL, spec.training.seed, 2)
        critics = [critic for r in minimised.regularisers for critic in r.critics(model)]
        return [*game.players(model, minimised), *critics]


def environment(device: torch.device) -> dict[str, Any]:
    """What bitwise equality depends on beside the spec."""
    return {
        "lowerbound": __version__,
        "torch": torch.__version__,
        "python": platform.python_version(),
        "machine": platform.machine(),
        "system": platform.system(),
        "device": str(device),
        "threads": torch.get_num_threads(),
    }


def refuse_other_data(run: Run, data: Data) -> None:
    """An InputError if ``data`` is not what the run was trained on."""
    expected, given = run.record().get("sha256"), data.record.get("sha256")
    if expected != given:
        what = f"its data differ from those of {run.path} (SHA-256 {str(given)[:12]} instead of {str(expected)[:12]})"
        raise InputError(what, where=data.name, mend="give the data that the run was trained on")
    classes, others = names_of(run.record()), names_of(data.record)
    if CONDITIONS[run.spec().condition.name].labelled and classes != others:
        what = f"its labels are {', '.join(others[:5])}, those of {run.path} are {', '.join(classes[:5])}"
        raise InputError(what, where=data.name, mend="give the labels that the run was trained on")
