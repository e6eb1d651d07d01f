"""Kernels other than the exponential, for which attention takes linear time.

``LinearAttention``
    exp(scale q . k) becomes phi(q) . phi(k) with phi(x) = elu(sqrt(scale) x) + 1: Katharopoulos et al. 2020, section
    3.2. O((n_q + n_k) d d_v) per head; the state is d (d_v + 1) scalars per key head, whatever the number of keys.
``LinearState``
    Its summary: sums over the keys of feature times value, and of feature; it grows in place.
``EluFeatures``, ``elu_plus_one``
    The feature map, of queries and keys, and entry by entry.

A method belongs here if it is exact for a kernel of its own and estimates nothing of softmax: the error against
softmax does not vanish with a budget. Unbiased estimates of the exponential kernel lie in ``random_features``.

Take first: ``LinearAttention()``, as the control for models that were not trained with it.
"""

from tnattn.attention.kernel.elu_features import EluFeatures, elu_plus_one
from tnattn.attention.kernel.linear_attention import LinearAttention, LinearState

__all__ = ["EluFeatures", "LinearAttention", "LinearState", "elu_plus_one"]
