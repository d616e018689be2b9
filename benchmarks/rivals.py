"""The rivals in PyTorch: a tutorial's loop, the same made fast by hand, that compiled, and pythae. Same networks."""

from __future__ import annotations

import contextlib
import io
import logging
import tempfile
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from math import prod
from typing import Any

import torch
from timing import Round, now
from torch import Tensor, nn
from torch.nn import functional as F

LATENT, HIDDEN, CHANNELS, DENSE = 20, 512, (32, 64), 256


@dataclass(frozen=True)
class Network:
    """A network of the comparison: the shape of an example, and whether its layers are convolutions."""

    name: str
    shape: tuple[int, ...]

    @property
    def spatial(self) -> bool:
        """Whether it has convolutions."""
        return len(self.shape) == 3

    def ours(self) -> dict[str, Any]:
        """The encoder as the library's settings say it; the decoder is its mirror image."""
        if self.spatial:
            return {"name": "convolutional", "channels": CHANNELS, "hidden": [DENSE]}
        return {"name": "mlp", "hidden": [HIDDEN]}

    def flops(self) -> int:
        """Multiplications and additions of forward and backward an example, of the dense network."""
        layers = (prod(self.shape) * HIDDEN, HIDDEN * 2 * LATENT, LATENT * HIDDEN, HIDDEN * prod(self.shape))
        return 3 * 2 * sum(layers) - 2 * layers[0]  # the first layer needs no gradient of its input


NETWORKS = {
    n.name: n
    for n in (
        Network("784-512-20-512-784", (784,)),
        Network("convolutional 1x28x28", (1, 28, 28)),
        Network("convolutional 3x32x32", (3, 32, 32)),
    )
}


def body(network: Network) -> nn.Module:
    """From an example to the encoder's features."""
    if not network.spatial:
        return nn.Sequential(nn.Linear(prod(network.shape), HIDDEN), nn.ReLU())
    (c, h, w), (a, b) = network.shape, CHANNELS
    return nn.Sequential(
        nn.Conv2d(c, a, 3, 2, 1), nn.ReLU(), nn.Conv2d(a, b, 3, 2, 1), nn.ReLU(),
        nn.Flatten(), nn.Linear(b * h * w // 16, DENSE), nn.ReLU(),
    )  # fmt: skip


def decoder(network: Network) -> nn.Sequential:
    """From a code to the logits of an example."""
    if not network.spatial:
        return nn.Sequential(nn.Linear(LATENT, HIDDEN), nn.ReLU(), nn.Linear(HIDDEN, prod(network.shape)))
    (c, h, w), (a, b) = network.shape, CHANNELS
    small = (b, h // 4, w // 4)
    return nn.Sequential(
        nn.Linear(LATENT, DENSE), nn.ReLU(), nn.Linear(DENSE, prod(small)), nn.ReLU(), nn.Unflatten(1, small),
        nn.ConvTranspose2d(b, a, 4, 2, 1), nn.ReLU(), nn.ConvTranspose2d(a, c, 4, 2, 1),
    )  # fmt: skip


def features(network: Network) -> int:
    """How many features the encoder gives."""
    return DENSE if network.spatial else HIDDEN


class Plain(nn.Module):
    """The model as one would write it in a tutorial; its forward is the loss."""

    def __init__(self, network: Network) -> None:
        super().__init__()
        self.encoder, self.decoder = body(network), decoder(network)
        self.mean, self.log_variance = (nn.Linear(features(network), LATENT) for _ in range(2))

    def forward(self, x: Tensor) -> Tensor:
        h = self.encoder(x)
        mean, log_variance = self.mean(h), self.log_variance(h)
        z = mean + torch.exp(0.5 * log_variance) * torch.randn_like(mean)
        nll = F.binary_cross_entropy_with_logits(self.decoder(z), x, reduction="sum")
        kl = -0.5 * torch.sum(1 + log_variance - mean.square() - log_variance.exp())
        return (nll + kl) / len(x)


def tutorial(network: Network, x: Tensor, batch: int) -> Round:
    """A ``DataLoader`` and ``torch.optim.Adam`` as they come; the loss is read at every step."""
    model = Plain(network)
    optimiser = torch.optim.Adam(model.parameters(), lr=1e-3)
    loader = torch.utils.data.DataLoader(torch.utils.data.TensorDataset(x), batch_size=batch, shuffle=True)
    return _epoch(model, optimiser, lambda: (rows for (rows,) in loader))


def by_hand(network: Network, x: Tensor, batch: int, compiled: bool = False) -> Round:
    """Rows by index from one tensor and the fused Adam; ``compiled``: the model under ``torch.compile``."""
    model: Any = Plain(network)
    optimiser = torch.optim.Adam(model.parameters(), lr=1e-3, fused=True)
    if compiled:
        model = torch.compile(model, dynamic=False)
    return _epoch(model, optimiser, lambda: (x.index_select(0, rows) for rows in torch.randperm(len(x)).split(batch)))


def _epoch(model: Any, optimiser: Any, batches: Callable[[], Any]) -> Round:
    def epoch() -> float:
        start, total = now(), 0.0
        for rows in batches():
            optimiser.zero_grad()
            loss = model(rows)
            loss.backward()
            optimiser.step()
            total += loss.item()
        return now() - start

    return epoch


def pythae(network: Network, x: Tensor, batch: int) -> Round:
    """pythae's own trainer, an epoch a round."""
    from pythae.data.datasets import BaseDataset
    from pythae.models import VAE, VAEConfig
    from pythae.models.base.base_utils import ModelOutput
    from pythae.models.nn import BaseDecoder, BaseEncoder
    from pythae.trainers import BaseTrainer, BaseTrainerConfig

    logging.disable(logging.INFO)

    class Encoder(BaseEncoder):
        def __init__(self) -> None:
            super().__init__()
            self.layers = body(network)
            self.mean, self.log_variance = (nn.Linear(features(network), LATENT) for _ in range(2))

        def forward(self, x: Tensor) -> Any:
            h = self.layers(x)
            return ModelOutput(embedding=self.mean(h), log_covariance=self.log_variance(h))

    class Decoder(BaseDecoder):
        def __init__(self) -> None:
            super().__init__()
            self.layers = nn.Sequential(*decoder(network), nn.Sigmoid())

        def forward(self, z: Tensor) -> Any:
            return ModelOutput(reconstruction=self.layers(z))

    config = VAEConfig(input_dim=network.shape, latent_dim=LATENT, reconstruction_loss="bce")
    model = VAE(config, encoder=Encoder(), decoder=Decoder())
    labels = torch.zeros(len(x))

    def epoch() -> float:
        with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
            warnings.simplefilter("ignore")
            settings = BaseTrainerConfig(
                output_dir=folder, num_epochs=1, per_device_train_batch_size=batch, learning_rate=1e-3, no_cuda=True
            )
            trainer = BaseTrainer(model, BaseDataset(x, labels), training_config=settings)
            trainer.prepare_training()
            start = now()
            with contextlib.redirect_stderr(io.StringIO()):  # its progress bar
                trainer.train_step(epoch=1)
            return now() - start

    return epoch
