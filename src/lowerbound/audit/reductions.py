"""Exponents with which a weight grows when each size is doubled, and the expression they make."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field

from lowerbound.audit.probe import Probe, Sizes

NAMES = ("B", "Dx", "Dz")


@dataclass(frozen=True)
class Scaling:
    """A weight c B^b Dx^d Dz^z: its value at the caller's sizes, exponents (None where unknown) and constant."""

    value: float
    exponents: dict[str, int | None] = field(default_factory=dict)
    constant: float = math.nan
    steady: bool = True
    guessed: tuple[str, ...] = ()

    @property
    def expression(self) -> str:
        """The weight as Python arithmetic in B, Dx, Dz."""
        return expression(self.constant, self.exponents) if self.known else number(self.value)

    @property
    def known(self) -> bool:
        """Whether every exponent was found."""
        return all(self.exponents.get(n) is not None for n in NAMES)


def number(c: float) -> str:
    """A short exact form of a constant: 4, 1/3, 0.00025, 2.0482."""
    if not math.isfinite(c):
        return "undefined"
    for m in range(1, 4097):
        if (
            abs(c * m - round(c * m)) < 1e-8 * max(1.0, abs(c * m))
            and round(c * m) != 0
            and (m == 1 or abs(round(c * m)) < 10)
        ):
            decimal = f"{c:.6g}"
            short = m != 1 and len(decimal) <= len(f"{round(c * m)}/{m}") and abs(float(decimal) - c) < 1e-12
            return decimal if short else (f"{round(c * m)}" if m == 1 else f"{round(c * m)}/{m}")
    return f"{c:.6g}"


def expression(c: float, exponents: dict[str, int | None]) -> str:
    """c times powers of the sizes.

    >>> expression(1.0, {"B": 0, "Dx": 1, "Dz": -1})
    'Dx/Dz'
    >>> expression(2.0, {"B": -1, "Dx": -1, "Dz": 0})
    '2/(B*Dx)'
    """
    head = number(c)
    if head == "undefined" or c == 0:
        return "0" if c == 0 else head
    top, _, bottom = head.partition("/")
    over: list[str] = []
    under = [bottom] if bottom else []
    for name, power in exponents.items():
        side = over if (power or 0) > 0 else under
        side += [name if abs(power or 0) == 1 else f"{name}**{abs(power or 0)}"] if power else []
    unit = top in ("1", "-1") and bool(over)
    left = top.replace("1", "") + "*".join(over) if unit else "*".join([top, *over])
    right = f"/{under[0]}" if len(under) == 1 else f"/({'*'.join(under)})" if under else ""
    return left + right


def scale(
    probe: Probe, small: Sizes, user: Sizes, weigh: Callable[[Sizes], float], tied: bool = False, own: str = "Dx"
) -> Scaling:
    """Measure ``weigh`` at the small sizes, with each size doubled, and at the caller's sizes."""
    start = _safe(weigh, small)
    exponents: dict[str, int | None] = {}
    steady = True
    for name in NAMES:
        if tied and name == "Dx":
            exponents[name] = 0
            continue
        exponents[name] = _exponent(probe, small, weigh, start, name, tied)
    large = 200_000 if probe.stochastic else 3_000_000  # elements
    direct = _safe(weigh, user) if user.B * max(user.Dx, user.Dz) <= large and probe.legal(user) else math.nan
    guessed = tuple(n for n, v in exponents.items() if v is None)
    if guessed and math.isfinite(direct):
        exponents = guess(direct, user, exponents, own)
    known = all(v is not None for v in exponents.values())
    constant = math.nan
    if known and math.isfinite(start):
        constant = direct / _power(user, exponents) if guessed else start / _power(small, exponents)
        predicted = constant * _power(user, exponents)
        steady = not math.isfinite(direct) or abs(direct - predicted) <= 1e-4 * abs(predicted) + 1e-300
        value = predicted if not math.isfinite(direct) else direct
    else:
        value = direct
    return Scaling(value, exponents, clean(constant), steady, guessed)


def guess(value: float, sizes: Sizes, exponents: dict[str, int | None], own: str) -> dict[str, int | None]:
    """Exponents of sizes that cannot be varied: the fewest means that make the constant 1, 2 or 1/2; else none."""
    missing = [n for n, v in exponents.items() if v is None]
    rest: list[set[str]] = [set(), {own}, {"Dx"}, {"Dx", "Dz"}][: 4 if own == "Dz" else 2]
    batch: list[set[str]] = [{"B"}, set()] if "B" in missing else [set()]
    for means in (a | b for a in rest for b in batch):
        trial = {**exponents, **{n: -1 if n in means else 0 for n in missing}}
        c = abs(value) / _power(sizes, trial)
        if any(abs(c / t - 1) < 1e-5 for t in (1.0, 2.0, 0.5)):
            return trial
    return {n: 0 if v is None else v for n, v in exponents.items()}


def _power(sizes: Sizes, exponents: dict[str, int | None]) -> float:
    return math.prod(float(getattr(sizes, n)) ** (p or 0) for n, p in exponents.items())


def clean(c: float) -> float:
    """A constant without its rounding error."""
    if not math.isfinite(c) or c == 0:
        return c
    for m in (1.0, 1 / c):
        if m != 1.0 and abs(m - round(m)) < 1e-7 * abs(m) and round(m):
            return 1 / round(m)
        if m == 1.0 and abs(c - round(c)) < 1e-7 * abs(c) and round(c):
            return float(round(c))
    short = float(f"{c:.6g}")
    return short if abs(short - c) < 1e-8 * abs(c) else c


def _safe(weigh: Callable[[Sizes], float], sizes: Sizes) -> float:
    try:
        return float(weigh(sizes))
    except Exception:
        return math.nan


def _exponent(
    probe: Probe, small: Sizes, weigh: Callable[[Sizes], float], start: float, name: str, tied: bool
) -> int | None:
    if start == 0:
        return 0
    for factor in (2, 3):
        changed = {name: getattr(small, name) * factor}
        changed |= {"Dx": changed["B"]} if tied and name == "B" else {}
        grown = small.but(**changed)
        if not probe.legal(grown):
            continue
        ratio = _safe(weigh, grown) / start
        if not math.isfinite(ratio) or ratio <= 0:
            continue
        power = math.log(ratio) / math.log(factor)
        return round(power) if abs(power - round(power)) < 2e-3 else None
    return None
