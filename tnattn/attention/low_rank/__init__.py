"""Methods whose error comes from a low-rank factorisation of the weights."""
