"""The HTML that the sections share: escaped text, figures, tables, tiles."""

from __future__ import annotations

import html
from collections.abc import Sequence

import numpy as np


def text(value: object) -> str:
    """Escaped for HTML."""
    return html.escape(str(value))


def paragraph(*sentences: str) -> str:
    """A paragraph of plain text."""
    return f"<p>{text(' '.join(s for s in sentences if s))}</p>"


def figure(drawing: str, caption: str, kind: str = "") -> str:
    """A figure with its caption."""
    return f'<figure class="{kind}">{drawing}<figcaption>{text(caption)}</figcaption></figure>'


def table(head: Sequence[str], rows: Sequence[Sequence[object]], caption: str) -> str:
    """A table behind a disclosure: what a figure shows, for those who read and do not see."""
    cells = "".join("<tr>" + "".join(f"<td>{text(c)}</td>" for c in row) + "</tr>" for row in rows)
    top = "".join(f'<th scope="col">{text(h)}</th>' for h in head)
    return (
        f"<details><summary>{text(caption)}</summary><div class='scroll'><table><thead><tr>{top}</tr></thead>"
        f"<tbody>{cells}</tbody></table></div></details>"
    )


def opened(made: str) -> str:
    """A table that is shown without being asked for."""
    return made.replace("<details>", "<details open>")


def words(head: Sequence[str], rows: Sequence[Sequence[object]], caption: str) -> str:
    """A table of texts, which begin at the left, shown without being asked for."""
    return opened(table(head, rows, caption)).replace("<table>", '<table class="words">')


def tile(value: str, name: str, swatch: str = "") -> str:
    """One figure on a card."""
    mark = f'<i class="swatch" style="background:var(--{swatch})"></i>' if swatch else ""
    return f'<div class="tile"><b>{text(value)}</b><span>{mark}{text(name)}</span></div>'


def minus(value: float) -> str:
    """Two decimals with a true minus sign."""
    return f"{value:.2f}".replace("-", "−")


def scale(sheet: np.ndarray) -> int:
    """How often a sheet's pixels are enlarged to fill about 900 points."""
    return max(1, min(8, 900 // sheet.shape[1]))
