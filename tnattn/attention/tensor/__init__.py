"""Tensor decompositions of keys, values and weights over heads, tokens and features."""
