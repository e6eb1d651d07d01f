"""Random features: the kernel exp(q . k) as the expectation of an inner product of feature vectors.

``Performer``
    Unbiased estimates of exp(scores) for all queries and keys: Choromanski et al. 2021, Lemmas 1 and 2. O((n_q + n_k)
    m (d + d_v)) per head; the state is m (d_v + 1) scalars per key head and grows in place.
``Scatterbrain``
    The same, corrected to the exact kernel in a window: Chen, Dao, Winsor, Song, Rudra & Ré 2021. O((n_q + n_k) m (d
    + d_v) + n_q window (m + d + d_v)).
``FeatureKind``: ``Positive``, ``Hyperbolic``, ``Trigonometric``
    The map from projections to features. Positive features have a variance of exp(|x + y|^2), signed ones may make a
    denominator vanish.
``Directions``: ``Independent``, ``Orthogonal``
    The distribution of the directions; orthogonal blocks have the smaller variance (Choromanski et al. 2021, section
    3).
``FeatureMap``, ``KeyRows``, ``KeyFeatures``, ``QueryFeatures``, ``FeatureSummary``
    A drawn map, the features of keys, their transpose and those of queries, evaluated on use, and the keys' sums: the
    summary.

The variance grows with the exponential of the squared norms, so that heads with large scores need more features than
keys: on the shipped sample the mean of the values does as well.

Take first: ``Performer(features=256)``, whose defaults are positive features of orthogonal directions.
"""

from tnattn.attention.random_features.feature_map import FeatureMap, KeyFeatures, KeyRows, QueryFeatures
from tnattn.attention.random_features.feature_summary import FeatureSummary
from tnattn.attention.random_features.features import (
    Directions,
    FeatureKind,
    Hyperbolic,
    Independent,
    Orthogonal,
    Positive,
    Trigonometric,
)
from tnattn.attention.random_features.performer import Performer
from tnattn.attention.random_features.scatterbrain import Scatterbrain

__all__ = [
    "Directions",
    "FeatureKind",
    "FeatureMap",
    "FeatureSummary",
    "Hyperbolic",
    "Independent",
    "KeyFeatures",
    "KeyRows",
    "Orthogonal",
    "Performer",
    "Positive",
    "QueryFeatures",
    "Scatterbrain",
    "Trigonometric",
]
