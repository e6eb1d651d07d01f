"""Theorems, one function each; folders mirror those of the methods that they are about."""
