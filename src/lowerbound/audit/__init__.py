"""Audit anyone's VAE loss: find by numerical probes what it optimises, convict or acquit."""

from lowerbound.audit.check import assert_elbo, check
from lowerbound.audit.log import LogVerdict, check_log
from lowerbound.audit.verdict import Finding, Verdict
from lowerbound.audit.watch import watch

__all__ = ["Finding", "LogVerdict", "Verdict", "assert_elbo", "check", "check_log", "watch"]
