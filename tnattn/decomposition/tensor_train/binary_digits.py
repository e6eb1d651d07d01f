"""Binary digits of indices: padding to powers of two, and trains over many short modes."""

from __future__ import annotations

from collections.abc import Sequence

from tnattn.arrays import Array, array_namespace, device
from tnattn.decomposition.tensor_train.truncated_train import TruncatedTensorTrain
from tnattn.decomposition.tensor_train.tt_svd import TTSVD

__all__: list[str] = []


def levels(n: int) -> int:
    """Return the number of binary digits of the indices 0, ..., n - 1."""
    return (n - 1).bit_length()  # 0 for n = 1: a single index needs no digit


def train_over(
    tensor: Array, sizes: list[int], trailing: int, rank: int | None, rtol: float | None
) -> TruncatedTensorTrain:
    """Return the train of a tensor whose last axes are reshaped to the given sizes, at least two of them."""
    xp = array_namespace(tensor)
    sizes = sizes + [1] * (2 - len(sizes))  # a train needs two modes
    folded = xp.reshape(tensor, (*tensor.shape[: tensor.ndim - trailing], *sizes))
    method = TTSVD(order=len(sizes), rtol=rtol)
    return (method if rank is None else method.with_rank(rank, sizes)).decompose(folded, rng=None)


def padded(tensor: Array, sizes: Sequence[int]) -> Array:
    """Return a tensor whose trailing modes are extended by zeros to the given sizes."""
    xp = array_namespace(tensor)
    first = tensor.ndim - len(sizes)
    for place, size in enumerate(sizes, start=first):
        missing = size - tensor.shape[place]
        if missing:
            shape = tuple(missing if axis == place else n for axis, n in enumerate(tensor.shape))
            tensor = xp.concat([tensor, xp.zeros(shape, dtype=tensor.dtype, device=device(tensor))], axis=place)
    return tensor
