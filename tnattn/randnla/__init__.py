"""Randomized numerical linear algebra: sketches and the factorisations built on them."""
