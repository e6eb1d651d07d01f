"""Attention approximated with decompositions and randomized numerical linear algebra."""
