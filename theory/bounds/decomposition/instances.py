"""Small tensors on which theorems about truncated decompositions are tried."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

Values = npt.NDArray[np.float64]

RANK = 2  # of the core in ``with_faces``, in every mode


def with_faces(rng: np.random.Generator, energies: Sequence[float], *, core: float = 10.0) -> Values:
    """Return a 3 x 3 x 3 tensor whose truncation to ranks 2 discards a known energy in each mode, and nothing twice.

    A 2 x 2 x 2 core of Frobenius norm ``core`` is bordered in mode j by a 2 x 2 face, orthogonal to the slices of the
    core, whose square sum is ``energies[j]``. The last singular vector of mode j is then the unit vector of its face,
    so every tail is the norm of a face, and the errors of the modes are orthogonal.
    """
    tensor = np.zeros((RANK + 1,) * 3)
    block = _core(rng)
    tensor[:RANK, :RANK, :RANK] = core * block
    for mode, energy in enumerate(energies):
        slices = np.moveaxis(block, mode, 0).reshape(RANK, -1)
        # the last right singular vector is orthogonal to the slices of the core
        face = np.linalg.svd(slices)[2][-1].reshape(RANK, RANK)
        place = [slice(0, RANK)] * 3
        place[mode] = slice(RANK, RANK + 1)
        tensor[tuple(place)] = np.expand_dims(np.sqrt(energy) * face, mode)
    return tensor


def _core(rng: np.random.Generator) -> Values:
    """Return a core of norm one whose unfoldings are well conditioned."""
    drawn = rng.standard_normal((RANK,) * 3)
    for mode in range(3):
        unfolded = np.moveaxis(drawn, mode, 0).reshape(RANK, -1)
        u, s, vt = np.linalg.svd(unfolded, full_matrices=False)
        # condition number 2: the faces added below are smaller than every singular value of the core
        flat = (u * np.maximum(s, s[0] / 2)) @ vt
        drawn = np.moveaxis(flat.reshape((RANK,) * 3), 0, mode)
    return np.asarray(drawn / np.linalg.norm(drawn))


def decaying(rng: np.random.Generator, sizes: Sequence[int]) -> Values:
    """Return a tensor without structure whose entries fall off in every mode, seen in random bases."""
    tensor = rng.standard_normal(tuple(sizes))
    for mode, n in enumerate(sizes):
        basis = np.linalg.qr(rng.standard_normal((n, n)))[0] / np.arange(1, n + 1)
        tensor = np.moveaxis(np.tensordot(basis, tensor, (1, mode)), 0, mode)
    return tensor


def diagonal_example() -> Values:
    """Return the 2 x 2 x 2 tensor with X_000 = 2, X_111 = 1, zero elsewhere."""
    tensor = np.zeros((2, 2, 2))
    tensor[0, 0, 0], tensor[1, 1, 1] = 2.0, 1.0
    return tensor


def with_slabs(rng: np.random.Generator, rank: int, height: int, *, core: float = 1e3) -> Values:
    """Return a tensor whose truncation to a rank in every mode discards energy 1 in each mode, evenly over directions.

    A core of ``rank``^3 entries is bordered in every mode by a slab of ``height`` slices that meets no other. Each slab
    is a matrix with orthonormal columns times an equal factor, orthogonal to the slices of the core: its unfolding has
    a flat tail of ``min(height, rank^2 - rank)`` singular values, the hardest for a sketch.
    """
    n = rank + height
    tensor = np.zeros((n,) * 3)
    block = np.linalg.qr(rng.standard_normal((rank**2, rank)))[0].T.reshape((rank,) * 3)
    tensor[:rank, :rank, :rank] = core * block
    for mode in range(3):
        slices = np.moveaxis(block, mode, 0).reshape(rank, -1)
        free = np.linalg.svd(slices)[2][rank:]  # (rank^2 - rank, rank^2), orthogonal to the core
        width = min(height, len(free))
        directions = np.linalg.qr(rng.standard_normal((height, width)))[0] @ free[:width] / np.sqrt(width)
        place = [slice(0, rank)] * 3
        place[mode] = slice(rank, n)
        tensor[tuple(place)] = np.moveaxis(directions.reshape(height, rank, rank), 0, mode)
    return tensor
