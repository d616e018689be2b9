"""A data set of unequal lengths whose entropy is known: days of one century, each written in one of six ways.

Day and way are as good as independent and uniform, so that the average text is worth ln(6 x 36,525) = 12.30 nats: on
texts it has not seen, no model can reach a higher average log p(x), but for chance.
"""

from __future__ import annotations

import math

import numpy as np

FIRST, DAYS = "1970-01-01", 36_525
"""The first day, and the days of the century that begins there."""

STRIDE = 7_919
"""A prime that shares no factor with the number of days: its multiples visit them in an order that looks drawn."""

EACH = 1_500
"""Texts of each way of writing."""

HALF = ("January", "February", "March", "April", "May", "June")
MONTHS = (*HALF, "July", "August", "September", "October", "November", "December")
WEEKDAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
WAYS = ("iso", "compact", "slashes", "long", "american", "weekday")
ENTROPY = math.log(len(WAYS) * DAYS)
"""Nats of a text on average."""


def written(day: int, way: str) -> str:
    """Day number ``day`` (0 is :data:`FIRST`), written in one of the :data:`WAYS`.

    >>> [written(19788, way) for way in WAYS[:3]]
    ['2024-03-06', '20240306', '06/03/2024']
    >>> [written(19788, way) for way in WAYS[3:]]
    ['6 March 2024', 'March 6, 2024', 'Wed 6 Mar 24']
    """
    date = np.datetime64(FIRST) + day
    iso = str(date)
    year, month, d = iso.split("-")
    name, number = MONTHS[int(month) - 1], int(d)
    weekday = WEEKDAYS[(day + 3) % 7]  # the first day was a Thursday
    return {
        "iso": iso,
        "compact": year + month + d,
        "slashes": f"{d}/{month}/{year}",
        "long": f"{number} {name} {year}",
        "american": f"{name} {number}, {year}",
        "weekday": f"{weekday[:3]} {number} {name[:3]} {year[2:]}",
    }[way]


def texts() -> tuple[list[str], np.ndarray]:
    """All texts, and the way each is written, as a number: 9,000 of both."""
    n = EACH * len(WAYS)
    ways = np.arange(n) // 3 % len(WAYS)  # in threes: 3 divides both the ways and the days
    days = np.arange(1, n + 1) * STRIDE % DAYS
    return [written(int(day), WAYS[way]) for day, way in zip(days, ways, strict=True)], ways.astype(np.int64)
