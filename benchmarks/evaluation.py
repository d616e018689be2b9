"""Speed of log p(x) by importance sampling, side by side in one process: ours, pythae's get_nll, a plain torch loop.

    python benchmarks/evaluation.py [--samples 5000] [--rounds 5] [--seconds 3] [--quick] [--json FILE]

The decoder is 50-200-200-784 (tanh, Bernoulli), the encoder its mirror image, float32, on binary images of 784 pixels.
Every contestant estimates log p(x) of as many images as take it about ``--seconds``, in alternating rounds, so that a
drift of the machine's speed falls on all. The machine's own matrix-multiply rate is measured between rounds, in as many
threads, on the decoder's largest product. The share of it counts the decoder's multiplications only. The time of the
full job, 10,000 images, is the measured time of an image times 10,000. Memory is the growth of the process's peak.
"""

from __future__ import annotations

import argparse
import itertools
import json
import logging
import platform
import resource
import statistics
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import date
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from lowerbound.data.dataset import Summary
from lowerbound.model.assemble import assemble
from lowerbound.readers.log_likelihood.importance import importance
from lowerbound.readers.log_likelihood.problem import Examples

LATENT, HIDDEN, PARTS = 50, (200, 200), 784
WIDTHS = (LATENT, *HIDDEN, PARTS)
FLOPS = 2 * sum(a * b for a, b in itertools.pairwise(WIDTHS))
"""Multiplications and additions of the decoder for one sample."""
FULL = 10_000
Contestant = Callable[[int], Tensor]
"""From a number of images to their log p(x)."""


def network() -> Any:
    """Our model, at its random start: speed does not depend on the weights."""
    torch.manual_seed(0)
    half = torch.full((PARTS,), 0.13)
    summary = Summary("binary", (PARTS,), half, half)
    encoder = {"name": "mlp", "hidden": HIDDEN[::-1], "activation": "tanh"}
    return assemble(summary, latent=LATENT, encoder=encoder).eval()


def images(n: int) -> Tensor:
    """Binary images (n, 784) with MNIST's share of ink."""
    return (torch.rand(n, PARTS, generator=torch.Generator().manual_seed(0)) < 0.13).float()


def ours(model: Any, x: Tensor, samples: int, dtype: torch.dtype, memory: float = 256) -> Contestant:
    """The library's estimator."""

    def run(n: int) -> Tensor:
        examples = Examples(model, torch.arange(n), lambda rows: (x[rows], None))
        told = {"samples": samples, "seed": 0, "memory": memory, "progress": lambda done, total: None}
        return importance(examples, dtype=dtype, **told).log_p

    return run


def plain(model: Any, x: Tensor, samples: int) -> Contestant:
    """As one would write it: all samples of an image in one batch, the encoder once."""

    @torch.no_grad()
    def run(n: int) -> Tensor:
        found = []
        for row in x[:n]:
            terms = model(row[None], samples=samples, weights=True)
            found.append(torch.logsumexp(terms.log_weight.double(), 0) - torch.tensor(float(samples)).log())
        return torch.cat(found)

    return run


def pythae(model: Any, x: Tensor, samples: int) -> Contestant:
    """pythae's get_nll on the same weights."""
    from pythae.models import VAE, VAEConfig
    from pythae.models.base.base_utils import ModelOutput
    from pythae.models.nn import BaseDecoder, BaseEncoder

    logging.disable(logging.INFO)

    class Encoder(BaseEncoder):
        def __init__(self) -> None:
            super().__init__()
            self.network, self.head = model.encoder, model.posterior.head

        def forward(self, x: Tensor) -> Any:
            mean, log_variance = self.head(self.network(x)).chunk(2, -1)
            return ModelOutput(embedding=mean, log_covariance=log_variance)

    class Decoder(BaseDecoder):
        def __init__(self) -> None:
            super().__init__()
            self.network = nn.Sequential(model.decoder, nn.Sigmoid())

        def forward(self, z: Tensor) -> Any:
            return ModelOutput(reconstruction=self.network(z))

    config = VAEConfig(input_dim=(PARTS,), latent_dim=LATENT, reconstruction_loss="bce")
    vae = VAE(config, encoder=Encoder(), decoder=Decoder()).eval()

    @torch.no_grad()
    def run(n: int) -> Tensor:
        return torch.tensor([vae.get_nll(x[i : i + 1], n_samples=samples, batch_size=100) for i in range(n)])

    return run


def matmul_rate(seconds: float, rows: int = 512) -> float:
    """Operations a second of the decoder's largest product, in as many threads as the estimator uses."""
    threads = torch.get_num_threads()

    def work() -> float:
        torch.set_num_threads(1)
        a, b, out = torch.randn(rows, WIDTHS[-2]), torch.randn(*WIDTHS[-2:]), torch.empty(rows, WIDTHS[-1])
        begun, done = time.perf_counter(), 0
        while time.perf_counter() - begun < seconds:
            for _ in range(20):
                torch.mm(a, b, out=out)
            done += 20
        return 2 * rows * WIDTHS[-2] * WIDTHS[-1] * done / (time.perf_counter() - begun)

    with ThreadPoolExecutor(threads) as pool:
        rate = sum(pool.map(lambda _: work(), range(threads)))
    torch.set_num_threads(threads)
    return rate


def contestants(samples: int) -> dict[str, Contestant]:
    model, x = network(), images(FULL)
    found = {
        "ours float32": ours(model, x, samples, torch.float32),
        "ours bfloat16": ours(model, x, samples, torch.bfloat16),
        "plain loop": plain(model, x, samples),
    }
    try:
        found["pythae"] = pythae(model, x, samples)
    except ImportError as error:
        print(f"pythae is left out ({error}); to have it: pip install --no-deps pythae", file=sys.stderr)
    return found


def timed(run: Contestant, n: int) -> float:
    begun = time.perf_counter()
    run(n)
    return time.perf_counter() - begun


def count_for(run: Contestant, seconds: float, start: int) -> int:
    """How many images take about so long."""
    timed(run, start)
    return max(start, round(start * seconds / timed(run, start)))


def compare(samples: int, rounds: int, seconds: float) -> dict[str, Any]:
    every = contestants(samples)
    counts = {name: count_for(run, seconds, 4 * torch.get_num_threads()) for name, run in every.items()}
    seconds_each: dict[str, list[float]] = {name: [] for name in every}
    product: list[float] = []
    for _ in range(rounds):
        for name, run in every.items():
            seconds_each[name].append(timed(run, counts[name]) / counts[name])
        product.append(matmul_rate(min(seconds, 1.0)))
    own = seconds_each["ours float32"]
    work = FLOPS * samples
    return {
        "samples": samples,
        "images_a_round": counts,
        "seconds_for_10000_images": {n: spread([FULL * s for s in v]) for n, v in seconds_each.items()},
        "ours_over": {n: ratio(v, own) for n, v in seconds_each.items() if n != "ours float32"},
        "matmul_gflops": spread([p / 1e9 for p in product]),
        "share_of_matmul_rate": spread([work / s / p for s, p in zip(own, product, strict=True)]),
    }


def memory(samples: tuple[int, ...] = (1_000, 10_000, 100_000)) -> dict[str, float]:
    """MiB by which the peak of this process grows with the number of samples: it must not."""
    model, x = network(), images(8)
    grown = {}
    ours(model, x, samples[0], torch.float32)(8)
    before = peak()
    for k in samples:
        ours(model, x, k, torch.float32)(2)
        grown[str(k)] = round(peak() - before, 1)
    return grown


def peak() -> float:
    """Peak resident memory so far, MiB."""
    scale = 2**20 if sys.platform == "darwin" else 2**10
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / scale


def precision(samples: int, n: int = 8) -> dict[str, float]:
    """What the decoder in bfloat16 changes under the same noise, nats, at the random start."""
    model, x = network(), images(n)
    off = ours(model, x, samples, torch.bfloat16)(n) - ours(model, x, samples, torch.float32)(n)
    return {"mean": off.sum().item() / n, "largest": off.abs().max().item()}


def ratio(a: list[float], b: list[float]) -> dict[str, float]:
    return spread([x / y for x, y in zip(a, b, strict=True)])


def spread(values: list[float]) -> dict[str, float]:
    return {"median": statistics.median(values), "min": min(values), "max": max(values)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--samples", type=int, default=5000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=3.0)
    parser.add_argument("--quick", action="store_true", help="fewer samples, rounds and seconds: under a minute")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    if options.quick:
        options.samples, options.rounds, options.seconds = 1000, 3, 1.0
    grown = memory()
    result = compare(options.samples, options.rounds, options.seconds)
    result |= {"memory_growth_mib": grown, "bfloat16_error_nats": precision(options.samples)}
    result |= {"threads": torch.get_num_threads(), "torch": torch.__version__, "machine": platform.machine()}
    result["date"] = date.today().isoformat()
    print(f"\n{options.samples} samples, {result['threads']} threads, torch {torch.__version__}")
    for name, taken in result["seconds_for_10000_images"].items():
        over = result["ours_over"].get(name)
        against = f"   ours is {over['median']:.2f}x ({over['min']:.2f}-{over['max']:.2f})" if over else ""
        print(
            f"  {name:14s} {taken['median']:8.1f} s for 10,000 images ({taken['min']:.1f}-{taken['max']:.1f}){against}"
        )
    share, product = result["share_of_matmul_rate"], result["matmul_gflops"]
    reached = f"{100 * share['median']:.0f}% of it ({100 * share['min']:.0f}-{100 * share['max']:.0f}%)"
    print(f"  matrix product {product['median']:8.1f} GFLOP/s; ours reaches {reached}")
    print(f"  peak memory grows by {grown} MiB with the samples; bfloat16 is off by {result['bfloat16_error_nats']}")
    if options.json:
        options.json.write_text(json.dumps(result, indent=2) + "\n")


if __name__ == "__main__":
    main()
