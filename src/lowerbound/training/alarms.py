"""Alarms: what is wrong with a run, when it began, why it happens and what usually cures it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from lowerbound.training.forecast import Forecast
from lowerbound.training.measure import ACTIVE

Severity = Literal["warning", "failure"]
PATIENCE = 3
"""Epochs that a symptom must last before it is called one."""
STEPS = 200
"""Steps before collapse or a poor bound is judged: a network that has hardly moved is not ill."""


@dataclass(frozen=True)
class Alarm:
    """A named finding about a run; ``epoch`` is when it was first seen (0: before training)."""

    name: str
    epoch: int
    message: str
    cause: str
    cures: tuple[str, ...]
    severity: Severity = "warning"

    def json(self) -> dict[str, Any]:
        """As it stands in alarms.json."""
        return asdict(self) | {"cures": list(self.cures)}


AGAIN = ("warm-up-unfinished",)
"""Alarms that are raised at the start, and once more with what came of it."""

CAUSES: dict[str, tuple[str, tuple[str, ...]]] = {
    "collapse-forecast": (
        "No direction of the data varies more than beta times the decoder's variance: paying the KL never pays off.",
        (
            "lower beta: -s objective.beta=1",
            "sum both terms instead of averaging them",
            "let the decoder learn its variance: -s likelihood.name=normal -s likelihood.variance=learned",
        ),
    ),
    "total-collapse": (
        "Every posterior equals the prior: the decoder ignores z, and the model generates the average example.",
        (
            "warm up the KL: -s schedule.name=linear",
            "lower beta, or check that no term is averaged over dimensions",
            "give each dimension free bits: -s objective.name=free-bits",
            "of a decoder that reads what it emits, hide some of it: -s decoder.word_dropout=0.3",
        ),
    ),
    "collapsed-dimensions": (
        "These dimensions carry no information about x: the model needs fewer, or could not start them.",
        (
            "use fewer latent dimensions: --latent",
            "warm up the KL: -s schedule.name=linear",
            "give each dimension free bits: -s objective.name=free-bits",
        ),
    ),
    "warm-up-unfinished": (
        "Training ends before the schedule reaches its full weight: the model was trained at a smaller beta.",
        ("train longer: --epochs", "shorten the warm-up: -s schedule.epochs=..."),
    ),
    "sigma-floor": (
        "The decoder's deviation has shrunk to almost nothing: the density is unbounded, and so is the bound.",
        (
            "use a likelihood for discrete values: -s likelihood.name=discretised-logistic",
            "fix the deviation: -s likelihood.variance=fixed -s likelihood.sigma=0.1",
            "remove columns that are constant or copies of others",
        ),
    ),
    "over-fitting": (
        "The bound on the training split still rises while the bound on held-out examples falls.",
        (
            "stop early: -s training.patience=10",
            "hide a tenth of the units of an MLP: -s encoder.dropout=0.1",
            "use more data or fresh binarisation",
            "use a smaller network",
        ),
    ),
    "below-baseline": (
        "The model describes held-out examples worse than the independent marginals of the data would.",
        ("lower the learning rate: --lr", "clip gradients: -s training.clip=100", "train longer: --epochs"),
    ),
    "non-finite": (
        "A number became infinite or undefined: usually too high a learning rate, or values out of range.",
        ("lower the learning rate: --lr", "clip gradients: -s training.clip=100", "scale the data"),
    ),
}


def alarm(name: str, epoch: int, message: str, severity: Severity = "warning") -> Alarm:
    """An alarm with the cause and the cures that belong to its name."""
    cause, cures = CAUSES[name]
    return Alarm(name, epoch, message, cause, cures, severity)


@dataclass
class Watcher:
    """Reads the metrics as they come and raises each alarm once (those of ``AGAIN`` once more at the end)."""

    epochs: int
    warm_up_ends: float
    latent: int
    factorised: bool
    baseline: float | None = None
    data_deviation: float | None = None
    raised: dict[str, Alarm] = field(default_factory=dict)

    def before(self, forecast: Forecast | None) -> list[Alarm]:
        """What can be known before the first step."""
        found = []
        if forecast is not None and forecast.can_live == 0:
            found.append(alarm("collapse-forecast", 0, forecast.words()))
        if self.warm_up_ends > self.epochs:
            message = f"The warm-up needs {self.warm_up_ends:g} epochs, the run has {self.epochs}: beta is not reached."
            found.append(alarm("warm-up-unfinished", 0, message))
        return self._keep(found)

    def after(self, rows: Sequence[Mapping[str, Any]]) -> list[Alarm]:
        """What the rows so far (one an epoch) show that was not raised before."""
        checks = (self._collapse, self._warm_up, self._sigma, self._over_fitting, self._baseline)
        return self._keep([found for check in checks if (found := check(rows)) is not None])

    def _keep(self, found: Sequence[Alarm]) -> list[Alarm]:
        new = [a for a in found if a.name not in self.raised or (a.name in AGAIN and self.raised[a.name] != a)]
        self.raised.update({a.name: a for a in new})
        return new

    def _lasting(self, rows: Sequence[Mapping[str, Any]]) -> Sequence[Mapping[str, Any]] | None:
        """The last rows, once a symptom could have lasted and the network has moved."""
        recent = rows[-PATIENCE:]
        settled = rows[-1]["epoch"] >= self.warm_up_ends or rows[-1]["epoch"] >= self.epochs
        return recent if len(recent) == PATIENCE and rows[-1]["step"] >= STEPS and settled else None

    def _collapse(self, rows: Sequence[Mapping[str, Any]]) -> Alarm | None:
        recent = self._lasting(rows)
        if recent is None or not _held_out(rows[-1])["rate_per_dimension"]:
            return None
        epoch = rows[-1]["epoch"]
        per_dimension = [_held_out(row)["rate_per_dimension"] for row in recent]
        active = [j for j in range(len(per_dimension[0])) if any(rate[j] > ACTIVE for rate in per_dimension)]
        if not active:
            total = sum(per_dimension[-1])
            message = f"All {self.latent} latent dimensions have collapsed: {total:.4f} nats of rate in all."
            return alarm("total-collapse", epoch, message, "failure")
        dead = [j for j in range(len(per_dimension[0])) if j not in active]
        if self.factorised and 4 * len(dead) >= self.latent:
            message = f"{len(dead)} of {self.latent} latent dimensions carry less than {ACTIVE} nats."
            return alarm("collapsed-dimensions", epoch, message)
        return None

    def _warm_up(self, rows: Sequence[Mapping[str, Any]]) -> Alarm | None:
        if rows[-1]["epoch"] < self.epochs or self.warm_up_ends <= self.epochs:
            return None
        beta = rows[-1]["effective_beta"]
        return alarm(
            "warm-up-unfinished", rows[-1]["epoch"], f"The run ended at beta {beta:.4g}: the warm-up is unfinished."
        )

    def _sigma(self, rows: Sequence[Mapping[str, Any]]) -> Alarm | None:
        sigma = rows[-1].get("sigma")
        if sigma is None or not self.data_deviation or sigma > 1e-2 * self.data_deviation:
            return None
        message = f"The decoder's deviation is {sigma:.3g}, {sigma / self.data_deviation:.2g} of the data's own."
        return alarm("sigma-floor", rows[-1]["epoch"], message)

    def _over_fitting(self, rows: Sequence[Mapping[str, Any]]) -> Alarm | None:
        if len(rows) <= PATIENCE or rows[-1].get("valid") is None or rows[-1]["valid"]["bound"] is None:
            return None
        best = max(rows, key=lambda row: row["valid"]["bound"])
        since = [row for row in rows if row["epoch"] > best["epoch"]]
        if len(since) < PATIENCE or best["epoch"] < self.warm_up_ends:
            return None
        lost = best["valid"]["bound"] - max(row["valid"]["bound"] for row in since[-PATIENCE:])
        gained = rows[-1]["train"]["bound"] - best["train"]["bound"]
        gap = rows[-1]["train"]["bound"] - rows[-1]["valid"]["bound"]
        noise = rows[-1]["valid"]["bound_stderr"] or 0.0
        if lost < 0.01 * abs(best["valid"]["bound"]) or gained <= 0 or gap < 2 * noise:
            return None
        message = (
            f"The held-out bound is {lost:.2f} nats below its best (epoch {best['epoch']}), "
            f"the training bound {gained:.2f} above."
        )
        return alarm("over-fitting", rows[-1]["epoch"], message)

    def _baseline(self, rows: Sequence[Mapping[str, Any]]) -> Alarm | None:
        recent = self._lasting(rows)
        if recent is None or self.baseline is None:
            return None
        held_out = _held_out(max(recent, key=lambda row: _held_out(row)["bound"]))
        short = self.baseline - held_out["bound"]
        if short <= 0.01 * abs(self.baseline) + 3 * (held_out.get("bound_stderr") or 0.0):
            return None
        message = f"The bound is {short:.2f} nats below that of independent marginals ({self.baseline:.2f} nats)."
        return alarm("below-baseline", rows[-1]["epoch"], message)


def _held_out(row: Mapping[str, Any]) -> Mapping[str, Any]:
    return row["valid"] or row["train"]
