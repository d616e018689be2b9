"""Networks fit any shape, mirror, start where they are told, and treat every example alone."""

from __future__ import annotations

import pytest
import torch
from scipy import stats

from lowerbound.errors import InputError
from lowerbound.model.networks import NETWORKS
from lowerbound.model.networks.base import mirrored
from lowerbound.model.networks.dropout import Dropout

SIZES = [(1, 1), (1, 7), (5, 1), (2, 3), (8, 8), (9, 13), (33, 20)]


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("name", sorted(NETWORKS))
def test_pictures_of_any_size(name, channels, size):
    down = NETWORKS.build(name, (channels, *size), None)
    assert down(torch.randn(3, channels, *size)).shape == (3, down.features)
    up = NETWORKS.build(name, (4,), (2, channels, *size))
    assert up(torch.randn(3, 4)).shape == (3, 2, channels, *size)


@pytest.mark.parametrize("name", sorted(NETWORKS))
def test_the_output_starts_at_the_bias_plus_something_small(name):
    bias = torch.randn(2, 1, 9 if name != "recurrent" else 1, 6).expand(2, 1, 9, 6)
    up = NETWORKS.build(name, (4,), (2, 1, 9, 6))
    up.start(bias)
    out = up(torch.zeros(1, 4))[0]
    small = 0.5 if name == "recurrent" else 1e-6
    assert torch.allclose(out, bias, atol=small), (
        "all other biases are 0 (but a cell's own), so at z = 0 it is the bias"
    )
    assert (up(torch.randn(200, 4)) - bias).std() < 1.5


@pytest.mark.parametrize("name", sorted(NETWORKS))
def test_no_layer_couples_examples(name):
    down, up = NETWORKS.build(name, (1, 9, 6), None).double(), NETWORKS.build(name, (4,), (1, 1, 9, 6)).double()
    x, z = torch.randn(7, 1, 9, 6).double(), torch.randn(7, 4).double()
    assert torch.allclose(down(x)[2:3], down(x[2:3]), atol=1e-12)
    assert torch.allclose(up(z)[2:3], up(z[2:3]), atol=1e-12)


@pytest.mark.parametrize("depth", [1, 4, 16])
def test_the_variance_does_not_explode_with_depth(depth):
    net = NETWORKS.build("residual", (32,), None, blocks=depth)
    scale = net(torch.randn(200, 32)).std()
    assert 0.1 < scale < 10


@pytest.mark.parametrize("activation", ["relu", "tanh", "silu", "elu", "gelu", "glu"])
def test_the_scale_of_features_is_of_order_one(activation):
    net = NETWORKS.build("mlp", (64,), None, hidden=[300, 300, 300], activation=activation)
    assert 0.1 < net(torch.randn(200, 64)).std() < 3


def test_a_gated_layer_is_a_product_of_two():
    net, x = NETWORKS.build("mlp", (5,), None, hidden=[7], activation="glu").double(), torch.randn(3, 5).double()
    (W, V), (b, c) = net.layers[0].weight.chunk(2), net.layers[0].bias.chunk(2)
    assert torch.allclose(net(x), (x @ W.T + b) * torch.sigmoid(x @ V.T + c), rtol=1e-12)


def test_a_mirror_turns_every_list_of_widths():
    options = {"hidden": [500, 200], "channels": (8, 16, 32), "blocks": 2, "activation": "tanh"}
    assert mirrored(options) == {"hidden": (200, 500), "channels": (32, 16, 8), "blocks": 2, "activation": "tanh"}


def test_a_convolutional_network_refuses_rows():
    with pytest.raises(InputError, match="needs pictures"):
        NETWORKS.build("convolutional", (7,), None)
    with pytest.raises(InputError, match="needs pictures"):
        NETWORKS.build("convolutional", (2,), (12,))


def test_a_residual_network_takes_rows():
    assert NETWORKS.build("residual", (7,), None, hidden=[20, 10])(torch.randn(3, 7)).shape == (3, 10)


def test_no_parameter_is_stored_twice():
    for name in NETWORKS:
        state = NETWORKS.build(name, (4,), (2, 1, 9, 6)).state_dict()
        assert len({t.data_ptr() for t in state.values()}) == len(state)


@pytest.mark.parametrize("share", [0.1, 0.5, 0.99])
def test_dropout_hides_its_share_and_leaves_the_mean(share):
    torch.manual_seed(0)
    h = torch.full((200, 500), 2.0, requires_grad=True)
    seen = Dropout(share)(h)
    assert stats.binomtest(int((seen == 0).sum()), h.numel(), share).pvalue > 1e-4
    assert seen.max().item() == pytest.approx(2 / (1 - share), rel=1e-2)
    spread = 2 * (share / (1 - share) / h.numel()) ** 0.5
    assert abs(seen.mean().item() - 2) < 4 * spread
    seen.sum().backward()
    assert torch.equal(h.grad, seen.detach() / 2), "what is hidden gives no gradient"


def test_dropout_is_for_training_and_its_share():
    h = torch.rand(4, 3)
    assert torch.equal(Dropout(0.5).eval()(h), h) and torch.equal(Dropout(0.0)(h), h)
