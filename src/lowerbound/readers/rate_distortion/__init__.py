"""The rate-distortion plane of a sweep: its points with their errors, and the picture of them."""

from lowerbound.readers.rate_distortion.curve import Curve, Point, rate_distortion
from lowerbound.readers.rate_distortion.picture import png, svg

__all__ = ["Curve", "Point", "png", "rate_distortion", "svg"]
