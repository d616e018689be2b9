"""``surgery``: what the KL of a finished run is made of."""

from __future__ import annotations

from typing import Annotated

import typer

from lowerbound.doors import options, output
from lowerbound.doors.read import Split, open_run, split_of


def surgery(
    run: options.RunFolder,
    split: Split = None,
    examples: Annotated[
        int, typer.Option(help="How many examples to read; work grows with the square.", metavar="N", min=2)
    ] = 2000,
    seed: options.Seed = 0,
    data_dir: options.DataDir = None,
    device: options.Device = "auto",
    threads: options.Threads = None,
    as_json: options.Json = False,
) -> None:
    """Take the KL of a run apart: information about x, total correlation, each dimension's gap to the prior.

    The parts add up to the rate. Each has a standard error and two numbers that bracket it, since N examples can show
    at most log N nats of information. Beside them: dimensions in use by two definitions, and holes of the aggregate
    posterior, where the prior draws codes and the examples put none.
    """
    options.use_threads(threads)
    trained = open_run(run, data_dir, device)
    from lowerbound.readers.surgery import surgery as taken_apart

    found = taken_apart(trained, split_of(trained, split), examples=examples, seed=seed)
    if as_json:
        output.show_json(found.json())
        return
    for line in found.lines():
        output.show(line)
