"""Decompositions of tensors: Tucker, canonical polyadic and tensor-train."""
