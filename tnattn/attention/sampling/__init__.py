"""Methods that sample keys and weight each with the inverse of its probability.

``ValueSampling``
    Probabilities from the norms of the values, without the queries: Drineas, Kannan & Mahoney 2006, algorithm
    BasicMatrixMultiplication. O(n_k d_v) to draw, O(n_q samples (d + d_v)) to answer; the state is the drawn keys.
``LeverageKeySampling``
    Probabilities from ridge leverage scores of the centred keys, high for keys that alone span a direction (Kannan
    et al. 2024, LevAttention). O(n_k d^2) to draw.
``ColumnSampling``
    The optimal probabilities ||P_:j|| ||v_j|| of one draw for all queries (Drineas, Kannan & Mahoney 2006, Lemma 4):
    an oracle, since they need the exact weights.
``HeavyPlusSampled``
    The most important keys exactly and the others sampled, by the column norms of the weights times centred values,
    which few exact rows estimate: half the error of ``ColumnSampling`` on heads with heavy keys, without the oracle.
``OptimalHeavyPlusSampled``
    The same by the exact column norms: an oracle, with an exact weighted mean squared error.
``SampledKeys``
    The summary of the first two: sampled keys and values, each with the number of keys that it represents.

The error falls with the square root of the samples and is known exactly in the mean square where the denominator is
not estimated (``normalise=False``). One draw serves all queries of a head; keys kept for each query by its scores lie
in ``sparse``.

Take first: ``ValueSampling(samples=64)``: it is the default inner method of ``Causal``.
"""

from tnattn.attention.sampling.column_sampling import ColumnSampling
from tnattn.attention.sampling.heavy_plus_sampled import HeavyPlusSampled, OptimalHeavyPlusSampled
from tnattn.attention.sampling.leverage_key_sampling import LeverageKeySampling
from tnattn.attention.sampling.value_sampling import SampledKeys, ValueSampling

__all__ = [
    "ColumnSampling",
    "HeavyPlusSampled",
    "LeverageKeySampling",
    "OptimalHeavyPlusSampled",
    "SampledKeys",
    "ValueSampling",
]
