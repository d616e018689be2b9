"""Reading a latent space: ways end where they should, grids have equal mass, a direction that works is told apart."""

from __future__ import annotations

import copy
import dataclasses
import io
from unittest.mock import MagicMock

import numpy as np
import pytest
import torch
from PIL import Image
from scipy.stats import norm, spearmanr
from sklearn.manifold import trustworthiness
from sklearn.neighbors import KNeighborsClassifier
from torch.distributions import Categorical, MixtureSameFamily, MultivariateNormal

from lowerbound import data as data_floor
from lowerbound.errors import InputError
from lowerbound.maths.normal import DiagonalNormal
from lowerbound.readers import pictures
from lowerbound.readers.evaluate import evaluate
from lowerbound.readers.latent import attributes, canvas, film, groups, manifold, morph, plane, projection, traverse
from lowerbound.readers.latent.judge import Share, judge_of
from lowerbound.readers.latent.space import DRAWS, Space
from lowerbound.training.measure import ACTIVE
from readers.conftest import finished


@pytest.fixture(scope="module")
def good(tmp_path_factory):
    """A run on digits that is worth moving about in, with 539 examples held out for the count."""
    settings = {
        "latent": 8,
        "encoder": {"hidden": [128]},
        "training": {"epochs": 25, "batch": 64, "learning_rate": 3e-3},
    }
    return finished(tmp_path_factory.mktemp("runs") / "good", data_floor.load("digits", test=0.3), **settings)


@pytest.fixture(scope="module")
def labelled(tmp_path_factory):
    """A model of the digit given its class."""
    settings = {"condition": {"name": "labels"}, "training": {"epochs": 25, "batch": 64, "learning_rate": 3e-3}}
    return finished(tmp_path_factory.mktemp("runs") / "labelled", data_floor.load("digits"), **settings)


def with_prior(trained, monkeypatch, p):
    """The run as if its prior were p."""
    monkeypatch.setattr(pictures, "prior_of", lambda *_: p)
    return trained


# Words ----------------------------------------------------------------------------------------------------------------


def test_words_name_rows(digits, table):
    labels = np.asarray(digits.data.splits["test"].labels)
    eights = groups.rows_of(digits.data, "test", groups.attribute(digits.data, "class:8"))
    assert eights == np.flatnonzero(labels == 8).tolist()
    assert groups.rows_of(digits.data, "test", groups.attribute(digits.data, "3,17")) == [3, 17]
    x = table.data.splits["train"].x
    tall = groups.rows_of(table.data, "train", groups.attribute(table.data, "height>170"))
    assert tall == torch.nonzero(x[:, 0] > 170).flatten().tolist()
    town = groups.attribute(table.data, "town=Bonn")
    assert table.data.columns[2].levels[int(town.value)] == "Bonn"


@pytest.mark.parametrize(
    "kind, word, sentence",
    [
        ("digits", "one", "not a list of rows"),
        ("digits", "class:11", "no such class '11'"),
        ("table", "class:1", "no labels"),
        ("table", "hight>3", "did you mean height"),
        ("table", "town>3", "is a category"),
        ("table", "town=Rome", "never 'Rome'"),
        ("table", "height>tall", "holds numbers"),
        ("table", "height=170", "height>X or height<X"),
    ],
)
def test_words_that_cannot_be_read(kind, word, sentence, request):
    with pytest.raises(InputError, match=sentence):
        groups.attribute(request.getfixturevalue(kind).data, word)


# Morphs ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["linear", "spherical"])
def test_a_morph_passes_through_its_examples(digits, kind):
    made = morph.morph(digits, [3, 17, 42], frames=5, kind=kind)
    codes = Space(digits).encode("test", [3, 17, 42])
    assert len(made.at) == 15
    assert torch.allclose(made.z[::5], codes, atol=1e-5)
    assert made.rows == (3, 17, 42, 3)
    step = (made.z[0] - made.z[-1]).norm()  # it comes back: the last frame is one step from the first
    assert step < 0.6 * (codes[2] - codes[0]).norm()
    assert torch.equal(made.x, Space(digits).decode(made.z))


def test_a_way_that_does_not_come_back_ends_at_the_last(digits):
    made = morph.morph(digits, [3, 17, 42], frames=4, loop=False)
    assert len(made.at) == 9
    assert torch.allclose(made.z[-1], Space(digits).encode("test", [42])[0], atol=1e-5)


def test_a_class_is_shown_by_the_example_nearest_to_its_mean(digits):
    labels = np.asarray(digits.data.splits["test"].labels)
    rows = np.flatnonzero(labels == 4)
    codes = Space(digits).encode("test", rows).numpy()
    expected = rows[np.argmin(((codes - codes.mean(0)) ** 2).sum(1))]
    assert morph.morph(digits, ["class:4", 0]).rows[0] == expected


@pytest.mark.parametrize("suffix", [".gif", ".apng", ".webp"])
def test_a_morph_moves(digits, suffix):
    made = morph.morph(digits, ["class:0", "class:1"], frames=4)
    moving = Image.open(io.BytesIO(morph.animation(digits, made, suffix)))
    assert moving.n_frames == 8
    assert moving.size[0] >= 240
    still = Image.open(io.BytesIO(morph.sheet(digits, made)))
    assert still.size[0] > 300


def test_the_mark_keeps_its_colour_among_greys(digits):
    made = morph.morph(digits, ["class:0", "class:1"], frames=4)
    frame = Image.open(io.BytesIO(morph.animation(digits, made))).convert("RGB")
    mark = tuple(int(canvas.MARK[i : i + 2], 16) for i in (1, 3, 5))
    assert (
        min(sum(abs(a - b) for a, b in zip(mark, colour, strict=True)) for _, colour in frame.getcolors(1 << 16)) < 12
    )


def test_a_table_morphs_in_numbers(table):
    made = morph.morph(table, [0, 1], frames=3, split="train")
    head, rows = made.table()
    assert head == ["frame", "from", "to", "t", "z0", "z1"]
    assert [row[1:4] for row in rows[:4]] == [[0, 1, 0.0], [0, 1, 0.333333], [0, 1, 0.666667], [1, 0, 0.0]]
    with pytest.raises(InputError, match="no pictures"):
        morph.sheet(table, made)


# Quantiles and grids --------------------------------------------------------------------------------------------------


def test_the_normal_s_quantiles_are_exact(digits):
    u = torch.tensor([1e-6, 0.01, 0.5, 0.975], dtype=torch.float64)
    assert np.allclose(Space(digits).quantile(u)[:, 0], norm.ppf(u), rtol=1e-9, atol=1e-12)


def test_other_priors_have_sampled_quantiles(digits, monkeypatch):
    """Off by more than 0.0073 in probability once in 10,000 draws of the seed (Dvoretzky, Kiefer & Wolfowitz)."""
    parts = DiagonalNormal(torch.tensor([[-3.0, 0.0], [3.0, 1.0]]), torch.tensor([[0.0, 0.0], [-1.0, 0.5]]))
    p = MixtureSameFamily(Categorical(torch.tensor([0.3, 0.7])), parts)
    space = Space(with_prior(digits, monkeypatch, p))
    u = torch.linspace(0.01, 0.99, 9, dtype=torch.float64)
    q = space.quantile(u).numpy()
    for j in range(2):
        m, s = parts.mean[:, j].numpy(), parts.stddev[:, j].numpy()
        exact = 0.3 * norm.cdf(q[:, j], m[0], s[0]) + 0.7 * norm.cdf(q[:, j], m[1], s[1])
        assert np.abs(exact - u.numpy()).max() < 0.0073
    assert "draws of the prior" in space.words
    assert torch.equal(space.draws, Space(digits).draws)


def test_cells_have_equal_mass_where_dimensions_depend_on_each_other(digits, monkeypatch):
    """The Normal of correlation 0.8, whose conditional distribution is known; 100,000 draws, so cells of 1,000."""
    p = MultivariateNormal(torch.zeros(2), torch.tensor([[1.0, 0.8], [0.8, 1.0]]))
    made = manifold.manifold(with_prior(digits, monkeypatch, p), 10)
    z1, z2 = made.z[..., 0].numpy(), made.z[..., 1].numpy()
    centres = (np.arange(10) + 0.5) / 10
    first, second = norm.cdf(z1), norm.cdf((z2 - 0.8 * z1) / 0.6)
    assert np.abs(first - centres).max() < 0.01
    inner = slice(1, -1)  # the outermost strips are wide: their second coordinate is that of the strip, not of a line
    assert np.abs(second - centres[::-1, None])[:, inner].max() < 0.04


def test_a_manifold_of_two_latents_has_equal_prior_mass(digits):
    made = manifold.manifold(digits, 4)
    cut = norm.ppf([0.125, 0.375, 0.625, 0.875])
    assert np.allclose(made.z[0, :, 0], cut, atol=1e-6)
    assert np.allclose(made.z[:, 0, 1], cut[::-1], atol=1e-6)
    assert torch.allclose(made.x[1, 2], pictures.decode(digits, made.z[1, 2][None])[0], atol=1e-5)
    finest = manifold.manifold(digits, 60)
    assert finest.z.abs().max() < 2.4  # no border at infinity


def test_a_linear_grid(digits):
    made = manifold.manifold(digits, 5, linear=(-4, 4))
    assert made.z[0, :, 0].tolist() == [-4, -2, 0, 2, 4]
    assert made.z[:, 0, 1].tolist() == [4, 2, 0, -2, -4]


def test_wider_latents_show_the_plane_that_carries_most(good):
    rates = evaluate(good).rate_per_dimension
    made = manifold.manifold(good, 4)
    assert list(made.dimensions) == np.argsort(rates)[::-1][:2].tolist()
    rest = [j for j in range(8) if j not in made.dimensions]
    assert not made.z[..., rest].any()
    assert "other 6 are at the prior's mean" in made.sentence()
    assert manifold.manifold(good, 4, dimensions=(7, 0)).dimensions == (7, 0)


# Traversal ------------------------------------------------------------------------------------------------------------


def test_a_traversal_is_sorted_by_rate_and_moves_one_dimension(good):
    rates = evaluate(good).rate_per_dimension
    made = traverse.traverse(good, steps=5, tail=0.05)
    assert [rates[j] for j in made.dimensions] == sorted((r for r in rates if r > ACTIVE), reverse=True)
    for i, j in enumerate(made.dimensions):
        assert np.allclose(made.z[i, :, j], norm.ppf([0.05, 0.275, 0.5, 0.725, 0.95]), atol=1e-6)
        assert not made.z[i][:, [k for k in range(8) if k != j]].any()
    assert f"{rates[made.dimensions[0]]:.2f} nats" in made.order.name(made.dimensions[0])
    shown = Image.open(io.BytesIO(traverse.sheet(good, made)))
    assert shown.size[0] > 300


def test_a_traversal_round_an_example_starts_from_its_code(good):
    made = traverse.traverse(good, row=17, top=2)
    assert torch.equal(made.base, Space(good).encode("test", [17])[0])
    assert len(made.dimensions) == 2
    assert made.left_out == len(made.order.active) - 2


def test_what_the_rate_orders_by_is_what_the_picture_shows(good):
    """Dimensions of high rate change the picture more than those of low rate."""
    made = traverse.traverse(good)
    moves = (made.x[:, -1] - made.x[:, 0]).flatten(1).norm(dim=1).tolist()
    nats = [made.order.nats[j] for j in made.dimensions]
    assert spearmanr(moves, nats).statistic > 0.5


def test_a_rate_that_does_not_split_is_ordered_by_the_spread_of_the_means(wide):
    made = traverse.traverse(wide)
    means = Space(wide).encode("test", range(len(wide.data.splits["test"])))
    assert list(made.dimensions) == means.var(0).argsort(descending=True).tolist()
    assert made.order.nats is None
    assert "does not split" in made.sentence()


# Attributes -----------------------------------------------------------------------------------------------------------


def test_a_direction_that_works_raises_the_share_and_a_random_one_does_not(good):
    """0 to 6, counted on about 53 held-out zeros; the seed is fixed."""
    made = attributes.change(good, "class:0", "class:6")
    assert made.changed
    assert made.after.value > 0.6 > 0.35 > made.random.value
    assert made.before.value < 0.1
    assert "the attribute changed" in made.verdict()
    assert made.judge.accuracy.value > 0.95


def test_directions_at_random_are_told_from_one_that_works(good, monkeypatch):
    """Ten whole directions at random, as long as the true one: one may point the right way by luck, not three."""
    true = attributes.change(good, "class:0", "class:6")
    found = []
    for seed in range(10):
        stray = attributes.at_random(Space(good), 1, true.direction, "test", seed)[0]
        monkeypatch.setattr(attributes, "mean_difference", lambda *_, v=stray: (v, (1, 1)))
        found.append(attributes.change(good, "class:0", "class:6"))
    assert sum(made.changed for made in found) < 3
    assert true.after.value > max(made.after.value for made in found)
    assert np.mean([made.after.value for made in found]) == pytest.approx(true.random.value, abs=0.2)


def test_no_move_is_no_change(good):
    made = attributes.change(good, "class:3", "class:8", strength=0.0)
    assert made.before == made.after == made.random
    assert not made.changed


@pytest.mark.parametrize("strength", [float("inf"), float("nan"), -1e300])
def test_a_move_beyond_all_codes_is_refused(good, strength):
    with pytest.raises(InputError, match="leads to no code; give a number"):
        attributes.change(good, "class:3", "class:8", strength=strength)
    with pytest.raises(InputError, match="leads to no code; give a number"):
        attributes.sums(good, "class:8", "class:3", "class:1", strength=strength)


def test_random_moves_are_as_long_and_stay_within_active_dimensions(good, monkeypatch):
    space = Space(good)
    order = dataclasses.replace(space.order("test"), active=(1, 4))
    monkeypatch.setattr(space, "order", lambda split: order)
    moves = attributes.at_random(space, 40, torch.full((8,), 2.0), "test", 0)
    assert torch.allclose(moves.norm(dim=1), torch.full((40,), 32**0.5))
    assert not moves[:, [0, 2, 3, 5, 6, 7]].any()


def test_the_direction_is_the_difference_of_training_means(good):
    made = attributes.change(good, "class:3", "class:8")
    labels = np.asarray(good.data.splits["train"].labels)
    means = [Space(good).encode("train", np.flatnonzero(labels == k)).mean(0) for k in (3, 8)]
    assert torch.allclose(made.direction, means[1] - means[0], atol=1e-5)


def test_the_judge_s_accuracy_is_what_it_says(good):
    judge = judge_of(Space(good), groups.attribute(good.data, "class:3"), "knn", "test")
    train, test = good.data.splits["train"], good.data.splits["test"]
    fitted = KNeighborsClassifier(5).fit(train.x.flatten(1).numpy(), train.labels)
    assert judge.accuracy.value == pytest.approx(fitted.score(test.x.flatten(1).numpy(), test.labels), abs=1e-9)
    assert judge.on_decoded.value < judge.accuracy.value
    linear = judge_of(Space(good), groups.attribute(good.data, "class:3"), "logistic", "test")
    assert linear.accuracy.value > 0.9


def test_a_column_of_a_table_is_read_off_the_decoded_row(table):
    made = attributes.change(table, "height<165", "height>175", strength=1.0)
    assert made.judge.accuracy is None
    head, rows = made.table()
    assert head == ["example", "t"] and len(rows) == len(made.x) * attributes.STEPS
    z = Space(table).encode("test", groups.rows_of(table.data, "test", groups.attribute(table.data, "height<165")))
    moved = Space(table).decode(z + made.direction)
    assert made.after == Share.of((moved[:, 0] > 175).numpy())


def test_what_a_decoder_expects_of_a_count_is_the_nearer_value(table):
    two = groups.attribute(table.data, "children=2")
    assert two.of_values(torch.tensor([[170.0, 1.6, 0.0], [170.0, 2.4, 0.0], [170.0, 2.6, 0.0]])).tolist() == [1, 1, 0]
    assert not two.of_values(torch.tensor([[170.0, float("nan"), 0.0]])).any()


def test_the_standard_error_is_never_zero():
    assert Share.of(np.zeros(50, bool)).stderr > 0
    assert Share.of(np.arange(100) < 30).stderr == pytest.approx((0.3 * 0.7 / 100) ** 0.5, rel=0.02)


def test_sums_are_what_they_say(good):
    made = attributes.sums(good, "class:8", "3,4", "class:1")
    assert torch.allclose(made.z[3], made.z[0] - made.z[1] + made.z[2], atol=1e-5)
    assert Image.open(io.BytesIO(attributes.sum_sheet(good, made))).size[0] > 300


# The two views --------------------------------------------------------------------------------------------------------


def test_both_views_share_their_axes(digits):
    made = plane.plane(digits, side=6)
    (low, high), again = made.limits
    assert (low, high) == again
    assert high >= 3
    assert np.allclose(made.means, Space(digits).encode("test", range(180)).numpy(), atol=1e-5)
    corner = low + (high - low) / 12  # the centre of the first cell of six
    z = torch.tensor([[corner, -corner]])
    assert torch.allclose(made.x[0, 0], pictures.decode(digits, z)[0], atol=1e-4)
    shown = Image.open(io.BytesIO(plane.drawing(digits, made)))
    assert shown.size[0] > 1.8 * shown.size[1]


def test_without_pictures_there_is_the_encoder_s_view_alone(table):
    shown = Image.open(io.BytesIO(plane.drawing(table, plane.plane(table, side=4))))
    assert shown.size[0] < 1.5 * shown.size[1]


def test_a_film_holds_every_step_that_was_kept_on_the_same_axes(tmp_path):
    training = {"epochs": 1, "batch": 64, "snapshots": True}
    trained = finished(tmp_path / "run", data_floor.load("digits"), latent=3, training=training)
    made = film.film(trained, side=3)
    assert made.steps == (1, 2, 3, 4, 6, 8, 11, 16, 23)
    assert len({(view.dimensions, view.limits) for view in made.planes}) == 1
    assert made.planes[0].dimensions == plane.plane(trained).dimensions
    last = list(film.course(trained, [1, 23]))[1]
    weights = trained.run.weights()
    assert all(torch.equal(t, weights[name]) for name, t in last.model.state_dict().items())  # 23 steps are an epoch
    assert torch.equal(made.planes[-1].x, plane.plane(trained, side=3, limits=made.planes[0].limits).x)
    assert not np.allclose(made.planes[0].means, made.planes[-1].means, atol=0.05)
    facts = made.json()
    assert facts["steps"] == list(made.steps) and facts["planes"][8]["means"] == made.planes[8].means.tolist()
    assert Image.open(io.BytesIO(film.strip(trained, made))).size[0] > 1500


def test_limits_of_a_film_hold_those_of_every_step():
    assert film.widest([((-1, 1), (0, 2)), ((-2, 0), (0, 2))]) == ((-2.0, 1.0), (-0.5, 2.5))


def test_principal_components_are_decoded_where_they_lie(good):
    made = projection.projection(good, "pca", side=4)
    z = Space(good).encode("test", range(len(made.means))).double().numpy()
    middle = z.mean(0)
    directions = np.linalg.lstsq(made.means, z - middle, rcond=None)[0]
    assert np.allclose(directions @ directions.T, np.eye(2), atol=1e-4)
    largest = np.linalg.eigvalsh(np.cov(z.T))[:-3:-1]
    assert np.allclose(made.means.var(0, ddof=1), largest, rtol=1e-4)
    assert f"{largest[0] / np.cov(z.T).trace():.0%}" in made.axes[0]
    places = plane.lattice(made.limits, 4).flatten(0, 1).numpy() @ directions + middle
    assert torch.allclose(made.x.flatten(0, 1), pictures.decode(good, torch.from_numpy(places)), atol=1e-3)


def test_t_sne_keeps_who_is_near_whom_and_says_what_it_does_not(good, monkeypatch):
    monkeypatch.setattr(projection, "MOST", 150)
    made = projection.projection(good, "tsne")
    z = Space(good).encode("test", plane.spaced(good, "test", 150))
    assert len(made.means) == 150 and made.x is None
    assert trustworthiness(z.numpy(), made.means) > 0.9 > trustworthiness(z.numpy(), z[:, :2].numpy())
    assert np.array_equal(made.means, projection.projection(good, "tsne").means)
    assert "150 codes of 8 numbers" in made.words and "mean nothing" in made.words
    shown = Image.open(io.BytesIO(plane.drawing(good, made)))
    assert shown.size[0] < 1.5 * shown.size[1]


def test_the_plane_of_heads_is_what_the_decoder_sees(heads):
    made = plane.plane(heads, side=4)
    z = Space(heads).encode("test", range(180))
    weight = heads.model.posterior.heads.weight
    assert np.allclose(made.means, (z[:, :10] @ weight.T + z[:, 10:]).detach().numpy(), atol=1e-4)
    assert np.allclose(made.heads, weight.T.detach().numpy(), atol=1e-6)
    (low, high), (bottom, top) = made.limits
    assert (made.heads > [low, bottom]).all() and (made.heads < [high, top]).all()
    corner = torch.tensor([low + (high - low) / 8, top - (top - bottom) / 8])
    with torch.no_grad():
        straight = heads.model.likelihood.mean(heads.model.decoder(corner[None]).reshape(1, *made_of(heads)))
    assert torch.allclose(made.x[0, 0], straight[0], atol=1e-3)
    assert len(made.json()["heads"]) == 10 and made.table()[0][-1] == "head + style, 1"
    assert plane.drawing(heads, made)
    for wrong, words in (({"label": "3"}, "every class"), ({"dimensions": (0, 2)}, "no plane of 0 and 2")):
        with pytest.raises(InputError, match=words):
            plane.plane(heads, **wrong)


def made_of(trained) -> tuple[int, ...]:
    """What the decoder emits of one code."""
    return tuple(trained.model.likelihood.output_shape)


def test_a_long_title_is_wrapped(digits, monkeypatch):
    made = dataclasses.replace(
        plane.plane(digits, side=4), others="; the other 10 at the prior's mean, the class at one draw"
    )
    axis = MagicMock()
    plane.decoder_view(axis, digits, made)
    assert max(len(line) for line in axis.set_title.call_args[0][0].splitlines()) <= 62


def test_many_classes_and_nameless_ones_are_drawn(digits):
    made = dataclasses.replace(plane.plane(digits, side=4), labels=np.arange(180) // 4 - 1)
    assert plane.drawing(digits, made)


# Other models ---------------------------------------------------------------------------------------------------------


def test_a_condition_must_be_fixed_and_shows(labelled):
    with pytest.raises(InputError, match="--label"):
        traverse.traverse(labelled)
    one, three = (manifold.manifold(labelled, 3, label=k).x for k in "13")
    assert not torch.allclose(one, three)
    row = int(np.flatnonzero(np.asarray(labelled.data.splits["test"].labels) == 3)[0])
    assert torch.equal(manifold.manifold(labelled, 3, given=row).x, three)
    with pytest.raises(InputError, match="no such class 'ten'"):
        manifold.manifold(labelled, 3, label="ten")
    with pytest.raises(InputError, match="no direction holds it"):
        attributes.change(labelled, "class:3", "class:8")


def test_samples_of_a_conditional_model_are_of_the_class_asked_for(labelled):
    made = pictures.sample(labelled, 40, label="0")
    train = labelled.data.splits["train"]
    judge = KNeighborsClassifier(5).fit(train.x.flatten(1).numpy(), train.labels)
    assert np.mean(judge.predict(made.flatten(1).numpy()) == 0) > 0.8
    each = judge.predict(pictures.sample(labelled, 40).flatten(1).numpy())
    assert np.mean(each == np.arange(40) % 10) > 0.8


def test_a_plain_model_has_no_label(digits):
    with pytest.raises(InputError, match="not conditioned"):
        manifold.manifold(digits, 3, label="1")
    with pytest.raises(InputError, match="no condition"):
        manifold.manifold(digits, 3, given=1)


def test_codes_that_are_categories_have_no_ways(tmp_path):
    settings = {"posterior": {"name": "categorical"}, "prior": {"name": "categorical"}, "training": {"epochs": 1}}
    trained = finished(tmp_path / "run", data_floor.load("digits"), **settings)
    for made in (traverse.traverse, manifold.manifold, plane.plane):
        with pytest.raises(InputError, match="codes are categories"):
            made(trained)
    with pytest.raises(InputError, match="codes are categories"):
        morph.morph(trained, [0, 1])


def test_a_class_inside_the_code_can_be_held(tmp_path):
    settings = {
        "posterior": {"name": "class-and-style"},
        "prior": {"name": "class-and-style"},
        "objective": {"name": "reconstruction"},
        "training": {"epochs": 2, "batch": 64},
    }
    trained = finished(tmp_path / "run", data_floor.load("digits"), **settings)
    made = manifold.manifold(trained, 3, label="3")
    assert made.dimensions == (10, 11)
    assert made.z[..., :10].reshape(-1, 10).unique(dim=0).tolist() == [[0, 0, 0, 1, 0, 0, 0, 0, 0, 0]]
    style = Space(trained).encode("test", [5])[0, 10:]
    kept = traverse.traverse(trained, row=5, label="8")
    assert kept.base[8] == 1 and torch.equal(kept.base[10:], style)


def test_codes_that_follow_no_prior_have_their_own_quantiles(tmp_path):
    settings = {
        "posterior": {"name": "deterministic"},
        "objective": {"name": "reconstruction"},
        "training": {"epochs": 2, "batch": 64},
    }
    trained = finished(tmp_path / "run", data_floor.load("digits"), **settings)
    made = traverse.traverse(trained, steps=3, tail=0.1)
    codes = Space(trained).encode("train", range(1437)).double()
    j = made.dimensions[0]
    assert made.z[0, :, j].tolist() == pytest.approx(np.quantile(codes[:, j], [0.1, 0.5, 0.9]).tolist(), abs=1e-5)
    assert "they follow no prior" in made.sentence()
    assert "no rate" in made.sentence()


def test_a_model_without_an_encoder_shows_its_plane_but_no_way(digits):
    blind = dataclasses.replace(digits, model=copy.deepcopy(digits.model))
    blind.model.encoder = None
    assert manifold.manifold(blind, 3).x.shape == (3, 3, 1, 8, 8)
    assert traverse.traverse(blind).order.nats is None
    with pytest.raises(InputError, match="no encoder"):
        morph.morph(blind, [0, 1])


def test_draws_are_the_same_for_the_same_seed(digits, monkeypatch):
    p = MultivariateNormal(torch.zeros(2), torch.eye(2))
    space = Space(with_prior(digits, monkeypatch, p))
    assert space.draws.shape == (DRAWS, 2)


@pytest.mark.parametrize(
    "call, sentence",
    [
        (lambda t: morph.morph(t, [1]), "two examples or more"),
        (lambda t: morph.morph(t, [1, 2], frames=0), "at least 1"),
        (lambda t: morph.morph(t, [1, 9999]), "row 9999 is not in the test split"),
        (lambda t: traverse.traverse(t, tail=0.5), "0 < tail < 0.5"),
        (lambda t: traverse.traverse(t, dimensions=(5,)), "no latent dimension 5"),
        (lambda t: traverse.traverse(t, row=9999), "row 9999"),
        (lambda t: manifold.manifold(t, 1), "at least 2"),
        (lambda t: manifold.manifold(t, linear=(2, -2)), "no range"),
        (lambda t: manifold.manifold(t, dimensions=(1, 1)), "twice"),
        (lambda t: projection.projection(t, "tsen"), "did you mean tsne"),
        (lambda t: attributes.change(t, "class:1", "3,4"), "no attribute in common"),
        (lambda t: attributes.change(t, "class:1", "class:2", split="train"), "neither the direction nor the judge"),
        (lambda t: attributes.change(t, "class:1", "class:2", judge="oracle"), "unknown judge"),
    ],
)
def test_refused_with_a_sentence(digits, call, sentence):
    with pytest.raises(InputError, match=sentence):
        call(digits)
