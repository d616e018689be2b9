"""Variance of the gradient estimators, on a linear-Gaussian model whose exact gradient is known.

    python benchmarks/gradients.py [--draws 400] [--json out.json]

For each bound and estimator: the total variance of the gradient of one example, of the encoder's parameters and of the
decoder's, half way through training. Variance is what more samples or a better estimator buy; every estimator listed
as unbiased has the same expectation (tests/objective/test_bounds.py).
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import torch
from torch import Tensor

from lowerbound.data import from_array, summary
from lowerbound.model.linear import LinearAutoencoder
from lowerbound.objective import BOUNDS, OBJECTIVES, Batch, Minimised
from lowerbound.objective.schedules import Constant

CASES = [
    ("elbo", {"estimator": "closed"}, "SGVB B", True),
    ("elbo", {"estimator": "sampled"}, "SGVB A", True),
    *[
        ("iwae", {"k": k, "gradient": g}, f"{g}", g != "stl" or k == 1)
        for k in (1, 5, 50)
        for g in ("plain", "stl", "dreg")
    ],
]


def model_and_data() -> tuple[LinearAutoencoder, Tensor]:
    """A linear model of eight values, trained for 200 steps of 2,000 to a good bound, and a batch."""
    g = torch.Generator().manual_seed(0)
    x = torch.randn(500, 3, generator=g) @ torch.randn(3, 8, generator=g) + 0.5 * torch.randn(500, 8, generator=g)
    data = from_array(x.numpy(), valid=0, test=0, kind="real")
    torch.manual_seed(0)
    model = LinearAutoencoder.build(summary(data), latent=3).double()
    rows = data.splits["train"].x.double()
    optimiser = torch.optim.Adam(model.parameters(), lr=1e-2)
    for _ in range(200):
        optimiser.zero_grad()
        (-model(rows).elbo().mean()).backward()
        optimiser.step()
    return model, rows[:20]


def variances(model: LinearAutoencoder, x: Tensor, name: str, options: dict, draws: int) -> tuple[float, float]:
    """The summed variance of the gradient over encoder and over decoder parameters, of the mean over the batch."""
    objective = OBJECTIVES.build("elbo", 8, 3, Constant())
    minimised = Minimised(model, objective, BOUNDS.build(name, **options))
    encoder = [*model.encoder.parameters(), *model.posterior.parameters()]
    decoder = [*model.decoder.parameters(), *model.likelihood.parameters()]
    found = []
    for _ in range(draws):
        gradients = torch.autograd.grad(minimised(Batch(x))[0], [*encoder, *decoder])
        found.append(torch.cat([g.flatten() for g in gradients]))
    spread, n = torch.stack(found).var(0), sum(p.numel() for p in encoder)
    return len(x) * float(spread[:n].sum()), len(x) * float(spread[n:].sum())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--draws", type=int, default=400)
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    model, x = model_and_data()
    torch.manual_seed(1)
    rows = []
    print("| bound | k | estimator | unbiased | variance, encoder | variance, decoder |")
    print("| --- | --- | --- | --- | --- | --- |")
    for name, options, estimator, unbiased in CASES:
        encoder, decoder = variances(model, x, name, options, arguments.draws)
        k = options.get("k", 1)
        rows.append({"bound": name, "k": k, "estimator": estimator, "encoder": encoder, "decoder": decoder})
        print(f"| {name} | {k} | {estimator} | {'yes' if unbiased else 'no'} | {encoder:.3g} | {decoder:.3g} |")
    if arguments.json:
        arguments.json.write_text(json.dumps({"draws": arguments.draws, "rows": rows}, indent=2) + "\n")


if __name__ == "__main__":
    main()
