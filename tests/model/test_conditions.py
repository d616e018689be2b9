"""Conditions: what is modelled and what is given; and the label that is inferred where it is not known."""

from __future__ import annotations

import math

import pytest
import torch
from torch.nn import functional as F

from lowerbound.data import from_array, summary
from lowerbound.data.dataset import Summary
from lowerbound.errors import InputError
from lowerbound.model.assemble import assemble
from lowerbound.model.conditions import CONDITIONS, one_hot

from .examples import batch
from .examples import summary as summary_of

CLASSES = 3


def labelled(kind: str = "binary", shape: tuple[int, ...] = (1, 4, 4), n: int = 20):
    x = batch(kind, shape, n)
    y = torch.arange(n) % CLASSES
    s = summary_of(kind, shape)
    return x, y, Summary(s.kind, s.shape, s.mean, s.std, s.levels, s.columns, CLASSES)


def model_of(s: Summary, condition: dict, **parts):
    torch.manual_seed(0)
    small = {"name": "mlp", "hidden": (8,), "activation": "tanh"}
    return assemble(s, **{"latent": 2, "encoder": small, "condition": condition} | parts)


@pytest.mark.parametrize("encoder", ["mlp", "convolutional"])
@pytest.mark.parametrize("prior", ["standard-normal", "conditional-normal"])
def test_a_label_reaches_encoder_decoder_and_prior(encoder, prior):
    x, y, s = labelled(shape=(1, 8, 8))
    model = model_of(s, {"name": "labels"}, encoder={"name": encoder}, prior={"name": prior, **hidden(prior)})
    noise = torch.randn(1, len(x), 2)
    a, b = (model(x, y=labels, noise=noise, weights=True) for labels in (y, (y + 1) % CLASSES))
    assert not torch.equal(a.distortion, b.distortion) and not torch.equal(a.rate, b.rate)
    assert model.encode(x, y).mean.shape == (len(x), 2)
    if prior == "conditional-normal":
        _, c = model.given(x, y)
        assert model.prior_at(c).batch_shape == (len(x),)
        with pytest.raises(InputError, match="condition"):
            model.prior_at()


def hidden(prior: str) -> dict:
    return {"hidden": (8,)} if prior == "conditional-normal" else {}


def test_a_label_may_be_kept_from_the_encoder():
    x, y, s = labelled()
    model = model_of(s, {"name": "labels", "encoder": False})
    assert torch.equal(model.encode(x, y).mean, model.encode(x, (y + 1) % CLASSES).mean)
    assert not torch.equal(model(x, y=y).distortion, model(x, y=(y + 1) % CLASSES).distortion)


@pytest.mark.parametrize("known", ["column", "top", "left"])
@pytest.mark.parametrize("kind", ["binary", "unit", "levels", "real", "count"])
def test_part_and_rest_make_the_whole(kind, known):
    x, s = batch(kind, (2, 5, 4)), summary_of(kind, (2, 5, 4))
    condition = CONDITIONS.build("part", s, known=known)
    target, c = condition(x, None)
    assert target.shape[1:] == condition.summary.shape and c.shape == (len(x), condition.width)
    assert target[0].numel() + condition.width == x[0].numel()
    assert torch.allclose(condition.whole(target, c), x, atol=1e-4)


def test_columns_and_rest_make_the_whole_row():
    rows = {
        "height": [0.5, None, 2.5] * 8,
        "town": ["a", "b", "c", "a"] * 6,
        "n": [0, 3, 4, 1] * 6,
        "m": [0.5, -1] * 12,
    }
    data = from_array(rows, valid=0, test=0)
    x = data.splits["train"].x
    for names in (("town", "height"), ("n",), ("m", "n", "town")):
        condition = CONDITIONS.build("columns", summary(data), names=names)
        assert torch.allclose(condition.whole(*condition(x, None)), x, atol=1e-5, equal_nan=True)


def test_conditions_of_another_length_or_out_of_range_are_refused_with_a_sentence():
    x, y, s = labelled()
    model = model_of(s, {"name": "labels"})
    for wrong, words in (
        (y[:5], "labels of the shape"), (torch.stack([y, y], 1), "labels of the shape"), (y + 2, "out of range"),
        (y + 0.5, "not a whole number"),
    ):  # fmt: skip
        with pytest.raises(InputError, match=words):
            model(x, y=wrong)
    with pytest.raises(InputError, match="label -2 is out of range"):
        one_hot(y - 2, CLASSES, x)
    for c in (torch.zeros(4, CLASSES), torch.zeros(20, CLASSES + 1)):
        with pytest.raises(InputError, match="have conditions of the shape"):
            model.decode(torch.zeros(20, 2), c)


def test_a_model_of_the_rest_trains_on_pictures_of_another_width():
    x, s = batch("binary", (1, 8, 8), 20), summary_of("binary", (1, 8, 8))
    model = model_of(s, {"name": "part"}, encoder={"name": "convolutional"})
    terms = model(x)
    terms.elbo().sum().backward()
    assert model.shape == (1, 8, 7)
    assert model.decode_mean(torch.zeros(3, 2), model.given(x[:3])[1]).shape == (3, 1, 8, 7)


def test_known_columns_of_a_table_are_given():
    s = summary_of("table")
    condition = CONDITIONS.build("columns", s, names=("city", "height"))
    target, c = condition(batch("table"), None)
    assert [column.name for column in condition.summary.columns] == ["visits", "smokes", "weight", "team"]
    assert target.shape[1] == 4 and c.shape[1] == condition.width and torch.isfinite(c).all()
    model = model_of(s, {"name": "columns", "names": ("city", "height")})
    assert torch.isfinite(model(batch("table")).elbo()).all()


def test_without_latents_the_bound_is_the_log_likelihood_itself():
    x, s = batch("binary", (1, 8, 8), 20), summary_of("binary", (1, 8, 8))
    model = model_of(s, {"name": "part"}, latent=0)
    terms = model(x, samples=3, weights=True)
    target, c = model.given(x)
    exact = model.likelihood.log_prob(model.outputs(torch.zeros(1, len(x), 0), c), target)[0]
    assert torch.allclose(terms.elbo(), exact) and torch.allclose(terms.iwae(), exact, atol=1e-5)
    assert terms.rate.shape == (len(x), 0) and model.encoder is None


# --- the inferred label ---------------------------------------------------------------------------------------------


def semi():
    x, y, s = labelled(n=12)
    model = model_of(s, {"name": "inferred-labels", "hidden": (8,)})
    return model, x, torch.where(torch.arange(12) < 5, y, -1)


def test_a_known_label_costs_its_prior_and_an_unknown_one_is_summed_over():
    """Against the sum written out class by class, with the same noise."""
    model, x, y = semi()
    noise = torch.randn(2, 12, 2)
    terms = model(x, y=y, noise=noise)
    each = [super(type(model), model).forward(x, y=torch.full((12,), k), noise=noise).elbo() for k in range(CLASSES)]
    q = F.softmax(model.class_logits(x), -1)
    entropy = -(q * q.log()).sum(-1)
    summed = sum(q[:, k] * each[k] for k in range(CLASSES)) + entropy - math.log(CLASSES)
    given = torch.stack(each)[y.clamp(min=0), torch.arange(12)] - math.log(CLASSES)
    assert torch.allclose(terms.elbo(), torch.where(y >= 0, given, summed), atol=1e-5)
    assert terms.rate.shape == (12, model.rate_width) == (12, 3)
    assert torch.allclose(model(x, noise=noise).elbo()[5:], terms.elbo()[5:], rtol=1e-6, atol=0)


def test_the_bound_of_an_unknown_label_is_below_log_p_by_quadrature():
    """log p(x) = log 1/K sum_y int p(z) p(x|z, y): 120 x 120 points on [-6, 6]^2; 500 draws, 3 standard errors."""
    model, x, _ = semi()
    line = torch.linspace(-6, 6, 120)
    z = torch.cartesian_prod(line, line)
    log_p = []
    for k in range(CLASSES):
        c = F.one_hot(torch.tensor([k]), CLASSES).float().expand(len(z), -1)
        out = model.outputs(z, c)
        per = torch.stack([model.likelihood.log_prob(out.unsqueeze(1), row.unsqueeze(0))[:, 0] for row in x])
        log_joint = per + model.prior_at().log_prob(z)
        log_p.append(torch.logsumexp(log_joint, 1) + 2 * math.log(line[1] - line[0]))
    truth = torch.logsumexp(torch.stack(log_p), 0) - math.log(CLASSES)
    with torch.no_grad():
        draws = torch.stack([model(x).elbo() for _ in range(500)])
    assert (draws.mean(0) < truth + 3 * draws.std(0) / 500**0.5 + 1e-3).all()


def test_every_parameter_is_reached_also_the_classifier():
    model, x, y = semi()
    (-model(x, y=y).elbo().mean()).backward()
    assert all(p.grad is not None and (p.grad != 0).any() for p in model.parameters())


# --- refusals -------------------------------------------------------------------------------------------------------


def test_what_does_not_fit_is_refused():
    x, y, s = labelled()
    plain = summary(from_array(torch.rand(20, 4).numpy(), valid=0, test=0))
    with pytest.raises(InputError, match="the data have none"):
        model_of(plain, {"name": "labels"})
    with pytest.raises(InputError, match="needs pictures"):
        model_of(plain, {"name": "part"})
    with pytest.raises(InputError, match="needs rows"):
        model_of(s, {"name": "columns"})
    with pytest.raises(InputError, match="no column 'colour'"):
        model_of(plain, {"name": "columns", "names": ("colour",)})
    with pytest.raises(InputError, match="both sides"):
        model_of(plain, {"name": "columns", "names": ("0", "1", "2", "3")})
    with pytest.raises(InputError, match="needs a condition"):
        model_of(s, {"name": "none"}, prior={"name": "conditional-normal"})
    with pytest.raises(InputError, match="latent dimensions"):
        model_of(s, {"name": "none"}, latent=0)
    model = model_of(s, {"name": "labels"})
    with pytest.raises(InputError, match="out of range"):
        model(x, y=y + 2)
    with pytest.raises(InputError, match="no label"):
        model(x)
    with pytest.raises(InputError, match="needs the condition"):
        model.decode_mean(torch.zeros(1, 2))


BOUNDED = {
    "log p(x)": ("binary", {"name": "inferred-labels"}),
    "log p(x | label)": ("binary", {"name": "labels"}),
    "log p(rest | middle column)": ("binary", {"name": "part", "known": "column"}),
    "log p(rest | upper half)": ("binary", {"name": "part", "known": "top"}),
    "log p(rest | 0, 2)": ("real", {"name": "columns", "names": ("0", 2)}),
}


@pytest.mark.parametrize("words", BOUNDED)
def test_a_condition_says_what_is_bounded(words):
    kind, part = BOUNDED[words]
    s = labelled(kind, (1, 4, 4) if kind == "binary" else (4,))[2]
    options = {k: v for k, v in part.items() if k != "name"}
    assert CONDITIONS.build(part["name"], s, **options).bounded == words
