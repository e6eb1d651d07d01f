"""Rotary position encoding: pairs of coordinates rotated by angles proportional to the position."""

from __future__ import annotations

import math
from dataclasses import dataclass

from tnattn.arrays import Array, accumulator_dtype, array_namespace, device, plain_array, require_floating, widened
from tnattn.scalars import Parameters, as_integer


@dataclass(frozen=True)
class Rotary(Parameters):
    """Turn the pairs (l, l + width / 2) of the first ``width`` coordinates by position * base^(-2 l / width).

    Inner products of turned queries and keys depend on the difference of their positions only:
    <R_i q, R_j k> = <q, R_(j - i) k>.

    Parameters
    ----------
    width : int
        Even number of leading coordinates that are turned; the others stay.
    base : float
        Larger than 1; the slowest pair turns once in about 2 pi base positions.

    Examples
    --------
    >>> import numpy as np
    >>> from tnattn import Rotary
    >>> x = Rotary(width=2)(np.asarray([[1.0, 0.0]] * 3))  # one vector at the positions 0, 1, 2
    >>> np.round(x @ x.T, 2).tolist()  # depends on the difference of the positions
    [[1.0, 0.54, -0.42], [0.54, 1.0, 0.54], [-0.42, 0.54, 1.0]]
    """

    width: int
    base: float = 10000.0

    def __post_init__(self) -> None:
        if self.width < 2 or self.width % 2:
            raise ValueError(f"width must be an even positive integer; got {self.width!r}")
        if not (math.isfinite(self.base) and self.base > 1):
            raise ValueError(f"base must be a number larger than 1; got {self.base!r}")

    def __call__(self, x: Array, *, first: int = 0) -> Array:
        """Turn vectors at consecutive positions.

        Parameters
        ----------
        x : Array, (..., n, d), d >= width, floating
            Half precision is computed in float32 and cast back.
        first : int
            Position of the first vector; may be negative.

        Raises
        ------
        TypeError
            If ``x`` is not floating, or ``first`` no integer.
        ValueError
            If ``x`` is narrower than the rotary width.
        """
        x, first = plain_array(x, "x"), as_integer(first, "first")
        require_floating(x, "x")
        xp = array_namespace(x)
        if x.shape[-1] < self.width:
            raise ValueError(f"x has width {x.shape[-1]}, less than the rotary width {self.width}; reduce it")
        half = self.width // 2
        # angles in the widest dtype: position times frequency loses digits that the sine needs
        wide = accumulator_dtype(x)
        positions = xp.arange(first, first + x.shape[-2], dtype=wide, device=device(x))
        pairs = xp.arange(half, dtype=wide, device=device(x))
        angles = positions[:, None] * xp.exp(pairs * (-2 * math.log(self.base) / self.width))  # (n, width / 2)
        given = x.dtype
        x = widened(x)
        cosine, sine = (xp.astype(f(angles), x.dtype) for f in (xp.cos, xp.sin))
        a, b = x[..., :half], x[..., half : self.width]
        turned = xp.concat([a * cosine - b * sine, b * cosine + a * sine, x[..., self.width :]], axis=-1)
        return xp.astype(turned, given, copy=False)
