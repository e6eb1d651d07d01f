"""Random features: the kernel exp(q . k) as the expectation of an inner product of feature vectors."""
