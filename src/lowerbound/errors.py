"""What can go wrong, said in one line: what, where, and how to mend it."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches


class LowerboundError(Exception):
    """The root of every error this library raises on purpose."""


class InputError(LowerboundError, ValueError):
    """Something the caller gave cannot be used.

    Args:
        what: the fault, in a few words.
        where: the file, flag or argument at fault.
        mend: what to do about it.

    >>> print(InputError("is empty", where="x.csv", mend="give a table with at least two rows"))
    x.csv: is empty; give a table with at least two rows
    """

    def __init__(self, what: str, *, where: object = None, mend: str | None = None) -> None:
        self.what, self.where, self.mend = what, where, mend
        line = what if where is None else f"{where}: {what}"
        line = line if mend is None else f"{line}; {mend}"
        super().__init__(" ".join(line.split()))


class NonFiniteError(LowerboundError, ArithmeticError):
    """A number that must be finite is not: names the term, the tensor, the step and the rows."""


class Interrupted(LowerboundError):
    """Training was asked to stop; a checkpoint was written.

    ``signal`` is the signal's number, ``again`` what goes on: a command, by default that of one run.
    """

    def __init__(self, signal: int, where: object, again: str | None = None) -> None:
        self.signal, self.where = signal, where
        again = again or f"lowerbound train --resume {where}"
        super().__init__(f"stopped by signal {signal}; resume with: {again}")


def nearest(name: str, known: Iterable[str]) -> str:
    """The sentence that helps after an unknown ``name``: the nearest real one and the whole list.

    >>> nearest("tahn", ["tanh", "relu"])
    'did you mean tanh? known: relu, tanh'
    """
    names = sorted(known)
    close = get_close_matches(str(name), names, n=1, cutoff=0.5)
    guess = f"did you mean {close[0]}? " if close else ""
    return f"{guess}known: {', '.join(names)}"
