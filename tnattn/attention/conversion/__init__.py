"""Conversions of a layer to fewer key heads or to a latent of low dimension, without training.

``GroupedQueries``
    The key and value weights of consecutive heads become their mean: Ainslie et al. 2023, section 2.1. O(width^2);
    the error of the weights in the Frobenius norm is the variance within the groups.
``JointTruncation``
    The key and value weights of all heads side by side become a matrix of low rank, optimal in the norm of
    calibration activations (Eckart & Young 1936): a cache keeps ``rank`` scalars per token. O(width^2 n + width^2 G
    (d + d_v)).
``Converted``
    Either of them as an approximation of the attention of the layer: the error is that of the output, not of the
    weights.
``PooledKeyValue``
    The pooling of grouped queries applied to keys and values themselves, for problems whose weights are not
    available. Exact arithmetic; the cache shrinks by the size of the groups.

The first two map ``Projections`` to ``Projections`` and need the weights of a layer; a rotary encoding between them
and the scores is linear and commutes with the means.

Take first: ``Converted(GroupedQueries(groups))``; ``JointTruncation`` with activations where the latent may be wide.
"""

from tnattn.attention.conversion.converted import Converted
from tnattn.attention.conversion.grouped_queries import GroupedQueries
from tnattn.attention.conversion.joint_truncation import JointTruncation
from tnattn.attention.conversion.pooled_key_value import PooledKeyValue

__all__ = ["Converted", "GroupedQueries", "JointTruncation", "PooledKeyValue"]
