"""Structured tensors (token, head, feature) with the factor of the tokens apart, so that they can grow."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

from tnattn.arrays import Array, array_namespace, device
from tnattn.display import Displayed
from tnattn.linalg import pseudo_inverse_apply
from tnattn.structured.block_term import BlockTermTensor
from tnattn.structured.cp import CPTensor
from tnattn.structured.partial_tucker import PartialTuckerTensor
from tnattn.structured.tensor import StructuredTensor
from tnattn.structured.tensor_train import TensorTrain
from tnattn.structured.tucker import TuckerTensor


@dataclass(frozen=True, eq=False, repr=False)
class TokenFactors(Displayed):
    """A stack of tensors (token, head, feature) plus a mean per head: ``factor x_0 rest + mean``.

    Parameters
    ----------
    factor : Array, (..., n, r), optional
        One row per token; None where the format has no factor of the tokens, and ``rest`` is the tensor itself.
    rest : StructuredTensor, (..., r, G, d)
    mean : Array, (..., G, 1, d)
        Added to every token.
    residual : Array, (...)
        Frobenius norm of the part of appended tokens outside the span of the rows of ``rest``; zero before any.

    Examples
    --------
    >>> import numpy as np
    >>> from tnattn import STHOSVD
    >>> from tnattn.attention.tensor import TokenFactors
    >>> tokens = np.random.default_rng(0).standard_normal((3, 20, 4))  # (head, token, feature)
    >>> tensor = STHOSVD(ranks=(12, 3, 4))(np.moveaxis(tokens, 1, 0))  # all of the 12 numbers of a token
    >>> factors = TokenFactors.of(tensor, np.zeros((3, 1, 4)))
    >>> longer = factors.extended(tokens[:, :5, :])
    >>> bool(np.allclose(longer.to_dense()[:, 20:, :], tokens[:, :5, :])), longer.tokens
    (True, 25)
    """

    factor: Array | None
    rest: StructuredTensor
    mean: Array
    residual: Array

    @classmethod
    def of(cls, tensor: StructuredTensor, mean: Array) -> TokenFactors:
        """Split the first mode off a structured tensor, without changing it; quantised trains are not split."""
        xp = array_namespace(mean)
        # factor x_0 rest is the tensor itself if the identity takes the place of the factor in rest
        residual = xp.zeros(tensor.batch, dtype=mean.dtype, device=device(mean))
        match tensor:
            case TuckerTensor():
                factor = tensor.factors[0]
                rest: StructuredTensor = TuckerTensor(tensor.core, (_identity(factor), *tensor.factors[1:]))
            case CPTensor():
                factor = tensor.factors[0]
                rest = CPTensor(tensor.weights, (_identity(factor), *tensor.factors[1:]))
            case TensorTrain():
                factor = tensor.cores[0][..., 0, :, :]
                rest = TensorTrain((_identity(factor)[..., None, :, :], *tensor.cores[1:]))
            case BlockTermTensor():
                factor, parts = _side_by_side(tensor.factors[0])
                rest = BlockTermTensor(tensor.core, (parts, *tensor.factors[1:]))
            case PartialTuckerTensor() if 0 in tensor.modes:
                factor, factors = tensor.factors[0], (_identity(tensor.factors[0]), *tensor.factors[1:])
                rest = PartialTuckerTensor(tensor.core, factors, tensor.modes, tensor.mode_count)
            case PartialTuckerTensor():  # the core has a row per token
                sizes = tensor.core.shape[-2:]
                factor = xp.reshape(tensor.core, (*tensor.core.shape[:-2], math.prod(sizes)))
                core = xp.reshape(_identity(factor), (*factor.shape[:-2], factor.shape[-1], *sizes))
                rest = PartialTuckerTensor(core, tensor.factors, tensor.modes, tensor.mode_count)
            case _:
                return cls(None, tensor, mean, residual)
        return cls(factor, rest, mean, residual)

    @property
    def storage(self) -> int:
        """Stored scalars, without the identity in place of the split mode."""
        own = self.rest.storage + math.prod(self.mean.shape)
        if self.factor is None:
            return int(own)
        identity = math.prod(self.factor.shape[:-2]) * int(self.factor.shape[-1]) ** 2
        return int(own + math.prod(self.factor.shape) - identity)

    @property
    def tokens(self) -> int:
        """Number of tokens n."""
        return int(self.rest.sizes[0] if self.factor is None else self.factor.shape[-2])

    @property
    def coordinates(self) -> int:
        """Number of coordinates r of a token, the width of ``rows``."""
        return int(self.mean.shape[-1] if self.factor is None else self.factor.shape[-1])

    @property
    def rows(self) -> Array:
        """Coordinates of the tokens, (..., 1, n, r), the same for all heads; the tokens themselves without a factor."""
        return self.rest.slices(1).to_dense() if self.factor is None else self.factor[..., None, :, :]

    def contracted(self, x: Array) -> Array:
        """Return the vectors (..., G, m, r) of which inner products with ``rows`` are those of x with the tokens.

        For x (..., G, m, d), and the tokens less their mean.
        """
        return x if self.factor is None else (self.rest.slices(1) @ x.mT).mT

    def expanded(self, sums: Array) -> Array:
        """Return the combinations (..., G, m, d) of tokens, less their mean, from those of ``rows``, (..., G, m, r)."""
        return sums if self.factor is None else (self.rest.slices(1).mT @ sums.mT).mT

    def extended(self, tokens: Array) -> TokenFactors:
        """Return the tensor with further tokens (..., G, m, d), each projected onto the span of the rows of ``rest``.

        Raises
        ------
        TypeError
            If the format has no factor of the tokens.
        """
        if self.factor is None:
            raise TypeError(f"a {type(self.rest).__name__} has no factor of the tokens to append to; summarise anew")
        xp = array_namespace(tokens)
        rows = xp.permute_dims(tokens - self.mean, (*range(tokens.ndim - 3), *(tokens.ndim - j for j in (2, 3, 1))))
        flat = xp.reshape(rows, (*rows.shape[:-2], -1))  # (..., m, G d)
        span = self.rest.as_matrix((0,), (1, 2)).to_dense()  # (..., r, G d)
        found = pseudo_inverse_apply(span.mT, flat.mT).mT  # (..., m, r)
        outside = xp.linalg.vector_norm(flat - found @ span, axis=(-2, -1))
        return replace(
            self,
            factor=xp.concat([self.factor, found], axis=-2),
            residual=xp.linalg.vector_norm(xp.stack([self.residual, outside]), axis=0),  # of disjoint rows
        )

    def to_dense(self) -> Array:
        """Return all tokens, (..., G, n, d): for inspection."""
        slices = self.rest.slices(1).to_dense()
        return (slices if self.factor is None else self.factor[..., None, :, :] @ slices) + self.mean


def _side_by_side(factors: Array) -> tuple[Array, Array]:
    """Return factors (..., t, n, r) as one (..., n, t r), and the parts (..., t, t r, r) that give each of them."""
    xp = array_namespace(factors)
    *batch, count, n, r = factors.shape
    joint = xp.reshape(xp.moveaxis(factors, -3, -2), (*batch, n, count * r))
    parts = xp.reshape(_identity(joint), (*batch, count * r, count, r))
    return joint, xp.moveaxis(parts, -2, -3)


def _identity(factor: Array) -> Array:
    xp, rank = array_namespace(factor), factor.shape[-1]
    identity = xp.eye(rank, dtype=factor.dtype, device=device(factor))
    return xp.broadcast_to(identity, (*factor.shape[:-2], rank, rank))
