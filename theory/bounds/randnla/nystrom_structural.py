"""Errors of the Nyström approximation from given columns: structural bounds of Gittens and Mahoney."""

from __future__ import annotations

from typing import Any

import numpy as np

from theory.bounds.hypotheses import require_semidefinite
from theory.bounds.randnla.instances import gap_spectrum, slow_spectrum, with_eigenvalues
from theory.statement import errors
from theory.statement.bound import Instance
from theory.statement.errors import dense
from theory.statement.guarantee import Deterministic
from theory.statement.paper import Paper
from theory.statement.prediction import Values
from tnattn.randnla.semidefinite.column_nystrom import ColumnNystrom, ColumnNystromResult

SMALLEST_SINE = 1e-6
"""Smallest singular value of U_1^T S from which X has some digits; a k with a smaller one gives no bound."""


def structural(kernel: Values, test: Values, k: int) -> tuple[float, float, float]:
    """Return the spectral, nuclear and Frobenius bounds for one kernel (n, n) and a test matrix (n, s); inf if void."""
    values, vectors = np.linalg.eigh(kernel)
    values, vectors = np.maximum(values[::-1], 0.0), vectors[:, ::-1]
    inner, outer = vectors[:, :k].T @ test, vectors[:, k:].T @ test
    if np.linalg.svd(inner, compute_uv=False)[-1] <= SMALLEST_SINE:
        return (np.inf,) * 3
    # the residual of K^(1/2) S against the leading eigenvectors, in the coordinates of the others
    x = np.sqrt(values[k:, None]) * outer @ np.linalg.pinv(inner)
    spectral, frobenius = np.linalg.norm(x, 2), np.linalg.norm(x)
    trailing = values[k:]
    # ||L_2 + X X^T||_F with the cross term of K - K', as published
    mixed = np.linalg.norm(trailing) + spectral * (np.sqrt(2 * trailing.sum()) + frobenius)
    return float(trailing[0] + spectral**2), float(trailing.sum() + frobenius**2), float(mixed)


def _best_structural(a: Any, result: ColumnNystromResult, which: int) -> Values:
    """Return the smallest bound over all k, per matrix of the stack."""
    require_semidefinite(a)
    kernels, n = dense(a), a.shape[-1]
    indices = np.asarray(dense(result.indices), dtype=np.int64).reshape(-1, result.indices.shape[-1])
    made = []
    for kernel, chosen in zip(kernels.reshape(-1, n, n), indices, strict=True):
        test = np.eye(n)[:, np.unique(chosen[chosen >= 0])]
        # every k below the number of columns may be compared with
        made.append(min(structural(kernel, test, k)[which] for k in range(1, min(test.shape[1], n - 1) + 1)))
    return np.reshape(made, kernels.shape[:-2])


def _flat_tail(rng: np.random.Generator) -> Instance:
    return ColumnNystrom(8), with_eigenvalues(rng, gap_spectrum(2, 40))


def _slow(rng: np.random.Generator) -> Instance:
    return ColumnNystrom(10), with_eigenvalues(rng, slow_spectrum(40) ** 2)


gittens_mahoney = Paper(
    "Gittens & Mahoney 2016",
    method=ColumnNystrom,
    instances=(_flat_tail, _slow),
    guarantee=Deterministic(condition=1e4),
    statement="structural theorem, not numbered; two norms re-derived",
)


@gittens_mahoney(error=errors.projection_spectral)
def nystrom_structural_spectral(method: ColumnNystrom, a: Any, result: ColumnNystromResult) -> Values:
    """||K - K'|| <= min_k l_{k+1} + ||X||^2 with X = L_2^(1/2) U_2^T S (U_1^T S)^+ for the columns K S.

    Letters: k the dimension of the leading eigenspace; X the error of the columns in the leading eigenvectors; L_2 the
    eigenvalues beyond the k-th; U_1 the leading k eigenvectors and U_2 the others; S the columns of the identity that
    are chosen.
    Hypotheses: K is square; K is symmetric; K is positive semidefinite.
    """
    return _best_structural(a, result, 0)


@gittens_mahoney(error=errors.projection_nuclear)
def nystrom_structural_nuclear(method: ColumnNystrom, a: Any, result: ColumnNystromResult) -> Values:
    """||K - K'||_* <= min_k sum_{j>k} l_j + ||X||_F^2 with X = L_2^(1/2) U_2^T S (U_1^T S)^+ for the columns K S.

    Letters: k the dimension of the leading eigenspace; X the error of the columns in the leading eigenvectors; L_2 the
    eigenvalues beyond the k-th; U_1 the leading k eigenvectors and U_2 the others; S the columns of the identity that
    are chosen.
    Hypotheses: K is square; K is symmetric; K is positive semidefinite.
    """
    return _best_structural(a, result, 1)


@gittens_mahoney(error=errors.projection_frobenius)
def nystrom_structural_frobenius(method: ColumnNystrom, a: Any, result: ColumnNystromResult) -> Values:
    """||K - K'||_F <= min_k ||L_2||_F + ||X|| (sqrt(2 sum_{j>k} l_j) + ||X||_F), X = L_2^(1/2) U_2^T S (U_1^T S)^+.

    Letters: k the dimension of the leading eigenspace; L_2 the eigenvalues beyond the k-th; X the error of the columns
    in the leading eigenvectors; U_1 the leading k eigenvectors and U_2 the others; S the columns of the identity that
    are chosen.
    Hypotheses: K is square; K is symmetric; K is positive semidefinite.
    """
    return _best_structural(a, result, 2)
