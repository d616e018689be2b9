"""Run named tests against a copy of the library with one fault planted; see ``test_faults.py``.

Reads one JSON line a job from stdin: {"root": folder that holds the copy, "tests": [test ids]}; answers with one:
{"code": pytest's exit code, "output": its last lines}. torch and the oracles are imported once and each job is a
fork, so that it costs a second and not four.
"""

from __future__ import annotations

import io
import json
import os
import sys
import tempfile
import traceback
from contextlib import redirect_stderr, redirect_stdout

import hypothesis  # noqa: F401
import mpmath  # noqa: F401
import pydantic  # noqa: F401
import pytest
import scipy.special  # noqa: F401
import torch

QUIET = ("-W", "ignore:Module already imported:pytest.PytestAssertRewriteWarning")


def judge(root: str, tests: list[str]) -> tuple[int, str]:
    """pytest's exit code and output, with ``root`` first on the path."""
    sys.path.insert(0, root)
    words = io.StringIO()
    with redirect_stdout(words), redirect_stderr(words):
        code = pytest.main(["-x", "-q", "-p", "no:cacheprovider", "-p", "no:xdist", "--no-header", *QUIET, *tests])
    import lowerbound

    if not lowerbound.__file__.startswith(root):
        return 99, f"the copy was not used but {lowerbound.__file__}"
    return int(code), words.getvalue()[-4000:]


def serve() -> None:
    torch.set_num_threads(1)
    for line in sys.stdin:
        job = json.loads(line)
        with tempfile.TemporaryFile("w+") as answer:
            child = os.fork()
            if child == 0:
                code, output = 98, ""
                try:
                    code, output = judge(job["root"], job["tests"])
                except BaseException:
                    output = traceback.format_exc()
                finally:
                    json.dump({"code": code, "output": output}, answer)
                    answer.flush()
                    os._exit(0)
            os.waitpid(child, 0)
            answer.seek(0)
            print(answer.read(), flush=True)


if __name__ == "__main__":
    assert "lowerbound" not in sys.modules
    serve()
