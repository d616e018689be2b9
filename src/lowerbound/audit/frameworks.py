"""Losses on the arrays of other frameworks, called with torch tensors."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor

from lowerbound.errors import InputError, nearest

FRAMEWORKS = ("torch", "numpy", "jax", "keras")


def as_torch(loss: Callable[..., Any], framework: str) -> Callable[..., Any]:
    """``loss`` on torch tensors. numpy: values only; jax: values and gradients; keras: its own backend."""
    if framework not in FRAMEWORKS:
        raise InputError(f"unknown framework {framework!r}", where="framework", mend=nearest(framework, FRAMEWORKS))
    if framework == "torch":
        return loss
    return {"numpy": _numpy, "jax": _jax, "keras": _keras}[framework](loss)


def _back(value: Any) -> Any:
    if isinstance(value, dict):
        return {k: _back(v) for k, v in value.items()}
    if isinstance(value, (tuple, list)):
        return tuple(_back(v) for v in value)
    return torch.as_tensor(np.array(value))


def _numpy(loss: Callable[..., Any]) -> Callable[..., Any]:
    def called(x: Tensor, out: Tensor, mu: Tensor, s: Tensor) -> Any:
        return _back(loss(*(t.detach().numpy() for t in (x, out, mu, s))))

    called.values_only = True  # type: ignore[attr-defined]
    return called


def _jax(loss: Callable[..., Any]) -> Callable[..., Any]:
    import jax

    jax.config.update("jax_enable_x64", True)

    def total(*arrays: Any) -> Any:
        value = loss(*arrays)
        value = value[0] if isinstance(value, (tuple, list)) else value
        return value.sum() / value.size

    quick, slopes = jax.jit(total), jax.jit(jax.grad(total, argnums=(0, 1, 2, 3)))

    class Bridge(torch.autograd.Function):
        """Value and gradient through jax.grad."""

        @staticmethod
        def forward(ctx: Any, *tensors: Tensor) -> Tensor:
            ctx.arrays = [jax.numpy.asarray(t.detach().numpy()) for t in tensors]
            return torch.as_tensor(np.array(quick(*ctx.arrays)))

        @staticmethod
        def backward(ctx: Any, *grads: Tensor) -> Any:
            return tuple(torch.as_tensor(np.array(g)) * grads[0] for g in slopes(*ctx.arrays))

    def called(x: Tensor, out: Tensor, mu: Tensor, s: Tensor) -> Any:
        return Bridge.apply(x, out, mu, s)

    return called


def _keras(loss: Callable[..., Any]) -> Callable[..., Any]:
    import keras

    if keras.backend.backend() == "torch":
        return loss

    def called(x: Tensor, out: Tensor, mu: Tensor, s: Tensor) -> Any:
        arrays = [keras.ops.convert_to_tensor(t.detach().numpy()) for t in (x, out, mu, s)]
        value = loss(*arrays)
        return torch.as_tensor(keras.ops.convert_to_numpy(value))

    called.values_only = True  # type: ignore[attr-defined]
    return called
