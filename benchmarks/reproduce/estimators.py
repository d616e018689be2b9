"""Estimators of log p(x) against the truth: models of 2 and 3 latents by quadrature, a linear model by its formula.

    python benchmarks/reproduce/estimators.py [--out build/estimators] [--examples 100] [--quick]

Trains a Bernoulli model of 2 and of 3 latents on scikit-learn's digits (binarised at the middle), a linear one on the
same digits, and, where $LOWERBOUND_DATA has binary/nltcs.npz, one of 2 latents on its 16 variables, all of whose 65,536
states are then weighed. Every estimator is held against the exact value of the same test examples: the mean difference
with its standard error over examples, the largest, and the seconds it took. The bracket (annealing forward and back) is
taken on examples drawn from the model, and held against quadrature of the very same ones.

Each cell is a file in --out; what is there is not computed again. The table is written to estimators.md, all figures
to estimators.json.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import platform
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any

import torch

from lowerbound import data as lb_data
from lowerbound.data.dataset import Data, Split
from lowerbound.maths.units import Estimate
from lowerbound.readers.log_likelihood import LogLikelihood, bracket, log_likelihood
from lowerbound.readers.log_likelihood.annealed import simulated
from lowerbound.training.load import Trained, load
from lowerbound.training.loop import train
from lowerbound.training.spec import Spec, complete

Cell = dict[str, Any]
MLP = {"encoder": {"hidden": [200], "activation": "tanh"}}
EPOCHS = {"digits": 200, "nltcs": 40}


def model(out: Path, source: str, data: Data, latent: int, epochs: int, **settings: Any) -> Trained:
    """The run in the folder ``out``, trained if it is not there."""
    path = out / "runs" / f"{source}-{latent}"
    if not (path / "evaluation.json").exists() and not (path / "weights.safetensors").exists():
        training = {"epochs": epochs, "batch": 100, "learning_rate": 1e-3, "seed": 0}
        train(Spec.of(complete(MLP | {"latent": latent, "training": training} | settings)), data, path)
    return load(path, data)


def cell(out: Path, name: str, compute: Callable[[], Cell]) -> Cell:
    """What the file ``name`` holds, computed if it is not there."""
    path = out / "cells" / f"{name}.json"
    if path.exists():
        return json.loads(path.read_text("utf-8"))
    begun = time.perf_counter()
    found = compute() | {"seconds": round(time.perf_counter() - begun, 1)}
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_suffix(".part")
    part.write_text(json.dumps(found, indent=2) + "\n", "utf-8")
    part.replace(path)
    print(f"{name}: {json.dumps({k: v for k, v in found.items() if k != 'log_p'})}", file=sys.stderr, flush=True)
    return found


def against(found: LogLikelihood, exact: torch.Tensor) -> Cell:
    """The difference from the truth, nats."""
    off = found.log_p - exact
    difference = Estimate.of(off)
    return {"value": found.estimate.value, "off": difference.value, "stderr": difference.stderr} | {
        "largest": off.abs().max().item(),
        "what": found.what,
        "doubtful": found.doubtful,
        "examples": len(off),
    }


def methods(quick: bool) -> dict[str, dict[str, Any]]:
    """Name -> the arguments of ``log_likelihood``."""
    found: dict[str, dict[str, Any]] = {
        f"importance, K = {k:,}": {"method": "importance", "samples": k}
        for k in ((1, 10, 100, 1000) if quick else (1, 10, 100, 1000, 10_000, 100_000))
    }
    for start, t in itertools.product(("posterior", "prior"), (50,) if quick else (100, 500)):
        told = {"method": "annealed", "samples": 16, "temperatures": t, "start": start}
        found[f"annealed from the {start}, {t} temperatures"] = told
    for fit in ("full", "diagonal", "kernel"):
        found[f"appendix D, {fit}"] = {"method": "appendix-d", "samples": 1000, "fit": fit}
    return found


def truth(out: Path, name: str, trained: Trained, examples: int, method: str = "quadrature") -> torch.Tensor:
    """The exact values of the first examples of the test split."""

    def compute() -> Cell:
        found = log_likelihood(trained, method=method, examples=examples)
        return {"log_p": found.log_p.tolist(), "what": found.what, "value": found.estimate.value}

    return torch.tensor(cell(out, f"{name}-truth", compute)["log_p"], dtype=torch.float64)


def table(out: Path, name: str, trained: Trained, examples: int, quick: bool, exact: torch.Tensor) -> dict[str, Cell]:
    """Every method against the truth, for one model."""
    rows = {}
    for i, (label, told) in enumerate(methods(quick).items()):
        rows[label] = cell(
            out, f"{name}-{i:02}", lambda told=told: against(log_likelihood(trained, examples=examples, **told), exact)
        )
    return rows


def both_sides(out: Path, name: str, trained: Trained, examples: int, temperatures: int) -> Cell:
    """The bracket on examples drawn from the model, and where the truth lies in it."""

    def compute() -> Cell:
        found = bracket(trained, examples, temperatures=temperatures)
        x, _ = simulated(trained.model, torch.arange(examples), 0)
        drawn = replace(trained.data, splits={**trained.data.splits, "test": Split(x.float())})
        same = replace(trained, given=drawn)
        same.__dict__["data"] = drawn
        exact = log_likelihood(same, method="quadrature").log_p
        sides = {"below": exact - found.lower.log_p, "above": found.upper.log_p - exact}
        figures = {side: vars(Estimate.of(a)) for side, a in sides.items()}
        return figures | {"gap": vars(found.gap), "examples": examples, "temperatures": temperatures}

    return cell(out, f"{name}-bracket", compute)


def states(out: Path, name: str, trained: Trained, samples: int) -> Cell:
    """The estimated probabilities of all states of binary variables: their sum must be 1."""

    def compute() -> Cell:
        parts = trained.data.shape[0]
        every = torch.tensor(list(itertools.product([0.0, 1.0], repeat=parts)))
        same = replace(trained)
        same.__dict__["data"] = replace(trained.data, splits={**trained.data.splits, "test": Split(every)})
        found = log_likelihood(same, samples=samples)
        p = found.log_p.exp()
        error = (p.square() * (1 / found.effective - 1 / samples).clamp(min=0)).sum().sqrt().item()
        grid = log_likelihood(same, method="quadrature", tolerance=1e-3)
        figures = {"sum": p.sum().item(), "stderr": error, "states": len(every), "samples": samples}
        return figures | {"sum_by_quadrature": grid.log_p.exp().sum().item(), "grids": grid.what}

    return cell(out, f"{name}-states", compute)


def nltcs() -> Data | None:
    """The 16 binary variables, where they are at hand."""
    path = Path(os.environ.get("LOWERBOUND_DATA", "")) / "binary" / "nltcs.npz"
    return lb_data.load(str(path)) if "LOWERBOUND_DATA" in os.environ and path.exists() else None


def page(results: dict[str, Any]) -> str:
    """The tables as Markdown."""
    lines = [f"Measured {results['date']}, torch {results['torch']}, {results['threads']} thread(s).", ""]
    for name, rows in results["models"].items():
        lines += [f"**{name}**", "", "| estimator | off by (nats) | largest | seconds |", "| --- | --- | --- | --- |"]
        for label, row in rows.items():
            off = f"{row['off']:+.4f} ± {row['stderr']:.4f}"
            lines.append(f"| {label} | {off} | {row['largest']:.3f} | {row['seconds']} |")
        lines.append("")
    for name, b in results["brackets"].items():
        below, above, gap = (f"{b[k]['value']:+.4f} ± {b[k]['stderr']:.4f}" for k in ("below", "above", "gap"))
        lines.append(
            f"Bracket, {name}, {b['examples']} drawn examples, {b['temperatures']} temperatures: the truth is {below} "
            f"above the lower side and {above} below the upper one; the gap is {gap} nats."
        )
    for name, s in results["states"].items():
        total = f"{s['sum']:.5f} ± {s['stderr']:.5f} ({s['samples']} samples a state)"
        by_grid = f"by quadrature to {s['sum_by_quadrature']:.6f}"
        lines.append(f"\nAll {s['states']:,} states, {name}: the probabilities sum to {total}, {by_grid}.")
    return "\n".join(lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("build/estimators"))
    parser.add_argument("--examples", type=int, default=100)
    parser.add_argument("--quick", action="store_true", help="fewer epochs, examples and samples: a minute or two")
    options = parser.parse_args()
    out, quick = options.out, options.quick
    examples = min(options.examples, 20) if quick else options.examples
    results: dict[str, Any] = {"models": {}, "brackets": {}, "states": {}}
    results |= {"date": date.today().isoformat(), "torch": torch.__version__, "threads": torch.get_num_threads()}
    results |= {"machine": platform.machine(), "examples": examples}
    digits = lb_data.load("digits", binarise="threshold")
    for latent in (2, 3):
        name = f"digits, {latent} latents"
        trained = model(out, "digits", digits, latent, 20 if quick else EPOCHS["digits"])
        exact = truth(out, f"digits-{latent}", trained, examples)
        results["models"][name] = table(out, f"digits-{latent}", trained, examples, quick, exact)
        results["brackets"][name] = both_sides(out, f"digits-{latent}", trained, examples, 50 if quick else 500)
    linear = {"encoder": {"hidden": []}, "likelihood": {"name": "normal"}}
    grey = lb_data.load("digits", binarise="none", kind="real")
    trained = model(out, "linear", grey, 3, 20 if quick else EPOCHS["digits"], **linear)
    exact = truth(out, "linear-3", trained, examples, "exact")
    results["models"]["linear, 3 latents"] = table(out, "linear-3", trained, examples, quick, exact)
    if (data := nltcs()) is not None:
        trained = model(out, "nltcs", data, 2, 5 if quick else EPOCHS["nltcs"], encoder={"hidden": [50]})
        results["states"]["nltcs, 2 latents"] = states(out, "nltcs-2", trained, 20 if quick else 200)
    out.mkdir(parents=True, exist_ok=True)
    (out / "estimators.json").write_text(json.dumps(results, indent=2) + "\n", "utf-8")
    (out / "estimators.md").write_text(page(results), "utf-8")
    print(page(results))


if __name__ == "__main__":
    main()
