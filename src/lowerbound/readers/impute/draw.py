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

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor

from lowerbound.errors import InputError, nearest
from lowerbound.maths.units import at_least_float32, sum_parts
from lowerbound.readers.impute.cells import cells
from lowerbound.readers.impute.tiles import Dice, tiles
from lowerbound.training.load import Trained
from lowerbound.training.measure import evaluating
from lowerbound.training.randomness import borrowed, reseed

Method = Literal["metropolis", "gibbs", "resampling"]
METHODS = ("metropolis", "gibbs", "resampling")
STREAM, PROPOSALS, EXPECTED = 41, 64, 256
"""What the draws are for, part of their key; proposals of the start; prior draws whose average is the first filling."""


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
    keys: Sequence[int] | None = None,
) -> Imputed:
    """Draw the missing cells of rows.

    Args:
        x: (rows, *shape) as the run's data hold them, NaN where a cell is missing (a category is its code).
        draws: how many independent draws of each row; their spread is the uncertainty.
        steps: of each chain, for "metropolis" and "gibbs".
        keys: a whole number for each row, to which its draws belong; default its number. Rows that are given with
            their keys have the same draws in any order and company, to the last bit.

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
    keys, missing = keyed(keys, len(rows)), rows.isnan()
    out, accepted = rows.double().expand(draws, *rows.shape).clone(), torch.full((len(rows),), torch.nan)
    gaps, like = missing.flatten(1).any(1).nonzero().flatten(), next(model.parameters())
    with evaluating(model), borrowed(like.device):
        average = expected(model, seed)
        held = [keys[row] for row in gaps.tolist()]
        for tile in tiles(held, draws):
            part, dice = gaps[tile.members], Dice(seed, STREAM, held, tile, like)
            chain = Chains(model, rows[part][tile.at].to(like), average, dice, draws, method)
            filled, moved = chain.run(steps if method != "resampling" else 0)
            out[:, part] = torch.where(missing[part], filled[:, tile.places].double().cpu(), out[:, part])
            accepted[part] = moved[tile.places].float().cpu()
    return Imputed(out.numpy(), missing.numpy(), accepted.numpy(), method, steps, seed)


def keyed(keys: Sequence[int] | None, rows: int) -> list[int]:
    """The key of each row: its number, unless others are given."""
    found = list(range(rows)) if keys is None else [int(key) for key in keys]
    if len(found) != rows:
        raise InputError(f"{len(found)} keys of {rows} rows", where="keys", mend="give one whole number a row")
    return found


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


class Chains:
    """``draws`` chains of each row of a tile, ``given`` (rows, *shape) with NaN; ``average`` fills the first gaps."""

    def __init__(self, model: Any, given: Tensor, average: Tensor, dice: Dice, draws: int, method: str) -> None:
        self.model, self.given, self.dice, self.draws, self.method = model, given, dice, draws, method
        self.missing = given.isnan()
        filled = given if model.features.kind == "table" else torch.where(self.missing, average, given)
        self.z = self._start(model.encode(filled), model.prior_at())
        self.x = self._refilled()

    def run(self, steps: int) -> tuple[Tensor, Tensor]:
        """Filled rows (draws, rows, *shape) and the share of accepted proposals (rows,)."""
        rows = len(self.given)
        moved = torch.full((rows,), 0.0 if steps else torch.nan, device=self.given.device)
        for _ in range(steps):
            moved += self._step().sum(0) / (self.draws * steps)
        return self.x, moved

    def _step(self) -> Tensor:
        """One move of code and gaps: which proposals were accepted, (draws, rows)."""
        x, shape = self.x.flatten(0, 1), self.z.shape[:2]
        q = self.model.encode(x)
        proposed = q.transform(self.dice.normal(self.draws, self.model.noise_width).flatten(0, 1)[None])
        old = self.z.flatten(0, 1)[None]
        gain = log_target(self.model, q, proposed, x) - log_target(self.model, q, old, x)
        yes = self.dice.uniform(self.draws).log() < gain.reshape(shape)
        yes = yes if self.method == "metropolis" else torch.ones_like(yes)
        self.z = torch.where(yes[..., None], proposed.reshape(self.z.shape), self.z)
        self.x = self._refilled()
        return yes

    def _refilled(self) -> Tensor:
        """Rows whose missing cells are drawn from p(x|z): (draws, rows, *shape)."""
        out = at_least_float32(self.model.outputs(self.z))
        return torch.where(self.missing, cells(self.model.likelihood, out, self.dice), self.given)

    def _start(self, q: Any, prior: Any) -> Tensor:
        """z (draws, rows, width) by sampling importance resampling from half q, half p; each draw has its own
        proposals, so that draws are independent."""
        half = PROPOSALS // 2
        noise = self.dice.normal(self.draws * half, self.model.noise_width).split(half)
        others = self.dice.each(lambda _: prior.sample((self.draws * half,)).flatten(1)).split(half)
        chances = self.dice.uniform(self.draws)
        return torch.stack([self._resampled(q, prior, *own) for own in zip(noise, others, chances, strict=True)])

    def _resampled(self, q: Any, prior: Any, noise: Tensor, others: Tensor, chance: Tensor) -> Tensor:
        """One code for each row, (rows, width), of its proposals, by their weights."""
        z = torch.cat([q.transform(noise), others])
        log_p = prior.log_prob(z).double()
        weight = observed(self.model, z, self.given) + log_p - torch.logaddexp(q.log_prob(z).double(), log_p)
        weight = torch.where(weight.isfinite(), weight, -1e30)
        below = torch.softmax(weight, 0).cumsum(0)
        chosen = (below <= chance * below[-1]).sum(0)
        return z[chosen, torch.arange(len(chosen), device=z.device)]


def log_target(model: Any, q: Any, z: Tensor, x: Tensor) -> Tensor:
    """log p(x, z) - log q(z|x), nats, of full rows: (1, rows)."""
    return model.log_joint(z, x).double() - q.log_prob(z).double()


def expected(model: Any, seed: int) -> Tensor:
    """What the model expects of an example on average, (*shape): only where chains start."""
    like = next(model.parameters())
    reseed(like.device, STREAM, seed)
    z = model.prior_at().sample((EXPECTED,)).to(like)
    return model.decode_mean(z).sum(0) / EXPECTED  # not nats: the average example


def observed(model: Any, z: Tensor, given: Tensor) -> Tensor:
    """log p of the observed cells, (samples, rows), nats, float64; a missing cell adds 0."""
    missing = given.isnan()
    value = torch.where(missing, torch.zeros_like(given), given)
    log_prob = model.likelihood(at_least_float32(model.outputs(z))).log_prob(value).double()
    return sum_parts(torch.where(missing, 0.0, log_prob), missing.dim() - 1)
