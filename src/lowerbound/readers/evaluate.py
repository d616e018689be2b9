"""Evaluate a run: the bound, rate and distortion of a split, each with its standard error."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from lowerbound.data.kinds import coded, part, parts_of
from lowerbound.errors import InputError
from lowerbound.maths.units import Estimate, bits, bits_per_part, sum_latent
from lowerbound.model.autoencoder import Autoencoder
from lowerbound.readers.words import several
from lowerbound.training.load import Trained, summary_of
from lowerbound.training.measure import ACTIVE, Measured, measure

ANNEALED = "estimate log p(x) from its prior: method annealed"


@dataclass(frozen=True)
class Evaluation:
    """The figures of one split of one run, in nats per example.

    *Sign*: ``elbo`` higher is better; ``rate`` and ``distortion`` lower is better. ``elbo`` and ``rate`` are None where
    the model has no density over its codes, and so no bound. ``names`` are those of the columns of the rate; where it
    does not split by dimension, ``active_dimensions`` is None. ``bounded`` is what the bound is on, ``warning`` why
    its nats are those of no probability; ``annealable`` whether method annealed estimates log p(x). ``parts`` counts
    the values that are modelled of an example, of sequences the symbols of one on average, ends included.
    """

    elbo: Estimate | None
    rate: Estimate | None
    distortion: Estimate
    rate_per_dimension: list[float]
    names: tuple[str, ...]
    latent: int
    active_dimensions: int | None
    examples: int
    split: str
    binarisation: str
    samples: int
    seed: int
    kind: str
    parts: float
    sha256: str
    bounded: str = "log p(x)"
    warning: str = ""
    annealable: bool = False

    @property
    def discrete(self) -> bool:
        """Whether the bound is one on a probability, so that it is a code length too."""
        return coded(self.kind, self.warning)

    @property
    def exact(self) -> bool:
        """Whether there is no latent, so that nothing is left out of the bound."""
        return not self.latent

    @property
    def normalised(self) -> bool:
        """Whether its likelihood is one at all: on [0, 1], the one that is doubted does not integrate to 1."""
        return not (self.warning and self.kind == "unit")

    @property
    def what(self) -> str:
        """What the figure is, in words."""
        if not self.normalised:
            return f"minus rate and distortion, no bound on {self.bounded}"
        return f"exactly {self.bounded}" if self.exact else f"lower bound on {self.bounded}"

    @property
    def part(self) -> str:
        """What an example is made of."""
        return part(self.kind)

    def json(self) -> dict[str, Any]:
        """JSON-ready figures; every one with its unit."""
        what = self.what if self.exact else f"{self.what}, beta = 1"
        out: dict[str, Any] = {
            "elbo": self.elbo.json() | {"what": what} if self.elbo else None,
            "rate": self.rate.json() if self.rate else None,
            "distortion": self.distortion.json(),
            "rate_per_dimension": self.rate_per_dimension,
            "rate_names": list(self.names),
            "active_dimensions": self.active_dimensions,
            "active_threshold_nats": ACTIVE,
            "latent_dimensions": self.latent,
            "examples": self.examples,
            "split": self.split,
            "binarisation": self.binarisation,
            "samples": self.samples,
            "seed": self.seed,
            "kind": self.kind,
            "warning": self.warning or None,
            "data_sha256": self.sha256,
        }
        if self.discrete and self.elbo:
            of = f"bits per {self.part}"
            value, stderr = (bits_per_part(nats, self.parts) for nats in (-self.elbo.value, self.elbo.stderr))
            out["bits_per_dimension"] = Estimate(value, stderr, of, self.elbo.n).json()
        return out

    def lines(self) -> list[str]:
        """The figures for people, a line each."""
        of = f"split       {self.split}, {several(self.examples, 'example')}, binarisation {self.binarisation}"
        if self.elbo is None or self.rate is None:
            none = "bound       none: the model has no density over its codes"
            none += f"; {ANNEALED}" if self.annealable else ""
            return [none, f"distortion  {self.distortion}", of, *self.doubt()]
        code = [
            f"            {bits_per_part(-self.elbo.value, self.parts):.4f} bits per {self.part}, as a code would spend"
        ]
        code = code if self.discrete else []
        head = f"{'log p' if self.exact else 'bound':<12}{self.elbo}   {self.what}, higher is better"
        if self.exact:
            return [head, *code, of, *self.doubt()]
        terms = [f"rate        {self.rate}   {bits(self.rate.value):.3f} bits", f"distortion  {self.distortion}"]
        return [head, *terms, *code, self.use(), f"{of}, {self.samples} sample(s) an example", *self.doubt()]

    def use(self) -> str:
        """How many latents are in use."""
        if self.active_dimensions is None:
            return f"active      not told: the rate of the {self.latent} latents is one number"
        return f"active      {self.active_dimensions} of {self.latent} latents (above {ACTIVE} nats)"

    def doubt(self) -> list[str]:
        """Why the nats are those of no probability, where they are not."""
        return [f"doubt       {self.warning}"] if self.warning else []


def evaluate(
    trained: Trained, split: str = "test", *, samples: int = 1, seed: int = 0, batch: int = 1000
) -> Evaluation:
    """The bound of a run on one of its splits.

    Args:
        samples: latent samples an example; the bound's expectation is the same for any, its noise is not.
        seed: of the noise, which belongs to the example's row: no batch size changes a figure.

    Raises:
        InputError: the run has no such split, or it is empty; the model has no encoder.
    """
    refuse(trained)
    data = trained.data
    if split not in data.splits or not len(data.splits[split]):
        known = ", ".join(name for name, part in data.splits.items() if len(part))
        raise InputError(f"the run has no examples in split {split!r}", where="split", mend=f"it has: {known}")
    measured = measure(trained.model, data, split, samples=samples, seed=seed, batch=batch)
    return summarise(trained, measured, split, samples, seed)


def refuse(trained: Trained) -> None:
    """An InputError where there is no code to measure the terms of the bound at, with what there is instead."""
    model = trained.model
    if model.encoder is None and model.latent:
        other = ANNEALED if model.has_chains else "use sample or fidelity"
        raise InputError("it has no encoder, and so no bound to measure", where=trained.run.path, mend=other)


def summarise(trained: Trained, measured: Measured, split: str, samples: int, seed: int) -> Evaluation:
    """The figures of what was measured."""
    record, model = trained.run.record(), trained.model
    per_dimension, names = measured.rate_per_dimension().tolist(), names_of(model, measured)
    latents = [nats for nats, name in zip(per_dimension, names, strict=True) if name not in ("code", "label")]
    return Evaluation(
        elbo=Estimate.of(measured.elbo) if measured.bounded else None,
        rate=Estimate.of(sum_latent(measured.rate)) if measured.bounded else None,
        distortion=Estimate.of(measured.distortion),
        rate_per_dimension=per_dimension,
        names=names,
        latent=model.latent,
        active_dimensions=None if "code" in names else sum(nats > ACTIVE for nats in latents),
        examples=len(measured.distortion),
        split=split,
        binarisation=record["binarisation"],
        samples=samples,
        seed=seed,
        kind=record["kind"],
        parts=parts_of(record["kind"], model.shape, trained.data.splits[split].x),
        sha256=record["sha256"],
        bounded=model.condition.bounded,
        warning=model.likelihood.warning(summary_of(record)) or "",
        annealable=model.has_chains,
    )


def names_of(model: Autoencoder, measured: Measured) -> tuple[str, ...]:
    """The columns of the rate: a latent each, or the whole code, and the label where it is inferred."""
    label = ("label",) if model.condition.inferred and measured.bounded else ()
    columns = measured.rate.shape[1] - len(label)
    return (("code",) if columns == 1 < model.latent else tuple(f"z{j}" for j in range(columns))) + label
