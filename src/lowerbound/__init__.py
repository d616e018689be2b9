"""lowerbound: the KL term of variational autoencoders, visible, verified and right."""

__version__ = "0.1.0"
