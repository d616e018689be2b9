"""Audit anyone's VAE loss: find by numerical probes what it optimises, convict or acquit."""

from lowerbound.audit.core import audit_function
from lowerbound.audit.verdict import Finding, Verdict

__all__ = ["Finding", "Verdict", "audit_function"]
