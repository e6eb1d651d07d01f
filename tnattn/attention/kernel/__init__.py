"""Other kernels in place of the exponential, for which attention is exact in linear time."""
