"""Check of a probability that is neither 0 nor 1."""

from __future__ import annotations

__all__ = ["proper_probability"]


def proper_probability(name: str, value: float) -> float:
    """Return a value that lies strictly between 0 and 1.

    Raises
    ------
    ValueError
        If it does not; the message has the name.
    """
    if not 0.0 < value < 1.0:
        raise ValueError(f"{name} is {value}; it is a probability strictly between 0 and 1")
    return value
