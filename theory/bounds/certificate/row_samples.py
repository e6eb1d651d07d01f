"""Samples of rows of an error, as the statements about certificates draw them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from theory.bounds.attention.rows import host
from theory.statement.bound import Instance, require
from theory.statement.errors import Error
from theory.statement.prediction import Values
from tnattn.certificate.independent_draws import importance_rows, stratified_rows
from tnattn.display import Displayed


@dataclass(frozen=True, eq=False, repr=False)
class DrawnErrors(Displayed):
    """Rows of a matrix of errors in the order of the draw.

    Parameters
    ----------
    indices : array, (m,)
    rows : array, (m, d)

    Examples
    --------
    >>> import numpy as np
    >>> from theory.bounds.certificate.row_samples import DrawnErrors
    >>> DrawnErrors(np.asarray([3]), np.ones((1, 2))).rows.shape
    (1, 2)
    """

    indices: Any
    rows: Values


@dataclass(frozen=True)
class RowSample:
    """Rows drawn without replacement.

    Parameters
    ----------
    rows : int
        Number m of the draws.
    failure : float
        Probability delta with which a statement from them may be wrong.
    envelope : float
        B in units of the largest square of a row, at least 1.

    Examples
    --------
    >>> import numpy as np
    >>> from theory.bounds.certificate.row_samples import RowSample
    >>> RowSample(rows=3)(np.eye(5), rng=np.random.default_rng(0)).rows.shape
    (3, 5)
    """

    rows: int = 32
    failure: float = 0.05
    envelope: float = 1.0

    def __post_init__(self) -> None:
        if self.rows < 1 or not 0 < self.failure < 1 or self.envelope < 1:
            raise ValueError(f"{self} needs rows >= 1, 0 < failure < 1 and envelope >= 1")

    def __call__(self, errors: Any, *, rng: np.random.Generator) -> DrawnErrors:
        matrix = host(errors)
        if not self.rows <= matrix.shape[-2]:
            raise ValueError(f"rows {self.rows} exceeds the {matrix.shape[-2]} rows of the errors; draw fewer")
        return _drawn(matrix, rng.permutation(matrix.shape[-2])[: self.rows])


@dataclass(frozen=True)
class ImportanceRowSample:
    """Rows (error, bound) drawn with replacement, with probabilities proportional to the squares of their bounds.

    Parameters
    ----------
    rows, failure
        As in ``RowSample``.

    Examples
    --------
    >>> import numpy as np
    >>> from theory.bounds.certificate.row_samples import ImportanceRowSample
    >>> errors = np.asarray([[0.0, 0.0], [1.0, 2.0]])
    >>> ImportanceRowSample(rows=3)(errors, rng=np.random.default_rng(0)).indices.tolist()
    [1, 1, 1]
    """

    rows: int = 32
    failure: float = 0.05

    def __post_init__(self) -> None:
        if self.rows < 1 or not 0 < self.failure < 1:
            raise ValueError(f"{self} needs rows >= 1 and 0 < failure < 1")

    def __call__(self, errors: Any, *, rng: np.random.Generator) -> DrawnErrors:
        matrix = host(errors)
        bounds = np.abs(matrix[..., -1])
        largest = bounds.max(initial=0.0)
        return _drawn(matrix, importance_rows((bounds / (largest or 1.0)) ** 2, self.rows, rng=rng))


@dataclass(frozen=True)
class StratifiedRowSample:
    """One row from each of m equal strata of consecutive rows.

    Parameters
    ----------
    rows, failure
        As in ``RowSample``; the number of rows divides that of the errors.

    Examples
    --------
    >>> import numpy as np
    >>> from theory.bounds.certificate.row_samples import StratifiedRowSample
    >>> (StratifiedRowSample(rows=3)(np.eye(6), rng=np.random.default_rng(0)).indices // 2).tolist()
    [0, 1, 2]
    """

    rows: int = 32
    failure: float = 0.05

    def __post_init__(self) -> None:
        if self.rows < 1 or not 0 < self.failure < 1:
            raise ValueError(f"{self} needs rows >= 1 and 0 < failure < 1")

    def __call__(self, errors: Any, *, rng: np.random.Generator) -> DrawnErrors:
        matrix = host(errors)
        return _drawn(matrix, stratified_rows(matrix.shape[-2], self.rows, rng=rng))


def _drawn(matrix: Values, indices: Any) -> DrawnErrors:
    return DrawnErrors(indices, matrix[..., indices, :])


def squares(rows: Any, of: Any) -> Values:
    """Return ||row||^2 / max ||row of ``of``||^2, without overflow and underflow; zeros where all rows are zero."""
    largest = np.linalg.norm(host(of), axis=-1).max(axis=-1, keepdims=True)
    return np.asarray((np.linalg.norm(host(rows), axis=-1) / np.where(largest > 0, largest, 1.0)) ** 2)


def largest_square(errors: Any) -> Values:
    """Return the largest square of a row, (...)."""
    return np.asarray(np.linalg.norm(host(errors), axis=-1).max(axis=-1) ** 2)


def require_one_matrix(errors: Any) -> None:
    """Require a single matrix, of which one set of rows is drawn."""
    require(errors.ndim == 2, "the errors are one matrix")


def _mean_square(errors: Any) -> Values:
    return np.asarray(squares(errors, errors).mean(axis=-1) * largest_square(errors))


mean_square = Error(
    "mean square of all rows", lambda t, r: _mean_square(t), largest_square, largest_square, squared=True
)


def needles(count: int, n: int = 256) -> Values:
    """Return errors (n, 1) of which ``count``, far apart, are one and the others zero."""
    errors = np.zeros((n, 1))
    errors[np.arange(count) * (n // count)] = 1.0
    return errors


def overlooked(rng: np.random.Generator) -> Instance:
    """Nine large errors of 256: 32 draws meet none of them with probability 0.3, where the bound is least.

    Then three tenths of it are below the mean: that happens six times as often as the statement may fail.
    """
    return RowSample(), needles(9)


def exponential(rng: np.random.Generator) -> Instance:
    """Squares of errors with an exponential law."""
    return RowSample(rows=24), np.sqrt(rng.exponential(size=(120, 1)))
