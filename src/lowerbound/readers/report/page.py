"""The report: one self-contained page that opens offline and tells a run to someone who has never seen the project."""

from __future__ import annotations

import html
from collections.abc import Callable
from importlib import resources
from pathlib import Path
from string import Template

from lowerbound.errors import InputError
from lowerbound.readers import figures
from lowerbound.readers.report.examples import interpolations, reconstructions, samples
from lowerbound.readers.report.findings import Findings, found
from lowerbound.readers.report.head import head, titled
from lowerbound.readers.report.health import health
from lowerbound.readers.report.kl import dimensions
from lowerbound.readers.report.markup import paragraph, text
from lowerbound.readers.report.matching import matching
from lowerbound.readers.report.plane import latent_plane
from lowerbound.readers.report.repeat import repeat
from lowerbound.readers.report.training import training
from lowerbound.training.load import Trained


def report(trained: Trained, *, split: str | None = None) -> Path:
    """Write RUN/report.html and RUN/evaluation.json; returns the page's path.

    Args:
        split: what the large figure is measured on: by default the test split, else validation, else training.
    """
    chosen = split or next(name for name in ("test", "valid", "train") if len(trained.data.splits[name]))
    findings = found(trained, chosen)
    if findings.evaluation is not None:
        trained.run.write_json("evaluation.json", findings.json())
    return trained.run.write_file("report.html", page(trained, findings).encode())


def page(trained: Trained, findings: Findings) -> str:
    """The page as text; a section that the model has nothing for says why."""
    e, split = findings.evaluation, findings.split
    sections = (
        head(trained, findings),
        health(trained, findings),
        dimensions(trained, e) if e is not None and e.elbo is not None and not e.exact else "",
        training(trained),
        *(willing(part, trained, split) for part in (reconstructions, samples, latent_plane)),
        matching(findings),
        willing(interpolations, trained, split),
        repeat(trained, e),
    )
    template = Template(resources.files("lowerbound.readers").joinpath("report.html").read_text("utf-8"))
    return template.substitute(
        title=html.escape(titled(trained, e)),
        light=figures.theme("light"),
        dark=figures.theme("dark"),
        body="\n".join(section for section in sections if section),
    )


def willing(part: Callable[[Trained, str], str], trained: Trained, split: str) -> str:
    """A section, or why this model has none."""
    try:
        return part(trained, split)
    except InputError as error:
        why = "; ".join(words for words in (error.what, error.mend) if words)
        return f"<h2>{text(part.__name__.replace('_', ' ').capitalize())}</h2>" + paragraph(f"None: {why}.")
