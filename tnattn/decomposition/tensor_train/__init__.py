"""Tensor train."""
