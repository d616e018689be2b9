"""Optimisers and learning-rate schedules, by name; their state as tensors, so that no pickle is needed."""

from __future__ import annotations

import math
from collections.abc import Collection
from typing import Any

import torch
from torch import Tensor
from torch.nn import Parameter
from torch.optim import Optimizer

from lowerbound.errors import InputError
from lowerbound.training.spec import TrainingSpec

OPTIMISERS: dict[str, tuple[type[Optimizer], dict[str, Any]]] = {
    "adam": (torch.optim.Adam, {"fused": True}),
    "adamw": (torch.optim.AdamW, {"fused": True}),
    "sgd": (torch.optim.SGD, {"fused": True, "momentum": 0.9}),
    "adagrad": (torch.optim.Adagrad, {"foreach": True}),
    "rmsprop": (torch.optim.RMSprop, {"foreach": True}),
}


def make_optimiser(parameters: list[Parameter], spec: TrainingSpec, weights: Collection[int]) -> Optimizer:
    """The optimiser that the spec names, over these parameters; ``weights`` are the ids of what its decay pulls."""
    kind, options = OPTIMISERS[spec.optimiser]
    if not spec.weight_decay:
        return kind(parameters, lr=spec.learning_rate, **options)  # type: ignore[call-arg]
    groups: list[dict[str, Any]] = [
        {"params": [p for p in parameters if (id(p) in weights) == pulled], "weight_decay": pulled * spec.weight_decay}
        for pulled in (True, False)
    ]
    return kind([g for g in groups if g["params"]], lr=spec.learning_rate, **options)  # type: ignore[call-arg]


def is_weight(name: str, dims: int) -> bool:
    """Whether a weight decay pulls this parameter toward 0: a matrix or a kernel of a network, no bias and no scale.

    What belongs to a prior or a likelihood is left alone: its numbers mean something.

    >>> is_weight("encoder.layers.0.weight", 2), is_weight("encoder.layers.0.bias", 1), is_weight("prior.mean", 2)
    (True, False, False)
    """
    return dims > 1 and not {"prior", "likelihood"} & set(name.split("."))


def learning_rate(spec: TrainingSpec, epoch: float) -> float:
    """The learning rate at a fractional epoch: constant, half a cosine to 0, or exponential to a hundredth."""
    done = min(epoch / spec.epochs, 1.0)
    factor = {"constant": 1.0, "cosine": 0.5 * (1 + math.cos(math.pi * done)), "exponential": 0.01**done}
    return spec.learning_rate * factor[spec.decay]


def state_tensors(optimiser: Optimizer, prefix: str) -> dict[str, Tensor]:
    """Everything the optimiser remembers, one tensor a name: ``prefix.<parameter index>.<key>``."""
    state = optimiser.state_dict()["state"]
    return {f"{prefix}.{i}.{key}": t for i, slot in state.items() for key, t in slot.items() if isinstance(t, Tensor)}


def restore(optimiser: Optimizer, tensors: dict[str, Tensor], prefix: str) -> None:
    """Put back what :func:`state_tensors` took."""
    state: dict[int, dict[str, Tensor]] = {}
    for name, tensor in tensors.items():
        if name.startswith(prefix + "."):
            index, key = name[len(prefix) + 1 :].split(".", 1)
            state.setdefault(int(index), {})[key] = tensor
    for i, p in enumerate(p for group in optimiser.param_groups for p in group["params"]):
        if any(t.dim() and t.shape != p.shape for t in state.get(i, {}).values()):
            what = "its optimiser remembers other parameters, or the same in another order"
            raise InputError(what, where="checkpoint", mend="train anew")
    optimiser.load_state_dict({"state": state, "param_groups": optimiser.state_dict()["param_groups"]})


def device_of(name: str) -> torch.device:
    """The device by name; "auto" takes CUDA where there is one."""
    if name == "auto":
        return torch.device("cuda", 0) if torch.cuda.is_available() else torch.device("cpu")
    try:
        device = torch.device(name)
    except RuntimeError:
        raise InputError(f"unknown device {name!r}", where="training.device", mend="give auto, cpu or cuda") from None
    if device.type == "cuda" and not torch.cuda.is_available():
        raise InputError("this torch sees no CUDA device", where="training.device", mend="give --device cpu")
    if device.type not in ("cpu", "cuda"):
        raise InputError(f"device {name!r} is not supported", where="training.device", mend="give auto, cpu or cuda")
    return torch.device("cuda", device.index or 0) if device.type == "cuda" else device
