"""Parts joined: shapes, precision, a person's own modules, and the two ways to the same number."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from lowerbound.errors import InputError
from lowerbound.maths.divergence import kl
from lowerbound.maths.terms import terms
from lowerbound.model.assemble import assemble
from lowerbound.model.features import Features
from lowerbound.model.likelihoods import LIKELIHOODS

from .examples import COLUMNS, batch, summary

KINDS = ["binary", "unit", "levels", "real", "count", "table", "sequence", "series"]
SMALL = {"name": "mlp", "hidden": [12]}


def small(kind="binary", shape=(1, 4, 3), latent=2, **parts):
    return assemble(summary(kind, shape), latent=latent, **{"encoder": SMALL} | parts)


@pytest.mark.parametrize("kind", KINDS)
def test_shapes_for_every_kind_of_data(kind):
    model, x = small(kind), batch(kind, (1, 4, 3), 5)
    ledger = model(x, samples=3, weights=True)
    assert ledger.distortion.shape == (3, 5) and ledger.rate.shape == (5, 2) and ledger.log_weight.shape == (3, 5)
    assert ledger.kind == "closed" and torch.isfinite(ledger.elbo()).all()
    z = torch.randn(6, 7, 2)
    assert model.decode_mean(z).shape == (6, 7, *x.shape[1:])
    assert model.decode(z).sample().shape == (6, 7, *x.shape[1:])
    assert model.encode(x).mean.shape == (5, 2)
    assert model.shape == x.shape[1:] and model.latent == 2


@pytest.mark.parametrize("posterior", ["normal", "full-normal"])
def test_the_ledger_is_the_one_of_the_free_standing_pieces(posterior):
    model, x = small(posterior={"name": posterior}).double(), batch("binary", (1, 4, 3)).double()
    noise = torch.randn(4, len(x), 2).double()
    ledger = model(x, noise=noise, weights=True)
    q, p = model.encode(x), model.prior()
    z = q.transform(noise)
    log_likelihood = model.decode(z).log_prob(x).flatten(2).sum(-1)
    free = terms(log_likelihood, q, p, z)
    assert torch.allclose(ledger.distortion, free.distortion) and torch.allclose(ledger.rate, free.rate)
    assert torch.allclose(ledger.log_weight, free.log_weight) and torch.allclose(ledger.rate, kl(q, p).value)


def test_the_importance_weights_average_to_the_evidence_of_the_exact_posterior():
    """With q the prior (untrained head at 0) the log weight is log p(x|z)."""
    model, x = small(), batch("binary", (1, 4, 3))
    with torch.no_grad():
        model.posterior.head.weight.zero_()
        model.posterior.head.bias.zero_()
    ledger = model(x, samples=5, weights=True)
    assert torch.allclose(ledger.log_weight, -ledger.distortion, atol=1e-5) and (ledger.rate == 0).all()


def test_noise_decides_everything():
    model, x, noise = small(), batch("binary", (1, 4, 3)), torch.randn(2, 5, 2)
    assert torch.equal(model(x, noise=noise).distortion, model(x, noise=noise).distortion)
    torch.manual_seed(3)
    a = model(x, samples=2).distortion
    torch.manual_seed(3)
    assert torch.equal(a, model(x, noise=torch.randn(2, 5, 2)).distortion)


def test_under_autocast_networks_run_in_bfloat16_and_the_terms_in_float32():
    model, x, noise = small(), batch("binary", (1, 4, 3)), torch.randn(1, 5, 2)
    seen = []
    model.decoder.register_forward_hook(lambda *a: seen.append(a[2].dtype))
    with torch.autocast("cpu", torch.bfloat16):
        ledger = model(x, noise=noise, weights=True)
    assert seen == [torch.bfloat16]
    assert ledger.distortion.dtype == ledger.rate.dtype == ledger.log_weight.dtype == torch.float32
    assert torch.allclose(ledger.elbo(), model(x, noise=noise).elbo(), rtol=0.02, atol=0.05)


@pytest.mark.parametrize("kind", KINDS)
def test_a_new_model_emits_the_marginal_of_the_data(kind):
    model, s = small(kind), summary(kind, (1, 4, 3))
    x = batch(kind, (1, 4, 3), 200)
    start = model.likelihood.output_bias(s).detach()
    constant = model.likelihood.log_prob(start.expand(1, len(x), *start.shape), x)
    gap = (constant + model(x).distortion).mean() / s.parts
    assert gap < 1.2


def test_the_decoder_mirrors_the_encoder():
    model = small(encoder={"name": "mlp", "hidden": [20, 10], "activation": "tanh"})
    widths = [m.out_features for m in model.decoder.modules() if isinstance(m, nn.Linear)]
    assert widths == [10, 20, 12] and any(isinstance(m, nn.Tanh) for m in model.decoder.modules())
    assert (
        len([m for m in small(decoder={"name": "mlp", "hidden": []}).decoder.modules() if isinstance(m, nn.Linear)])
        == 1
    )


def test_your_own_modules_plug_in():
    encoder = nn.Sequential(nn.Conv2d(1, 3, 3, padding=1), nn.ReLU())
    decoder = nn.Sequential(nn.Linear(2, 6), nn.Tanh(), nn.Linear(6, 12), nn.Unflatten(1, (4, 3)))
    model = small(encoder=encoder, decoder=decoder)
    ledger = model(batch("binary", (1, 4, 3)))
    (ledger.distortion.sum() + ledger.rate.sum()).backward()
    assert all(p.grad is not None for p in (*encoder.parameters(), *decoder.parameters()))
    assert small(encoder=nn.Linear(12, 5)).posterior.features == 5, "a module of flat rows takes pictures flattened"


def test_a_dry_run_leaves_your_module_as_it_was():
    encoder = nn.Sequential(nn.Flatten(), nn.BatchNorm1d(12), nn.Linear(12, 4), nn.Dropout())
    before, state = {k: v.clone() for k, v in encoder.state_dict().items()}, torch.get_rng_state()
    small(encoder=encoder, decoder=nn.Linear(2, 12))
    assert all(torch.equal(v, before[k]) for k, v in encoder.state_dict().items())
    assert encoder.training and encoder[1].training
    torch.set_rng_state(state)


@pytest.mark.parametrize(
    ("parts", "words"),
    [
        ({"encoder": nn.Linear(99, 5)}, "does not take"),
        ({"encoder": nn.LSTM(12, 5)}, "does not take"),
        ({"decoder": nn.Linear(3, 12)}, "does not take"),
        ({"decoder": nn.Linear(2, 13)}, "emits 13 numbers"),
        ({"encoder": {"name": "mpl"}}, "did you mean mlp"),
        ({"likelihood": {"name": "poisson", "rate": 1}}, "no such option"),
        ({"latent": 0}, "0 latent dimensions"),
    ],
)
def test_what_does_not_fit_is_refused_in_one_line(parts, words):
    with pytest.raises(InputError, match=words) as error:
        small(**parts)
    assert "\n" not in str(error.value)


def test_the_words_say_why_and_what_is_doubtful():
    assert small().words(summary("binary", (1, 4, 3))) == ["Likelihood bernoulli, because every value is 0 or 1."]
    words = small("unit", likelihood={"name": "bernoulli"}).words(summary("unit", (1, 4, 3)))
    assert len(words) == 2 and "as asked" in words[0] and "likelihood of nothing" in words[1]


def test_features_of_a_table():
    s, x = summary("table"), batch("table")
    f = Features(s)(x)
    assert f.shape == (len(x), 4 + 5 + 6) and torch.isfinite(f).all()
    assert (f[:, -len(COLUMNS) :] == torch.isnan(x)).all()
    hot = f[:, 4:9]
    assert torch.equal(hot[0, :3], nn.functional.one_hot(x[0, 1].long(), 3).float())
    assert (hot[1, :3] == 0).all(), "a missing category is no category"
    assert f[0, 0] == 0 and abs(f[1:, 0].mean()) < 2, "a missing number is the average one"


@pytest.mark.parametrize("kind", KINDS)
def test_a_loaded_model_needs_only_the_kind_and_the_weights(kind):
    """A run folder keeps no statistics beside the weights: they must all be in the state."""
    s = summary(kind, (1, 4, 3))
    neutral = type(s)(s.kind, s.shape, s.mean * 0, s.mean * 0 + 1, s.levels, s.columns)
    torch.manual_seed(1)
    model = assemble(s, latent=2, encoder=SMALL).eval()
    other = assemble(neutral, latent=2, encoder=SMALL).eval()
    other.load_state_dict(model.state_dict())
    x, noise = batch(kind, (1, 4, 3), 5), torch.randn(1, 5, 2)
    assert torch.equal(model(x, noise=noise).elbo(), other(x, noise=noise).elbo())
    means = (m.decode_mean(noise).nan_to_num(-1) for m in (model, other))
    assert torch.equal(*means)


@pytest.mark.parametrize("name", sorted(LIKELIHOODS))
def test_each_likelihood_learns(name):
    kind = LIKELIHOODS[name].kinds[0]
    torch.manual_seed(0)
    model = small(kind, likelihood={"name": name})
    x = batch(kind, (1, 4, 3), 100)
    optimiser = torch.optim.Adam(model.parameters(), lr=1e-2)
    bounds = []
    for _ in range(60):
        bound = model(x).elbo().sum() / len(x)
        bounds.append(bound.item())
        optimiser.zero_grad()
        (-bound).backward()
        optimiser.step()
    assert sum(bounds[-5:]) / 5 > bounds[0]
