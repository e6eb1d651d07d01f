"""Softmax attention: problems, masks, pieces that merge, and the methods that approximate it, by family.

A *method*, a value whose fields are its parameters, maps a *problem* (queries, keys, values, mask) to an
*approximation*: a structured kernel with row shifts, values and masses. Approximations merge by ``+``
where they estimate their mass, which gives the causal, chunked and sparse-plus-low-rank forms of every method.

The functional interface
    ``attend``: exact attention, streamed in O(n) memory, or as a method approximates it.
Problems
    ``AttentionProblem``, and the rules of its mask: ``FullMask``, ``CausalMask``, ``SlidingWindowMask``,
    ``PaddingMask``, ``ExplicitMask``, ``BiasMask``, closed under ``&`` as a ``ConjunctionMask``; ``Mask`` is their
    contract, and ``UnsupportedMask`` the error of a method that does not honour one. ``LayerProblem``: hidden states
    with the ``Projections`` of a layer, which a ``ProjectionConversion`` changes, and the position encoding
    ``Rotary``.
Results
    ``Approximation``, and with bounds of its rows ``CertifiedApproximation``; ``stack_queries`` for blocks of queries;
    the ``Ball`` around the values on which an output is projected. ``Cost`` holds operations, traffic, peak memory and
    cache size, ``exact_cost`` gives those of exact attention and ``columns_cost`` those of a kernel of few columns.
Contracts of methods
    ``AttentionMethod``; a ``JointMethod`` needs these queries, a ``KeyMethod`` sees the keys once, as a ``KeySet``,
    and leaves a ``Summary`` that answers any queries later. ``budget`` and ``performance`` declare fields.

Families, in the order of the surveys; each chapter names the method to take first:

=================  ====================================================================================
baseline           controls: exact attention and the mean of the values
sparse             few keys for every query: window, largest scores
sampling           random keys, weighted with the inverse of their probability
cache              few weighted keys, selected without the queries
low_rank           landmarks, pivots, CUR, projections along the sequence
random_features    the exponential kernel as an expectation of inner products of features
kernel             other kernels, in linear time
tensor             keys and values as structured tensors over heads, tokens and features
conversion         layers with fewer key heads or a latent of low dimension
wrappers           methods made of methods: causal, chunked, sparse plus low rank, projected, oracles of low rank
=================  ====================================================================================

A method is filed under the step that introduces its error. Families import nothing of each other; wrappers may import
all.
"""

from tnattn.attention.approximation import Approximation
from tnattn.attention.attend import attend
from tnattn.attention.ball import Ball
from tnattn.attention.certified import CertifiedApproximation
from tnattn.attention.cost import Cost, columns_cost, exact_cost
from tnattn.attention.mask import ConjunctionMask, FullMask, Mask, UnsupportedMask
from tnattn.attention.masks import BiasMask, CausalMask, ExplicitMask, PaddingMask, SlidingWindowMask
from tnattn.attention.method import AttentionMethod, JointMethod, KeyMethod, budget, performance
from tnattn.attention.problem import AttentionProblem
from tnattn.attention.projections import LayerProblem, ProjectionConversion, Projections
from tnattn.attention.rotary import Rotary
from tnattn.attention.stack_queries import stack_queries
from tnattn.attention.summary import KeySet, Summary

__all__ = [
    "Approximation",
    "AttentionMethod",
    "AttentionProblem",
    "Ball",
    "BiasMask",
    "CausalMask",
    "CertifiedApproximation",
    "ConjunctionMask",
    "Cost",
    "ExplicitMask",
    "FullMask",
    "JointMethod",
    "KeyMethod",
    "KeySet",
    "LayerProblem",
    "Mask",
    "PaddingMask",
    "ProjectionConversion",
    "Projections",
    "Rotary",
    "SlidingWindowMask",
    "Summary",
    "UnsupportedMask",
    "attend",
    "budget",
    "columns_cost",
    "exact_cost",
    "performance",
    "stack_queries",
]
