"""Attention problems, approximations and methods."""
