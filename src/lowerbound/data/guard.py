"""The gate every source passes: a plain readable file, and one line whatever goes wrong inside a parser."""

from __future__ import annotations

import errno
import os
import stat
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from os import PathLike
from pathlib import Path

from lowerbound.errors import InputError

GIB = 2**30
LIMIT = 2 * GIB
"""Bytes of float32 that are kept in memory; above it the rows stay where they are until a batch asks for them."""

LARGEST = 8 * GIB
"""Bytes that a packed file (gz, npz, a folder of pictures) may unpack to."""

LONG = 400
"""Characters of a path that are shown."""

INFLATE = 1100
"""No deflate stream grows more than 1032 times: a header that asks for more is a lie, known before reading."""

FAULTS = {
    errno.ENOENT: ("does not exist", "check the path"),
    errno.ENOTDIR: ("does not exist", "check the path"),
    errno.EACCES: ("may not be read (permission denied)", "change its permissions"),
    errno.ELOOP: ("is a loop of links", "give the file itself"),
    errno.ENAMETOOLONG: ("is too long for a path", "check the path"),
}


def show(path: object) -> str:
    """A path as text that can always be printed, cut in the middle if it is very long."""
    text = str(path).encode("utf-8", "backslashreplace").decode("utf-8")
    return text if len(text) <= LONG else f"{text[: LONG // 2]}...{text[-LONG // 2 :]}"


def status(path: str | PathLike[str]) -> os.stat_result:
    """``os.stat`` whose failures are input errors."""
    try:
        return Path(path).stat()
    except OSError as error:
        what, mend = FAULTS.get(error.errno or 0, (f"cannot be opened ({error.strerror})", "check the path"))
        raise InputError(what, where=show(path), mend=mend) from error
    except ValueError as error:
        raise InputError("is not a path", where=show(path).replace("\0", "\\0"), mend="check the path") from error


def plain_file(path: str | PathLike[str]) -> Path:
    """``path``, if it is a plain file that holds something and may be read."""
    info, where = status(path), show(path)
    if not stat.S_ISREG(info.st_mode):
        kind = "a folder" if stat.S_ISDIR(info.st_mode) else "a pipe or a device"
        raise InputError(f"is {kind}, not a plain file", where=where, mend="give a file")
    if info.st_size == 0:
        raise InputError("is empty", where=where, mend="give a file with data in it")
    if not os.access(path, os.R_OK):
        raise InputError(*FAULTS[errno.EACCES][:1], where=where, mend=FAULTS[errno.EACCES][1])
    return Path(path)


@contextmanager
def guarded(where: object, what: str, mend: str) -> Iterator[None]:
    """Any failure of the parser inside becomes one InputError: ``where`` cannot be read as ``what``; ``mend``.

    Parsers of damaged files raise almost anything (numpy 9 kinds of exception over 20,000 mutated files), so
    nothing narrower would hold. Their warnings are silenced: what matters of them is checked by us.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    except InputError:
        raise
    except Exception as error:
        said = " ".join(str(error).split())[:100] or type(error).__name__
        raise InputError(f"cannot be read as {what} ({said})", where=show(where), mend=mend) from error


def fits(size: int, where: object, limit: int = LARGEST) -> None:
    """Refuses ``size`` bytes if they are more than ``limit``."""
    if size > limit:
        what = f"would unpack to {size / GIB:,.1f} GiB, more than the {limit / GIB:,.1f} GiB that are allowed"
        raise InputError(what, where=show(where), mend="save it as an uncompressed .npy, which is read in place")
