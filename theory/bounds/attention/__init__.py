"""Theorems about approximations of attention."""
