"""Controls: exact attention and the mean of the values."""
