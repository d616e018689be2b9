"""What an audit returns: the verdict, its findings, and their form as JSON."""

from __future__ import annotations

import json
import math
from dataclasses import asdict, dataclass, field
from typing import Any


@dataclass(frozen=True)
class Finding:
    """One fault or remark.

    ``code`` is that of the table of finding codes; ``severity`` is "error" (convicts), "warn" or "info";
    ``evidence`` holds the numbers; ``patch`` the one-line change that mends it.
    """

    code: str
    sentence: str
    evidence: dict[str, Any] = field(default_factory=dict)
    patch: str = ""
    severity: str = "error"


@dataclass(frozen=True)
class Verdict:
    """loss = r x [ NLL + beta KL( N(mu, sigma^2) || N(0, t) ) ] + c, in nats, totals over batch, parts and latents.

    Attributes:
        bound: "yes" (minus the ELBO up to a scale and a constant), "yes, for sigma^2 = ...", "yes, for prior variance
            ...", or "no".
        parametrisation: what ``s`` is (logvar, logstd, std, var, softplus_std, ...).
        kl_weight: k, the weight of one nat of KL of one latent of one example, at ``sizes``.
        likelihood_weight: r, the same for one nat of -log p(x | z).
        beta: k / r at ``sizes`` (None where it is undefined); ``beta_expression`` in B, Dx, Dz.
        prior_variance: t of the prior that the KL is computed against (None where it has none).
        decoder_variance: sigma^2 of a squared error read as a Gaussian with beta = 1.
        sampler_agrees: True, False, or None where no sampler was given or none could be judged.
    """

    bound: str
    sentence: str
    parametrisation: str
    likelihood: str
    kl_form: str
    kl_weight: float | None
    likelihood_weight: float | None
    beta: float | None
    kl_expression: str
    likelihood_expression: str
    beta_expression: str
    prior_variance: float | None
    decoder_variance: float | None
    sampler_agrees: bool | None
    findings: tuple[Finding, ...]
    confidence: float
    sizes: tuple[int, int, int]
    reductions: dict[str, str] = field(default_factory=dict)
    kl_terms: dict[str, float] = field(default_factory=dict)
    unknown: tuple[str, ...] = ()
    curves: dict[str, Any] = field(default_factory=dict)

    @property
    def acquitted(self) -> bool:
        """No finding of severity error."""
        return not any(f.severity == "error" for f in self.findings)

    @property
    def codes(self) -> tuple[str, ...]:
        """The codes of all findings, in order."""
        return tuple(f.code for f in self.findings)

    def to_dict(self) -> dict[str, Any]:
        """Plain data; numbers that are not finite become None."""
        return plain({**asdict(self), "acquitted": self.acquitted})

    def to_json(self, indent: int | None = 2) -> str:
        """The verdict as JSON."""
        return json.dumps(self.to_dict(), indent=indent)

    def __str__(self) -> str:
        lines = [self.sentence, f"bound: {self.bound}"]
        return "\n".join(lines + [f"{f.code} [{f.severity}] {f.sentence}" for f in self.findings])


def plain(value: Any) -> Any:
    """JSON's own types only."""
    if isinstance(value, dict):
        return {str(k): plain(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(v) for v in value]
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    return value


def from_dict(data: dict[str, Any]) -> Verdict:
    """The verdict that ``to_dict`` wrote."""
    known = {k: v for k, v in data.items() if k in Verdict.__dataclass_fields__}
    known["findings"] = tuple(Finding(**f) for f in known["findings"])
    known["sizes"] = tuple(known["sizes"])
    known["unknown"] = tuple(known.get("unknown", ()))
    return Verdict(**known)
