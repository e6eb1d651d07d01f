"""Tensor trains: a chain of cores of order three, joined by bonds.

Take ``TTSVD`` for a tensor that fits into memory: its error is exact, and within sqrt(d - 1) of the best one.
``RandomizedTTSVD`` is faster where ranks are far below the sizes of the unfoldings. ``TTCross`` reads few entries of a
tensor that is never formed, such as the weights of attention over ten thousand tokens, and estimates its error from
sampled fibres: its tolerance is a stopping criterion, not a guarantee. ``TTRounding`` lowers the ranks that sums and
products of trains raise. Long axes with structure at all scales, such as matrices of functions of i - j, have small
ranks in the binary digits of their indices: ``QuantisedTT``.

Decompositions of N entries, of order d, mode sizes n and ranks r:

``TTSVD``
    Truncated SVDs of the unfoldings, from the left; O(N r n). Oseledets 2011, Algorithm 1.
``RandomizedTTSVD``
    Range finders in their place; O(r N). Huber, Schneider and Wolf 2017.
``TTCross``
    Alternating cross approximation from O(sweeps d n r^2) entries. Oseledets and Tyrtyshnikov 2010.
``QuantisedTT``
    A train over the binary digits of the indices; storage O(r^2 log n) a mode. Khoromskij 2011.
``QuantisedTTMatrix``
    A matrix over pairs of digits, one of the row and one of the column. Kazeev, Khoromskij and Tyrtyshnikov 2013.
``TrainTruncation``
    Base of truncations with one rank for each bond.

Rounding of trains:

``TTRounding``
    Orthogonalise from the right, truncate from the left; O(d n r^3). Oseledets 2011, Algorithm 2.
``RandomizedTTRounding``
    Sketch by a random train, then orthogonalise. Al Daas et al. 2023, Algorithm 3.2.

Results:

``OrthonormalTensorTrain``
    Orthonormal cores but for the last, and the accuracy.
``TruncatedTensorTrain``
    Of a truncation: the norm discarded at each bond, and with it the error.
``SketchedTensorTrain``
    Of a sketch of a train: a bound on its error.
``CrossTrain``
    Of a cross: entries read, the estimate of the error and its interval.
``CrossFit``
    Rows of a cross and the train fitted to them.
``SampledFibres``
    Residuals of a train on random fibres.
``QuantisedTensor``
    A train over digits, read as a tensor over the modes.
``QuantisedMatrix``
    A train over pairs of digits, read as a matrix.
"""

from tnattn.decomposition.tensor_train.cross_train import CrossFit, CrossTrain
from tnattn.decomposition.tensor_train.quantised import QuantisedTensor, QuantisedTT
from tnattn.decomposition.tensor_train.quantised_matrix import QuantisedMatrix, QuantisedTTMatrix
from tnattn.decomposition.tensor_train.randomized_tt import RandomizedTTSVD
from tnattn.decomposition.tensor_train.randomized_tt_rounding import RandomizedTTRounding
from tnattn.decomposition.tensor_train.sampled_fibres import SampledFibres
from tnattn.decomposition.tensor_train.train_truncation import TrainTruncation
from tnattn.decomposition.tensor_train.truncated_train import (
    OrthonormalTensorTrain,
    SketchedTensorTrain,
    TruncatedTensorTrain,
)
from tnattn.decomposition.tensor_train.tt_cross import TTCross
from tnattn.decomposition.tensor_train.tt_rounding import TTRounding
from tnattn.decomposition.tensor_train.tt_svd import TTSVD

__all__ = [
    "TTSVD",
    "CrossFit",
    "CrossTrain",
    "OrthonormalTensorTrain",
    "QuantisedMatrix",
    "QuantisedTT",
    "QuantisedTTMatrix",
    "QuantisedTensor",
    "RandomizedTTRounding",
    "RandomizedTTSVD",
    "SampledFibres",
    "SketchedTensorTrain",
    "TTCross",
    "TTRounding",
    "TrainTruncation",
    "TruncatedTensorTrain",
]
