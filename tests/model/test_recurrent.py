"""Sequences through the model: probabilities that add up to 1, padding that changes nothing, draws step by step."""

from __future__ import annotations

import itertools
import math

import pytest
import torch
from scipy import stats
from torch import Tensor

from lowerbound.data.dataset import Summary
from lowerbound.errors import InputError
from lowerbound.model.assemble import assemble
from lowerbound.model.autoencoder import Autoencoder
from lowerbound.model.likelihoods import LIKELIHOODS
from lowerbound.model.step_by_step import run
from lowerbound.objective import GAMES, REGULARISERS, Batch

from .examples import STEPS, SYMBOLS, batch, summary

DECODERS = {"repeated": {}, "teacher": {"teacher": True}, "dropped": {"teacher": True, "word_dropout": 0.5}}
NAN = torch.nan


def symbols(T: int, levels: int = 3) -> Summary:
    shares = torch.full((levels,), 1 / levels)
    return Summary("sequence", (T,), torch.ones(T), torch.ones(T), levels, frequencies=shares)


def series(T: int, features: int = 2) -> Summary:
    return Summary("series", (T, features), torch.full((T, features), 3.0), torch.full((T, features), 2.0))


def model_of(s: Summary, seed: int = 0, cell: str = "lstm", latent: int = 2, decoder=(), **parts) -> Autoencoder:
    torch.manual_seed(seed)
    network = {"name": "recurrent", "hidden": 7, "embedding": 3, "cell": cell, "layers": 2}
    both = {"encoder": network, "decoder": network | dict(decoder)}
    return assemble(s, latent=latent, **both | parts).double().eval()


def every_text(T: int, levels: int) -> Tensor:
    """All sequences that end within T steps, and all beginnings of T symbols that have not ended."""
    end, out = levels - 1, []
    for length in range(T):
        out += [[*w, end, *[NAN] * (T - length - 1)] for w in itertools.product(range(end), repeat=length)]
    return torch.tensor(out + [list(w) for w in itertools.product(range(end), repeat=T)], dtype=torch.float64)


# --- exactness ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("cell", ["lstm", "gru"])
@pytest.mark.parametrize("decoder", DECODERS)
@pytest.mark.parametrize(("T", "levels"), [(1, 2), (2, 4), (3, 3)])
def test_the_probabilities_of_all_texts_add_up_to_one(T, levels, decoder, cell):
    model, x = model_of(symbols(T, levels), cell=cell, decoder=DECODERS[decoder]), every_text(T, levels)
    for parameter in model.decoder.parameters():
        parameter.data.mul_(3)
    z = torch.randn(4, 1, 2, dtype=torch.float64).expand(-1, len(x), -1)
    log_prob = model.likelihood.log_prob(model.outputs(z, None, x), x)
    assert log_prob.shape == (4, len(x)) and log_prob.std() > 0.01
    assert torch.allclose(log_prob.exp().sum(1), torch.ones(4, dtype=torch.float64), atol=1e-12)


def test_a_step_depends_on_those_before_it_alone():
    model, x = model_of(symbols(5, 4), decoder=DECODERS["teacher"]), torch.tensor([[0.0, 1.0, 2.0, 0.0, 3.0]]).double()
    z = torch.randn(1, 1, 2, dtype=torch.float64)
    other = x.clone()
    other[:, 2:] = torch.tensor([1.0, 3.0, NAN])
    a, b = model.outputs(z, None, x)[0, 0], model.outputs(z, None, other)[0, 0]
    assert torch.equal(a[:, :3], b[:, :3]), "what comes at step 2 is read at step 3"
    assert (a[:, 3] - b[:, 3]).abs().min() > 1e-6


@pytest.mark.parametrize("decoder", DECODERS)
def test_draws_have_the_frequencies_of_the_probabilities(decoder):
    """Chi-square of 4,000 draws over all 15 texts of T = 3: a false alarm of 1e-6."""
    model, x = model_of(symbols(3, 3), decoder=DECODERS[decoder]), every_text(3, 3)
    for parameter in model.decoder.parameters():
        parameter.data.mul_(3)
    z = torch.randn(1, 1, 2, dtype=torch.float64)
    p = model.likelihood.log_prob(model.outputs(z.expand(1, len(x), -1), None, x), x).exp()[0].detach()
    drawn = model.decode(z[0].expand(4000, -1)).sample()
    found = (drawn.nan_to_num(-1)[:, None] == x.nan_to_num(-1)[None]).all(-1)
    assert (found.sum(1) == 1).all(), "every draw is one of the texts"
    assert stats.chisquare(found.sum(0).numpy(), (4000 * p / p.sum()).numpy()).pvalue > 1e-6


@pytest.mark.parametrize("s", [symbols(5, 4), series(5)], ids=["sequence", "series"])
@pytest.mark.parametrize("decoder", ["teacher", "dropped"])
def test_running_free_is_reading_what_was_emitted(s, decoder):
    """The steps one by one, and all at once with the finished sequence as teacher, give the same numbers."""
    model, z = model_of(s, decoder=DECODERS[decoder]), torch.randn(3, 6, 2, dtype=torch.float64)
    for draw in (False, True):
        out, x = run(model, z, None, draw)
        assert out.shape == (3, 6, *model.likelihood.output_shape) and x.shape == (3, 6, *s.shape)
        flat = x.flatten(0, 1)
        again = model.outputs(z.reshape(1, 18, 2), None, flat)[0].reshape(out.shape)
        there = ~torch.isnan(x) if s.kind == "sequence" else ~torch.isnan(x).any(-1)
        gap = (out - again).abs().amax(2) if s.kind == "sequence" else (out - again).abs().amax((2, 4))
        assert gap[there].max() < 1e-12
    assert torch.equal(model.decode_mean(z).nan_to_num(-1), run(model, z, None, draw=False)[1].nan_to_num(-1))
    d = model.decode(z[:, 0])
    assert d.mean.shape == (3, *s.shape) and d.sample((4,)).shape == (4, 3, *s.shape)
    assert torch.isfinite(d.log_prob(d.mean)).all()


def test_a_picture_can_be_emitted_row_by_row():
    s, x = summary("binary", (2, 4, 3)), batch("binary", (2, 4, 3), 6).double()
    model = model_of(s, decoder={"teacher": True})
    z = torch.randn(1, 6, 2, dtype=torch.float64)
    changed = x.clone()
    changed[:, :, 2] = 1 - changed[:, :, 2]
    a, b = model.outputs(z, None, x), model.outputs(z, None, changed)
    assert torch.equal(a[..., :3, :], b[..., :3, :]) and not torch.equal(a[..., 3, :], b[..., 3, :])
    drawn = model.decode(z).sample()
    assert drawn.shape == (1, 6, 2, 4, 3) and drawn.unique().tolist() == [0, 1]
    out, chosen = run(model, z, None, draw=False)
    assert torch.allclose(model.outputs(z, None, chosen[0]), out, atol=1e-12)


# --- padding --------------------------------------------------------------------------------------------------------


def longer(s: Summary, by: int) -> Summary:
    """The same data in an array of more steps."""
    steps = (s.shape[0] + by, *s.shape[1:])
    mean, std = (a[:1].expand(steps).clone() for a in (s.mean, s.std))
    return Summary(s.kind, steps, mean, std, s.levels, frequencies=s.frequencies)


@pytest.mark.parametrize("cell", ["lstm", "gru"])
@pytest.mark.parametrize("decoder", ["repeated", "teacher"])
@pytest.mark.parametrize("kind", ["sequence", "series"])
def test_more_padding_changes_nothing(kind, decoder, cell):
    """q(z|x) and the bound to 1e-12, the gradients to 1e-12, in float64."""
    s, x = (symbols(6, 5) if kind == "sequence" else series(6, 3)), batch(kind, n=12).double()
    wider = torch.cat([x, torch.full((12, 5, *x.shape[2:]), NAN, dtype=torch.float64)], 1)
    noise = torch.randn(3, 12, 2, dtype=torch.float64)
    found = []
    for own, data in ((s, x), (longer(s, 5), wider)):
        model = model_of(own, cell=cell, decoder=DECODERS[decoder])
        terms = model(data, noise=noise, weights=True)
        (-terms.elbo().sum()).backward()
        gradients = {name: p.grad for name, p in model.named_parameters()}
        assert all(g is not None and torch.isfinite(g).all() for g in gradients.values())
        found.append((model.encode(data).mean, terms.elbo(), terms.log_weight, *gradients.values()))
    for a, b in zip(*found, strict=True):
        assert torch.allclose(a, b, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("kind", ["sequence", "series"])
def test_what_stands_after_the_end_costs_nothing_and_moves_nothing(kind):
    s, x = summary(kind), batch(kind, n=12)
    likelihood = LIKELIHOODS.build("tokens" if kind == "sequence" else "normal", s)
    out = torch.randn(2, 12, *likelihood.output_shape, requires_grad=True)
    likelihood.log_prob(out, x).sum().backward()
    there = ~torch.isnan(x).unsqueeze(1).expand(out.shape[1:])
    assert (out.grad[:, ~there] == 0).all() and (out.grad[:, there] != 0).all()
    each = likelihood(out).log_prob(x)
    assert (each[:, torch.isnan(x)] == 0).all()
    assert torch.allclose(each.flatten(2).sum(-1), likelihood.log_prob(out, x), atol=1e-4)


def test_an_encoder_reads_to_the_end_and_no_further():
    model, x = model_of(symbols(6, 5)), batch("sequence", n=12).double()
    one = [model.encode(row[~torch.isnan(row)][None]).mean for row in x[:6]]  # of each its own length, no padding
    assert torch.allclose(torch.cat(one), model.encode(x[:6]).mean, atol=1e-12)


# --- likelihoods ----------------------------------------------------------------------------------------------------


def test_symbols_start_at_their_shares():
    shares = torch.tensor([0.7, 0.2, 0.1])
    s = Summary("sequence", (4,), torch.ones(4), torch.ones(4), 3, frequencies=shares)
    model = model_of(s)
    for parameter in model.decoder.last.parameters():
        parameter.data.mul_(parameter.dim() == 1)
    p = torch.softmax(model.outputs(torch.randn(1, 2, dtype=torch.float64))[0], 0)
    assert torch.allclose(p, shares.double().unsqueeze(-1).expand(3, 4), atol=1e-6)


@pytest.mark.parametrize("name", ["normal", "laplace"])
def test_a_series_has_the_density_of_its_values_that_are_there(name):
    s, x = summary("series"), batch("series", n=12).double()
    likelihood = LIKELIHOODS.build(name, s, variance="fixed", sigma=1.5).double()
    out = torch.randn(1, 12, *likelihood.output_shape, dtype=torch.float64)
    centre = likelihood.mean(out)[0].numpy()
    member = stats.norm if name == "normal" else stats.laplace
    scale = 1.5 if name == "normal" else 1.5 / math.sqrt(2)
    expected = [
        member.logpdf(row, at, scale)[~torch.isnan(row).numpy()].sum() for row, at in zip(x, centre, strict=True)
    ]
    assert likelihood.log_prob(out, x)[0].tolist() == pytest.approx(expected, rel=1e-6)


def test_the_optimal_variance_is_that_of_the_values_that_are_there():
    s, x = summary("series"), batch("series", n=12).double()
    likelihood = LIKELIHOODS.build("normal", s, variance="optimal").double().train()
    out = torch.zeros(1, 12, *likelihood.output_shape, dtype=torch.float64)
    best = (x - likelihood.mean(out)[0]).square()[~torch.isnan(x)].sum() / (~torch.isnan(x)).sum()
    n = (~torch.isnan(x)).sum()
    expected = -0.5 * n * (torch.log(2 * math.pi * best) + 1)
    assert likelihood.log_prob(out, x).sum().item() == pytest.approx(expected.item(), rel=1e-6)


# --- word dropout, conditions, refusals -----------------------------------------------------------------------------


def test_word_dropout_acts_in_training_alone():
    model, x = model_of(symbols(6, 5), decoder=DECODERS["dropped"]), batch("sequence", n=12).double()
    z = torch.randn(1, 12, 2, dtype=torch.float64)
    assert torch.equal(model.outputs(z, None, x), model.outputs(z, None, x))
    model.train()
    assert not torch.equal(model.outputs(z, None, x), model.outputs(z, None, x))


def test_the_rate_of_word_dropout():
    """600 examples of 6 steps, 5 of them after the first: |z| < 5, a false alarm of 6e-7."""
    decoder = model_of(symbols(6, 5), decoder={"teacher": True, "word_dropout": 0.3}).decoder.train()
    steps = torch.ones(600, 6, 6, dtype=torch.float64)
    seen = decoder._before(steps)
    hidden = seen[..., -1]
    assert (hidden[:, 0] == 0).all() and (seen[:, 0] == 0).all(), "before the first step nothing is known or hidden"
    assert abs(hidden[:, 1:].sum() - 900) / math.sqrt(3000 * 0.3 * 0.7) < 5
    assert torch.equal(seen[:, 1:, :-1], (1 - hidden[:, 1:, None]).expand(-1, -1, 6))


def test_all_words_dropped_is_no_teacher():
    model = model_of(symbols(6, 5), decoder={"teacher": True, "word_dropout": 1.0})
    assert not model.autoregressive and not hasattr(model.decoder, "embed")


@pytest.mark.parametrize("kind", ["sequence", "series"])
def test_a_recurrent_model_can_have_a_condition(kind):
    from dataclasses import replace

    s, x = replace(summary(kind), classes=3), batch(kind, n=6).double()
    model = model_of(s, decoder={"teacher": True}, condition={"name": "labels"})
    y = torch.tensor([0, 1, 2, 0, 1, 2])
    bound = model(x, y=y, noise=torch.zeros(1, 6, 2).double()).elbo()
    other = model(x, y=(y + 1) % 3, noise=torch.zeros(1, 6, 2).double()).elbo()
    assert torch.isfinite(bound).all() and (bound - other).abs().min() > 1e-9
    wider = torch.cat([x, torch.full_like(x, NAN)], 1)
    again = model_of(replace(longer(s, STEPS), classes=3), decoder={"teacher": True}, condition={"name": "labels"})
    assert torch.allclose(again(wider, y=y, noise=torch.zeros(1, 6, 2).double()).elbo(), bound, atol=1e-10)


def test_refusals():
    with pytest.raises(InputError, match=r"a row of a table has none; use mlp"):
        model_of(summary("table"))
    with pytest.raises(InputError, match="tokens is a likelihood of sequences of symbols, the data are series"):
        LIKELIHOODS.build("tokens", summary("series"))
    with pytest.raises(InputError, match="reads what it emits"):
        model_of(symbols(3), decoder={"teacher": True}).decoder(torch.zeros(1, 2).double())
    with pytest.raises(InputError, match="needs pictures"):
        assemble(summary("sequence"), latent=2, encoder={"name": "convolutional"})


@pytest.mark.parametrize("corruption", ["gaussian", "masking"])
@pytest.mark.parametrize("kind", ["sequence", "series"])
def test_a_corruption_touches_steps_and_not_their_ends(kind, corruption):
    model, x = model_of(summary(kind), corruption={"name": corruption}), batch(kind, n=12).double()
    seen: list[Tensor] = []
    model.encoder.register_forward_pre_hook(lambda _, given: seen.append(given[0]))
    clean = model.features(x)
    model.train().encode(x)
    there = clean[..., -1] == 1
    assert torch.equal(seen[0][..., -1], clean[..., -1]) and (seen[0][~there] == 0).all()
    assert not torch.equal(seen[0], clean)


@pytest.mark.parametrize("kind", ["sequence", "series"])
def test_a_game_or_condition_that_makes_no_sense_here_is_refused(kind):
    model = model_of(summary(kind), posterior={"name": "none"})
    with pytest.raises(InputError, match="have ends; use game alone"):
        GAMES.build("gan", 30, 2).players(model, None)
    with pytest.raises(InputError, match="condition columns needs rows"):
        model_of(summary(kind), condition={"name": "columns"})


def test_any_network_takes_sequences():
    for name in ("mlp", "residual"):
        model = assemble(summary("sequence"), latent=2, encoder={"name": name, "hidden": [8]})
        assert torch.isfinite(model(batch("sequence", n=8)).elbo()).all()
    assert model.likelihood.levels == SYMBOLS


def test_a_bag_of_words_knows_no_order():
    """The second decoder charges a text and its letters in another order alike, and a softmax over symbols each."""
    model, x = model_of(symbols(6, 5)), batch("sequence", n=12).double()
    bag = REGULARISERS.build("bag-of-words", 6, 2)
    bag.critics(model)
    terms = model(x, samples=3)
    whole = bag(model, terms, Batch(x))
    logits = torch.log_softmax(bag.head(terms.z), -1)
    there = ~torch.isnan(x)
    cost = -(logits.gather(-1, x.nan_to_num(0).long().expand(3, -1, -1)) * there).sum(-1)
    assert whole.item() == pytest.approx(cost.mean().item(), rel=1e-10)
    turned = torch.where(there, x.flip(1).nan_to_num(0), NAN)
    for i, row in enumerate(x):
        codes = row[~torch.isnan(row)]
        turned[i, : len(codes)] = codes.flip(0)
    assert bag(model, terms, Batch(turned)).item() == pytest.approx(whole.item(), rel=1e-12)
    with pytest.raises(InputError, match="learns a deviation"):
        bag.refuse(model_of(series(4)))
