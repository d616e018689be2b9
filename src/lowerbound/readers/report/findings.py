"""What the other readers found in a run: gathered once, so that every section of the page says the same."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from lowerbound.errors import InputError
from lowerbound.readers.classes import Classified, classified
from lowerbound.readers.evaluate import Evaluation, evaluate
from lowerbound.readers.two_sample import TwoSample, drawn
from lowerbound.training.load import Trained


@dataclass(frozen=True)
class Findings:
    """What there is to say of one split: figures, classes, and whether codes match the prior, with its drawing.

    ``evaluation`` is None of a model without an encoder, ``classes`` of one that names none, ``match`` where codes were
    not trained to match a prior or cannot be tested.
    """

    split: str
    evaluation: Evaluation | None
    classes: Classified | None
    match: tuple[TwoSample, str] | None

    def json(self) -> dict[str, Any]:
        """JSON-ready figures."""
        figures = {} if self.evaluation is None else self.evaluation.json()
        return figures | ({} if self.classes is None else {"classes": self.classes.json()})


def found(trained: Trained, split: str) -> Findings:
    """What the readers find in a split."""
    model = trained.model
    reads = model.encoder is not None or not trained.spec.latent
    evaluation = evaluate(trained, split) if reads else None
    return Findings(split, evaluation, classified(trained, split), matched(trained, split))


def matched(trained: Trained, split: str) -> tuple[TwoSample, str] | None:
    """The test of codes, for a model that was trained to make them match or that has no rate to tell."""
    wanted = trained.spec.regulariser.name in ("adversary", "mmd") or not trained.model.has_bound
    try:
        return drawn(trained, split) if wanted else None
    except InputError:
        return None
