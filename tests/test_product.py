"""The product: every posterior x prior x likelihood x bound that the registries hold either trains or is refused.

A new member is found through its registry, with no edit here. What makes no sense is refused with a sentence; what
does, moves: its loss and gradients are finite, its parameters are reached, its state goes round bitwise, and its bound
stays below the exact log p(x) of a linear-Gaussian decoder: an integral over real codes, a sum over categorical ones.
"""

from __future__ import annotations

import inspect
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
from lowerbound.objective.bounds import Bound
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


def taken(member: type, options: dict[str, int]) -> dict[str, int]:
    """Those of the options that the member has."""
    return {name: value for name, value in options.items() if name in inspect.signature(member).parameters}


def linear(posterior: str, prior: str, **code: int) -> Autoencoder:
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
        posterior={"name": posterior} | taken(POSTERIORS[posterior], code),
        prior={"name": prior} | SMALL.get(prior, {}) | taken(PRIORS[prior], code),
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


# --- against the exact log p(x) of categorical codes ----------------------------------------------------------------

CATEGORICAL = [(q, p) for q, p in PAIRS if sense(q, p) and POSTERIORS[q].support == "one-hot"]
CLASSES = 3


class Enumerated:
    """Two categoricals of three classes: every figure is a sum over their nine codes.

    *Shapes*: ``joint`` and ``q`` (9, batch), log p(x, z) and log q(z|x); ``x`` (6, 3).
    """

    def __init__(self, posterior: str, prior: str) -> None:
        self.model = linear(posterior, prior, classes=CLASSES)
        self.x = torch.randn(6, 3, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
        blocks = itertools.product(torch.eye(CLASSES, dtype=torch.float64), repeat=LATENT)
        z = torch.stack([torch.cat(code) for code in blocks]).unsqueeze(1).expand(-1, len(self.x), -1)
        with torch.no_grad():
            self.prior = self.model.prior_at().log_prob(z[:, 0])
            self.joint, self.q = self.model.log_joint(z, self.x), self.model.encode(self.x).log_prob(z)

    @property
    def evidence(self) -> Tensor:
        """log p(x), (batch,), nats."""
        return torch.logsumexp(self.joint, 0)

    @property
    def elbo(self) -> Tensor:
        """The ELBO without noise, (batch,), nats."""
        return (self.q.exp() * (self.joint - self.q)).sum(0)

    def values(self, bound: Bound, repeats: int) -> Tensor:
        """The value of a bound, drawn ``repeats`` times: (repeats, batch), nats."""
        with torch.no_grad():
            x = self.x.repeat(repeats, 1)
            terms = self.model(x, samples=bound.samples or 1, weights=bound.weighted)
            return bound.value(bound.prepare(terms)).unflatten(0, (repeats, -1))


@pytest.fixture(scope="module", params=CATEGORICAL, ids="-".join)
def enumerated(request) -> Enumerated:
    torch.manual_seed(0)
    return Enumerated(*request.param)


def test_nine_codes_are_all_there_are(enumerated):
    """Prior and posterior add up to 1 over them, and the bound without noise leaves a gap worth testing."""
    for log_p in (enumerated.prior.unsqueeze(1), enumerated.q):
        assert torch.logsumexp(log_p, 0).abs().max() < 1e-12
    gap = enumerated.evidence - enumerated.elbo
    assert (gap > 0.05).all() and (gap < 10).all()


@pytest.mark.parametrize(("bound", "options"), BOUND_SETTINGS)
def test_no_bound_exceeds_the_sum_over_all_codes(enumerated, bound, options):
    """Of 4,000 draws, within 3 standard errors (seeded; false alarm 1e-3 an example): below log p(x), and no lower than
    the ELBO without noise, which the ELBO's own draws also do not exceed."""
    torch.manual_seed(0)
    member = BOUNDS.build(bound, **options)
    drawn = enumerated.values(member, 4000)
    error = 3 * drawn.std(0) / len(drawn) ** 0.5
    assert (drawn.mean(0) < enumerated.evidence + error).all()
    assert (drawn.mean(0) > enumerated.elbo - error).all()
    if not member.weighted:
        assert (drawn.mean(0) < enumerated.elbo + error).all()


def test_the_weighted_bound_rises_to_the_sum_over_all_codes(enumerated):
    """L_k rises with k on the same weights, and ends within 0.01 nats of log p(x) or 3 standard errors."""
    torch.manual_seed(0)
    drawn = enumerated.values(BOUNDS.build("iwae", k=1), 2**15)
    levels = [log_mean_exp(drawn.unflatten(0, (k, -1))) for k in (1, 4, 16, 64, 512, 4096)]
    for lower, higher in itertools.pairwise(levels):
        assert (higher.mean(0) > lower.mean(0)).all()
    last = levels[-1]
    assert ((last.mean(0) - enumerated.evidence).abs() < 0.01 + 3 * last.std(0) / len(last) ** 0.5).all()


@pytest.mark.parametrize(("bound", "options"), BOUND_SETTINGS)
def test_the_value_that_is_minimised_is_that_bound(enumerated, bound, options):
    """What trains a categorical code is the negative bound of the same draws; the rest is refused with a sentence."""
    try:
        minimised = minimised_of(enumerated.model, bound, options)
    except InputError as refusal:
        assert bound == "iwae" and ";" in str(refusal)
        return
    loss, terms = minimised(Batch(enumerated.x, examples=len(enumerated.x)))
    prepared = minimised.bound.prepare(terms)
    assert loss.item() == pytest.approx(-minimised.bound.value(prepared).mean().item(), abs=1e-12)
