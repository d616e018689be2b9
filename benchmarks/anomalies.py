"""Outlier sets ranked by the bound: area under the ROC curve (AUC) on held-out rows, beside an isolation forest.

    python benchmarks/anomalies.py --data DIR [--seeds 3] [--json FILE]

DIR holds the sets of the ODDS library as NAME.npz with X (rows, columns) and y (1 is an outlier). As in the usual
protocol for these sets, nobody tells the model what is an outlier: it is trained on a random 60 % of all rows, outliers
among them, and ranks the other 40 %. Settings are the same for every set and chosen for none.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
from pathlib import Path

import numpy as np
from sklearn.ensemble import IsolationForest
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import train_test_split

from lowerbound import data as data_floor
from lowerbound.readers.score import score
from lowerbound.training.load import load
from lowerbound.training.loop import train
from lowerbound.training.spec import Spec, complete

STEPS, BATCH, LATENT, SAMPLES = 1500, 64, 4, 64


def bound_auc(x: np.ndarray, y: np.ndarray, seed: int, estimator: str) -> float:
    """Train on 60 %, rank the rest by the bound."""
    first, rest, _, truth = train_test_split(x, y, train_size=0.6, random_state=seed, stratify=y)
    spread = first.std(0)
    first, rest = ((part - first.mean(0))[:, spread > 0] / spread[spread > 0] for part in (first, rest))
    data = data_floor.from_array(first.astype(np.float32), kind="real", valid=0.1, test=0)
    settings = {
        "latent": LATENT,
        "encoder": {"hidden": [64]},
        "likelihood": {"name": "normal"},
        "training": {
            "epochs": max(1, STEPS * BATCH // len(first)),
            "batch": BATCH,
            "learning_rate": 2e-3,
            "seed": seed,
        },
    }
    with tempfile.TemporaryDirectory() as folder:
        run = train(Spec.of(complete(settings)), data, Path(folder) / "run")
        found = score(load(run.path, data), rest.astype(np.float32), samples=SAMPLES, estimator=estimator)  # type: ignore
    return float(roc_auc_score(truth, found.strangeness))


def forest_auc(x: np.ndarray, y: np.ndarray, seed: int) -> float:
    """The same split, an isolation forest."""
    first, rest, _, truth = train_test_split(x, y, train_size=0.6, random_state=seed, stratify=y)
    return float(roc_auc_score(truth, -IsolationForest(random_state=seed).fit(first).score_samples(rest)))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--sets", nargs="*")
    parser.add_argument("--estimator", default="elbo")
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    rows = []
    print(f"| {'set':<11} | rows x columns | outliers | bound | isolation forest |\n| --- | --- | --- | --- | --- |")
    for path in sorted(given.data.glob("*.npz")):
        if given.sets and path.stem not in given.sets:
            continue
        held = np.load(path)
        x, y = held["X"].astype(np.float64), held["y"]
        ours = [bound_auc(x, y, seed, given.estimator) for seed in range(given.seeds)]
        forest = [forest_auc(x, y, seed) for seed in range(given.seeds)]
        rows.append({"set": path.stem, "rows": len(x), "outliers": int(y.sum()), "bound": ours, "forest": forest})
        shown = " | ".join(f"{statistics.mean(a):.3f} ± {statistics.pstdev(a):.3f}" for a in (ours, forest))
        print(f"| {path.stem:<11} | {len(x):,} x {x.shape[1]} | {y.mean():.1%} | {shown} |", flush=True)
    if given.json:
        given.json.write_text(json.dumps(rows, indent=2))


if __name__ == "__main__":
    main()
