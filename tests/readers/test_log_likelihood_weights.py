"""The weights behind log p(x): counted, streamed, the same for any batch, fast and true, and judged by their tail."""

from __future__ import annotations

import math
import os
from types import SimpleNamespace

import numpy as np
import pytest
import scipy.stats
import torch

from lowerbound.errors import InputError, LowerboundError, NonFiniteError
from lowerbound.readers.log_likelihood import (
    appendix_d,
    bracket,
    dense,
    importance,
    log_likelihood,
    noise,
    pareto,
    tiles,
    weights,
)
from lowerbound.readers.log_likelihood.problem import Examples
from lowerbound.readers.log_likelihood.softplus import log_bernoulli, sum_softplus_

from .known import binary, linear


@pytest.fixture(scope="module")
def known():
    return binary(latent=3, parts=21, n=23)


SAME = {
    "a few samples of many examples at a time": {"method": "importance", "samples": 30},
    "a part of the samples of one example at a time": {"method": "importance", "samples": 2100},
    "annealed": {"method": "annealed", "samples": 4, "temperatures": 20},
    "appendix-d": {"method": "appendix-d", "samples": 40},
}


def budgets(monkeypatch):
    """Groups and tiles of other sizes, whatever the memory of the machine."""
    monkeypatch.setattr(importance, "TILE", 97)
    monkeypatch.setattr(dense, "BLOCK", 31)


@pytest.mark.parametrize("case", SAME)
def test_no_order_batch_or_budget_changes_a_figure(known, case, monkeypatch):
    """To 1e-12 in float64: the noise belongs to the row and the sample."""
    monkeypatch.setattr(appendix_d, "BURN_IN", 40)
    monkeypatch.setattr(appendix_d, "CHAINS", 10)
    monkeypatch.setattr(tiles, "TILE", 2**18)
    settings = SAME[case]
    whole = log_likelihood(known, **settings)
    backwards = log_likelihood(known, examples=list(range(22, -1, -1)), **settings)
    alone = log_likelihood(known, examples=[7], **settings)
    budgets(monkeypatch)
    small = log_likelihood(known, memory=2, **settings)
    for found in (backwards.log_p.flip(0), small.log_p):
        assert found.tolist() == pytest.approx(whole.log_p.tolist(), abs=1e-12, rel=0)
    assert alone.log_p.item() == pytest.approx(whole.log_p[7].item(), abs=1e-12, rel=0)
    if settings["method"] == "importance":
        assert small.effective.tolist() == pytest.approx(whole.effective.tolist(), rel=1e-10)
        assert small.pareto_k.tolist() == pytest.approx(whole.pareto_k.tolist(), abs=1e-9)


CHAINS = {"annealed": {"samples": 16, "temperatures": 40}, "appendix-d": {"samples": 60}}


@pytest.mark.parametrize("method", CHAINS)
def test_chains_of_a_conditional_model_are_the_same_in_any_company(method, monkeypatch):
    """At the chains and the burn-in that are the default, to the last bit."""
    monkeypatch.setattr(tiles, "TILE", 2**18)
    trained = binary(latent=3, parts=21, n=12, condition={"name": "labels"}, prior={"name": "conditional-normal"})
    whole = log_likelihood(trained, method=method, **CHAINS[method]).log_p
    for rows in ([3, 11, 0, 7, 5], [8]):
        found = log_likelihood(trained, method=method, examples=rows, **CHAINS[method])
        assert torch.equal(found.log_p, whole[rows])


@pytest.mark.parametrize("method", CHAINS)
def test_every_example_has_its_chains(known, method, monkeypatch):
    """Also those of the last tile, which is not full."""
    monkeypatch.setattr(tiles, "TILE", 2**18)
    monkeypatch.setattr(appendix_d, "BURN_IN", 1)
    settings = CHAINS[method] | ({"temperatures": 1} if method == "annealed" else {})
    found = log_likelihood(known, method=method, **settings)
    assert len(found.log_p) == 23 and found.weights.tolist() == [settings["samples"]] * 23


def test_the_shape_of_a_tile_depends_on_the_model_alone(known):
    """Not on the rows, nor on the budget, which a tile must fit into."""
    source = Examples(known.model, torch.arange(23), lambda r: (known.data.splits["test"].x[r], None))
    few = Examples(known.model, torch.tensor([22, 5]), source.batch)
    sizes = {len(t.rows) for e, memory in ((source, 256), (source, 8), (few, 256)) for t in tiles.tiles(e, 200, memory)}
    assert len(sizes) == 1
    (size,) = sizes
    for tile in [*tiles.tiles(source, 200, 256), *tiles.tiles(few, 200, 256)]:
        assert (tile.rows[tile.places] % size).tolist() == tile.places.tolist()
    with pytest.raises(InputError, match="MiB are too few; give at least"):
        tiles.tiles(source, 200, 0.5)


def test_figures_come_in_the_order_that_was_asked_for(known):
    """Whatever tile and place their examples are in: here log p is the number of the row."""
    rows = torch.tensor([22, 3, 19, 3, 0])
    source = Examples(known.model, rows, lambda r: (known.data.splits["test"].x[r], None))
    (found,) = tiles.by_tile(source, 400, 256, lambda r: [r.double().expand(400, -1)], lambda done, total: None)
    assert found.log_p.tolist() == pytest.approx(rows.tolist(), abs=1e-9)


def test_threads_change_no_figure(known):
    one = log_likelihood(known, samples=300)
    threads = torch.get_num_threads()
    try:
        torch.set_num_threads(3)
        assert log_likelihood(known, samples=300).log_p.tolist() == pytest.approx(one.log_p.tolist(), abs=1e-12, rel=0)
        assert torch.get_num_threads() == 3
    finally:
        torch.set_num_threads(threads)


def test_another_seed_changes_them(known):
    assert (log_likelihood(known, samples=50).log_p != log_likelihood(known, samples=50, seed=1).log_p).all()


def test_no_sample_is_drawn_twice():
    """Over rows and over chunks, and a part of the samples is a part of the whole."""
    drawn = noise.normal(0, [0, 1, 5], 0, 4 * noise.CHUNK, 2)
    assert len(drawn.unique()) == drawn.numel()
    assert torch.equal(noise.normal(0, [5], 100, 700, 2)[0], drawn[2, 100:700])
    z = (drawn.mean() * math.sqrt(drawn.numel()), (drawn.var() - 1) * math.sqrt(drawn.numel() / 2))
    assert max(map(abs, z)) < 5


def test_more_samples_begin_with_the_same(known):
    """So that a bound with more samples is compared under the same noise."""
    assert torch.equal(noise.normal(3, [2], 0, 100, 4), noise.normal(3, [2], 0, 1000, 4)[:, :100])


def log_weights(rows: int = 3, samples: int = 1000, spread: float = 5.0) -> torch.Tensor:
    g = torch.Generator().manual_seed(0)
    return spread * torch.randn(rows, samples, generator=g, dtype=torch.float64) - 1000


@pytest.mark.parametrize("panel", [1000, 64, 7])
@pytest.mark.parametrize("part", [1000, 33])
def test_the_running_sums_are_those_of_all_weights(panel, part, monkeypatch):
    monkeypatch.setattr(weights, "PANEL", panel)
    a = log_weights()
    w = weights.Weights(3, 1000)
    for piece in a.split(part, 1):
        w.add(piece)
    assert w.log_mean().tolist() == pytest.approx((a.logsumexp(1) - math.log(1000)).tolist(), abs=1e-11)
    share = torch.softmax(a, 1)
    assert w.effective().tolist() == pytest.approx((1 / share.square().sum(1)).tolist(), rel=1e-9)
    largest = a.sort(1, descending=True).values[:, : weights.tail_length(1000) + 1]
    assert torch.equal(w.tail, largest)
    assert w.panel.numel() <= 3 * panel and w.counted.tolist() == [1000] * 3


@pytest.mark.parametrize("given", [999, 1001])
def test_weights_that_are_not_as_many_as_asked_for_are_refused(given):
    w = weights.Weights(1, 1000)
    w.add(log_weights(1, given))
    with pytest.raises(LowerboundError, match=rf"\[{given}\] importance weights were counted where 1000"):
        w.log_mean()


def test_weights_of_0_count_and_weights_that_are_no_numbers_do_not_pass():
    w = weights.Weights(1, 4)
    w.add(torch.tensor([[-math.inf, -math.inf, 0.0, 0.0]]))
    assert w.log_mean().item() == pytest.approx(-math.log(2))
    none = weights.Weights(1, 2)
    none.add(torch.tensor([[-math.inf, -math.inf]]))
    assert none.log_mean().item() == -math.inf
    broken = weights.Weights(1, 2)
    broken.add(torch.tensor([[0.0, math.nan]]))
    with pytest.raises(NonFiniteError):
        broken.log_mean()


@pytest.mark.parametrize("k", [-0.3, 0.1, 0.5, 0.8, 1.5])
def test_the_tail_shape_is_that_of_the_draws(k):
    """50 sets of 1,000 exceedances; the prior pulls towards 1/2 by under 0.02, the mean has an error of about 0.01."""
    y = scipy.stats.genpareto.rvs(k, size=(50, 1000), random_state=0)
    found = pareto.fit(torch.from_numpy(np.sort(y, 1)))
    assert found.sum().item() / 50 == pytest.approx((1000 * k + 5) / 1010, abs=0.04)


def test_the_tail_shape_is_close_to_the_most_likely_one():
    y = np.sort(scipy.stats.genpareto.rvs(0.7, size=2000, random_state=1))
    likeliest = scipy.stats.genpareto.fit(y, floc=0)[0]
    assert pareto.fit(torch.from_numpy(y)[None]).item() == pytest.approx(likeliest, abs=0.02)


def test_a_tail_of_few_weights_has_no_shape_and_equal_weights_a_thin_one():
    assert pareto.shape(torch.zeros(1, 5)).isnan().all()
    assert pareto.shape(torch.zeros(1, 50)).item() == -math.inf


@pytest.mark.parametrize("parts", [1, 7, 8, 9, 784])
def test_the_sum_of_softplus_is_its_sum(parts):
    a = 4 * torch.randn(50, parts, generator=torch.Generator().manual_seed(0))
    expected = torch.nn.functional.softplus(a.double()).sum(1)
    assert sum_softplus_(a).tolist() == pytest.approx(expected.tolist(), rel=1e-6, abs=1e-6)


def test_logits_that_overflow_are_left_to_the_plain_form():
    x = torch.ones(1, 8)
    likelihood = binary(parts=8, n=1).model.likelihood
    assert log_bernoulli(likelihood, torch.full((1, 1, 1, 8), 50.0), x) is not None
    assert log_bernoulli(likelihood, torch.full((1, 1, 1, 8), -50.0), x) is None
    assert log_bernoulli(likelihood, torch.zeros(1, 1, 1, 8), 0.5 * x) is None


FLOAT32 = 2e-5
"""Nats: the rounding of a log likelihood of some tens of nats in float32."""


@pytest.mark.parametrize("activation", ["relu", "tanh", "silu", "elu", "gelu", "glu"])
@pytest.mark.parametrize("hidden", [(), (13,), (13, 6)])
@pytest.mark.parametrize("samples", [3, 600])
def test_the_fast_path_gives_what_the_model_gives(activation, hidden, samples, monkeypatch):
    trained = binary(latent=3, parts=21, n=5, encoder={"name": "mlp", "hidden": hidden, "activation": activation})
    assert dense.suits(trained.model)
    fast = log_likelihood(trained, samples=samples)
    single = log_likelihood(trained, samples=samples, precision="float32")
    monkeypatch.setattr(dense, "suits", lambda model: False)
    monkeypatch.setattr("lowerbound.readers.log_likelihood.problem.log_bernoulli", lambda *a: None)
    plain = log_likelihood(trained, samples=samples)
    assert fast.log_p.tolist() == pytest.approx(plain.log_p.tolist(), abs=1e-11)
    assert single.log_p.tolist() == pytest.approx(plain.log_p.tolist(), abs=FLOAT32)


@pytest.mark.parametrize("prior", [{"name": "mixture", "components": 4}, {"name": "vampprior", "components": 5}])
@pytest.mark.parametrize("samples", [3, 600])
def test_the_fast_path_weighs_by_a_mixture_too(prior, samples, monkeypatch):
    trained = binary(latent=3, parts=21, n=5, prior=prior)
    assert dense.suits(trained.model)
    fast = log_likelihood(trained, samples=samples)
    monkeypatch.setattr(dense, "suits", lambda model: False)
    plain = log_likelihood(trained, samples=samples)
    assert fast.log_p.tolist() == pytest.approx(plain.log_p.tolist(), abs=1e-11)


def test_a_prior_that_is_the_same_for_all_is_made_once(monkeypatch):
    """The memory of a VampPrior's hundreds of encodings, made anew for every example, grew to gigabytes."""
    trained = binary(latent=3, parts=21, n=5, prior={"name": "vampprior", "components": 5})
    made = []
    own = trained.model.prior_at
    monkeypatch.setattr(trained.model, "prior_at", lambda *c: made.append(own(*c)) or made[-1])
    log_likelihood(trained, samples=600)
    assert len(made) <= 2, "once for the examples, and once more where precision is compared"


def test_the_fast_path_survives_logits_that_are_surely_wrong():
    """Eight of them leave float32: the plain form is asked, and the truth comes out."""
    trained = binary(latent=2, parts=16, n=6)
    with torch.no_grad():
        trained.model.decoder.layers[-1].bias.copy_(200 * (0.5 - trained.data.splits["test"].x[0].double()))
    exact = log_likelihood(trained, samples=20, precision="float64").log_p
    assert exact.min() < -200
    assert log_likelihood(trained, samples=20, precision="float32").log_p.tolist() == pytest.approx(
        exact.tolist(), rel=1e-5
    )


OTHERS = {
    "grey values": {},
    "a prior that is learned": {"prior": {"name": "learned-normal"}},
    "a full covariance": {"posterior": {"name": "full-normal"}},
    "a flow": {"posterior": {"name": "flow", "hidden": (8,)}},
    "categories": {"posterior": {"name": "categorical", "classes": 3}, "prior": {"name": "categorical", "classes": 3}},
}


@pytest.mark.parametrize("case", OTHERS)
def test_other_models_take_the_general_path(case):
    """Against the weights that the model itself gives under the same noise."""
    trained = binary(latent=2, parts=9, n=4, **OTHERS[case])
    if case == "grey values":
        trained.data.splits["test"].x.mul_(0.5)
    assert dense.suits(trained.model) == (case == "grey values")
    found = log_likelihood(trained, samples=40)
    drawn = noise.normal(0, [0, 1, 2, 3], 0, 40, trained.model.noise_width).transpose(0, 1).double()
    with torch.no_grad():
        terms = trained.model(trained.data.splits["test"].x.double(), noise=drawn, weights=True)
    assert found.log_p.tolist() == pytest.approx(terms.iwae().tolist(), abs=1e-10)


def test_bfloat16_says_how_far_it_is_off(known):
    plain = log_likelihood(known, samples=500)
    found = log_likelihood(known, samples=500, precision="bfloat16")
    off = (found.log_p - plain.log_p).sum().item() / 23
    assert found.precision_error == pytest.approx(off, abs=0.02) and found.precision_error != 0
    assert f"{found.precision_error:+.4f} nats" in found.notes[0]
    assert found.json()["precision_error"]["unit"] == "nats"


def test_bfloat16_that_is_too_far_off_is_told(known, monkeypatch):
    monkeypatch.setattr("lowerbound.readers.log_likelihood.doubts.ALLOWED", 1e-9)
    found = log_likelihood(known, samples=100, precision="bfloat16")
    assert "use float32" in found.notes[0]


def test_the_working_memory_stays_in_its_budget(monkeypatch):
    """What the decoder is given at a time, times what it writes for one sample, over all threads."""
    trained = binary(latent=2, parts=64, n=9, posterior={"name": "full-normal"})
    seen = []
    trained.model.decoder.register_forward_pre_hook(lambda module, given: seen.append(len(given[0])))
    each = importance.footprint(
        SimpleNamespace(
            model=trained.model,
            rows=torch.arange(9),
            problem=lambda r: importance.Problem(trained.model, trained.data.splits["test"].x[r].double()),
        )
    )
    seen.clear()
    log_likelihood(trained, samples=4000, memory=1, examples=3)
    assert 1 < max(seen[1:]) * each * torch.get_num_threads() <= 2**20
    assert sum(seen[1:]) == 3 * 4000


def test_weights_are_counted_whatever_their_number(known):
    for samples in (1, 2, 255, 256, 257):
        found = log_likelihood(known, samples=samples, examples=2)
        assert found.weights.tolist() == [samples] * 2
        assert (found.effective >= 1).all() and (found.effective <= samples * (1 + 1e-12)).all()


def test_a_poor_posterior_is_seen_in_the_tail():
    trained = linear(latent=2, off=0.5)
    found = log_likelihood(trained, samples=500, examples=20)
    assert found.doubtful > 10 and any("Pareto" in note for note in found.notes)
    good = log_likelihood(linear(latent=2, off=0.01), samples=500, examples=20)
    assert good.doubtful == 0 and not good.notes


def test_the_arrays_are_those_of_the_examples(known):
    found = log_likelihood(known, samples=10, examples=[4, 2])
    arrays = found.arrays()
    assert set(arrays) == {"rows", "log_p", "weights", "effective_samples", "pareto_k"}
    assert arrays["rows"].tolist() == [4, 2] and arrays["log_p"].dtype == np.float64


def test_a_bracket_is_drawn_from_the_model_alone(known):
    """The run's data do not enter."""
    a = bracket(known, 3, samples=2, temperatures=3)
    before = known.data.splits["test"].x.clone()
    known.data.splits["test"].x.fill_(1)
    b = bracket(known, 3, samples=2, temperatures=3)
    known.data.splits["test"].x.copy_(before)
    assert a.lower.log_p.tolist() == b.lower.log_p.tolist()
    assert set(a.arrays()) >= {"lower_log_p", "upper_log_p"}


def test_progress_counts_examples(known):
    told = []
    log_likelihood(known, samples=5, progress=lambda done, total: told.append((done, total)))
    assert told[-1] == (23, 23)


@pytest.mark.skipif("LOWERBOUND_DATA" not in os.environ, reason="needs the data sets")
def test_fresh_binarisation_of_the_training_split_belongs_to_the_row():
    from lowerbound import data as data_floor
    from lowerbound.readers.by_row import fetched

    data = data_floor.load("mnist", binarise="fresh")
    trained = SimpleNamespace(model=binary(n=1).model, data=data)
    x, _ = fetched(trained, "train", torch.arange(5), 0)
    y, _ = fetched(trained, "train", torch.tensor([3, 1]), 0)
    assert torch.equal(y, x[[3, 1]]) and set(x.unique().tolist()) == {0.0, 1.0}


@pytest.mark.parametrize("memory", [math.inf, math.nan])
def test_memory_that_is_no_number_is_refused(known, memory):
    with pytest.raises(InputError, match="give a number of MiB"):
        log_likelihood(known, samples=5, memory=memory)


def test_the_budget_counts_the_components_of_the_prior():
    """Their densities are three tables of (components,) for every sample: far more than this decoder writes."""
    each = []
    for components in (1, 1000):
        trained = binary(latent=4, parts=8, n=2, prior={"name": "mixture", "components": components})
        source = Examples(trained.model, torch.arange(2), lambda r, t=trained: (t.data.splits["test"].x[r], None))
        each.append(importance.footprint(source))
    assert each[1] - each[0] >= 3 * 999 * 8


def test_too_little_memory_says_how_much(known):
    with pytest.raises(InputError, match="MiB are too few; give at least"):
        log_likelihood(known, samples=5, memory=1e-5)
