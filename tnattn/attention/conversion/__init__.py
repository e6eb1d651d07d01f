"""Conversions of layers to fewer key heads."""
