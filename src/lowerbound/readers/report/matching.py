"""Whether the codes match the prior."""

from __future__ import annotations

from lowerbound.readers.report.findings import Findings
from lowerbound.readers.report.markup import figure, paragraph, table

CAPTION = (
    "Codes of held-out examples beside draws of the prior: the thin line holds 90 percent, the thick one half, "
    "the dot is the median."
)


def matching(findings: Findings) -> str:
    """The verdict, the drawing and its table; empty where nothing was tested."""
    if findings.match is None:
        return ""
    found, drawing = findings.match
    head = ("coordinate", "mean", "prior's", "deviation", "prior's", "p (Kolmogorov-Smirnov, Holm)")
    rows = [
        (
            f"z{d.index}",
            *(f"{v:.3f}" for v in (d.mean, d.prior_mean, d.deviation, d.prior_deviation)),
            f"{d.p_value:.2g}",
        )
        for d in found.dimensions
    ]
    return (
        "<h2>Do the codes match the prior?</h2>"
        + paragraph(*found.words())
        + figure(drawing, CAPTION)
        + table(head, rows, "The same as a table")
    )
