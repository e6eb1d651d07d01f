"""Methods whose error comes from a factorisation of low rank, of the kernel or of the weights.

``Nystromformer``
    softmax(Q K'^T) C^+ softmax(Q' K^T) V with segment means as landmarks: Xiong et al. 2021, equations (13) to (15).
    O((n_q + n_k) m (d + d_v) + m^3).
``LiftedNystrom``
    exp(S) as a block of one Gaussian kernel among queries and keys, approximated at pivots: the idea of Skyformer
    (Chen et al. 2021) with randomly pivoted Cholesky (Chen, Epperly, Tropp & Webber 2025). O((n_q + n_k) m^2).
``KernelCUR``
    exp(S) as C G^+ R from few of its columns and rows (Mahoney & Drineas 2009; Goreinov et al. 2010), chosen by
    pivots or leverage scores: most scores are never computed. O((n_q + n_k) m^2 (1 + sweeps)).
``Linformer``
    softmax(Q (E K)^T) E V with a random projection E along the sequence: Wang et al. 2020, equation (7). O((n_q +
    n_k) m (d + d_v)). Without training it estimates nothing, and serves as a control.
``ChosenColumns``, ``LandmarkFactor``, ``Landmarks``, ``Lifting``, ``RidgedGaussian``
    Parts of the results of ``KernelCUR`` and ``LiftedNystrom``: the selected queries and keys, the factor at the
    landmarks and its factorisation, the points of queries and keys, and the Gaussian kernel with its ridge.

Pieces of ``LiftedNystrom`` and ``KernelCUR`` merge, for their row sums come from the same product. Approximations of
the *exact* weights by any matrix method are the wrapper ``LowRankWeights``: an oracle, and the limit for all of
these.

Take first: ``Nystromformer(landmarks=64)``; ``LiftedNystrom`` where scores are moderate and digits count.
"""

from tnattn.attention.low_rank.kernel_cur import ChosenColumns, KernelCUR
from tnattn.attention.low_rank.lifted_nystrom import LiftedNystrom
from tnattn.attention.low_rank.lifting import LandmarkFactor, Landmarks, Lifting
from tnattn.attention.low_rank.linformer import Linformer
from tnattn.attention.low_rank.nystromformer import Nystromformer
from tnattn.attention.low_rank.ridged_gaussian import RidgedGaussian

__all__ = [
    "ChosenColumns",
    "KernelCUR",
    "LandmarkFactor",
    "Landmarks",
    "LiftedNystrom",
    "Lifting",
    "Linformer",
    "Nystromformer",
    "RidgedGaussian",
]
