"""The page that tells a run, and its parts.

``page`` binds them; ``findings`` is what the other readers found. ``head``, ``health``, ``kl``, ``training``,
``examples``, ``plane``, ``matching`` and ``repeat`` are its sections, ``markup`` the HTML that they share.
"""

from lowerbound.readers.report.findings import Findings, found
from lowerbound.readers.report.page import page, report

__all__ = ["Findings", "found", "page", "report"]
