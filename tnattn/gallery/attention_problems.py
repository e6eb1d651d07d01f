"""The families of attention problems, each with the properties that it declares."""

from __future__ import annotations

import numpy as np

from tnattn.gallery import declared, generators
from tnattn.gallery.family import ProblemFamily, Property


def problems() -> dict[str, ProblemFamily]:
    """Return all families by name."""
    return {family.name: family for family in _FAMILIES}


# statements name the constants of the generators, so that text and numbers cannot differ
_FAMILIES = (
    ProblemFamily(
        "gauss",
        "independent standard normal queries, keys and values",
        generators.gauss,
        (Property("queries and keys have variance 1", lambda p: declared.has_variance(p, 1.0)),),
    ),
    ProblemFamily(
        "sharp",
        "normal queries and keys of standard deviation 2: few keys count in a row",
        generators.sharp,
        (Property("queries and keys have variance 4", lambda p: declared.has_variance(p, 4.0)),),
    ),
    ProblemFamily(
        "clustered",
        f"queries and keys around {generators.CENTRES} (at most n / 4) shared centres",
        generators.clustered,
        (Property("keys are nearer to their neighbour than 0.3 of a typical distance", declared.is_clustered),),
    ),
    ProblemFamily(
        "smooth",
        f"queries and keys follow one autoregressive path of correlation {generators.CORRELATION}",
        generators.smooth,
        (Property(f"neighbouring keys have correlation {generators.CORRELATION}", declared.is_correlated),),
    ),
    ProblemFamily(
        "sink",
        f"smooth, with {generators.SINKS} sink keys in front that draw half the weight, and 1 % outlier values",
        generators.sink,
        (
            Property("sinks draw about half of the weight of a median row", declared.feeds_sinks),
            Property("1 % of the values are outliers", lambda p: declared.has_outliers(p, 10.0)),
        ),
    ),
    ProblemFamily(
        "needle",
        f"every query has one matching key, which has the weight {generators.PEAK}",
        generators.needle,
        (Property(f"the largest weight of every row is {generators.PEAK}", declared.has_peaks),),
    ),
    ProblemFamily(
        "flat",
        f"scores of at most {generators.FLAT}: rows are nearly uniform",
        generators.flat,
        (
            Property(
                f"no score exceeds {generators.FLAT}",
                # rounding of q and k to half precision moves a score by 1e-3
                lambda p: bool(np.abs(declared.dense_scores(p)).max() <= generators.FLAT * (1 + 1e-3)),
            ),
        ),
    ),
    ProblemFamily(
        "low_rank_plus_sparse",
        "small scores of rank 2, and up to d - 2 planted pairs of a query and a key",
        generators.low_rank_plus_sparse,
        (Property("the kernel without the planted pairs has rank 10 to 1 %", declared.splits),),
    ),
    ProblemFamily(
        "rope",
        "one content per head, rotated by position: scores depend on the distance, up to noise",
        generators.rope,
        (Property("the scores are constant along diagonals to 20 % of their energy", declared.is_toeplitz),),
    ),
    ProblemFamily(
        "value_outliers",
        f"normal, with 1 % of the values {generators.OUTLIER:g} times as long",
        generators.value_outliers,
        (Property("1 % of the values are outliers", lambda p: declared.has_outliers(p, generators.OUTLIER)),),
    ),
    ProblemFamily(
        "ties",
        "every key occurs twice, with different values: the largest score is attained twice, up to rounding",
        generators.ties,
        (Property("the largest score of every row is attained at least twice, up to rounding", declared.has_ties),),
    ),
    ProblemFamily(
        "huge_logits",
        f"scores up to {generators.HUGE:g}: exp overflows without a shift",
        generators.huge_logits,
        (
            Property(
                f"the largest score of every head is {generators.HUGE:g}",
                lambda p: bool(
                    np.all(np.abs(np.abs(declared.dense_scores(p)).max(axis=(-2, -1)) / generators.HUGE - 1) < 1e-3)
                ),
            ),
        ),
    ),
)
