"""The landscape of the KL in a terminal: an arrow at each place for the way that minimising it would go."""

from __future__ import annotations

import math

ARROWS = "→↗↑↖←↙↓↘"
WIDTH, HEIGHT = 33, 13


def landscape(mean: float, log_variance: float) -> list[str]:
    """Arrows over mu (across) and log sigma^2 (up); ● is q, ○ is N(0, 1), · is where the KL is below 0.01 nats.

    >>> print(landscape(1.0, -1.0)[0])
    the pull of the KL: mu across, log variance up; ● is q, ○ is N(0, 1)
    """
    reach = min(max(3.0, 1.25 * abs(mean)), 1e300)
    low, high = min(-4.0, log_variance - 1), max(2.0, log_variance + 1)
    lines = ["the pull of the KL: mu across, log variance up; ● is q, ○ is N(0, 1)"]
    for row in range(HEIGHT):
        level = high - (high - low) * row / (HEIGHT - 1)
        cells = [cell(-reach + 2 * reach * i / (WIDTH - 1), level) for i in range(WIDTH)]
        lines.append(f"{level:7.1f}  {' '.join(cells)}")
    for m, l, mark in ((0.0, 0.0, "○"), (mean, log_variance, "●")):
        row = round((high - l) / (high - low) * (HEIGHT - 1)) + 1
        column = 9 + 2 * round((m + reach) / (2 * reach) * (WIDTH - 1))
        lines[row] = lines[row][:column] + mark + lines[row][column + 1 :]
    ends = f"{-reach:<8.3g}", f"{reach:8.3g}"
    return [*lines, " " * 9 + ends[0] + "mu".center(2 * WIDTH - 17) + ends[1]]


def cell(mean: float, log_variance: float) -> str:
    """The arrow of minus the gradient (mu, (sigma^2 - 1) / 2), or a dot where hardly anything is left to gain."""
    on_log_variance = math.expm1(min(log_variance, 700.0)) / 2
    if mean * mean / 2 + on_log_variance - log_variance / 2 < 0.01:
        return "·"
    angle = math.atan2(-on_log_variance, -mean)
    return ARROWS[round(angle / (math.pi / 4)) % 8]
