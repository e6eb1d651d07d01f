"""Singular value decomposition of a matrix that is given once, as a sum of updates."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any, ClassVar

from tnattn.arrays import Array, Rng, array_namespace, device, require_rng
from tnattn.linalg import orthonormalise, pseudo_inverse_apply, svd
from tnattn.randnla.accuracy import RankOrTolerance, require_above_rounding, require_rank
from tnattn.randnla.base import MatrixMethod, rank_budget
from tnattn.randnla.low_rank.error_sketch import ErrorSketch
from tnattn.randnla.low_rank.randomized_svd import RandomizedSVDResult
from tnattn.randnla.sketches import Gaussian, Sketch, require_sketch
from tnattn.randnla.units import restored, unit_of
from tnattn.scalars import Parameters, as_integer, as_real, require_count
from tnattn.structured.base import StructuredMatrix
from tnattn.structured.conversion import as_structured, require_precision


@dataclass(frozen=True)
class SinglePassSVD(MatrixMethod, RankOrTolerance):
    """Singular value decomposition from linear sketches of range, corange and core, computed in one pass.

    Parameters
    ----------
    rank, rtol
        See ``RankOrTolerance``; the residual is estimated as described below.
    oversampling : int
        Further columns of the range and corange sketches, dropped again by the truncation.
    core : int or None
        Rows and columns of the core sketch, at least ``rank + oversampling``; ``2 (rank + oversampling) + 1`` if None.
    sketch : Sketch
        Distribution of the four test matrices.
    probes : int
        Rows q of the error sketch that a tolerance takes, positive.

    Notes
    -----
    (m + n) (rank + oversampling) + core^2 stored numbers represent the matrix, which may be given as a sum of updates:
    ``start``. O((m + n) core^2) for the reconstruction. Tropp, Yurtsever, Udell & Cevher 2019, Algorithms 4.1 to 4.4.

    A matrix that is no longer available cannot be compared with its approximation B. With a tolerance ``Theta^T A`` is
    therefore stored too, q n numbers, for a Gaussian test matrix independent of the others. ``||Theta^T (A - B)||_F^2``
    has the expectation ``||A - B||_F^2`` and a relative standard deviation of at most ``sqrt(2 / q)``, attained by an
    error of rank one (for ten probes 45 percent of the square, 22 percent of the norm): Section 6 there. ``residual``
    and ``converged`` are this estimate, not the error. The rank is chosen by it, so it is biased low, and a tolerance
    that it only just meets may not be met by the error: take a smaller tolerance or more probes. Deviation: the norm of
    A, unknown too, is estimated by ``||Theta^T A||_F ||B||_F / ||Theta^T B||_F``, B before truncation, which has a
    smaller variance than its first factor.

    Examples
    --------
    >>> import numpy as np
    >>> from tnattn import SinglePassSVD
    >>> from tnattn.gallery import exponential_spectrum, matrix_with_spectrum
    >>> rng = np.random.default_rng(0)
    >>> a = matrix_with_spectrum(exponential_spectrum(50), (80, 50), rng)
    >>> svd = SinglePassSVD(rank=8)(a, rng=rng)
    >>> print(np.round(svd.s[:3], 3), round(float(np.linalg.norm(a - svd.to_dense())), 2))
    [1.    0.607 0.368] 0.02
    """

    residual_norm: ClassVar = "estimate"

    rank: int = rank_budget(16)
    oversampling: int = 10
    core: int | None = None
    sketch: Sketch = field(default_factory=Gaussian)
    rtol: float | None = None
    probes: int = 10

    def __post_init__(self) -> None:
        super().__post_init__()
        require_count(self.probes, "probes", least=1)
        require_count(self.oversampling, "oversampling", least=0)
        if self.core is not None:
            require_count(self.core, "core", least=self.size)
        require_sketch(self.sketch)

    @property
    def size(self) -> int:
        """Columns of the range sketch and rows of the corange sketch."""
        return self.rank + self.oversampling

    @property
    def core_size(self) -> int:
        """Rows and columns of the core sketch."""
        return 2 * self.size + 1 if self.core is None else self.core

    def start(self, shape: tuple[int, ...], *, rng: Rng | None, like: Array) -> StreamingSVD:
        """Return the sketches of a zero matrix, to which updates are added.

        Parameters
        ----------
        shape : tuple of int, (..., m, n)
        rng : numpy.random.Generator or DeviceDraws
        like : Array
            Array whose library, device and floating dtype the sketches have.
        """
        shape = tuple(as_integer(side, "each of shape", least=0) for side in shape)
        require_precision(like, "like")
        if len(shape) < 2 or 0 in shape:
            raise ValueError(f"shape is {tuple(shape)}; at least two axes (..., m, n), none of length 0, are needed")
        require_rank(self.rank, tuple(shape))
        source = require_rng(rng, "SinglePassSVD")  # four independent test matrices, in the order of the source
        *batch, m, n = shape
        size, core, xp = min(self.size, m, n), self.core_size, array_namespace(like)
        omega, upsilon, phi, psi = (
            self.sketch.draw(side, columns, rng=source, like=like)
            for side, columns in ((n, size), (m, size), (m, core), (n, core))
        )
        y, x, z = (
            xp.zeros((*batch, *sides), dtype=like.dtype, device=device(like))
            for sides in ((m, size), (size, n), (core, core))
        )
        if self.rtol is None:
            return StreamingSVD(self.rank, omega, upsilon, phi, psi, y, x, z)
        require_above_rounding(self.rtol, like)
        # Gaussian whatever the other sketches are: the variance of the estimate is that of a chi-square
        theta = Gaussian().draw(m, self.probes, rng=source, like=like)
        w = xp.zeros((*batch, self.probes, n), dtype=like.dtype, device=device(like))
        return StreamingSVD(self.rank, omega, upsilon, phi, psi, y, x, z, ErrorSketch(self.rtol, theta, w))

    def factorise(self, a: StructuredMatrix, *, rng: Rng | None) -> RandomizedSVDResult:
        return self.start(a.shape, rng=rng, like=a.like).update(a).result()


@dataclass(frozen=True, eq=False)
class StreamingSVD(Parameters):
    """Sketches of a stack of matrices given by updates; immutable: an update returns new sketches.

    Parameters
    ----------
    rank : int
        Target rank of ``result``.
    omega, upsilon, phi, psi : StructuredMatrix, (n, k), (m, k), (m, s), (n, s)
        Test matrices of the range, of the corange, and of both sides of the core.
    y, x, z : Array, (..., m, k), (..., k, n), (..., s, s)
        ``A omega``, ``upsilon^T A`` and ``phi^T A psi``.
    error_sketch : ErrorSketch, optional
        Where a tolerance chooses the rank.

    Examples
    --------
    >>> import numpy as np
    >>> from tnattn import SinglePassSVD
    >>> sketches = SinglePassSVD(rank=2).start((6, 4), rng=np.random.default_rng(0), like=np.zeros(1))
    >>> for i in range(6):  # row by row
    ...     sketches = sketches.update(np.eye(6, 4)[i : i + 1] * (i + 1), rows=slice(i, i + 1))
    >>> print(np.round(sketches.result().s, 2))
    [4. 3.]
    """

    rank: int
    omega: StructuredMatrix
    upsilon: StructuredMatrix
    phi: StructuredMatrix
    psi: StructuredMatrix
    y: Array
    x: Array
    z: Array
    error_sketch: ErrorSketch | None = None

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of the matrix, (..., m, n)."""
        return (*self.y.shape[:-1], int(self.x.shape[-1]))

    def update(self, h: Any, *, rows: slice | None = None, forget: float = 1.0) -> StreamingSVD:
        """Return the sketches of ``forget * A + H``.

        Parameters
        ----------
        h : as for a MatrixMethod, (..., m, n)
            The update, or the rows of it that are not zero.
        rows : slice, optional
            Rows of the matrix that ``h`` consists of; all if None.
        forget : float
            Factor of the matrix before the update.
        """
        change, forget = as_structured(h, "h"), as_real(forget, "forget")
        m, n = self.shape[-2:]
        span = range(m)[slice(None) if rows is None else rows]
        if tuple(change.shape[-2:]) != (len(span), n) or span.step != 1:
            raise ValueError(
                f"h has shape {change.shape}, but {len(span)} rows of length {n} are updated; rows must be a slice of "
                f"step 1 that fits h"
            )
        place = slice(span.start, span.stop)
        phi = _restricted(self.phi, place, len(span) == m)
        xp = array_namespace(self.y)
        # the sketches are linear in A: those of the update are added
        y = self._placed(change.sketch(self.omega), place)
        z = change.sketch(self.psi)
        z = phi.mT @ z if isinstance(phi, StructuredMatrix) else xp.matrix_transpose(phi) @ z
        x = _sketched_rows(change, self.upsilon, place)
        known = self.error_sketch
        if known is not None:
            known = replace(known, w=forget * known.w + _sketched_rows(change, known.theta, place))
        return replace(self, y=forget * self.y + y, x=forget * self.x + x, z=forget * self.z + z, error_sketch=known)

    def _placed(self, part: Array, place: slice) -> Array:
        xp = array_namespace(part)
        m = self.shape[-2]
        above, below = (
            xp.zeros((*part.shape[:-2], count, part.shape[-1]), dtype=part.dtype, device=device(part))
            for count in (place.start, m - place.stop)
        )
        return xp.concat([above, part, below], axis=-2)

    def result(self) -> RandomizedSVDResult:
        """Return the leading singular triples of the reconstruction ``Q C P^T``, C fitted to the core sketch."""
        xp = array_namespace(self.y)
        # ranges are independent of scale; the core carries it
        y, x = (part if (own := unit_of(part)) is None else own.divided(part) for part in (self.y, self.x))
        unit = unit_of(self.z)
        z = self.z if unit is None else unit.divided(self.z)
        q, p = orthonormalise(y), orthonormalise(xp.matrix_transpose(x))
        # the core C of least ||Phi^T Q C P^T Psi - Z||_F: one pseudo-inverse for each side
        half = pseudo_inverse_apply(self.phi.mT @ q, z)  # (..., k, s)
        core = xp.matrix_transpose(pseudo_inverse_apply(self.psi.mT @ p, xp.matrix_transpose(half)))
        u, s, vt = svd(core)
        known, rank = self.error_sketch, self.rank
        if known is not None:
            known = known if unit is None else replace(known, w=unit.divided(known.w))
            return restored(known.smallest(q @ u, s, vt @ xp.matrix_transpose(p), rank), unit)
        result = RandomizedSVDResult(q @ u[..., :rank], s[..., :rank], vt[..., :rank, :] @ xp.matrix_transpose(p))
        return restored(result, unit)


def _restricted(test: StructuredMatrix, rows: slice, every: bool) -> Any:
    """Return the rows of a test matrix that multiply an update; an array unless these are all rows."""
    return test if every else test.dense_view()[rows, :]


def _sketched_rows(change: StructuredMatrix, test: StructuredMatrix, rows: slice) -> Array:
    """Return ``test^T`` times the matrix with rows ``change`` at the positions ``rows`` and zeros elsewhere."""
    part = _restricted(test, rows, rows.stop - rows.start == test.shape[-2])
    if isinstance(part, StructuredMatrix):
        return change.sketch_rows(part)
    return array_namespace(part).matrix_transpose(change.mT @ part)
