"""What the model makes: reconstructions, samples, ways between examples."""

from __future__ import annotations

import math

import numpy as np
import torch

from lowerbound.readers import figures, pictures
from lowerbound.readers.report.markup import figure, opened, scale, table, words
from lowerbound.training.load import Trained

DRAWN = 8
"""Numbers of a code from which it is drawn as a picture."""


def examples_of(trained: Trained, split: str, n: int) -> tuple[torch.Tensor, np.ndarray | None]:
    """n examples of a split, of each class in turn where there are labels."""
    part = trained.data.splits[split]
    rows = pictures.some_of_each(part.labels, n, len(part))
    return trained.data.batch(split, rows), None if part.labels is None else np.asarray(part.labels)[rows.numpy()]


def reconstructions(trained: Trained, split: str) -> str:
    """Originals above their reconstructions; for tables and vectors, numbers."""
    x, labels = examples_of(trained, split, 20)
    y = pictures.reconstruct(trained, x, None if labels is None else torch.from_numpy(labels))
    if pictures.is_text(trained):
        pairs = list(zip(pictures.texts(trained, x[:8]), pictures.texts(trained, y[:8]), strict=True))
        made = words(("original", "decoded"), pairs, "Texts, and the likeliest text at the posterior mean of each")
        return "<h2>Reconstructions</h2>" + made
    if not pictures.is_picture(trained):
        return "<h2>Reconstructions</h2>" + numbers(trained, x[:6].flatten(1), y[:6].flatten(1))
    if shows_codes(trained):
        return "<h2>Reconstructions</h2>" + coded(trained, x, y)
    sheet = pictures.beneath([pictures.grey(trained, part) for part in (x, y)], (len(x) + 1) // 2)
    alt = f"{len(x)} held-out examples in rows, each row of originals above a row of their reconstructions"
    how = "decoded from its posterior mean" if trained.model.latent else "given what is known of it"
    caption = f"Rows of originals, each above the expected value of x {how}."
    return "<h2>Reconstructions</h2>" + figure(figures.image(sheet, alt, scale(sheet)), caption)


def shows_codes(trained: Trained) -> bool:
    """Whether codes are drawn: of a deterministic encoder, with numbers enough to make a picture."""
    return trained.model.posterior.name == "deterministic" and trained.model.width >= DRAWN


def coded(trained: Trained, x: torch.Tensor, y: torch.Tensor) -> str:
    """Originals, reconstructions and codes."""
    z = pictures.encode(trained, x)
    sheet = pictures.above_codes(trained, x, y, z)
    alt = f"{len(x)} held-out examples in rows, each row above its reconstructions and their codes"
    caption = f"Rows of originals, each above the expected value of x and its code: {pictures.words_of_codes(z)}."
    return figure(figures.image(sheet, alt, scale(sheet)), caption)


def numbers(trained: Trained, x: torch.Tensor, y: torch.Tensor) -> str:
    """Original and expected values side by side, up to eight columns."""
    names = trained.run.record()["column_names"] or [f"x{j}" for j in range(x.shape[1])]
    width = min(8, x.shape[1])
    rows = []
    for i in range(len(x)):
        for name, row in (("original", x[i]), ("decoded", y[i])):
            rows.append(
                (f"{i + 1} {name}", *(f"{v:.4g}" if not math.isnan(v) else "missing" for v in row[:width].tolist()))
            )
    made = table(("example", *names[:width]), rows, "Originals and their reconstructions")
    return opened(made)


def source(trained: Trained) -> str:
    """What samples are made from."""
    model = trained.model
    drawn = f"at 40 draws of z from the prior ({model.prior.name})" if model.latent else "of 40 examples"
    if not model.condition.width:
        return drawn
    known = "under each label in turn" if model.condition.labelled else "given the known part of examples in turn"
    return f"{drawn}, {known}"


def samples(trained: Trained, split: str = "") -> str:
    """Examples from the model."""
    x = pictures.sample(trained, 40)
    if pictures.is_text(trained):
        drawn = enumerate(pictures.texts(trained, pictures.sample(trained, 12, draw=True)), 1)
        return "<h2>Samples</h2>" + words(("", "text"), list(drawn), "Texts drawn from p(x|z), z from the prior")
    if not pictures.is_picture(trained):
        x = x[:8].flatten(1)
        names = trained.run.record()["column_names"] or [f"x{j}" for j in range(x.shape[1])]
        rows = [(i + 1, *(f"{v:.4g}" for v in row[:8])) for i, row in enumerate(x.tolist())]
        made = table(("sample", *names[:8]), rows, "Expected values at z drawn from the prior")
        return "<h2>Samples</h2>" + opened(made)
    sheet = pictures.sheet(pictures.grey(trained, x), 20)
    caption = f"Expected values of x {source(trained)}."
    return "<h2>Samples</h2>" + figure(figures.image(sheet, "40 samples from the model", scale(sheet)), caption)


def interpolations(trained: Trained, split: str) -> str:
    """Paths between pairs of examples."""
    if not trained.model.latent or not (pictures.is_picture(trained) or pictures.is_text(trained)):
        return ""
    x, y = examples_of(trained, split, 10)
    pairs = [(i, len(x) - 1 - i) for i in range(len(x) // 2)]
    labels = [None if y is None else torch.from_numpy(y[list(pair)]) for pair in pairs]
    rows = [pictures.interpolate(trained, x[i], x[j], 14, labels=l) for (i, j), l in zip(pairs, labels, strict=True)]
    if not rows:
        return ""
    if pictures.is_text(trained):
        steps = list(zip(*(pictures.texts(trained, way) for way in rows[:3]), strict=True))
        made = words(("first", "second", "third")[: len(rows)], steps, "Ways through latent space, from text to text")
        return "<h2>Interpolations</h2>" + made
    sheet = pictures.sheet(pictures.grey(trained, torch.cat(rows)), 14)
    caption = "Straight paths in latent space between the codes of two held-out examples, one pair a row."
    return "<h2>Interpolations</h2>" + figure(
        figures.image(sheet, "interpolations between pairs", scale(sheet)), caption
    )
