"""The flags that ``train`` and ``sweep`` share: what a run is made of."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from lowerbound.doors import options

MODEL, TRAINING, DATA, RUN = "Model and objective", "Training", "Data", "Run"


def text(flag: str, help_: str, metavar: str, panel: str) -> Any:
    """A flag that is read as text: its mistakes are reported together with all others."""
    return typer.Option(flag, help=help_, metavar=metavar, rich_help_panel=panel)


Recipe = Annotated[
    str | None,
    typer.Option(
        "--recipe",
        help="Recipe by name (see: lowerbound list recipes) or a TOML file; by default one that suits the data.",
        metavar="NAME",
        autocompletion=options.complete_recipe,
        rich_help_panel=MODEL,
    ),
]
Latent = Annotated[str | None, text("--latent", "Latent dimensions.", "N", MODEL)]
Settings = Annotated[
    list[str] | None,
    typer.Option(
        "-s",
        "--set",
        help="Any option of any part, as part.option=value (see: lowerbound list parts). May be repeated.",
        metavar="PART.OPTION=VALUE",
        rich_help_panel=MODEL,
    ),
]
Epochs = Annotated[str | None, text("--epochs", "Passes over the training split.", "N", TRAINING)]
Batch = Annotated[str | None, text("--batch", "Examples a step.", "N", TRAINING)]
Rate = Annotated[str | None, text("--lr", "Learning rate.", "X", TRAINING)]
Seed = Annotated[str | None, text("--seed", "Seed of weights, batch order and noise.", "N", TRAINING)]
Device = Annotated[str | None, text("--device", "auto, cpu or cuda.", "NAME", TRAINING)]
Precision = Annotated[str | None, text("--precision", "float32, bfloat16 or float64; tf32 on CUDA.", "NAME", TRAINING)]
Binarise = Annotated[str | None, text("--binarise", "default, none, threshold, fixed or fresh.", "HOW", DATA)]
Kind = Annotated[
    str | None, text("--kind", "What a value is: auto, binary, unit, levels, real, count or table.", "KIND", DATA)
]
Array = Annotated[str | None, text("--array", "Which array of an .npz file.", "NAME", DATA)]
Labels = Annotated[str | None, text("--labels", "Column of a table to use as labels only.", "NAME", DATA)]
Valid = Annotated[
    str | None, text("--valid", "Share of the examples held out to choose the checkpoint: 0.1.", "X", DATA)
]
Test = Annotated[str | None, text("--test", "Share of the examples held out to the very end: 0.1.", "X", DATA)]
