"""Curves, and what they say in a sentence."""

from __future__ import annotations

from typing import Any

import numpy as np

from lowerbound.readers import figures
from lowerbound.readers.figures import Curve
from lowerbound.readers.report.markup import figure, paragraph, table
from lowerbound.training.load import Trained
from lowerbound.training.setup import game_of

SHOWN = 25
"""Epochs in the table."""


def training(trained: Trained) -> str:
    """What was logged by epoch: the bound and its terms, or whatever the players minimised."""
    rows = trained.run.metrics()
    if not rows:
        return ""
    epochs, drawn = [row["epoch"] for row in rows], curves(trained, rows)
    best = [row["epoch"] for row in rows if row["best"]]
    caption = (
        "Training figures are averages over an epoch while the weights move, with dropout and corruption, if any;"
        " held-out ones are taken at its end, without."
    )
    return (
        "<h2>Training</h2>"
        + paragraph(risen(rows), kept(rows, best))
        + figure(figures.curves(epochs, drawn, best[-1] if best else None), caption, "" if len(drawn) > 2 else "pair")
        + as_table(epochs, drawn)
    )


def curves(trained: Trained, rows: list[dict[str, Any]]) -> list[Curve]:
    """What there is to draw: the terms of the bound, else the first player's loss; then the other players' losses."""
    names = ["bound", *(["rate", "distortion"] if trained.model.latent else [])]
    made = [term(rows, name, f"{name}, nats per example") for name in names if rows[-1]["train"][name] is not None]
    if rows[-1]["train"]["bound"] is None:
        made.append(term(rows, "objective", game_of(trained.spec, trained.model).first))
    others = rows[-1].get("players") or {}
    return made + [Curve(f"loss of the {name}", [row["players"][name] for row in rows]) for name in others]


def term(rows: list[dict[str, Any]], name: str, title: str) -> Curve:
    """One figure of the ledger, with its held-out values where every epoch has one."""
    held = [row["valid"][name] for row in rows if row["valid"] and row["valid"].get(name) is not None]
    return Curve(title, [row["train"][name] for row in rows], held if len(held) == len(rows) else None)


def risen(rows: list[dict[str, Any]]) -> str:
    """That a rate which rose is no fault, where it rose and saved distortion."""
    first, last = rows[min(1, len(rows) - 1)], rows[-1]
    part = "valid" if last["valid"] else "train"
    change = (last[part]["rate"] or 0.0) - (first[part]["rate"] or 0.0)
    if change <= 0.1 or not last[part]["distortion"] < first[part]["distortion"]:
        return ""
    saved = first[part]["distortion"] - last[part]["distortion"]
    return (
        f"The rate rose by {change:.2f} nats, which is no fault: more of x is encoded in z, and it saved "
        f"{saved:.2f} nats of distortion."
    )


def kept(rows: list[dict[str, Any]], best: list[int]) -> str:
    """Which weights were kept."""
    worth = "distortion" if rows[-1]["train"]["bound"] is None else "bound"
    return f"The weights of epoch {best[-1]}, with the best held-out {worth}, were kept." if best else ""


def as_table(epochs: list[int], drawn: list[Curve]) -> str:
    """The curves as a table, of at most 25 epochs."""
    n = len(epochs)
    shown = range(n) if n <= SHOWN else np.linspace(0, n - 1, SHOWN).astype(int)
    columns = [(c.title, c.training) for c in drawn]
    columns += [(f"held out: {c.title}", c.held_out) for c in drawn if c.held_out is not None]
    rows = [(epochs[i], *(f"{values[i]:.3f}" for _, values in columns)) for i in shown]
    return table(("epoch", *(title for title, _ in columns)), rows, "The same as a table")
