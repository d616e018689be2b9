"""A sweep over beta in one program: every member an ordinary run, all of them moved as one player of the one loop.

============  =====================================================================
``members``   the betas, the names and specs of the members, what cannot be one
``stack``     parameters, terms, ledgers and optimiser states of M models as one
``batched``   the products of a stack
``sweep``     sweep, resume
============  =====================================================================
"""

from lowerbound.training.sweep.members import betas_of, name_of
from lowerbound.training.sweep.sweep import FILE, Sweep, read, resume, sweep

__all__ = ["FILE", "Sweep", "betas_of", "name_of", "read", "resume", "sweep"]
