"""lowerbound: the KL term of variational autoencoders, visible, verified and right.

The pieces that stand alone: :func:`kl`, :func:`kl_normal`, :func:`elbo`, :func:`terms` on ``torch.distributions``
objects; the estimator :class:`VAE`; :func:`check` for anyone's loss. What the command line does: :func:`load_data` or
:func:`from_array`, :func:`recipe`, :func:`train`, and of the run folder :func:`load`, :func:`evaluate`,
:func:`compare`. Names are imported when they are first used, so that the command line starts without torch.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

_HOMES = {
    "InputError": "lowerbound.errors",
    "LowerboundError": "lowerbound.errors",
    "NonFiniteError": "lowerbound.errors",
    "Estimate": "lowerbound.maths.units",
    "DiagonalNormal": "lowerbound.maths.normal",
    "FullNormal": "lowerbound.maths.normal",
    "Rate": "lowerbound.maths.divergence",
    "kl": "lowerbound.maths.divergence",
    "kl_normal": "lowerbound.maths.divergence",
    "pull": "lowerbound.maths.divergence",
    "register_kl": "lowerbound.maths.divergence",
    "Terms": "lowerbound.maths.terms",
    "elbo": "lowerbound.maths.terms",
    "terms": "lowerbound.maths.terms",
    "load_data": "lowerbound.data:load",
    "from_array": "lowerbound.data",
    "Spec": "lowerbound.training.spec",
    "recipe": "lowerbound.doors.recipes",
    "train": "lowerbound.training.loop",
    "resume": "lowerbound.training.loop",
    "load": "lowerbound.training.load",
    "evaluate": "lowerbound.readers.evaluate",
    "compare": "lowerbound.readers.compare",
    "VAE": "lowerbound.doors.estimator",
    "Verdict": "lowerbound.audit",
    "assert_elbo": "lowerbound.audit",
    "check": "lowerbound.audit",
    "check_log": "lowerbound.audit",
    "watch": "lowerbound.audit",
}
"""Name -> the module that it is imported from, with ``:other`` where it is called otherwise there."""

__all__ = [
    "__version__",
    "InputError",
    "LowerboundError",
    "NonFiniteError",
    "Estimate",
    "DiagonalNormal",
    "FullNormal",
    "Rate",
    "kl",
    "kl_normal",
    "pull",
    "register_kl",
    "Terms",
    "elbo",
    "terms",
    "load_data",
    "from_array",
    "Spec",
    "recipe",
    "train",
    "resume",
    "load",
    "evaluate",
    "compare",
    "VAE",
    "Verdict",
    "assert_elbo",
    "check",
    "check_log",
    "watch",
]

if TYPE_CHECKING:
    from lowerbound.audit import Verdict, assert_elbo, check, check_log, watch
    from lowerbound.data import from_array
    from lowerbound.data import load as load_data
    from lowerbound.doors.estimator import VAE
    from lowerbound.doors.recipes import recipe
    from lowerbound.errors import InputError, LowerboundError, NonFiniteError
    from lowerbound.maths.divergence import Rate, kl, kl_normal, pull, register_kl
    from lowerbound.maths.normal import DiagonalNormal, FullNormal
    from lowerbound.maths.terms import Terms, elbo, terms
    from lowerbound.maths.units import Estimate
    from lowerbound.readers.compare import compare
    from lowerbound.readers.evaluate import evaluate
    from lowerbound.training.load import load
    from lowerbound.training.loop import resume, train
    from lowerbound.training.spec import Spec


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'lowerbound' has no attribute {name!r}")
    home, _, other = _HOMES[name].partition(":")
    value = getattr(importlib.import_module(home), other or name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
