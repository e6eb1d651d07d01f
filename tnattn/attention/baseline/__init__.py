"""Controls: exact attention and the mean of the values, between which every approximation has to fall.

``Exact``
    softmax(scale Q K^T + mask) V itself, streamed over tiles: Vaswani et al. 2017, equation (1). O(n_q n_k (d + d_v))
    operations, O(n_q) memory beyond the output. The reference in every table, and the inner method of every test.
``MeanValue``
    Every query gets the mean of the values that it may see: attention whose scores are all zero. O(n_k d_v), or
    O((n_q + n_k) d_v log n_k) under a mask of positions. It reads neither queries nor keys.

A method that errs by as much as ``MeanValue`` has learned nothing from queries and keys; on heads of low contrast
that happens to elaborate methods, too. Both honour masks: ``Exact`` all of them, ``MeanValue`` those that use
positions or lengths.

Take first: ``Exact``, through ``attend(q, k, v)``.
"""

from tnattn.attention.baseline.exact import Exact
from tnattn.attention.baseline.mean_value import MeanValue

__all__ = ["Exact", "MeanValue"]
