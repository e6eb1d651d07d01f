"""Joint truncation of the key and value weights of all heads to a shared latent space."""

from __future__ import annotations

from dataclasses import dataclass, replace

from tnattn.arrays import Array, array_namespace, check_finite, require_floating, widened
from tnattn.attention.projections import ProjectionConversion, Projections
from tnattn.display import Displayed
from tnattn.linalg import cholesky, small_svd, solve_triangular

__all__ = ["JointTruncation"]


@dataclass(frozen=True, eq=False, repr=False)
class JointTruncation(ProjectionConversion, Displayed):
    """Replace W = [W_K W_V] of all key heads by a matrix of low rank, so that a cache keeps ``rank`` numbers per token.

    Parameters
    ----------
    rank : int
        Width of the shared latent space, at most the width of the layer.
    activations : Array, (n, width), optional
        Hidden states x of a calibration text, spanning all directions. With them the mean of |x (W - W')|^2 is least,
        without them |W - W'|_F.

    Notes
    -----
    O(width^2 n + width^2 G (d + d_v)). With L L^T the mean of x^T x, the best W' is L^-T [L^T W]_rank (Eckart & Young
    1936, in the norm that the activations give). Balancing of keys against values is left to the caller.

    Examples
    --------
    >>> import numpy as np
    >>> from tnattn import JointTruncation, Projections
    >>> from tnattn.attention.conversion.joint_truncation import joint_weights
    >>> layer = Projections(*np.random.default_rng(0).standard_normal((3, 4, 16, 8)))
    >>> truncated = JointTruncation(rank=6)(layer)
    >>> [int(np.linalg.matrix_rank(joint_weights(weights))) for weights in (layer, truncated)]
    [16, 6]
    """

    rank: int = 16
    activations: Array | None = None

    def __post_init__(self) -> None:
        if self.rank < 1:
            raise ValueError(f"rank must be a positive integer; got {self.rank!r}")
        if self.activations is not None:
            require_floating(self.activations, "activations")
            check_finite(self.activations, "activations")
            # fewer rows than columns make the second moment singular, and its Cholesky factor is inverted
            if self.activations.ndim != 2 or self.activations.shape[0] < self.activations.shape[1]:
                raise ValueError(
                    f"activations have shape {tuple(self.activations.shape)}; (n, width) with n at least the width is "
                    "needed, or the second moment of the activations is singular"
                )

    def __call__(self, projections: Projections) -> Projections:
        w = widened(joint_weights(projections))  # factorisations in half precision would lose all digits
        xp, width = array_namespace(w), w.shape[-2]
        if self.rank > width:
            raise ValueError(f"rank {self.rank} exceeds the width {width} of the layer; reduce rank")
        if self.activations is None:
            return _separated(_truncated(w, self.rank), projections)
        if self.activations.shape[-1] != width:
            raise ValueError(
                f"activations have width {self.activations.shape[-1]} and the layer {width}; they must agree"
            )
        factor = xp.astype(second_moment_factor(widened(self.activations)), w.dtype, copy=False)
        # Eckart and Young in the norm |L^T .|_F: truncate L^T W, then undo L^T
        truncated = _truncated(factor.mT @ w, self.rank)
        return _separated(solve_triangular(factor, truncated, lower=True, transpose=True), projections)


def joint_weights(projections: Projections) -> Array:
    """Return [W_K W_V] of all key heads side by side, (width, G d + G d_v)."""
    xp = array_namespace(projections.w_k)
    parts = [xp.permute_dims(w, (1, 0, 2)) for w in (projections.w_k, projections.w_v)]
    return xp.concat([xp.reshape(part, (part.shape[0], -1)) for part in parts], axis=-1)


def second_moment_factor(activations: Array) -> Array:
    """Return the lower triangular L with L L^T the mean of x^T x over the rows x."""
    return cholesky(activations.mT @ activations / activations.shape[0])


def _truncated(a: Array, rank: int) -> Array:
    """Return the best approximation of rank ``rank`` (Eckart & Young 1936)."""
    u, s, vt = small_svd(a)
    return (u[..., :rank] * s[..., None, :rank]) @ vt[..., :rank, :]


def _separated(w: Array, projections: Projections) -> Projections:
    """Return the projections whose joint weights are w (width, G d + G d_v)."""
    xp = array_namespace(w)
    w = xp.astype(w, projections.w_k.dtype, copy=False)
    groups, width, d = projections.w_k.shape
    cut = groups * d  # keys stand in front of the values
    w_k = xp.permute_dims(xp.reshape(w[:, :cut], (width, groups, d)), (1, 0, 2))
    w_v = xp.permute_dims(xp.reshape(w[:, cut:], (width, groups, -1)), (1, 0, 2))
    return replace(projections, w_k=w_k, w_v=w_v)
