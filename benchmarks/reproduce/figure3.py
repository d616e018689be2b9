"""Figure 3 of the AEVB paper: the marginal likelihood that AEVB, wake-sleep and Monte Carlo EM reach.

    python benchmarks/reproduce/figure3.py [--out build/figure3] [--samples 100000 1000000] [--examples 100] [--quick]

Three latents and one layer of 100 tanh units, on 1,000 and on all 50,000 training examples of the fixed binarisation
(which has to be at hand: $LOWERBOUND_DATA). The paper estimates log p(x) by its appendix D; with three latents it is
known exactly, by quadrature, so that is what is shown: of the first --examples training and test examples, in nats,
after so many training examples seen, and the paired difference from AEVB. Adam at 1e-3 where the paper has Adagrad. No
validation split: what is kept is the last word, over-fitting included.

Each cell is a file in --out; what is there is not computed again. Writes figure3.md, figure3.json and figure3.png.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
import time
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any

import torch

from lowerbound import data as lb_data
from lowerbound.data.dataset import Data, Split
from lowerbound.maths.units import Estimate
from lowerbound.readers.log_likelihood import log_likelihood
from lowerbound.training.load import load
from lowerbound.training.loop import train
from lowerbound.training.spec import Spec, complete

MLP = {"name": "mlp", "hidden": [100], "activation": "tanh"}
METHODS: dict[str, dict[str, Any]] = {
    "AEVB": {"encoder": MLP},
    "wake-sleep": {"encoder": MLP, "game": {"name": "wake-sleep"}},
    "MCEM": {"decoder": MLP, "posterior": {"name": "none"}, "game": {"name": "mcem", "leapfrog": 10}},
}
SIZES = (1000, 50_000)


def some(data: Data, n: int, tested: int) -> Data:
    """The first ``n`` training and the first ``tested`` test examples."""
    parts = {"train": n, "valid": 0, "test": tested}
    splits = {name: Split(data.splits[name].x[:size]) for name, size in parts.items()}
    return replace(data, splits=splits, record={**data.record, "examples": parts})


def cell(out: Path, name: str, n: int, samples: int, data: Data, tested: int) -> dict[str, Any]:
    """What one method reaches: trained and measured, or read where that was done."""
    path = out / f"{name}-{n}-{samples}.json"
    if path.exists():
        return json.loads(path.read_text("utf-8"))
    training = {"epochs": math.ceil(samples / n), "batch": 100, "learning_rate": 1e-3, "seed": 0}
    run = out / "runs" / path.stem
    begun = time.perf_counter()
    if not (run / "weights.safetensors").exists():
        train(Spec.of(complete({"latent": 3, "training": training} | METHODS[name])), data, run)
    found: dict[str, Any] = {"method": name, "n": n, "samples": samples}
    found["seconds"] = round(time.perf_counter() - begun, 1)
    trained = load(run, data)
    for split in ("train", "test"):
        measured = log_likelihood(
            trained, split, "quadrature", examples=min(tested, len(data.splits[split])), tolerance=0.1
        )
        found[split] = measured.log_p.tolist()
    path.write_text(json.dumps(found, indent=2) + "\n", "utf-8")
    print(
        f"{path.stem}: {mean(found['train']):.2f} in training, {mean(found['test']):.2f} held out",
        file=sys.stderr,
        flush=True,
    )
    return found


def mean(log_p: list[float]) -> float:
    """Their mean, nats."""
    return sum(log_p) / len(log_p)


def page(cells: list[dict[str, Any]]) -> str:
    """The table as Markdown; the error of a difference is that of paired examples."""
    lines = [
        f"Measured {date.today().isoformat()}, {torch.get_num_threads()} thread(s), seed 0; nats, exact by quadrature."
    ]
    lines += ["", "| training examples | seen | method | log p, train | log p, test | test, less AEVB's | seconds |"]
    lines += ["| --- | --- | --- | --- | --- | --- | --- |"]
    for c in cells:
        train_, test = (Estimate.of(torch.tensor(c[split])) for split in ("train", "test"))
        first = next(d for d in cells if (d["method"], d["n"], d["samples"]) == ("AEVB", c["n"], c["samples"]))
        less = Estimate.of(torch.tensor(c["test"]) - torch.tensor(first["test"]))
        figures = [f"{e.value:.2f} ± {e.stderr:.2f}" for e in (train_, test)]
        figures.append("" if c is first else f"{less.value:+.2f} ± {less.stderr:.2f}")
        cells_of_row = [f"{c['n']:,}", f"{c['samples']:,}", c["method"], *figures, f"{c['seconds']:.0f}"]
        lines.append("| " + " | ".join(cells_of_row) + " |")
    return "\n".join(lines) + "\n"


def picture(cells: list[dict[str, Any]], path: Path) -> None:
    """Log p of training (dashed) and test examples over examples seen, a panel a training set."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(1, len(SIZES), figsize=(9, 3.6), sharey=True, layout="constrained")
    colours = dict(zip(METHODS, ("#1f6f8b", "#d1495b", "#8a6d3b"), strict=True))
    for axis, n in zip(axes, SIZES, strict=True):
        for name, colour in colours.items():
            mine = sorted((c for c in cells if c["n"] == n and c["method"] == name), key=lambda c: c["samples"])
            seen = [c["samples"] for c in mine]
            axis.plot(seen, [mean(c["test"]) for c in mine], "o-", color=colour, label=f"{name}, test")
            axis.plot(seen, [mean(c["train"]) for c in mine], "--", color=colour, label=f"{name}, train")
        axis.set(xscale="log", xlabel="training examples seen", title=f"{n:,} training examples")
        axis.spines[["top", "right"]].set_visible(False)
    axes[0].set_ylabel("log p(x), nats")
    axes[0].legend(frameon=False, fontsize=8)
    figure.savefig(path, dpi=150)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("build/figure3"))
    parser.add_argument("--samples", type=int, nargs="+", default=[100_000, 1_000_000])
    parser.add_argument("--examples", type=int, default=100, help="how many of each split to measure")
    parser.add_argument("--quick", action="store_true", help="20,000 examples seen, 5 measured: a rehearsal")
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    whole = lb_data.load("binarized-mnist")
    tested = 5 if options.quick else options.examples
    budgets = [20_000] if options.quick else options.samples
    cells = []
    for n in SIZES:
        data = some(whole, n, tested)
        for samples in budgets:
            cells += [cell(options.out, name, n, samples, data, tested) for name in METHODS]
    (options.out / "figure3.json").write_text(json.dumps(cells, indent=2) + "\n", "utf-8")
    (options.out / "figure3.md").write_text(page(cells), "utf-8")
    picture(cells, options.out / "figure3.png")
    print(page(cells))


if __name__ == "__main__":
    main()
