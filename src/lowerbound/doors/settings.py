"""From flags, ``-s part.option=value`` and a recipe to one spec; every mistake is reported at once."""

from __future__ import annotations

import math
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from lowerbound.doors import recipes
from lowerbound.errors import InputError

if TYPE_CHECKING:
    from lowerbound.training.spec import Spec

FLAGS = {
    "--epochs": "training.epochs",
    "--batch": "training.batch",
    "--latent": "latent",
    "--beta": "objective.beta",
    "--lr": "training.learning_rate",
    "--seed": "training.seed",
    "--device": "training.device",
    "--precision": "training.precision",
    "--binarise": "data.binarise",
    "--valid": "data.valid",
    "--test": "data.test",
    "--labels": "data.labels",
    "--kind": "data.kind",
    "--array": "data.array",
}
"""The flags that stand for a setting."""
WORDS = {
    "recipe",
    "about",
    "training.device",
    "training.precision",
    "training.optimiser",
    "training.decay",
    "data.source",
    "data.binarise",
    "data.labels",
    "data.kind",
    "data.array",
}
"""Settings that are text: never read as a number."""
PARTS = (
    *("encoder", "decoder", "posterior", "prior", "likelihood", "condition", "corruption"),
    *("bound", "objective", "schedule", "regulariser", "supervision", "game"),
)
"""``-s encoder=residual`` is short for ``-s encoder.name=residual``."""


@dataclass
class Given:
    """What the command line said: nested settings, where each came from, and what was wrong with it."""

    settings: dict[str, Any] = field(default_factory=dict)
    origins: dict[str, str] = field(default_factory=dict)
    mistakes: list[str] = field(default_factory=list)

    def put(self, path: str, text: str, origin: str) -> None:
        """Note one setting; one given twice is a mistake."""
        path = f"{path}.name" if path in PARTS else path
        if path in self.origins:
            self.mistakes.append(f"{origin}: {path} is given twice; leave one out")
            return
        value = text if path in WORDS else value_of(text)
        if not finite(value):
            self.mistakes.append(f"{origin}: {text} is not a finite number; give a finite one")
            return
        self.origins[path] = origin
        *folders, name = path.split(".")
        place = self.settings
        for folder in folders:
            place = place.setdefault(folder, {})
            if not isinstance(place, dict):
                self.mistakes.append(
                    f"{origin}: {path} does not fit beside the other settings; write part.option=value"
                )
                return
        place[name] = value


def value_of(text: str) -> Any:
    """A value as TOML reads it, or the text itself.

    >>> value_of("0.5"), value_of("[500, 200]"), value_of("true"), value_of("tanh")
    (0.5, [500, 200], True, 'tanh')
    """
    try:
        parsed = tomllib.loads(f"value = {text}")
    except (tomllib.TOMLDecodeError, RecursionError, ValueError):
        return text
    return parsed["value"] if set(parsed) == {"value"} else text


def finite(value: Any) -> bool:
    """Whether no number in the value is infinite or undefined."""
    if isinstance(value, list):
        return all(map(finite, value))
    return not isinstance(value, float) or math.isfinite(value)


def gather(flags: Mapping[str, str | None], sets: Sequence[str]) -> Given:
    """All that was given on the command line."""
    given = Given()
    for flag, text in flags.items():
        if text is not None:
            given.put(FLAGS[flag], text, flag)
    for item in sets:
        path, equals, text = item.partition("=")
        if not equals or not path.strip():
            given.mistakes.append(f"-s {item}: is not a setting; write part.option=value, as in encoder.hidden=[500]")
        else:
            given.put(path.strip(), text.strip(), f"-s {path.strip()}")
    return given


def spec_of(source: str | None, recipe: str | None, flags: Mapping[str, str | None], sets: Sequence[str]) -> Spec:
    """The spec: defaults, under the recipe, under what was given; one InputError holds all mistakes."""
    from lowerbound.training.spec import Spec, complete, merge

    given = gather(flags, sets)
    if source is not None:
        given.put("data.source", source, "SOURCE")
    chosen = recipe or recipes.suited(given.settings.get("data", {}).get("source", "digits"))
    try:
        settings = merge(complete(recipes.settings_of(chosen)), given.settings)
        spec = Spec.of(settings)
    except InputError as error:
        lines = [*given.mistakes, named(str(error), given.origins)]
        raise InputError("; ".join(lines)) from None
    if given.mistakes:
        raise InputError("; ".join(given.mistakes))
    return spec


def named(message: str, origins: Mapping[str, str]) -> str:
    """The message with each setting called by the flag it was given with.

    >>> named("latent: too small, got 0; training.epochs: no", {"latent": "--latent"})
    '--latent: too small, got 0; training.epochs: no'
    """
    for path, origin in origins.items():
        before, found, after = f"; {message}".partition(f"; {path}:")
        message = f"{before}; {origin}:{after}".removeprefix("; ") if found else message
    return message
