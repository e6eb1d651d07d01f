"""Semidefinite."""
