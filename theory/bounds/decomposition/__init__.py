"""Theorems about the decompositions of tensors."""
