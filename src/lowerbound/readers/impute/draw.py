r"""Fill missing cells with draws from the posterior predictive p(x_missing | x_observed), several for each.

.. math:: p(x_m|x_o) = \int p(x_m|z)\,p(z|x_o)\,dz

Each draw is a chain of its own. It starts by sampling importance resampling: z is one of 64 proposals, half of them
from q(z|x) with the missing cells filled by what the model expects on average, half from the prior, taken with weight

.. math:: w = p(x_o|z)\,p(z) / [\tfrac12 q(z) + \tfrac12 p(z)].

Then Metropolis within Gibbs, which leaves p(z, x_m | x_o) as it is whatever the encoder: z' ~ q(z|x_o, x_m) is accepted
with the probability min(1, rho), and x_m is drawn anew from p(x_m|z),

.. math:: \rho = \frac{p(x|z')\,p(z')\,q(z|x)}{p(x|z)\,p(z)\,q(z'|x)}.

``method="gibbs"`` accepts every z' (pseudo-Gibbs: right only where q is exact); ``"resampling"`` stops at the start.
Source: Rezende et al. 2014 (1401.4082), section 6.4 and appendix F; Mattei & Frellsen 2018 (1802.04826), section 3.3;
Rubin 1987 (sampling importance resampling).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor

from lowerbound.errors import InputError, nearest
from lowerbound.maths.units import at_least_float32, sum_parts
from lowerbound.training.load import Trained
from lowerbound.training.measure import evaluating
from lowerbound.training.randomness import borrowed, reseed

Method = Literal["metropolis", "gibbs", "resampling"]
METHODS = ("metropolis", "gibbs", "resampling")
STREAM, ROWS, PROPOSALS, EXPECTED = 41, 128, 64, 256
"""The key of the draws; rows at a time (their number is part of the key); proposals of the start; prior draws that
the first filling is the average of."""


@dataclass(frozen=True)
class Imputed:
    """Filled rows. *Shapes*: ``draws`` (n_draws, rows, *shape), in which observed cells are as they were given;
    ``missing`` (rows, *shape). ``accepted`` (rows,): share of proposals accepted, NaN where nothing was missing."""

    draws: np.ndarray
    missing: np.ndarray
    accepted: np.ndarray
    method: Method
    steps: int
    seed: int

    def words(self) -> list[str]:
        """What was done, in sentences; a warning where the chains hardly moved."""
        rows = int(np.isfinite(self.accepted).sum())
        said = [f"{int(self.missing.sum()):,} missing cells in {rows:,} rows, {len(self.draws)} draws of each"]
        if rows and self.method == "metropolis":
            share = float(np.nanmedian(self.accepted))  # not nats: a share of accepted moves
            said[0] += f"; {self.steps} steps, {share:.0%} of proposals accepted (median over rows)"
            stuck = int((self.accepted < 0.01).sum())
            if stuck:
                said.append(f"warning: chains of {stuck} rows hardly moved (under 1 % accepted): take more --steps")
        return said


def impute(
    trained: Trained,
    x: Any,
    *,
    draws: int = 20,
    steps: int = 100,
    method: Method = "metropolis",
    seed: int = 0,
) -> Imputed:
    """Draw the missing cells of rows.

    Args:
        x: (rows, *shape) as the run's data hold them, NaN where a cell is missing (a category is its code).
        draws: how many independent draws of each row; their spread is the uncertainty.
        steps: of each chain, for "metropolis" and "gibbs".

    Raises:
        InputError: the model has no density over codes or is one of p(x|c), or x is not like its data.
    """
    model = trained.model
    check(trained, method, draws, steps)
    rows = torch.as_tensor(np.asarray(x) if not isinstance(x, Tensor) else x)
    if tuple(rows.shape[1:]) != tuple(model.shape) or not rows.is_floating_point():
        what = f"has shape {tuple(rows.shape)} and type {str(rows.dtype).removeprefix('torch.')}"
        raise InputError(what, where="x", mend=f"give floats (rows, {', '.join(map(str, model.shape))})")
    if rows.isinf().any():
        raise InputError("holds an infinite number", where="x", mend="remove it, or give NaN where a cell is missing")
    like, missing = next(model.parameters()), rows.isnan()
    out = rows.double().expand(draws, *rows.shape).clone()
    accepted = torch.full((len(rows),), torch.nan)
    with evaluating(model), borrowed(like.device):
        for number, part in enumerate(missing.flatten(1).any(1).nonzero().flatten().split(ROWS)):
            reseed(like.device, STREAM, seed, number)
            given = rows[part].to(like)
            filled, moved = chains(model, given, draws, steps if method != "resampling" else 0, method)
            out[:, part] = torch.where(missing[part], filled.double().cpu(), out[:, part])
            accepted[part] = moved.float().cpu()
    return Imputed(out.numpy(), missing.numpy(), accepted.numpy(), method, steps, seed)


def check(trained: Trained, method: str, draws: int, steps: int) -> None:
    """An InputError for what cannot be imputed, or is not known."""
    model, where = trained.model, trained.run.path
    if not model.has_bound or not model.width:
        what = "its code has no density, so that it cannot be drawn given the observed cells"
        raise InputError(what, where=where, mend="use a run with a posterior such as normal")
    if model.condition.name != "none":
        raise InputError("models p(x|c), not p(x)", where=where, mend="use a run without a condition")
    if getattr(model.decoder, "autoregressive", False):
        what = "its decoder reads the values before each value, which may be missing"
        raise InputError(what, where=where, mend="use a run with another decoder")
    if method not in METHODS:
        raise InputError(f"unknown method {method!r}", where="method", mend=nearest(method, METHODS))
    if draws < 1 or steps < 0:
        raise InputError(f"{draws} draws of {steps} steps", where="draws, steps", mend="give at least 1 draw, 0 steps")


def chains(model: Any, given: Tensor, draws: int, steps: int, method: str) -> tuple[Tensor, Tensor]:
    """Filled rows (draws, rows, *shape) and the share of accepted proposals (rows,), of ``given`` with NaN."""
    rows, missing = len(given), given.isnan()
    z = start(model, given, draws)
    x = refilled(model, z, given, missing)
    moved = torch.zeros(rows, device=given.device)
    for _ in range(steps):
        flat = x.flatten(0, 1)
        q = model.encode(flat)
        proposed = q.transform(torch.randn(1, len(flat), model.noise_width, dtype=flat.dtype, device=flat.device))
        old = z.flatten(0, 1)[None]
        gain = log_target(model, q, proposed, flat) - log_target(model, q, old, flat)
        yes = torch.rand_like(gain[0]).log() < gain[0] if method == "metropolis" else torch.ones_like(gain[0]).bool()
        z = torch.where(yes[:, None], proposed[0], old[0]).unflatten(0, (draws, rows))
        x = refilled(model, z, given, missing)
        moved += yes.unflatten(0, (draws, rows)).sum(0) / draws
    return x, moved / steps if steps else torch.full_like(moved, torch.nan)


def log_target(model: Any, q: Any, z: Tensor, x: Tensor) -> Tensor:
    """log p(x, z) - log q(z|x), nats, of full rows: (1, rows)."""
    return model.log_joint(z, x).double() - q.log_prob(z).double()


def refilled(model: Any, z: Tensor, given: Tensor, missing: Tensor) -> Tensor:
    """Rows whose missing cells are drawn from p(x|z): (draws, rows, *shape)."""
    drawn = model.likelihood(at_least_float32(model.outputs(z))).sample().to(given)
    return torch.where(missing, drawn, given)


def start(model: Any, given: Tensor, draws: int) -> Tensor:
    """z (draws, rows, width) by sampling importance resampling from half q, half p; each draw has its own proposals,
    so that draws are independent."""
    filled = given if model.features.kind == "table" else torch.where(given.isnan(), expected(model), given)
    q, prior = model.encode(filled), model.prior_at()
    return torch.stack([resampled(model, q, prior, given) for _ in range(draws)])


def resampled(model: Any, q: Any, prior: Any, given: Tensor) -> Tensor:
    """One code for each row, (rows, width), of fresh proposals, by their weights."""
    rows, half = len(given), PROPOSALS // 2
    noise = torch.randn(half, rows, model.noise_width, dtype=given.dtype, device=given.device)
    z = torch.cat([q.transform(noise), prior.sample((half, rows)).to(given)])
    log_p = prior.log_prob(z).double()
    weight = observed(model, z, given) + log_p - torch.logaddexp(q.log_prob(z).double(), log_p)
    weight = torch.where(weight.isfinite(), weight, -1e30)
    chosen = torch.multinomial(torch.softmax(weight, 0).T, 1).flatten()
    return z[chosen, torch.arange(rows, device=z.device)]


def expected(model: Any) -> Tensor:
    """What the model expects of an example on average, (*shape): only where chains start."""
    z = model.prior_at().sample((EXPECTED,)).to(next(model.parameters()))
    return model.decode_mean(z).sum(0) / EXPECTED  # not nats: the average example


def observed(model: Any, z: Tensor, given: Tensor) -> Tensor:
    """log p of the observed cells, (samples, rows), nats, float64; a missing cell adds 0."""
    missing = given.isnan()
    value = torch.where(missing, torch.zeros_like(given), given)
    log_prob = model.likelihood(at_least_float32(model.outputs(z))).log_prob(value).double()
    return sum_parts(torch.where(missing, 0.0, log_prob), missing.dim() - 1)
