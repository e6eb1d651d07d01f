"""Methods made of other methods: causal, chunked, balanced, projected, sparse plus low rank, oracles of low rank.

``Balanced``, ``balanced``
    The method on queries and keys of one covariance and the least mean squares that their products admit (balancing of
    Gramians, Moore 1981), in which exact attention is the same; the problem in these coordinates. O((n_q + n_k) d^2 +
    d^3) beyond the method.
``Causal``
    Causal attention from a method without masks, with exact leaves: a prefix scan where summaries are sums over the
    keys (Katharopoulos et al. 2020, section 3.3); two diagonal halves and one unmasked rectangle, recursively, for the
    others (Han et al. 2023, HyperAttention, Algorithm 4), where every key lies in log2(n_k / leaf) rectangles.
``Chunked``
    The method on consecutive runs of keys, merged by their masses: its cost on n_k / chunks keys, ``chunks`` times.
``MeanResidual``
    A sparse method, and the mean of the dropped keys and values with its share of the mass, which is bounded by
    Jensen's inequality. O(n_k (d + d_v)) beyond the sparse method.
``SparsePlus``
    A far field everywhere, corrected to the exact kernel on the support of a sparse method: Chen et al. 2021
    (Scatterbrain), Algorithm 1, for any two methods. The cost of both, and 2 n_q w m operations.
``Projected``
    Any method, with the rows of its output projected on a ball around the values, which holds the exact ones: never
    worse, and rows with a bad denominator get its centre. O(n_k d_v) per key head and step.
``LowRankWeights``
    Any matrix method on the exact weights of every head: an oracle, O(n_q n_k) per pass, and the bridge to theorems
    about matrices (Eckart & Young 1936).
``WeightTensor``
    Any decomposition of order three on the exact weights (head, query, key): an oracle that shows what heads have in
    common.
``PerHead``
    Every head by a method of its own, with draws that are a part of the value: what a search for the cheapest methods
    of a given error returns. The sum of the costs of the heads.
``projected_piece``, ``Grouped``, ``Span``
    The projection of one piece; the slices of a tensor in the grouped layout; the queries and keys of a part of the
    causal recursion.

A wrapper takes a method as a field, has a default one, and hands its budget on; it may import any family, while
families import none. Wrappers that merge need pieces that estimate their mass; ``+`` raises ValueError for others.

Take first: ``Causal(method)`` for decoders, ``MeanResidual(SlidingWindow(64))`` for everything else.
"""

from tnattn.attention.wrappers.balanced import Balanced, balanced
from tnattn.attention.wrappers.causal import Causal
from tnattn.attention.wrappers.chunked import Chunked
from tnattn.attention.wrappers.low_rank_weights import LowRankWeights
from tnattn.attention.wrappers.mean_residual import MeanResidual
from tnattn.attention.wrappers.per_head import PerHead
from tnattn.attention.wrappers.projected import Projected, projected_piece
from tnattn.attention.wrappers.rectangles import Span
from tnattn.attention.wrappers.sparse_plus import SparsePlus
from tnattn.attention.wrappers.weight_tensor import Grouped, WeightTensor

__all__ = [
    "Balanced",
    "Causal",
    "Chunked",
    "Grouped",
    "LowRankWeights",
    "MeanResidual",
    "PerHead",
    "Projected",
    "Span",
    "SparsePlus",
    "WeightTensor",
    "balanced",
    "projected_piece",
]
