"""The command line. ``main`` is the only place where an error becomes a line and an exit code.

====  ==========================================================
code  meaning
====  ==========================================================
0     done
1     the machine failed (disk full, out of memory), or a bug
2     wrong input: one line says what, where and how to mend it
3     training met a number that is not finite
130   stopped by SIGINT; in training a checkpoint was written
143   stopped by SIGTERM; in training a checkpoint was written
====  ==========================================================
"""

from __future__ import annotations

import importlib
import inspect
import sys
from collections.abc import Callable, Sequence
from typing import Annotated, Any

import typer

from lowerbound import __version__
from lowerbound.doors import output
from lowerbound.doors.signals import Stopped, raising
from lowerbound.errors import InputError, Interrupted, NonFiniteError

INPUT, NON_FINITE, MACHINE = 2, 3, 1

app = typer.Typer(
    name="lowerbound",
    no_args_is_help=False,
    invoke_without_command=True,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def version(wanted: bool) -> None:
    """Print the version and stop."""
    if wanted:
        output.show(f"lowerbound {__version__}")
        raise typer.Exit


@app.callback(
    epilog="First steps:  [bold]lowerbound train digits[/]   then   [bold]lowerbound explain runs/digits-1[/]"
)
def root(
    context: typer.Context,
    version: Annotated[
        bool, typer.Option("--version", help="Print the version.", is_eager=True, callback=version)
    ] = False,
) -> None:
    """Train, evaluate and explain variational autoencoders: the KL term visible, verified and right.

    All figures are nats per example unless they say otherwise. Wrong input is answered with one line and exit code 2.
    """
    if context.invoked_subcommand is None:
        output.show(context.get_help())


COMMANDS: dict[str, tuple[str, str, str]] = {
    "train": (
        "train.train",
        "Train",
        """lowerbound train digits
        lowerbound train digits --epochs 3 --seed 0 --out runs/first
        lowerbound train people.csv --labels class --latent 5
        lowerbound train binarized-mnist --recipe aevb --data-dir ~/data
        lowerbound train photos/ -s encoder=residual -s encoder.channels=[32,64] -s objective=free-bits
        lowerbound train --resume runs/first""",
    ),
    "sweep": (
        "sweep.sweep",
        "Train",
        """lowerbound sweep mnist --beta 0.1:10:12
        lowerbound sweep digits --beta 0.5,1,2 --epochs 20 --out runs/three
        lowerbound sweep --resume runs/three""",
    ),
    "evaluate": (
        "evaluate.evaluate",
        "Read a run",
        """lowerbound evaluate runs/digits-1
        lowerbound evaluate runs/digits-1 --split valid --samples 16 --json
        lowerbound evaluate runs/digits-1 --method importance --samples 5000 --arrays log-p.npz""",
    ),
    "explain": (
        "read.explain",
        "Read a run",
        """lowerbound explain kl --mean 1 --log-variance -1 --picture kl.svg
        lowerbound explain runs/digits-1""",
    ),
    "surgery": (
        "surgery.surgery",
        "Read a run",
        """lowerbound surgery runs/digits-1
        lowerbound surgery runs/digits-1 --split train --examples 1000 --json""",
    ),
    "compare": (
        "compare.compare",
        "Read a run",
        """lowerbound compare runs/digits-1 runs/digits-2
        lowerbound compare runs/* --against best --samples 16 --picture runs.svg
        lowerbound compare runs/digits-1 runs/digits-2 --method importance --arrays differences.npz""",
    ),
    "score": (
        "score.score",
        "Use a model",
        """lowerbound score runs/digits-1
        lowerbound score runs/people-1 more.csv --estimator iwae --samples 100 --out scores.csv""",
    ),
    "impute": (
        "impute.impute",
        "Use a model",
        """lowerbound impute runs/people-1 gaps.csv --draws 20 --out filled.csv
        lowerbound impute runs/people-1 --check --draws 99""",
    ),
    "match": (
        "match.match",
        "Read a run",
        """lowerbound match runs/digits-1
        lowerbound match runs/digits-1 --n 3000 --out codes.svg""",
    ),
    "disentangle": (
        "disentangle.disentangle",
        "Read a run",
        """lowerbound disentangle runs/factors-1 --out factors.svg
        lowerbound disentangle runs/factors-1 runs/factors-2 runs/factors-3
        lowerbound disentangle runs/mine-1 --factors levels.npy""",
    ),
    "fidelity": (
        "fidelity.fidelity",
        "Read a run",
        """lowerbound fidelity runs/digits-1
        lowerbound fidelity runs/digits-1 --features classifier --expected --out nearest.png
        lowerbound fidelity runs/vae runs/aae runs/gan --out side-by-side.png""",
    ),
    "report": ("read.report", "Read a run", "lowerbound report runs/digits-1"),
    "sample": (
        "pictures.sample",
        "Use a model",
        """lowerbound sample runs/digits-1 -n 64 --out new.png
        lowerbound sample runs/people-1 -n 1000 --draw --out people.csv
        lowerbound sample runs/doersch-cvae --given 3,17 --count 10 --out completed.png""",
    ),
    "encode": (
        "codes.encode",
        "Use a model",
        """lowerbound encode runs/digits-1 --out codes.npz
        lowerbound encode runs/digits-1 more.npy --out codes.csv""",
    ),
    "decode": (
        "codes.decode",
        "Use a model",
        """lowerbound decode runs/digits-1 codes.npz --out decoded.png
        lowerbound decode runs/plane-1 --z=0.5,-1 --z=0,0 --json""",
    ),
    "reconstruct": (
        "pictures.reconstruct",
        "Use a model",
        "lowerbound reconstruct runs/digits-1 -n 30",
    ),
    "interpolate": (
        "pictures.interpolate",
        "Use a model",
        """lowerbound interpolate runs/digits-1
        lowerbound interpolate runs/digits-1 --from 3 --to 17 --kind spherical --out way.png""",
    ),
    "morph": (
        "latent.morph",
        "Read a latent space",
        """lowerbound morph runs/digits-1 --through class:9,class:8,class:7,class:6
        lowerbound morph runs/digits-1 --through 3,17,42 --kind spherical --frames 20 --out way.webp""",
    ),
    "traverse": (
        "latent.traverse",
        "Read a latent space",
        """lowerbound traverse runs/digits-1
        lowerbound traverse runs/digits-1 --row 17 --top 5""",
    ),
    "manifold": (
        "latent.manifold",
        "Read a latent space",
        """lowerbound manifold runs/plane-1
        lowerbound manifold runs/plane-1 --side 30 --linear=-4:4 --out plane.png""",
    ),
    "plane": ("latent.plane", "Read a latent space", "lowerbound plane runs/plane-1"),
    "arithmetic": (
        "latent.arithmetic",
        "Read a latent space",
        """lowerbound arithmetic runs/digits-1 --from class:3 --to class:8
        lowerbound arithmetic runs/digits-1 class:8 class:3 class:1
        lowerbound arithmetic runs/people-1 --from 'town=Ulm' --to 'town=Bonn'""",
    ),
    "reproduce": (
        "reproduce.reproduce",
        "Train",
        """lowerbound reproduce
        lowerbound reproduce tutorials --data-dir ~/data
        lowerbound reproduce tutorials --only keras-simple --scale 0.02""",
    ),
    "list": (
        "lists.list_",
        "Find out",
        """lowerbound list recipes
        lowerbound list recipes aevb
        lowerbound list data
        lowerbound list parts likelihood""",
    ),
    "data": (
        "lists.data",
        "Find out",
        """lowerbound data digits --picture digits.png
        lowerbound data people.csv --labels class
        lowerbound data arrays.npz --array images --binarise threshold""",
    ),
    "check": ("check.check", "Find out", "lowerbound check losses.py:vae_loss"),
}
"""Command -> (module.function, panel, examples)."""


def mount() -> None:
    """Add every command to the app."""
    for name, (place, panel, examples) in COMMANDS.items():
        module, attribute = place.split(".")
        function: Callable[..., Any] = getattr(importlib.import_module(f"lowerbound.doors.{module}"), attribute)
        app.command(name, help=flowing(function), epilog=examples_of(examples), rich_help_panel=panel)(function)


def flowing(function: Callable[..., Any]) -> str:
    """The docstring of a command with the lines of each paragraph joined: the terminal breaks them where it must."""
    paragraphs = (inspect.getdoc(function) or "").split("\n\n")
    return "\n\n".join(" ".join(paragraph.split()) for paragraph in paragraphs)


def examples_of(lines: str) -> str:
    """Examples, one a line."""
    return "\n\n".join(["[bold]Examples[/]", *(f"  [cyan]{line.strip()}[/]" for line in lines.splitlines())])


mount()


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit code."""
    try:
        with raising():
            code = typer.main.get_command(app).main(args=argv, prog_name="lowerbound", standalone_mode=False)
        return code if isinstance(code, int) else 0
    except BrokenPipeError:
        sys.stderr.close()
        return MACHINE
    except Stopped as stopped:
        output.remark(f"lowerbound: {stopped}")
        return 128 + stopped.signal
    except Exception as error:
        found = line_of(error)
        if found is None:
            raise
        code, line = found
        output.remark(f"lowerbound: {' '.join(line.split())}")
        return code


def line_of(error: Exception) -> tuple[int, str] | None:
    """The exit code and the line of an error that is not a bug."""
    if isinstance(error, InputError):
        return INPUT, str(error)
    if isinstance(error, Interrupted):
        return 128 + error.signal, str(error)
    if isinstance(error, NonFiniteError):
        return NON_FINITE, f"{error}; lower the learning rate (--lr) or clip gradients (-s training.clip=100)"
    if hasattr(error, "format_message"):
        return INPUT, usage(error)
    if isinstance(error, typer.Abort):
        return 130, "stopped"
    if type(error).__name__ == "OutOfMemoryError":
        return MACHINE, "the device is out of memory; use a smaller --batch, or --device cpu"
    if isinstance(error, OSError):
        return MACHINE, f"{error.filename or 'the system'}: {error.strerror or error}; mend that and try again"
    return None


def usage(error: Any) -> str:
    """A usage error of the command line as one sentence with the way to help."""
    context = getattr(error, "ctx", None)
    command = context.command_path if context else "lowerbound"
    message = error.format_message().rstrip(".")
    return f"{message[:1].lower()}{message[1:]}; see: {command} --help"
