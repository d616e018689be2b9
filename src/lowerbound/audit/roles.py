"""Which argument is which: by name, and by response where names say nothing."""

from __future__ import annotations

import inspect
import itertools
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from lowerbound.audit.noise import seeded
from lowerbound.audit.probe import Point, Probe, Sizes, first_tensor
from lowerbound.errors import InputError

NAMES = {
    "x": {
        "x",
        "target",
        "targets",
        "data",
        "input",
        "inputs",
        "y_true",
        "original",
        "images",
        "image",
        "true",
        "x_true",
        "batch",
    },
    "out": {
        "out",
        "recon",
        "recon_x",
        "x_hat",
        "xhat",
        "x_recon",
        "reconstruction",
        "output",
        "outputs",
        "pred",
        "y_pred",
        "recons",
        "decoded",
        "logits",
        "x_logit",
        "x_logits",
        "probs",
        "x_rec",
        "rec",
        "reconstructed",
        "recon_batch",
        "dec",
        "prediction",
    },
    "mu": {"mu", "mean", "z_mean", "m", "means", "loc", "mu_z", "z_mu", "q_mean", "mus"},
    "s": {
        "s",
        "logvar",
        "log_var",
        "logsigma",
        "log_sigma",
        "z_log_var",
        "z_logvar",
        "sigma",
        "std",
        "var",
        "scale",
        "lv",
        "log_std",
        "logstd",
        "z_log_sigma",
        "spread",
        "variance",
        "stddev",
        "z_std",
        "log_variance",
        "z_sigma",
        "sd",
        "log_var_z",
    },
}
STEPS = {"step", "epoch", "it", "iteration", "global_step", "n_iter", "num_iter", "t", "current_epoch", "batch_idx"}
MODES = {"training", "train", "is_training", "validation", "is_train"}
KNOBS = {"beta", "kl_weight", "kld_weight", "weight", "kl_scale", "gamma", "lambda_kl", "w", "kl_coef", "beta_kl", "c"}


def required(fn: Callable[..., Any]) -> list[str]:
    """Names of the positional parameters without default."""
    try:
        parameters = inspect.signature(fn).parameters.values()
    except (TypeError, ValueError):
        return ["x", "out", "mu", "s"]
    kinds = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    return [p.name for p in parameters if p.kind in kinds and p.default is p.empty]


def options(fn: Callable[..., Any]) -> dict[str, Any]:
    """Parameters with a number or a flag as default."""
    try:
        parameters = inspect.signature(fn).parameters.values()
    except (TypeError, ValueError):
        return {}
    return {p.name: p.default for p in parameters if isinstance(p.default, (bool, int, float))}


def by_name(names: list[str], declared: dict[str, str]) -> dict[str, str] | None:
    """role -> parameter, when every role is found once."""
    found = dict(declared)
    for role, known in NAMES.items():
        if role not in found:
            hits = [n for n in names if n.lower() in known and n not in found.values()]
            if len(hits) != 1:
                return None
            found[role] = hits[0]
    return found


def adapt(
    fn: Callable[..., Any], probe: Probe, sizes: Sizes, declared: dict[str, str] | None = None
) -> Callable[..., Any]:
    """The function as ``loss(x, out, mu, s)``."""
    names = required(fn)
    for role, name in (declared or {}).items():
        if name not in names:
            raise InputError(f"no parameter {name!r}", where=f"--{role}", mend=f"the function takes {', '.join(names)}")
    if not declared and (names[:4] == ["x", "out", "mu", "s"] or len(names) < 3):
        return fn
    if len(names) == 3:
        return _chunked(fn)
    roles = by_name(names, declared or {})
    if roles is not None and len(names) == 4:
        return _ordered(fn, [next(r for r, n in roles.items() if n == name) for name in names])
    return _by_response(fn, probe, sizes, names)


def _ordered(fn: Callable[..., Any], order: list[str]) -> Callable[..., Any]:
    def loss(x: Tensor, out: Tensor, mu: Tensor, s: Tensor) -> Any:
        given = {"x": x, "out": out, "mu": mu, "s": s}
        return fn(*(given[r] for r in order))

    return loss


def _chunked(fn: Callable[..., Any]) -> Callable[..., Any]:
    """A function of three tensors: the heads come chunked in one, with x and out before or after."""
    heads = {"params", "stats", "h", "moments", "z_params", "encoded", "posterior", "enc", "heads"}
    place = next((i for i, n in enumerate(required(fn)) if n.lower() in heads), 2)
    roles = [n for n in required(fn) if n != required(fn)[place]]
    swap = roles[0].lower() in NAMES["out"] or roles[1].lower() in NAMES["x"]

    def loss(x: Tensor, out: Tensor, mu: Tensor, s: Tensor) -> Any:
        pair = [out, x] if swap else [x, out]
        pair.insert(place, torch.cat([mu, s], dim=-1))
        return fn(*pair)

    return loss


def _by_response(fn: Callable[..., Any], probe: Probe, sizes: Sizes, names: list[str]) -> Callable[..., Any]:
    """Try the orders; keep the one that is finite, even in mu, and affine in x."""
    if len(names) != 4:
        raise InputError(
            f"cannot tell the roles of {', '.join(names)}",
            where="loss",
            mend="declare --x, --recon, --mean and --spread",
        )
    best: tuple[float, Callable[..., Any]] | None = None
    for order in itertools.permutations(("x", "out", "mu", "s")):
        loss = _ordered(fn, list(order))
        score = _score(loss, probe, sizes)
        if score is not None and (best is None or score > best[0] + 1e-9):
            best = (score, loss)
    if best is None:
        raise InputError(
            "no order of its arguments gives a finite loss", where="loss", mend="declare --x, --recon, --mean, --spread"
        )
    return best[1]


def _score(loss: Callable[..., Any], probe: Probe, sizes: Sizes) -> float | None:
    """How well an order of the arguments behaves like a VAE loss, with s of any sign and else with s positive."""
    scores = [_score_at(loss, probe, sizes, positive) for positive in (False, True)]
    return scores[0] if scores[0] is not None else scores[1]


def _score_at(loss: Callable[..., Any], probe: Probe, sizes: Sizes, positive: bool) -> float | None:
    trial = Probe(loss, probe.x_space, probe.out_space)
    trial.positive = positive
    small = Sizes(min(sizes.B, 3), sizes.Dx, sizes.Dz)
    p = trial.point(small)

    def at(q: Point) -> float:
        return trial.value(q)

    try:
        home = at(p)
        even = abs(at(p.but(mu=-p.mu)) - home) < 1e-8 * (1 + abs(home))
        uneven = abs(at(p.but(s=p.s + 0.9)) - at(p.but(s=p.s + 0.2))) > 1e-8 * (1 + abs(home))
        y, z = trial.point(small, salt=3), 0.5
        middle = at(p.but(x=z * p.x + (1 - z) * y.x))
        affine = abs(middle - 0.5 * (home + at(p.but(x=y.x)))) < 1e-7 * (1 + abs(home))
        own = abs(at(p.but(out=y.out)) - home) > 1e-9
    except Exception:
        return None
    return None if home != home else 4.0 * even + 2.0 * uneven + 1.0 * affine + 0.5 * own


def picker(loss: Callable[..., Any], probe: Probe, sizes: Sizes) -> Callable[[Any], Any]:
    """Out of a tuple or dict, the entry that moves with the output and with mu: the total."""
    p, q = probe.point(sizes), probe.point(sizes, salt=3)
    calls = [p, p.but(out=q.out), p.but(mu=q.mu * 1.7)]
    with seeded(0), torch.no_grad():
        results = [loss(c.x, c.out, c.mu, c.s) for c in calls]
    if not isinstance(results[0], (tuple, list, dict)):
        return first_tensor
    keys = list(results[0]) if isinstance(results[0], dict) else list(range(len(results[0])))

    def number(result: Any, key: Any) -> float:
        value = result[key]
        return float(value.double().sum()) if isinstance(value, Tensor) else float(value)

    for key in keys:
        try:
            home, a, b = (number(r, key) for r in results)
        except (TypeError, ValueError):
            continue
        if abs(home - a) > 1e-12 and abs(home - b) > 1e-12:
            return lambda result: result[key]
    return first_tensor
