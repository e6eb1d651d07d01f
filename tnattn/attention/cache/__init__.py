"""Caches, filled without the queries, that answer any queries later: all keys, or few weighted ones.

``FullCache``
    All keys and values, exactly: O(n (d + d_v)) per query and key head; the state is d + d_v scalars per token. Every
    token is checked once, when it enters.
``CachedKeys``
    Its summary, to which tokens are appended in constant time.
``PivotedCoreset``
    Randomly pivoted Cholesky of the exponential kernel among the keys (Chen, Epperly, Tropp & Webber 2025, Algorithm
    1) selects the keys, Nyström weights assign the values and the mass of all others to them (WILDCAT, arXiv
    2602.10056). O(n keys^2 + n keys d) per key head; the state is keys (d + d_v + 1) scalars.
``Coreset``
    Its summary: the kept keys with their weighted values and masses.

All are key methods, so that their summaries serve decoding, ``Causal`` and ``Chunked``. A method belongs here if it has
no error, or one that comes from keeping few keys with weights; one that draws keys at random lies in ``sampling``, one
that keeps keys for each query in ``sparse``.

Take first: ``FullCache()``; where it is too large, ``PivotedCoreset(keys=64)``.
"""

from tnattn.attention.cache.full_cache import CachedKeys, FullCache
from tnattn.attention.cache.pivoted_coreset import Coreset, PivotedCoreset

__all__ = ["CachedKeys", "Coreset", "FullCache", "PivotedCoreset"]
