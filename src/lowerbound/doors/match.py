"""``match``: whether the codes of held-out examples match the prior."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from lowerbound.doors import files, options, output
from lowerbound.doors.read import Split, open_run, split_of


def match(
    run: options.RunFolder,
    split: Split = None,
    n: Annotated[int, typer.Option("--n", "-n", help="Codes at most.", metavar="N", min=20, max=3000)] = 1000,
    permutations: Annotated[
        int, typer.Option(help="Relabellings; the least p-value is one over one more.", metavar="N", min=19)
    ] = 499,
    seed: options.Seed = 0,
    out: Annotated[
        Path | None, typer.Option("--out", help="Draw the codes beside the prior: .svg.", metavar="FILE")
    ] = None,
    data_dir: options.DataDir = None,
    device: options.Device = "auto",
    threads: options.Threads = None,
    as_json: options.Json = False,
) -> None:
    """Test whether codes match the prior: one draw of q(z|x) for each held-out example against draws of p(z).

    A permutation test of the maximum mean discrepancy, exact at any number of codes, with a test of each coordinate
    beside it. What the model draws from the prior can be like data only where the two match.
    """
    files.checked(out, (".svg",))
    options.use_threads(threads)
    trained = open_run(run, data_dir, device)
    from lowerbound.readers import figures
    from lowerbound.readers.pictures import refuse_codeless
    from lowerbound.readers.two_sample import drawn

    refuse_codeless(trained)

    found, picture = drawn(trained, split_of(trained, split), n=n, permutations=permutations, seed=seed)
    if out is not None:
        options.write(out, figures.page(picture, "Codes beside the prior").encode(), "--out")
    if as_json:
        output.show_json(found.json() | {"words": found.words(), "written": out})
        return
    for line in found.words():
        output.show(line)
