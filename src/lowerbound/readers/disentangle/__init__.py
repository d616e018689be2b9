"""Disentanglement: is there one coordinate of the code for each true factor of the data, where those are known?

=======================  ===================================================================
``mig``                  how much better the best coordinate knows a factor than the second
``dci``                  one factor a coordinate, one coordinate a factor, and can it be read
``factor_vae_score``     does the coordinate that keeps still name the factor held
``disentangle``          all of them for a run, with spread and chance
``picture``              which coordinate knows which factor
=======================  ===================================================================
"""

from lowerbound.readers.disentangle.dci import dci
from lowerbound.readers.disentangle.factor_vae import factor_vae_score
from lowerbound.readers.disentangle.mig import mig
from lowerbound.readers.disentangle.picture import picture
from lowerbound.readers.disentangle.run import WARNING, Disentanglement, Score, disentangle, score, several

__all__ = [
    "WARNING",
    "Disentanglement",
    "Score",
    "dci",
    "disentangle",
    "factor_vae_score",
    "mig",
    "picture",
    "score",
    "several",
]
