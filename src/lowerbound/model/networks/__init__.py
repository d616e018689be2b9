"""Networks: from the data's shape to features, and from a latent vector to the parameters of a likelihood."""

from lowerbound.model.networks.base import ACTIVATIONS, NETWORKS, Network
from lowerbound.model.networks.convolutional import Convolutional
from lowerbound.model.networks.mlp import MLP
from lowerbound.model.networks.recurrent import Recurrent
from lowerbound.model.networks.residual import Residual
from lowerbound.registry import discover

discover(__name__, __path__)

__all__ = ["ACTIVATIONS", "MLP", "NETWORKS", "Convolutional", "Network", "Recurrent", "Residual"]
