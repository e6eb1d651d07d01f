"""Validation of ranks and counts, and the size up to which implicit matrices are formed."""

from __future__ import annotations

from tnattn.scalars import as_integer
from tnattn.structured.base import StructuredMatrix

_SMALL = 1 << 20  # entries up to which an implicit matrix is formed: 8 MB of float64


def require_rank(rank: int, shape: tuple[int, ...]) -> None:
    """Raise ValueError if a rank exceeds the smaller side of the matrices of a stack."""
    limit = min(shape[-2:])
    if rank > limit:
        raise ValueError(f"rank {rank} exceeds min(m, n) = {limit} of the {tuple(shape)} stack; reduce rank")


def require_count(value: int, name: str, *, least: int) -> None:
    """Raise unless a parameter is an integer of at least the given size."""
    as_integer(value, name, least=least)


def worth_forming(a: StructuredMatrix) -> bool:
    """Return whether the matrices of a stack are explicit, or small enough to be formed."""
    return a.explicit or a.shape[-2] * a.shape[-1] <= _SMALL
