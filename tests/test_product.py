"""The product: every posterior x prior x likelihood x bound that the registries hold either trains or is refused.

A new member is found through its registry, with no edit here. What makes no sense is refused with a sentence; what
does, moves: its loss and gradients are finite, its parameters are reached, its state goes round bitwise, and its bound
stays below the exact log p(x) of a linear-Gaussian decoder.
"""

from __future__ import annotations

import itertools
import math

import pytest
import torch
from sklearn.datasets import load_digits
from torch import Tensor

from lowerbound.data import from_array, summary
from lowerbound.errors import InputError
from lowerbound.maths.units import log_mean_exp
from lowerbound.model.assemble import assemble
from lowerbound.model.autoencoder import Autoencoder
from lowerbound.model.likelihoods import LIKELIHOODS
from lowerbound.model.posteriors import POSTERIORS
from lowerbound.model.priors import PRIORS
from lowerbound.objective import BOUNDS, OBJECTIVES, Batch, Minimised
from lowerbound.objective.schedules import Constant

BOUND_SETTINGS = [("elbo", {}), ("elbo", {"estimator": "sampled"}), *((b, {}) for b in BOUNDS if b != "elbo")]
BOUND_SETTINGS += [("iwae", {"gradient": "stl"}), ("iwae", {"gradient": "dreg"})]
SMALL = {"vampprior": {"components": 5}, "mixture": {"components": 3}}
LATENT = 2


def digits(kind: str, shape: tuple[int, ...] = (1, 8, 8)):
    """48 digits as data of a kind that the likelihood takes; tables and counts in rows."""
    x = torch.from_numpy(load_digits().data[:48]).float()
    if kind == "binary":
        x = (x > 8).float()
    elif kind == "unit":
        x = x / 16
    elif kind == "real":
        x = x / 4 - 2 + 0.01 * torch.randn(x.shape, generator=torch.Generator().manual_seed(0))
    wanted = {"levels": "levels:17", "table": "table"}.get(kind, kind)
    array = x.double().numpy() if kind in ("unit", "real") else x.numpy().astype("int64")
    rows = array[:, 18:30] if kind == "table" else array.reshape(-1, *shape)
    return from_array(rows, valid=0, test=0, kind=wanted, binarise="none")


def kinds() -> dict[str, str]:
    """Likelihood -> the kind of digits that it is tried on."""
    usable = ("binary", "unit", "levels", "real", "count", "table")
    found = {name: next((k for k in member.kinds if k in usable), None) for name, member in LIKELIHOODS.items()}
    return {name: kind for name, kind in found.items() if kind}


DATA = {kind: digits(kind) for kind in sorted(set(kinds().values()))}
EXAMPLES = {kind: (d.splits["train"].x[:24], summary(d)) for kind, d in DATA.items()}


def model_of(posterior: str, prior: str, likelihood: str, seed: int = 0) -> Autoencoder:
    torch.manual_seed(seed)
    return assemble(
        EXAMPLES[kinds()[likelihood]][1],
        latent=LATENT,
        encoder={"name": "mlp", "hidden": [8], "activation": "tanh"},
        posterior={"name": posterior},
        prior={"name": prior} | SMALL.get(prior, {}),
        likelihood={"name": likelihood},
    )


def minimised_of(model: Autoencoder, bound: str, options: dict) -> Minimised:
    parts = math.prod(model.shape)
    objective = OBJECTIVES.build("elbo", parts, LATENT, Constant())
    return Minimised(model, objective, BOUNDS.build(bound, **options))


def sense(posterior: str, prior: str) -> bool:
    """Whether a combination should work: codes of one kind, a density, and an encoder to make the codes."""
    q, p = POSTERIORS[posterior], PRIORS[prior]
    return q.density and q.support == p.support and not p.conditional


PAIRS = list(itertools.product(POSTERIORS, PRIORS))


@pytest.mark.parametrize("likelihood", kinds())
@pytest.mark.parametrize(("posterior", "prior"), PAIRS)
def test_every_combination_trains_or_is_refused_with_a_sentence(posterior, prior, likelihood):
    x, _ = EXAMPLES[kinds()[likelihood]]
    if not sense(posterior, prior):
        for bound, options in BOUND_SETTINGS:
            with pytest.raises(InputError) as refusal:
                minimised_of(model_of(posterior, prior, likelihood), bound, options)
            assert "\n" not in str(refusal.value) and ";" in str(refusal.value), "a sentence, and how to mend it"
        return
    for bound, options in BOUND_SETTINGS:
        model = model_of(posterior, prior, likelihood)
        try:
            minimised = minimised_of(model, bound, options)
        except InputError as refusal:
            assert not POSTERIORS[posterior].reparameterised and bound == "iwae"
            assert ";" in str(refusal)
            continue
        trains(model, minimised, x)
    goes_round(model, model_of(posterior, prior, likelihood, seed=1), x)


@pytest.mark.parametrize(("posterior", "prior"), [pair for pair in PAIRS if sense(*pair)])
def test_a_closed_rate_is_closed_or_refused_with_a_sentence(posterior, prior):
    x, _ = EXAMPLES["binary"]
    model = model_of(posterior, prior, "bernoulli")
    closed = minimised_of(model, "elbo", {"estimator": "closed"})
    if model(x).kind == "closed":
        assert torch.isfinite(closed(Batch(x))[0])
    else:
        with pytest.raises(InputError, match=r"bound.estimator: .* no closed form; use"):
            closed(Batch(x))


def trains(model: Autoencoder, minimised: Minimised, x: Tensor) -> None:
    """Two steps: finite, and over them the gradient reaches every parameter."""
    optimiser = torch.optim.Adam(model.parameters(), lr=1e-3)
    reached = set()
    for _ in range(2):
        loss, terms = minimised(Batch(x, examples=len(x)))
        optimiser.zero_grad()
        loss.backward()
        assert torch.isfinite(loss) and terms.rate.shape == (len(x), model.rate_width)
        for name, p in model.named_parameters():
            assert p.grad is None or torch.isfinite(p.grad).all(), name
            if p.grad is not None and (p.grad != 0).any():
                reached.add(name)
        optimiser.step()
    assert reached == {name for name, _ in model.named_parameters()}


def goes_round(model: Autoencoder, fresh: Autoencoder, x: Tensor) -> None:
    """The state decides everything: another model with it gives the same terms, bitwise."""
    fresh.load_state_dict(model.state_dict())
    noise = torch.randn(2, len(x), model.noise_width)
    with torch.no_grad():
        a, b = (m.eval()(x, noise=noise, weights=True) for m in (model, fresh))
    assert torch.equal(a.rate, b.rate) and torch.equal(a.distortion, b.distortion)
    assert torch.equal(a.log_weight, b.log_weight)


# --- against the exact log p(x) -------------------------------------------------------------------------------------

REAL = [(q, p) for q, p in PAIRS if sense(q, p) and POSTERIORS[q].support == "real"]


def linear(posterior: str, prior: str) -> Autoencoder:
    """A linear decoder of three values with a Normal likelihood, and a posterior somewhere near."""
    torch.manual_seed(3)
    x = torch.randn(40, 2) @ torch.randn(2, 3) + 0.3 * torch.randn(40, 3)
    data = from_array(x.numpy(), valid=0, test=0, kind="real")
    plain = {"name": "mlp", "hidden": ()}
    return assemble(
        summary(data),
        latent=LATENT,
        encoder=plain,
        decoder=plain,
        posterior={"name": posterior},
        prior={"name": prior} | SMALL.get(prior, {}),
        likelihood={"name": "normal", "sigma": 0.8},
    ).double()


def exact(model: Autoencoder, x: Tensor) -> Tensor:
    """log p(x) by the midpoint rule over the plane, 200 x 200 points on [-9, 9]^2; refining it moves nothing."""
    line = torch.linspace(-9, 9, 201, dtype=torch.float64)
    middle = (line[1:] + line[:-1]) / 2
    z = torch.cartesian_prod(middle, middle)
    p = model.prior_at().log_prob(z)
    out = model.outputs(z)
    log_joint = torch.stack([model.likelihood.log_prob(out.unsqueeze(1), row.unsqueeze(0))[:, 0] for row in x]) + p
    return torch.logsumexp(log_joint, 1) + 2 * math.log(line[1] - line[0])


@pytest.mark.parametrize(("posterior", "prior"), REAL)
def test_no_bound_exceeds_the_exact_log_likelihood(posterior, prior):
    """4,000 samples: the average bound lies below log p(x) within 3 standard errors (seeded; false alarm 1e-3)."""
    model = linear(posterior, prior)
    x = torch.randn(6, 3, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    with torch.no_grad():
        truth = exact(model, x)
        terms = model(x, samples=4000, weights=True)
    elbo = terms.log_weight
    five = log_mean_exp(terms.log_weight.unflatten(0, (5, 800)))
    for draws in (elbo, five):
        gap = draws.mean(0) - truth
        assert (gap < 3 * draws.std(0) / len(draws) ** 0.5).all(), gap
    assert (five.mean(0) >= elbo.mean(0) - 1e-9).all(), "L_5 is above L_1 on the same weights"


def test_more_samples_approach_the_truth_from_below():
    """L_k rises with k and ends within 0.05 nats of the exact value."""
    model = linear("normal", "mixture")
    x = torch.randn(6, 3, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    with torch.no_grad():
        truth = exact(model, x)
        weights = model(x, samples=2**16, weights=True).log_weight
    levels = [log_mean_exp(weights.unflatten(0, (k, -1))).mean(0) for k in (1, 4, 16, 64, 256, 2048)]
    for lower, higher in itertools.pairwise(levels):
        assert (higher >= lower - 1e-9).all()
    assert (levels[-1] <= truth + 0.05).all() and (truth - levels[-1]).max() < 0.05
