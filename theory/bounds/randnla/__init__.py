"""Theorems about the randomized factorisations."""
