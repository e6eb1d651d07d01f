"""Attention approximated with decompositions and randomized numerical linear algebra.

Methods, decompositions and sketches live in modules of their own and are imported from there, for instance
``from tnattn.attention.random_features.performer import Performer``; this page holds what they all share.
"""

from tnattn.arrays import DeviceDraws
from tnattn.attention.approximation import Approximation, stack_queries
from tnattn.attention.attend import attend
from tnattn.attention.cost import Cost, exact_cost
from tnattn.attention.masks import (
    BiasMask,
    CausalMask,
    ExplicitMask,
    FullMask,
    Mask,
    PaddingMask,
    SlidingWindowMask,
    UnsupportedMask,
)
from tnattn.attention.method import AttentionMethod, JointMethod, KeyMethod, budget, performance
from tnattn.attention.problem import AttentionProblem
from tnattn.attention.summary import KeySet, Summary
from tnattn.structured import (
    BlockDiagonal,
    Columns,
    Dense,
    Diagonal,
    LowRank,
    Product,
    Rows,
    Selection,
    Sparse,
    StructuredMatrix,
    Sum,
)

__version__ = "0.1.0"

__all__ = [
    "Approximation",
    "AttentionMethod",
    "AttentionProblem",
    "BiasMask",
    "BlockDiagonal",
    "CausalMask",
    "Columns",
    "Cost",
    "Dense",
    "DeviceDraws",
    "Diagonal",
    "ExplicitMask",
    "FullMask",
    "JointMethod",
    "KeyMethod",
    "KeySet",
    "LowRank",
    "Mask",
    "PaddingMask",
    "Product",
    "Rows",
    "Selection",
    "SlidingWindowMask",
    "Sparse",
    "StructuredMatrix",
    "Sum",
    "Summary",
    "UnsupportedMask",
    "attend",
    "budget",
    "exact_cost",
    "performance",
    "stack_queries",
]
