"""Impossible numbers in a log of training: what no model, however good, can have produced."""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass

from lowerbound.audit.verdict import Finding, plain
from lowerbound.errors import InputError

Columns = dict[str, list[float]]


@dataclass(frozen=True)
class LogVerdict:
    """Findings on a log; ``columns`` says which roles were recognised."""

    findings: tuple[Finding, ...]
    columns: dict[str, str]
    rows: int

    @property
    def acquitted(self) -> bool:
        """No impossible number."""
        return not any(f.severity == "error" for f in self.findings)

    def to_json(self, indent: int | None = 2) -> str:
        """As JSON."""
        return json.dumps(plain({**asdict(self), "acquitted": self.acquitted}), indent=indent)


ROLES = {
    "tc": ("tc", "total_corr"),
    "mi": ("mi_", "mi", "mutual"),
    "kl": ("kl", "kld", "rate"),
    "nll": ("recon", "nll", "bce", "distortion", "reconstruction"),
    "loss": ("loss", "train_loss", "total"),
    "test": ("test_loss", "val_loss", "valid_loss", "test", "val"),
    "elbo": ("elbo",),
}


def read_columns(text: str) -> Columns:
    """Columns of a CSV; a long table (epoch, name, value) is turned wide; numbers only."""
    rows = [r for r in csv.reader(io.StringIO(text)) if r]
    if len(rows) < 2:
        raise InputError("has no rows", where="log", mend="give a CSV with a header and one row per epoch")
    header = [h.strip() for h in rows[0]]
    lowered = [h.lower() for h in header]
    if len(header) == 3 and lowered[2] == "value":
        wide: Columns = {}
        for row in rows[1:]:
            wide.setdefault(row[1].strip(), []).append(_number(row[2]))
        return wide
    return {h: [_number(r[i]) if i < len(r) else math.nan for r in rows[1:]] for i, h in enumerate(header)}


def _number(cell: str) -> float:
    try:
        return float(cell)
    except ValueError:
        return math.nan


def _plays(name: str, role: str, exact: bool) -> bool:
    if exact:
        return name in ROLES[role]
    part = any(name.startswith((word + "_", word)) or name.endswith("_" + word) for word in ROLES[role])
    return part and not (role == "kl" and ("dim" in name or name.startswith("dw")))


def recognise(names: Sequence[str]) -> dict[str, str]:
    """role -> column; a column called just by a role's name goes before one that contains it."""
    found: dict[str, str] = {}
    for exact in (True, False):
        for role in ("tc", "mi", "test", "elbo", "nll", "kl", "loss"):
            for name in names:
                if role not in found and name not in found.values() and _plays(name.lower().strip(), role, exact):
                    found[role] = name
    return found


def check_log(
    log: str | Mapping[str, Sequence[float]],
    *,
    examples: int | None = None,
    bernoulli: bool = False,
    batches: int | None = None,
) -> LogVerdict:
    """Audit the numbers of a training log.

    Args:
        log: the text of a CSV, or columns by name. Values in nats per example.
        examples: size N of the training set (mutual information cannot exceed log N).
        bernoulli: the likelihood is Bernoulli, so its NLL cannot be negative.
        batches: batches per epoch; a test loss that is off by that factor was divided by the wrong number.
    """
    columns = read_columns(log) if isinstance(log, str) else {k: [float(t) for t in v] for k, v in log.items()}
    roles = recognise(list(columns))
    got = {role: columns[name] for role, name in roles.items()}
    found = _signs(got, bernoulli) + _information(got, examples) + _scales(got, batches) + _finite(columns)
    return LogVerdict(tuple(found), roles, max((len(v) for v in columns.values()), default=0))


def _worst(
    values: Sequence[float], limit: Sequence[float] | float, slack: float = 1e-6
) -> tuple[int, float, float] | None:
    """(row, value, limit) of the largest excess."""
    limits = [limit] * len(values) if isinstance(limit, (int, float)) else list(limit)
    rows = [
        (v - t, i, v, t) for i, (v, t) in enumerate(zip(values, limits, strict=False)) if v > t + slack * (1 + abs(t))
    ]
    return max(rows)[1:] if rows else None


def _signs(got: Columns, bernoulli: bool) -> list[Finding]:
    found = []
    words = {"tc": "Total correlation", "kl": "The KL", "mi": "Mutual information"}
    for role, name in words.items():
        low = [v for v in got.get(role, []) if v < -1e-6]
        if low:
            found.append(
                Finding(
                    "D2", f"{name} is {min(low):.6g}: it cannot be negative.", {"smallest": min(low), "rows": len(low)}
                )
            )
    for role in ("nll", "loss") if bernoulli else ():
        low = [v for v in got.get(role, []) if v < 0]
        if low:
            found.append(
                Finding("D2", f"A Bernoulli {role} of {min(low):.6g}: it cannot be negative.", {"smallest": min(low)})
            )
    return found


def _information(got: Columns, examples: int | None) -> list[Finding]:
    found = []
    mi = got.get("mi", [])
    above = _worst(mi, got["kl"]) if mi and "kl" in got else None
    if above:
        row, value, limit = above
        words = f"Mutual information {value:.6g} above the KL {limit:.6g}: it is a part of it."
        found.append(Finding("D2", words, {"row": row, "mi": value, "kl": limit}))
    most = _worst(mi, math.log(examples)) if mi and examples else None
    if most:
        words = f"Mutual information {most[1]:.6g} above log N = {most[2]:.6g}: no code can tell more examples apart."
        found.append(Finding("D2", words, {"row": most[0], "mi": most[1], "log N": most[2]}))
    return found


def _last(values: Sequence[float]) -> float:
    good = [v for v in values if math.isfinite(v)]
    return good[-1] if good else math.nan


def _scales(got: Columns, batches: int | None) -> list[Finding]:
    if "test" not in got or "loss" not in got:
        return []
    test, train = _last(got["test"]), _last(got["loss"])
    if not (math.isfinite(test) and math.isfinite(train)) or test * train <= 0:
        return []
    ratio = train / test
    numbers = {"train": train, "test": test, "ratio": ratio}
    if batches and abs(ratio / batches - 1) < 0.3:
        words = (
            f"The test loss is the train loss over {batches} batches: one batch was summed and divided by their number."
        )
        return [Finding("D2", words, numbers)]
    if ratio > 5 or ratio < 0.2:
        words = f"Train loss {train:.6g} and test loss {test:.6g} are not in the same unit."
        return [Finding("D2", words, numbers)]
    return []


def _finite(columns: Columns) -> list[Finding]:
    bad = {
        n: sum(not math.isfinite(v) for v in values)
        for n, values in columns.items()
        if any(math.isfinite(v) for v in values)
    }
    bad = {n: c for n, c in bad.items() if c}
    return [Finding("N1", f"Not finite: {', '.join(bad)}.", bad, severity="warn")] if bad else []


def mean_of_means(sizes: Sequence[int], batch_means: Sequence[float]) -> Finding | None:
    """The mean of batch means against the mean over examples, when the last batch is smaller."""
    total = sum(n * m for n, m in zip(sizes, batch_means, strict=True)) / sum(sizes)
    plainly = sum(batch_means) / len(batch_means)
    if abs(total - plainly) <= 1e-9 * (1 + abs(total)):
        return None
    words = f"The mean of batch means is {plainly:.6g}; the mean over examples is {total:.6g}."
    return Finding(
        "R3", words, {"mean of means": plainly, "mean": total}, "sum the losses and divide by the examples", "warn"
    )
