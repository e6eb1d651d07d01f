"""Tensor decompositions of keys, values and weights over heads, tokens and features.

``FactoredKeyValue``
    The tensors (token, head, feature) of keys and of values are decomposed, and attention runs in their factors: O(n
    r) per query and head instead of O(n (d + d_v)). By default the sequentially truncated HOSVD (Vannieuwenhoven,
    Vandebril & Meerbergen 2012); the cache is that of tensor-product attention (Zhang et al. 2025).
``FactoredCache``
    Its summary: factors and means of keys and values.
``TokenFactors``
    A structured tensor with the factor of the tokens apart, so that it can grow.
``WeightEntries``
    The exact weights (head, query, key) as an implicit tensor, for decompositions that read few entries.

Any decomposition of order three serves: Tucker, canonical polyadic, tensor train. The softmax over the approximate
scores is exact, so that the error comes from keys and values alone. The decomposition of the *weights* is the wrapper
``WeightTensor``.

Take first: ``FactoredKeyValue(rank=16)``; heads that share directions of keys gain most.
"""

from tnattn.attention.tensor.factored_key_value import FactoredCache, FactoredKeyValue
from tnattn.attention.tensor.token_factors import TokenFactors
from tnattn.attention.tensor.weight_entries import WeightEntries

__all__ = ["FactoredCache", "FactoredKeyValue", "TokenFactors", "WeightEntries"]
