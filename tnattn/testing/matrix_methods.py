"""Conformance check of matrix methods."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial

from tnattn.randnla.base import MatrixMethod
from tnattn.testing.matrix_accuracy import ACCURACY
from tnattn.testing.matrix_arguments import ARGUMENTS
from tnattn.testing.matrix_robustness import ROBUSTNESS
from tnattn.testing.matrix_trial import MatrixTrial
from tnattn.testing.report import Report, conformance

MATRIX_LAWS: dict[str, Callable[[MatrixTrial], None]] = {**ACCURACY, **ARGUMENTS, **ROBUSTNESS}


def check_matrix_method(method: MatrixMethod, *, laws: Iterable[str] | None = None, seed: int = 0) -> Report:
    """Check a matrix method on matrices of its domain.

    Parameters
    ----------
    method : MatrixMethod
        Its rank is replaced. The class variables ``domain``, ``exact_at_full_rank``, ``recovers_rank``,
        ``rank_is_limit``, ``needs_full_rank`` and ``residual_norm`` select and parametrise the laws.
    laws : iterable of str, optional
        All by default.
    seed : int

    Raises
    ------
    ConformanceError
        If a law is violated.

    Examples
    --------
    >>> from tnattn.randnla.low_rank.randomized_svd import RandomizedSVD
    >>> from tnattn.testing import check_matrix_method
    >>> check_matrix_method(RandomizedSVD(), laws=["seed", "scale"]).of("violated")
    ()
    """
    if not isinstance(method, MatrixMethod):
        raise TypeError(f"method must be an instance of MatrixMethod; got {method!r}")
    trial = MatrixTrial(method, seed)
    where = f"matrices of {' by '.join(map(str, trial.shape))}"
    checks = {name: partial(law, trial) for name, law in MATRIX_LAWS.items()}
    return conformance(repr(method), where, checks, laws)
