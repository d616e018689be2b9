"""Samples held against data: how far apart, in which features, and whether samples are copies.

====================  ==========================================================================
``frechet``           the distance of two Normals with the means and covariances of the features
``precision_recall``  samples among the data, and data among the samples, by nearest neighbours
``copies``            whether samples are nearer to training examples than new examples are
``fidelity``          all of them for a run, beside what real examples reach
``side_by_side``      runs in columns, with what only some models have
====================  ==========================================================================
"""

from lowerbound.readers.fidelity.copies import Copies, copies
from lowerbound.readers.fidelity.distances import coverage, frechet, precision_recall
from lowerbound.readers.fidelity.features import MAPS, feature_map
from lowerbound.readers.fidelity.run import WARNINGS, Fidelity, fidelity
from lowerbound.readers.fidelity.side_by_side import Column, SideBySide

__all__ = [
    "MAPS",
    "WARNINGS",
    "Column",
    "Copies",
    "Fidelity",
    "SideBySide",
    "copies",
    "coverage",
    "feature_map",
    "fidelity",
    "frechet",
    "precision_recall",
]
