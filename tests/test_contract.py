"""Every registered member keeps every promise; a new member is found through its registry, with no edit here."""

from __future__ import annotations

import doctest
import inspect
import re
from collections.abc import Iterator
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from lowerbound.errors import InputError
from lowerbound.maths.divergence import Rate
from lowerbound.model.conditions import CONDITIONS
from lowerbound.model.corruptions import CORRUPTIONS
from lowerbound.model.likelihoods import LIKELIHOODS
from lowerbound.model.networks import NETWORKS
from lowerbound.model.posteriors import POSTERIORS
from lowerbound.model.priors import PRIORS, Prior
from lowerbound.objective import BOUNDS, GAMES, OBJECTIVES, REGULARISERS, SCHEDULES
from lowerbound.registry import Registry

from .model.examples import batch, summary

MODEL = (NETWORKS, LIKELIHOODS, POSTERIORS, PRIORS, CONDITIONS, CORRUPTIONS)
REGISTRIES: dict[str, Registry[Any]] = {r.kind: r for r in (*MODEL, BOUNDS, OBJECTIVES, SCHEDULES, REGULARISERS, GAMES)}
MEMBERS = [(kind, name) for kind, registry in REGISTRIES.items() for name in registry]
SECTIONS = ["Shapes", "Units and sign", "Neutral setting", "Source"]
PICTURES = [(1, 8, 8), (3, 7, 5), (2, 1, 9)]
ROWS = [(6,), (1,)]
KINDS = ["binary", "unit", "levels", "real", "count", "table", "sequence", "series"]


def mentioned(annotation: Any) -> Iterator[Any]:
    """The values of a Literal, wherever it stands in an annotation."""
    for argument in getattr(annotation, "__args__", ()):
        if isinstance(argument, str):
            yield argument
        else:
            yield from mentioned(argument)


def settings(registry: Registry[Any], name: str) -> list[dict[str, Any]]:
    """The defaults, and every named value of every option on its own."""
    options = registry.options(name).items()
    return [{}] + [{key: value} for key, (annotation, _) in options for value in mentioned(annotation)]


def cases(registry: Registry[Any]) -> list[Any]:
    return [pytest.param(n, o, id=f"{n} {o}") for n in registry for o in settings(registry, n)]


def every_parameter_moves(module: nn.Module, loss: Tensor) -> None:
    """The gradient reaches every parameter and is finite."""
    module.zero_grad()
    loss.backward()
    for name, parameter in module.named_parameters():
        assert parameter.grad is not None and torch.isfinite(parameter.grad).all(), name
        assert (parameter.grad != 0).any(), name


def survives(module: nn.Module, fresh: nn.Module, run: Any) -> None:
    """The state goes round bitwise, holds nothing twice, and decides everything that ``run`` gives."""
    state = {k: v.clone() for k, v in module.state_dict().items()}
    assert len({t.data_ptr() for t in module.state_dict().values() if t.numel()}) == len(
        [t for t in state.values() if t.numel()]
    )
    fresh.load_state_dict(state)
    assert all(torch.equal(fresh.state_dict()[k], v) for k, v in state.items())
    assert torch.equal(run(module.eval()), run(fresh.eval()))


# --- what holds for every member ------------------------------------------------------------------------------------


@pytest.mark.parametrize(("kind", "name"), MEMBERS)
def test_the_docstring_is_the_house_docstring(kind, name):
    text = inspect.getdoc(REGISTRIES[kind][name]) or ""
    first = text.splitlines()[0] if text else ""
    assert first.endswith((".", ";", ":")) or first, "one sentence first"
    assert ".. math::" in text
    places = [text.find(f"*{section}*") for section in SECTIONS]
    assert -1 not in places, dict(zip(SECTIONS, places, strict=True))
    assert places == sorted(places), f"the order is {SECTIONS}"
    assert re.search(r"\b(1[0-9]{3}|20[0-9]{2})\b", text[places[-1] :]), "the source has a year"


@pytest.mark.parametrize(("kind", "name"), MEMBERS)
def test_the_docstring_has_a_doctest_of_at_most_six_lines(kind, name):
    examples = doctest.DocTestParser().get_examples(inspect.getdoc(REGISTRIES[kind][name]) or "")
    lines = sum((e.source + e.want).count("\n") for e in examples)
    assert examples and lines <= 6, lines


@pytest.mark.parametrize(("kind", "name"), MEMBERS)
def test_what_a_person_chooses_is_keyword_only_annotated_and_has_a_default(kind, name):
    member = REGISTRIES[kind][name]
    parameters = inspect.signature(member).parameters.values()
    for p in parameters:
        assert p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY), p
        assert p.annotation is not p.empty, p
        assert (p.default is p.empty) == (p.kind is p.POSITIONAL_OR_KEYWORD), (
            f"{p}: from data, or chosen with a default"
        )
    defaults = {k: default for k, (_, default) in REGISTRIES[kind].options(name).items()}
    assert REGISTRIES[kind].mistakes(name, defaults) == []
    assert REGISTRIES[kind].validate(name, {}) == defaults


@pytest.mark.parametrize(("kind", "name"), MEMBERS)
def test_an_unknown_option_is_one_sentence(kind, name):
    (sentence,) = REGISTRIES[kind].mistakes(name, {"no_such_thing": 1})
    assert "no_such_thing" in sentence and "\n" not in sentence


# --- networks -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("shape", PICTURES + ROWS)
@pytest.mark.parametrize(("name", "options"), cases(NETWORKS))
def test_a_network_keeps_its_shapes(name, options, shape):
    for inputs, outputs in ((shape, None), ((4,), (2, *shape))):

        def build(inputs=inputs, outputs=outputs) -> nn.Module:
            return NETWORKS.build(name, inputs, outputs, **options)

        try:
            network = build()
        except InputError:
            assert len(shape) != 3, "pictures are everyone's"
            continue
        x = torch.randn(32, *inputs)
        out = network(x)
        assert out.shape == (32, network.features) if outputs is None else out.shape == (32, *outputs)
        assert torch.isfinite(out).all()
        every_parameter_moves(network, (out * torch.randn_like(out)).sum())
        survives(network, build(), lambda n, x=x: n(x))


# --- posteriors and priors ------------------------------------------------------------------------------------------

CODING = [c for c in cases(POSTERIORS) if c.values[0] != "none"]
"""Posteriors that have an encoder."""
DENSE = [c for c in CODING if POSTERIORS[c.values[0]].density]
FREE = [c for c in cases(PRIORS) if not PRIORS[c.values[0]].conditional and c.values[0] != "vampprior"]
"""Priors that stand alone; the others are tried inside a model, in test_product and tests/model."""


@pytest.mark.parametrize("latent", [1, 3])
@pytest.mark.parametrize(("name", "options"), CODING)
def test_a_posterior_returns_a_distribution_over_the_code(name, options, latent):
    posterior = POSTERIORS.build(name, 7, latent, **options)
    features, noise = torch.randn(16, 7), torch.randn(5, 16, posterior.noise_width)
    q = posterior(features)
    z = q.transform(noise)
    assert z.shape == (5, 16, posterior.width) and q.mean.shape == (16, posterior.width)
    assert posterior.represent(z).shape == (5, 16, posterior.represented)
    moved = (posterior.represent(z).square() * torch.randn(posterior.represented)).sum() + q.mean.exp().sum()
    if posterior.density:
        log_prob = q.log_prob(z)
        assert log_prob.shape == (5, 16) and torch.isfinite(log_prob).all()
        moved = moved + log_prob.sum()
    else:
        with pytest.raises(InputError, match="no density"):
            q.log_prob(z)
    every_parameter_moves(posterior, moved)
    fresh = POSTERIORS.build(name, 7, latent, **options)
    survives(posterior, fresh, lambda p: p(features).transform(noise))
    assert posterior(features.bfloat16().float()).mean.dtype == torch.float32


@pytest.mark.parametrize(("name", "options"), DENSE)
def test_the_transform_of_normal_noise_is_a_draw(name, options):
    """20,000 draws of 2 dimensions: E[p/q] = 1 for p a little narrower than q; |z| < 5, a false alarm of 6e-7.

    For one-hot codes the sum of q over all codes is taken instead: the frequencies are the probabilities.
    """
    torch.manual_seed(0)
    posterior = POSTERIORS.build(name, 7, 2, **options).eval()
    q = posterior(torch.randn(1, 7))
    z = q.transform(torch.randn(20000, 1, posterior.noise_width))
    if posterior.support == "one-hot":
        spread = (q.mean * (1 - q.mean) / 20000).sqrt()
        assert ((z.mean(0) - q.mean).abs() / spread).max() < 5
        return
    p = torch.distributions.MultivariateNormal(z.mean((0, 1)), 0.5 * torch.cov(z[:, 0].T))
    ratio = (p.log_prob(z) - q.log_prob(z)).exp()
    assert abs(ratio.mean() - 1) / (ratio.std() / 20000**0.5) < 5


@pytest.mark.parametrize(("prior", "chosen"), FREE)
@pytest.mark.parametrize(("posterior", "options"), DENSE)
def test_a_rate_is_in_nats_per_dimension_and_agrees_with_sampling(prior, chosen, posterior, options):
    """20,000 draws: |z| < 5, a false alarm of 6e-7 an example."""
    head, p = POSTERIORS.build(posterior, 7, 2, **options), PRIORS.build(prior, 2, **chosen)
    if head.support != p.support or head.width != p.width:
        return
    q = head(torch.randn(4, 7))
    z = q.transform(torch.randn(20000, 4, head.noise_width)).detach()
    rate = p.rate(q, z)
    assert isinstance(rate, Rate)
    assert rate.value.shape == (4, 2 if p.factorised and head.factorised else 1)
    ratio = (q.log_prob(z) - p().log_prob(z)).detach()
    assert ((ratio.mean(0) - rate.total().detach()).abs() / (ratio.std(0) / 20000**0.5)).max() < 5


@pytest.mark.parametrize(("prior", "chosen"), FREE)
def test_a_prior_is_a_density_over_codes(prior, chosen):
    p = PRIORS.build(prior, 2, **chosen)
    z = p().sample((5,))
    assert z.shape == (5, p.width) and p().log_prob(z).shape == (5,) and torch.isfinite(p().log_prob(z)).all()
    assert p.parts[0].start == 0 and p.parts[-1].stop == p.width
    if p.support == "real":
        proposal = torch.distributions.Normal(torch.zeros(2), 6.0)
        drawn = proposal.sample((200000,))
        ratio = (p().log_prob(drawn) - proposal.log_prob(drawn).sum(-1)).exp().detach()
        assert abs(ratio.mean() - 1) / (ratio.std() / 200000**0.5) < 5, "it integrates to 1"
    every_parameter_moves(p, p().log_prob(p().sample((300,))).square().sum()) if list(p.parameters()) else None
    survives(p, PRIORS.build(prior, 2, **chosen), lambda m: m().log_prob(z))


@pytest.mark.parametrize("prior", [n for n in PRIORS if PRIORS[n].sample_of is not Prior.sample_of])
def test_a_label_has_a_region_of_its_own(prior):
    """Draws of one label are likelier to be told by the nearest mean than chance; -1 is anywhere."""
    p = PRIORS.build(prior, 2)
    labels = torch.arange(10).repeat_interleave(50)
    z = p.sample_of(labels)
    assert z.shape == (500, p.width)
    centres = torch.stack([z[labels == k].mean(0) for k in range(10)])
    assert (torch.cdist(z, centres).argmin(1) == labels).double().mean() > 0.3
    assert p.sample_of(torch.full((7,), -1)).shape == (7, p.width)


# --- corruptions and games ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("name", "options"), cases(CORRUPTIONS))
def test_a_corruption_touches_training_alone(name, options):
    corruption, x = CORRUPTIONS.build(name, **options), torch.rand(4, 3)
    assert torch.equal(corruption.eval()(x), x)
    assert corruption.train()(x).shape == x.shape


@pytest.mark.parametrize(("name", "options"), cases(GAMES))
def test_a_game_says_what_it_plays(name, options):
    game = GAMES.build(name, 6, 2, **options)
    assert isinstance(game.words(), str) and (game.words() or name == "alone")
    assert isinstance(game.encodes, bool) and isinstance(game.minimises, bool)


# --- likelihoods ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("shape", [(6,), (2, 3, 3)])
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("name", "options"), cases(LIKELIHOODS))
def test_a_likelihood_of_each_kind_that_it_takes(name, options, kind, shape):
    s = summary(kind, shape)
    if kind not in LIKELIHOODS[name].kinds:
        with pytest.raises(InputError):
            LIKELIHOODS.build(name, s, **options)
        return

    def build() -> nn.Module:
        return LIKELIHOODS.build(name, s, **options)

    likelihood, x = build(), batch(kind, shape, 32)
    out = torch.randn(3, len(x), *likelihood.output_shape, requires_grad=True)
    log_prob = likelihood.log_prob(out, x)
    assert log_prob.shape == (3, len(x)) and torch.isfinite(log_prob).all()
    d = likelihood(out)
    assert d.log_prob(x).shape == (3, *x.shape) and likelihood.mean(out).shape == (3, *x.shape)
    assert d.sample().shape == (3, *x.shape)
    start, variance = likelihood.output_bias(s), likelihood.marginal_variance(s)
    assert start.shape == likelihood.output_shape and torch.isfinite(start).all()
    assert variance.shape == s.shape and (variance > 0).all() and not variance.requires_grad
    sigma = likelihood.sigma()
    assert sigma is None or (sigma > 0).all()
    assert isinstance(likelihood.about, str) and isinstance(likelihood.fixed, bool)
    assert likelihood.warning(s) is None or likelihood.warning(s).endswith(".")
    every_parameter_moves(likelihood, log_prob.sum())
    assert torch.isfinite(out.grad).all()
    fixed = out.detach()
    survives(likelihood, build(), lambda p: p.log_prob(fixed, x))


DISCRETE = [c for c in cases(LIKELIHOODS) if LIKELIHOODS[c.values[0]].kinds[0] in ("binary", "levels", "count")]


@pytest.mark.parametrize(("name", "options"), DISCRETE)
def test_a_probability_is_at_most_one(name, options):
    kind = LIKELIHOODS[name].kinds[0]
    likelihood = LIKELIHOODS.build(name, summary(kind), **options)
    x = batch(kind)
    out = 10 * torch.randn(50, len(x), *likelihood.output_shape)
    assert (likelihood.log_prob(out, x) <= 1e-5).all()
