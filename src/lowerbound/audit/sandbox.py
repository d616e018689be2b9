"""Somebody's code in a process of its own, with a limit on time and memory; JSON in, JSON out."""

from __future__ import annotations

import contextlib
import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from lowerbound.audit.verdict import Verdict, from_dict
from lowerbound.errors import InputError

ROLES = ("x", "out", "mu", "s")


def run(spec: dict[str, Any], seconds: float = 60.0, gigabytes: float = 8.0) -> Verdict:
    """Audit ``spec["target"]`` (FILE:NAME) in a subprocess; InputError where it cannot be done."""
    reader, writer = os.pipe()
    command = [sys.executable, "-m", "lowerbound.audit.sandbox", str(writer), str(gigabytes), str(int(seconds) + 1)]
    try:
        with subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, pass_fds=(writer,)
        ) as process:
            os.close(writer)
            try:
                _, error = process.communicate(json.dumps(spec).encode(), timeout=seconds)
            except subprocess.TimeoutExpired:
                process.kill()
                process.communicate()
                raise InputError(
                    f"took more than {seconds:g} s", where=spec["target"], mend="give a faster loss or --limit"
                ) from None
        with os.fdopen(reader, "rb", closefd=False) as pipe:
            answer = pipe.read()
    finally:
        os.close(reader)
    if not answer:
        last = error.decode(errors="replace").strip().splitlines()
        raise InputError(
            f"ended with status {process.returncode}: {last[-1] if last else 'no message'}",
            where=spec["target"],
            mend="run the function by hand first",
        )
    reply = json.loads(answer)
    if "error" in reply:
        raise InputError(reply["error"], where=spec["target"], mend=reply.get("mend"))
    return from_dict(reply["verdict"])


def load(target: str) -> Any:
    """The object named by FILE:NAME."""
    path, _, name = target.rpartition(":")
    if not path or not name:
        raise InputError("is not FILE:NAME", where=target, mend="write my_model.py:vae_loss")
    file = Path(path)
    if not file.is_file():
        raise InputError("no such file", where=path, mend="give the path of a Python file")
    sys.path.insert(0, str(file.parent.resolve()))
    module_spec = importlib.util.spec_from_file_location(file.stem, file)
    if module_spec is None or module_spec.loader is None:
        raise InputError("is not a Python file", where=path, mend="give a file that ends in .py")
    module = importlib.util.module_from_spec(module_spec)
    sys.modules[file.stem] = module
    try:
        module_spec.loader.exec_module(module)
    except Exception as error:
        raise InputError(
            f"fails on import: {type(error).__name__}: {error}", where=path, mend="make it importable"
        ) from error
    thing: Any = module
    for part in name.split("."):
        if not hasattr(thing, part):
            known = ", ".join(n for n in vars(module) if not n.startswith("_"))
            raise InputError(f"has no {name}", where=path, mend=f"it has {known}")
        thing = getattr(thing, part)
    return thing


def audit(spec: dict[str, Any]) -> Verdict:
    """Audit a function, or a module class or object with STEP and BATCH beside it."""
    from torch import nn

    from lowerbound.audit.check import check

    thing = load(spec["target"])
    beside = {
        n: getattr(sys.modules[Path(spec["target"].rpartition(":")[0]).stem], n, None)
        for n in ("step", "batch", "sampler")
    }
    more: dict[str, Any] = {"x": spec["x"], "out": spec["out"]}
    if isinstance(thing, type) and issubclass(thing, nn.Module):
        thing = thing()
    if isinstance(thing, nn.Module):
        batch = beside["batch"]() if callable(beside["batch"]) else beside["batch"]
        if batch is None:
            raise InputError(
                "a module needs a batch", where=spec["target"], mend="define batch (and step) in the same file"
            )
        return check(thing, step=beside["step"], batch=batch, **more)
    file = spec["target"].rpartition(":")[0]
    sampler = load(f"{file}:{spec['sampler']}") if spec.get("sampler") else None
    roles = {r: spec[r + "_name"] for r in ROLES if spec.get(r + "_name")}
    return check(
        thing,
        sampler,
        sizes=tuple(spec["sizes"]),
        roles=roles or None,
        framework=spec.get("framework", "torch"),
        **more,
    )


def limit(gigabytes: float, seconds: int) -> None:
    """Cap memory and processor time of this process."""
    with contextlib.suppress(ImportError, ValueError, OSError):
        import resource

        room = int(gigabytes * 2**30)
        resource.setrlimit(resource.RLIMIT_AS, (room, room))
        resource.setrlimit(resource.RLIMIT_CPU, (seconds * 4, seconds * 4))


def main(arguments: list[str]) -> None:
    """Child process: read a spec from standard input, write the answer to the given descriptor."""
    writer, gigabytes, seconds = int(arguments[0]), float(arguments[1]), int(arguments[2])
    spec = json.loads(sys.stdin.buffer.read())
    limit(gigabytes, seconds)
    try:
        reply: dict[str, Any] = {"verdict": audit(spec).to_dict()}
    except InputError as error:
        reply = {"error": error.what if error.where is None else f"{error.where}: {error.what}", "mend": error.mend}
    except Exception as error:
        reply = {
            "error": f"{type(error).__name__}: {' '.join(str(error).split())}",
            "mend": "run the function by hand first",
        }
    with os.fdopen(writer, "w") as pipe:
        pipe.write(json.dumps(reply))


if __name__ == "__main__":
    main(sys.argv[1:])
