"""Alarms, or what their silence does and does not say."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from lowerbound.readers import pictures
from lowerbound.readers.report.findings import Findings
from lowerbound.readers.report.markup import text
from lowerbound.training.load import Trained

SAMPLES = 500
ALIKE = 0.1
"""Samples whose variance is below this share of the data's are called alike."""


def health(trained: Trained, findings: Findings) -> str:
    """Every alarm with its cause and its cures; where there is none, what else was found."""
    raised = trained.run.alarms()
    doubts = [d for d in (mismatch(findings), sameness(trained, findings.split)) if d]
    told = "".join(f'<p class="doubt">{text(doubt)}</p>' for doubt in doubts)
    if raised:
        return f"<h2>{len(raised)} alarm{'s' if len(raised) > 1 else ''}</h2>" + "".join(map(card, raised)) + told
    return "<h2>No alarms</h2>" + (told or '<p class="calm">Nothing in this run looked unhealthy.</p>')


def mismatch(findings: Findings) -> str:
    """What a match test that rejects means for samples; empty where it does not reject."""
    if findings.match is None or not findings.match[0].differs:
        return ""
    return (
        f"The codes do not match the prior (p = {findings.match[0].p_value:.3f}). No alarm watches for that: "
        "what is decoded from draws of the prior need not be like the data."
    )


def sameness(trained: Trained, split: str) -> str:
    """Whether the samples of a game without rate and distortion are all alike: what no alarm can see."""
    rows = trained.run.metrics()
    if not rows or rows[-1]["train"]["distortion"] is not None:
        return ""
    share = spread(pictures.sample(trained, SAMPLES)) / max(spread(given(trained, split)), 1e-12)
    watched = "Alarms watch rate and distortion, and this model has neither."
    if share < ALIKE:
        return (
            f"{watched} Its samples are nearly alike: their variance is {share:.2g} times that of the {split} examples."
        )
    return (
        f"{watched} Its samples vary {share:.2g} times as much as the {split} examples; whether they are like them, "
        "lowerbound fidelity RUN tells."
    )


def given(trained: Trained, split: str) -> Tensor:
    """Examples to hold the samples against."""
    return trained.data.batch(split, torch.arange(min(SAMPLES, len(trained.data.splits[split]))))


def spread(x: Tensor) -> float:
    """The variance of examples (n, *shape), summed over their values."""
    return float(x.flatten(1).double().var(0).sum())


def card(a: dict[str, Any]) -> str:
    """One alarm."""
    cures = "".join(f"<li>{text(cure)}</li>" for cure in a["cures"])
    when = "before training" if a["epoch"] == 0 else f"epoch {a['epoch']}"
    return (
        f'<div class="alarm" role="note"><h3>{text(a["name"].replace("-", " ").capitalize())} · {when}</h3>'
        f"<p>{text(a['message'])} {text(a['cause'])}</p>Usual cures:<ul>{cures}</ul></div>"
    )
