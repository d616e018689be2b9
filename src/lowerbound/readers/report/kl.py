"""What the KL term did: nats per dimension, the pull and its balance, information against gap."""

from __future__ import annotations

import numpy as np

from lowerbound.errors import InputError
from lowerbound.maths.units import bits
from lowerbound.readers import figures
from lowerbound.readers.evaluate import Evaluation
from lowerbound.readers.explain_run import RunExplanation, explain_run
from lowerbound.readers.report.markup import figure, paragraph, table
from lowerbound.training.load import Trained
from lowerbound.training.measure import ACTIVE

POSTERIORS = {"normal": "each posterior N(mu, sigma²)", "categorical": "the class probabilities of each example"}
PRIORS = {
    "standard-normal": "N(0, 1)",
    "conditional-normal": "N(m(c), s(c)²), the prior under the condition of its example",
    "learned-normal": "the learned prior N(m, s²)",
    "categorical": "the prior, in which every class is equally likely",
}


def dimensions(trained: Trained, e: Evaluation) -> str:
    """The section; of a rate that is one number for the code, only that."""
    if "code" in e.names:
        return "<h2>What the KL term did</h2>" + paragraph(
            "Its posterior and prior are not both independent over dimensions, so the rate is one number for the code."
        )
    order = np.argsort(e.rate_per_dimension)[::-1]
    rows = [row(e.names[i], e.rate_per_dimension[i]) for i in order]
    told = explanation(trained)
    return (
        "<h2>What the KL term did</h2>"
        + paragraph(*([f"No pulls are shown: {told.what}."] if isinstance(told, InputError) else told.words()))
        + figure(figures.rates(e.rate_per_dimension, e.names), caption(trained, e))
        + table(("dimension", "nats", "bits", "state"), rows, "The same as a table")
        + ("" if isinstance(told, InputError) else pulls(told))
    )


def row(name: str, nats: float) -> tuple[str, str, str, str]:
    """A dimension, its rate, and whether it is in use."""
    return name, f"{nats:.3f}", f"{bits(nats):.3f}", "active" if nats > ACTIVE else "collapsed"


def caption(trained: Trained, e: Evaluation) -> str:
    """What pulls what toward what."""
    q, p = trained.model.posterior.name, trained.model.prior.name
    label = " The bar called label is what inferring the class costs." if "label" in e.names else ""
    return (
        f"The KL term pulls {POSTERIORS.get(q, 'each posterior q(z|x)')} toward {PRIORS.get(p, f'the prior ({p})')}. A "
        "dimension pays nats to differ from the prior only if that saves the decoder more; one that saves nothing "
        f"collapses onto the prior and costs nothing.{label}"
    )


def explanation(trained: Trained) -> RunExplanation | InputError:
    """The explanation of the run on training rows, or why it has none."""
    try:
        return explain_run(trained)
    except InputError as error:
        return error


def pulls(explained: RunExplanation) -> str:
    """The table of pulls."""
    rows = [
        (
            d.index,
            *(f"{v:+.3f}" for v in (d.prior_on_mean, d.data_on_mean, d.prior_on_log_variance, d.data_on_log_variance)),
        )
        for d in sorted(explained.dimensions, key=lambda d: -d.nats)
    ]
    head = ("dimension", "along mu: prior", "data", "on log variance: prior", "data")
    return table(head, rows, "The pull of the prior against the pull of the data, nats, averaged over training rows")
