"""The strongest rival known on a CPU: a JAX program that scans a whole epoch under jit, its state donated to itself."""

from __future__ import annotations

import functools
from math import prod
from typing import Any

import numpy as np
from rivals import CHANNELS, DENSE, HIDDEN, LATENT, Network
from timing import Round, now


def scan(network: Network, x: np.ndarray, batch: int, whole_epoch: bool = True) -> Round:
    """An epoch a round: order, rows, noise, gradient and Adam in one compiled program; the losses come back at its end.

    ``whole_epoch=False``: a compiled step at a time, since XLA's convolutions are slow inside a loop on a CPU. The rows
    that do not fill a batch are left out, and the time is scaled to all rows.
    """
    import jax
    import jax.numpy as jnp

    steps = len(x) // batch
    data = jnp.asarray(x.transpose(0, 2, 3, 1) if network.spatial else x)
    loss = _loss(network)

    def move(state: Any, given: Any) -> Any:
        weights, means, squares, t = state
        rows, key = given
        noise = jax.random.normal(key, (batch, LATENT))
        value, gradient = jax.value_and_grad(loss)(weights, data[rows], noise)
        t = t + 1
        means = jax.tree.map(lambda m, g: 0.9 * m + 0.1 * g, means, gradient)
        squares = jax.tree.map(lambda v, g: 0.999 * v + 0.001 * g * g, squares, gradient)
        rate, root = 1e-3 * jnp.sqrt(1 - 0.999**t) / (1 - 0.9**t), jnp.sqrt(1 - 0.999**t)
        weights = jax.tree.map(lambda w, m, v: w - rate * m / (jnp.sqrt(v) + 1e-8 * root), weights, means, squares)
        return (weights, means, squares, t), value

    one = jax.jit(move, donate_argnums=(0,))

    def dealt(key: Any) -> Any:
        first, second = jax.random.split(key)
        rows = jax.random.permutation(first, len(data))[: steps * batch].reshape(steps, batch)
        return rows, jax.random.split(second, steps)

    @functools.partial(jax.jit, donate_argnums=(0,))
    def whole(state: Any, key: Any) -> Any:
        return jax.lax.scan(move, state, dealt(key))

    def step_by_step(state: Any, key: Any) -> Any:
        losses = []
        for given in zip(*dealt(key), strict=True):
            state, loss = one(state, given)
            losses.append(loss)
        return state, jnp.stack(losses)

    run = whole if whole_epoch else step_by_step
    weights = _weights(network)
    zeros = [jax.tree.map(jnp.zeros_like, weights) for _ in range(2)]
    state, turns = (weights, *zeros, jnp.float32(0)), 0

    def epoch() -> float:
        nonlocal state, turns
        turns += 1
        start = now()
        state, losses = run(state, jax.random.key(turns))
        losses.block_until_ready()
        return (now() - start) * len(x) / (steps * batch)

    return epoch


def _weights(network: Network) -> Any:
    import jax.numpy as jnp

    random = np.random.default_rng(0)

    def layer(inputs: int, *shape: int) -> Any:
        bound = 1 / np.sqrt(inputs)
        return jnp.asarray(random.uniform(-bound, bound, shape), jnp.float32), jnp.zeros(shape[-1], jnp.float32)

    if not network.spatial:
        parts = prod(network.shape)
        return [layer(i, i, o) for i, o in ((parts, HIDDEN), (HIDDEN, 2 * LATENT), (LATENT, HIDDEN), (HIDDEN, parts))]
    (c, h, w), (a, b) = network.shape, CHANNELS
    small = b * h * w // 16
    dense = [layer(i, i, o) for i, o in ((small, DENSE), (DENSE, 2 * LATENT), (LATENT, DENSE), (DENSE, small))]
    down = [layer(9 * c, 3, 3, c, a), layer(9 * a, 3, 3, a, b)]
    return [*down, *dense, layer(4 * b, 4, 4, b, a), layer(4 * a, 4, 4, a, c)]


def _loss(network: Network) -> Any:
    import jax
    import jax.numpy as jnp

    relu, layout = jax.nn.relu, ("NHWC", "HWIO", "NHWC")

    def down(x: Any, layer: Any) -> Any:
        one = ((1, 1), (1, 1))
        return relu(jax.lax.conv_general_dilated(x, layer[0], (2, 2), one, dimension_numbers=layout) + layer[1])

    def up(x: Any, layer: Any) -> Any:
        return jax.lax.conv_transpose(x, layer[0], (2, 2), "SAME", dimension_numbers=layout) + layer[1]

    def coded(h: Any, layer: Any, noise: Any) -> Any:
        out = h @ layer[0] + layer[1]
        mean, log_variance = out[:, :LATENT], out[:, LATENT:]
        kl = -0.5 * jnp.sum(1 + log_variance - mean**2 - jnp.exp(log_variance))
        return mean + jnp.exp(0.5 * log_variance) * noise, kl

    def cost(logits: Any, x: Any, kl: Any) -> Any:
        return (jnp.sum(jax.nn.softplus(logits) - x * logits) + kl) / len(x)

    def dense(weights: Any, x: Any, noise: Any) -> Any:
        first, head, second, last = weights
        z, kl = coded(relu(x @ first[0] + first[1]), head, noise)
        return cost(relu(z @ second[0] + second[1]) @ last[0] + last[1], x, kl)

    def spatial(weights: Any, x: Any, noise: Any) -> Any:
        one, two, first, head, second, third, three, four = weights
        h = down(down(x, one), two)
        small = h.shape
        z, kl = coded(relu(h.reshape(len(x), -1) @ first[0] + first[1]), head, noise)
        h = relu(relu(z @ second[0] + second[1]) @ third[0] + third[1]).reshape(small)
        return cost(up(relu(up(h, three)), four), x, kl)

    return spatial if network.spatial else dense
