"""Low-rank factorisations from products with test matrices.

Take ``RandomizedSVD`` first: within 1 % of the optimal error for slowly decaying spectra. All cost a few passes over
an m-by-n matrix, 2 m n l flops for each product with l columns, plus O((m + n) l^2).

``RangeFinder``
    Orthonormal basis of the range (Halko, Martinsson & Tropp 2011, Algorithms 4.1 and 4.4).
``QB``, ``QBResult``
    Projection ``Q Q^T A`` of a given rank.
``AdaptiveQB``, ``AdaptiveQBResult``
    The same to a tolerance, block by block (Yu, Gu & Li 2018, randQB_EI).
``RandomizedSVD``, ``RandomizedSVDResult``
    Truncated singular value decomposition (Halko, Martinsson & Tropp 2011, Algorithm 5.1), of a given rank or to a
    tolerance.
``BlockKrylov``
    The same from a block Krylov space (Musco & Musco 2015, Algorithm 2): fewer products for slowly decaying spectra.
``RandomizedEigh``, ``RandomizedEighResult``
    Eigendecomposition of symmetric matrices (Halko, Martinsson & Tropp 2011, Algorithm 5.3).
``GeneralizedNystrom``, ``GeneralizedNystromResult``
    Two independent products, no second pass (Nakatsukasa 2020).
``SinglePassSVD``, ``StreamingSVD``
    A matrix given as a sum of updates, read once (Tropp, Yurtsever, Udell & Cevher 2019).
``TruncatedSVD``
    The best approximation, as a reference; O(m n min(m, n)) for arrays.
"""

from tnattn.randnla.low_rank.adaptive_qb import AdaptiveQB, AdaptiveQBResult
from tnattn.randnla.low_rank.generalized_nystrom import GeneralizedNystrom, GeneralizedNystromResult
from tnattn.randnla.low_rank.krylov import BlockKrylov
from tnattn.randnla.low_rank.qb import QB, QBResult
from tnattn.randnla.low_rank.randomized_eigh import RandomizedEigh, RandomizedEighResult
from tnattn.randnla.low_rank.randomized_svd import RandomizedSVD, RandomizedSVDResult
from tnattn.randnla.low_rank.range_finder import RangeFinder
from tnattn.randnla.low_rank.streaming_svd import SinglePassSVD, StreamingSVD
from tnattn.randnla.low_rank.truncated_svd import TruncatedSVD

__all__ = [
    "QB",
    "AdaptiveQB",
    "AdaptiveQBResult",
    "BlockKrylov",
    "GeneralizedNystrom",
    "GeneralizedNystromResult",
    "QBResult",
    "RandomizedEigh",
    "RandomizedEighResult",
    "RandomizedSVD",
    "RandomizedSVDResult",
    "RangeFinder",
    "SinglePassSVD",
    "StreamingSVD",
    "TruncatedSVD",
]
