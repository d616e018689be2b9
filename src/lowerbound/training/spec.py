"""The frozen spec of a run: what a recipe, a flag, the Python constructor and spec.json all say in the same words."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from lowerbound.errors import InputError, nearest
from lowerbound.model.conditions import CONDITIONS
from lowerbound.model.corruptions import CORRUPTIONS
from lowerbound.model.likelihoods import LIKELIHOODS
from lowerbound.model.networks import NETWORKS
from lowerbound.model.posteriors import POSTERIORS
from lowerbound.model.priors import PRIORS
from lowerbound.objective import BOUNDS, GAMES, OBJECTIVES, REGULARISERS, SCHEDULES
from lowerbound.objective.bounds import MOST
from lowerbound.registry import Registry, in_words

FORMAT = 1
PARTS: dict[str, Registry[Any]] = {
    "encoder": NETWORKS,
    "decoder": NETWORKS,
    "posterior": POSTERIORS,
    "prior": PRIORS,
    "likelihood": LIKELIHOODS,
    "condition": CONDITIONS,
    "corruption": CORRUPTIONS,
    "bound": BOUNDS,
    "objective": OBJECTIVES,
    "schedule": SCHEDULES,
    "regulariser": REGULARISERS,
    "supervision": REGULARISERS,
    "game": GAMES,
}
"""Part -> the registry of its members. ``supervision`` is a second regulariser; ``classify`` is what it is for."""

SPECIAL = {("decoder", "mirror"), ("likelihood", "auto"), ("encoder", "own"), ("decoder", "own")}
"""Names that stand for a choice made from the other parts, or for a person's own module."""


class Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", protected_namespaces=())


class Part(BaseModel):
    """A member of a registry by name, with its options beside the name."""

    model_config = ConfigDict(frozen=True, extra="allow")
    name: str

    def options(self) -> dict[str, Any]:
        """The options given, without the name."""
        return dict(self.model_extra or {})


class DataSpec(Frozen):
    """Where the data come from and how they are split and binarised; the arguments of ``data.load``."""

    source: str = "digits"
    binarise: Literal["default", "none", "threshold", "fixed", "fresh"] = "default"
    valid: Annotated[float, Field(ge=0, lt=1)] = 0.1
    test: Annotated[float, Field(ge=0, lt=1)] = 0.1
    seed: int = 0
    kind: Literal["auto", "binary", "unit", "levels", "real", "count", "table", "sequence", "series"] = "auto"
    array: str | None = None
    labels: str | None = None


class TrainingSpec(Frozen):
    """How the loop runs. One epoch is one pass over the training split.

    ``labelled`` is how many of the training labels may be used, the same number of each class; None: all.
    ``weight_decay`` pulls the matrices and kernels of networks toward 0: no bias, nothing of a prior or likelihood.
    ``compile`` makes a step one compiled graph: "auto" where a run is long enough to gain by it and the step allows it.
    ``snapshots`` keeps the weights after steps 1, 2, 3, 4, 6, 8, 11, ..., the rounded powers of the root of 2.
    """

    epochs: Annotated[int, Field(ge=1)] = 50
    batch: Annotated[int, Field(ge=1)] = 100
    samples: Annotated[int, Field(ge=1, le=MOST)] = 1
    labelled: Annotated[int, Field(ge=1)] | None = None
    optimiser: Literal["adam", "adamw", "sgd", "adagrad", "rmsprop"] = "adam"
    learning_rate: Annotated[float, Field(gt=0)] = 1e-3
    decay: Literal["constant", "cosine", "exponential"] = "constant"
    weight_decay: Annotated[float, Field(ge=0)] = 0.0
    clip: Annotated[float, Field(gt=0)] | None = None
    patience: Annotated[int, Field(ge=0)] = 0
    precision: Literal["float32", "tf32", "bfloat16", "float64"] = "float32"
    device: str = "auto"
    compile: Literal["auto", "on", "off"] = "auto"
    snapshots: bool = False
    seed: int = 0


class Spec(Frozen):
    """Everything that decides a run, given the same machine and build."""

    format: int = FORMAT
    recipe: str = ""
    about: str = ""
    latent: Annotated[int, Field(ge=0)] = 10
    encoder: Part = Part(name="mlp")
    decoder: Part = Part(name="mirror")
    posterior: Part = Part(name="normal")
    prior: Part = Part(name="standard-normal")
    likelihood: Part = Part(name="auto")
    condition: Part = Part(name="none")
    corruption: Part = Part(name="none")
    bound: Part = Part(name="elbo")
    objective: Part = Part(name="elbo")
    schedule: Part = Part(name="constant")
    regulariser: Part = Part(name="none")
    supervision: Part = Part(name="none")
    game: Part = Part(name="alone")
    data: DataSpec = DataSpec()
    training: TrainingSpec = TrainingSpec()

    @classmethod
    def of(cls, settings: Mapping[str, Any], where: object = None) -> Spec:
        """A spec from nested settings; *all* mistakes are reported at once, in one line."""
        mistakes: list[str] = []
        spec = None
        try:
            spec = cls(**settings)
        except ValidationError as error:
            mistakes = [_sentence(fault) for fault in error.errors()]
        for kind, registry in PARTS.items():
            part = settings.get(kind)
            name = named(settings, kind)
            if isinstance(part, Mapping) and isinstance(name, str) and (kind, name) not in SPECIAL:
                options = {k: v for k, v in part.items() if k != "name"}
                mistakes += [m.replace(registry.kind, kind, 1) for m in registry.mistakes(name, options)]
        condition = settings.get("condition")
        alone = not isinstance(condition, Mapping) or condition.get("name", "none") == "none"
        if settings.get("latent") == 0 and alone:
            mistakes.append("latent: got 0; it should be greater than or equal to 1 where nothing is given beside x")
        if mistakes or spec is None:
            raise InputError("; ".join(mistakes), where=where)
        return spec

    def settings(self) -> dict[str, Any]:
        """The spec as JSON-ready nested settings."""
        return self.model_dump(mode="json")

    def part(self, kind: str) -> dict[str, Any]:
        """One part as {"name": ..., **options}, as the registries take it."""
        part: Part = getattr(self, kind)
        return {"name": part.name, **part.options()}


def named(settings: Mapping[str, Any], kind: str) -> Any:
    """The member that a part names: a decoder that mirrors is one of its encoder's kind, an MLP beside one's own."""
    part, encoder = (settings.get(k) for k in (kind, "encoder"))
    name = part.get("name") if isinstance(part, Mapping) else None
    if (kind, name) != ("decoder", "mirror") or part == {"name": name}:
        return name
    found = encoder.get("name") if isinstance(encoder, Mapping) else "mlp"
    return "mlp" if found == "own" else found


def _sentence(fault: Any) -> str:
    path = [str(part) for part in fault["loc"]]
    key = ".".join(path)
    if fault["type"] == "extra_forbidden":
        parts: dict[str, type[BaseModel]] = {"data": DataSpec, "training": TrainingSpec}
        holder = parts.get(path[0], Spec) if path[1:] else Spec
        return f"{key}: no such setting; {nearest(path[-1], holder.model_fields)}"
    if fault["type"] == "model_type":
        return f"{key}: got {fault['input']!r}; it should be a name with options beside it, as in {{name = 'mlp'}}"
    return f"{key}: {in_words(fault)}"


def merge(base: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """Nested settings ``over`` laid on ``base``; a part with another name starts afresh.

    >>> merge({"encoder": {"name": "mlp", "hidden": [500]}}, {"encoder": {"name": "residual"}})
    {'encoder': {'name': 'residual'}}
    """
    merged = dict(base)
    for key, value in over.items():
        old = merged.get(key)
        if not (isinstance(value, Mapping) and isinstance(old, Mapping)):
            merged[key] = value
        elif "name" in value and value["name"] != old.get("name"):
            merged[key] = dict(value)
        else:
            merged[key] = merge(old, value)
    return merged


def complete(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Settings laid on the defaults, so that an option alone (``encoder.hidden``) keeps the default part's name."""
    return merge(Spec().settings(), settings)
