"""Pictures in a grid with legible words: pixels enlarged by whole factors, text in a face that is always there."""

from __future__ import annotations

import io
from collections.abc import Collection, Sequence
from functools import cache
from typing import Any

import numpy as np
from matplotlib import font_manager
from PIL import Image, ImageDraw, ImageFont

from lowerbound.readers.figures import THEMES

LIGHT = THEMES["light"]
INK, FAINT, PAPER, MARK, RULE = LIGHT["ink"], LIGHT["faint"], LIGHT["paper"], LIGHT["orange"], LIGHT["grey"]
TEXT, SMALL, MARGIN = 15, 13, 12
FORMATS = {".gif": "GIF", ".png": "PNG", ".apng": "PNG", ".webp": "WEBP"}
WIDE = 1120
"""Pixels that the pictures of a sheet take across, about."""


@cache
def font(size: int) -> Any:
    """DejaVu Sans, which matplotlib brings."""
    return ImageFont.truetype(font_manager.findfont("DejaVu Sans"), size)


def length(text: str, size: int = TEXT) -> int:
    """Pixels that a text takes across."""
    return round(font(size).getlength(text))


def wrapped(text: str, width: int, size: int = SMALL) -> list[str]:
    """A text in lines that fit the width."""
    lines = [""]
    for word in text.split():
        longer = f"{lines[-1]} {word}".strip()
        if length(longer, size) <= width or not lines[-1]:
            lines[-1] = longer
        else:
            lines.append(word)
    return [line for line in lines if line]


def factor(height: int, width: int, columns: int, wide: int = WIDE, most: int = 64) -> int:
    """How often a pixel is repeated, so that a row of pictures takes about ``wide`` and none grows beyond ``most``."""
    return max(1, min(wide // (columns * width), max(1, most // max(height, width))))


def seam(grey: np.ndarray, between: int = 2) -> int:
    """Pixels of paper that pictures (..., height, width) need between them: none where their edges are black.

    >>> seam(np.zeros((4, 8, 8))), seam(np.ones((4, 8, 8)))
    (0, 2)
    """
    flat = grey.reshape(-1, *grey.shape[-2:]) if grey.shape[-1] != 3 else grey.max(-1).reshape(-1, *grey.shape[-3:-1])
    edges = [flat[:, 0], flat[:, -1], flat[:, :, 0], flat[:, :, -1]]
    return between if max(float(np.median(edge.max(-1))) for edge in edges) > 0.15 else 0


def reduced(image: Image.Image, grey: bool) -> Image.Image:
    """An image with at most 256 colours, for GIF: greys and the mark's own colour, so that neither fades."""
    if not grey:
        return image.quantize(256, method=Image.Quantize.MAXCOVERAGE, dither=Image.Dither.NONE)
    mark = [int(MARK[i : i + 2], 16) for i in (1, 3, 5)]
    blends = [round(m + (255 - m) * i / 31) for i in range(32) for m in mark]
    greys = [round(255 * i / 223) for i in range(224) for _ in range(3)]
    palette = Image.new("P", (1, 1))
    palette.putpalette(greys + blends)
    return image.quantize(palette=palette, dither=Image.Dither.NONE)


def animated(frames: Sequence[Image.Image], times: list[int], suffix: str, grey: bool) -> bytes:
    """Frames as a moving picture without end: GIF, animated PNG or WebP; ``times`` are the milliseconds of each."""
    shown = [reduced(frame, grey) for frame in frames] if suffix == ".gif" else list(frames)
    buffer = io.BytesIO()
    options: dict[str, Any] = {"lossless": True} if suffix == ".webp" else {}
    shown[0].save(buffer, FORMATS[suffix], save_all=True, append_images=shown[1:], duration=times, loop=0, **options)
    return buffer.getvalue()


def enlarged(picture: np.ndarray, times: int) -> Image.Image:
    """A picture (height, width[, 3]) with values in [0, 1], each pixel repeated."""
    values = np.round(255 * np.clip(picture, 0, 1)).astype(np.uint8)
    values = values.repeat(times, 0).repeat(times, 1)
    return Image.fromarray(values).convert("RGB")


def draw(
    cells: np.ndarray,
    *,
    left: Sequence[str] = (),
    right: Sequence[str] = (),
    top: Sequence[str] = (),
    bottom: Sequence[str] = (),
    title: str = "",
    caption: str = "",
    marked: Collection[tuple[int, int]] = (),
    gap: int = 3,
    most: int = 64,
) -> Image.Image:
    """Pictures (rows, columns, height, width[, 3]) with words round them.

    Args:
        left, right: a word for each row; top, bottom: for each column, "" for none.
        marked: cells (row, column) to frame; needs ``gap`` of 3 or more.
        gap: pixels of paper between two pictures.
        most: pixels that the longer side of a picture takes at most.
    """
    rows, columns, high, wide = cells.shape[:4]
    times = factor(high, wide, columns, most=most)
    cell_w, cell_h = wide * times + gap, high * times + gap
    aside = [max((length(word) for word in words), default=0) + (10 if any(words) else 0) for words in (left, right)]
    width = columns * cell_w - gap
    whole = max(aside[0] + width + aside[1], 360)
    heads = [wrapped(title, whole, TEXT + 2), wrapped(caption, whole)]
    y0 = MARGIN + 24 * len(heads[0]) + (22 if any(top) else 0)
    y1 = y0 + rows * cell_h - gap
    height = y1 + (24 if any(bottom) else 0) + (8 + 19 * len(heads[1]) if heads[1] else 0) + MARGIN
    image = Image.new("RGB", (whole + 2 * MARGIN, height), PAPER)
    pen, x0 = ImageDraw.Draw(image), MARGIN + aside[0]
    for r in range(rows):
        for c in range(columns):
            place = x0 + c * cell_w, y0 + r * cell_h
            image.paste(enlarged(cells[r, c], times), place)
            if (r, c) in marked:
                box = (place[0] - 3, place[1] - 3, place[0] + cell_w - gap + 2, place[1] + cell_h - gap + 2)
                pen.rectangle(box, outline=MARK, width=3)
        middle = y0 + r * cell_h + (cell_h - gap) // 2
        if left:
            pen.text((x0 - 10, middle), left[r], INK, font(TEXT), anchor="rm")
        if right:
            pen.text((x0 + width + 10, middle), right[r], INK, font(TEXT), anchor="lm")
    for c in range(columns):
        across = x0 + c * cell_w + (cell_w - gap) // 2
        if any(top) and top[c]:
            pen.text((across, y0 - 6), top[c], FAINT, font(SMALL), anchor="ms")
        if any(bottom) and bottom[c]:
            pen.text((across, y1 + 6), bottom[c], FAINT, font(SMALL), anchor="ma")
    for i, line in enumerate(heads[0]):
        pen.text((MARGIN, MARGIN + 24 * i), line, INK, font(TEXT + 2), anchor="la")
    for i, line in enumerate(reversed(heads[1])):
        pen.text((MARGIN, height - MARGIN - 19 * i), line, FAINT, font(SMALL), anchor="ls")
    return image


def png(cells: np.ndarray, **options: Any) -> bytes:
    """:func:`draw` as a PNG file."""
    buffer = io.BytesIO()
    draw(cells, **options).save(buffer, "PNG", optimize=True)
    return buffer.getvalue()


def on_the_way(picture: np.ndarray, at: float, names: Sequence[str], side: int) -> Image.Image:
    """One frame of a morph: the picture, and under it a line with the stops and a dot where it is."""
    times = max(1, side // max(picture.shape[:2]))
    large = enlarged(picture, times)
    wide = max(large.width, 240)
    image = Image.new("RGB", (wide, large.height + 58), PAPER)
    image.paste(large, ((wide - large.width) // 2, 0))
    pen, y = ImageDraw.Draw(image), large.height + 20
    edge, legs = 18, len(names) - 1
    place = [edge + round((wide - 2 * edge) * i / legs) for i in range(legs + 1)]
    pen.line((place[0], y, place[-1], y), RULE, 2)
    fits = max(length(name, SMALL) for name in names) + 6 <= (wide - 2 * edge) / legs
    for x, name in zip(place, names, strict=True):
        pen.line((x, y - 5, x, y + 5), RULE, 2)
        if fits:
            pen.text((x, y + 13), name, INK, font(SMALL), anchor="ma")
    if not fits:
        leg = min(int(at), legs - 1)
        pen.text((wide // 2, y + 13), f"{names[leg]}  →  {names[leg + 1]}", INK, font(SMALL), anchor="ma")
    dot = edge + (wide - 2 * edge) * at / legs
    pen.ellipse((dot - 7, y - 7, dot + 7, y + 7), MARK)
    return image
