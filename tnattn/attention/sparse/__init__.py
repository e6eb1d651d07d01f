"""Sparse methods: softmax over few kept keys of every query.

``SlidingWindow``
    The nearest keys of every query and the first keys of the sequence: Beltagy, Peters & Cohan 2020 (Longformer);
    Xiao et al. 2024 (StreamingLLM). O(n (width + sinks) (d + d_v)) operations in tiles of matrix products.
``TopK``
    The largest scores of every row, which no other choice of as many keys beats (Gupta et al. 2021): an oracle, O(n_q
    n_k (d + log n_k)), streamed.
``CodedKeySelection``
    The largest scores as a transform code of every key estimates them, 32 or 64 bits a key: O(n_q n_k bits) operations
    for the choice, and exact attention to the kept keys.
``CodedCache``
    All keys and values of a decoder, of which codes choose the few that a query reads.
``KeyStatistics``, ``KeyCode``, ``CodedKeys``
    The moments of queries and keys, the transform code that follows from them, and the codes of a stream of keys.

The error is the dropped mass times the distance between the means of dropped and kept values, so that it is known
from the mass alone up to the diameter of the values. All masks are honoured. The dropped part can be estimated:
``MeanResidual`` adds its mean, ``SparsePlus`` a far field of low rank.

Take first: ``CodedKeySelection(keys=256)``, with 64 bits for long contexts; ``SlidingWindow(width=64, sinks=4)`` is
the control, and ``TopK`` shows how much any sparse method could gain.
"""

from tnattn.attention.sparse.coded_cache import CodedCache
from tnattn.attention.sparse.coded_key_selection import CodedKeySelection
from tnattn.attention.sparse.key_code import CodedKeys, KeyCode
from tnattn.attention.sparse.key_statistics import KeyStatistics
from tnattn.attention.sparse.sliding_window import SlidingWindow
from tnattn.attention.sparse.top_k import TopK

__all__ = ["CodedCache", "CodedKeySelection", "CodedKeys", "KeyCode", "KeyStatistics", "SlidingWindow", "TopK"]
