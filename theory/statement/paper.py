"""A paper with the defaults of its theorems, given once."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from theory.statement.bound import ALWAYS, MUST_FAIL, Bound, Instances, bound
from theory.statement.errors import Error
from theory.statement.evidence import Side
from theory.statement.guarantee import Guarantee
from theory.statement.source import Source

__all__ = ["Paper"]


@dataclass(frozen=True)
class Paper:
    """A paper; called with the number of a statement it declares a theorem.

    Parameters
    ----------
    reference : str
        Author and year.
    method : type or tuple of types, optional
        The class that its theorems are about.
    instances : pair of callables, optional
        Where they are nearly sharp, and a case without special structure.
    must_fail : float, optional
    guarantee : Guarantee, optional
    statement : str, optional
        Where all of its theorems have the same number.

    Examples
    --------
    >>> import numpy as np
    >>> from theory.statement import errors
    >>> from tnattn.randnla.low_rank.truncated_svd import TruncatedSVD
    >>> eckart = Paper("Eckart & Young 1936", method=TruncatedSVD)
    >>> @eckart("Theorem 1", error=errors.matrix_spectral)
    ... def spectral_error(method, a):
    ...     "||A - A_k|| <= s_{k+1}."
    ...     return errors.spectrum_of(a)[..., method.rank]
    >>> spectral_error.kind, str(spectral_error.source)
    ('prior', 'Eckart & Young 1936, Theorem 1')
    >>> float(spectral_error(TruncatedSVD(rank=1), np.diag([3.0, 2.0])).value)
    2.0
    """

    reference: str
    method: type | tuple[type, ...] | None = None
    instances: Instances = (None, None)
    must_fail: float = MUST_FAIL
    guarantee: Guarantee = ALWAYS
    statement: str = ""

    def __call__(
        self,
        statement: str | None = None,
        *,
        error: Error,
        guarantee: Guarantee | None = None,
        side: Side = "upper",
        method: type | tuple[type, ...] | None = None,
        instances: Instances | None = None,
        must_fail: float | None = None,
        no_control: str = "",
        sharpest: Mapping[str, float] | None = None,
    ) -> Callable[[Callable[..., Any]], Bound]:
        """Declare a theorem of the paper, with its defaults for all that is not given. Parameters as in ``bound``.

        Raises
        ------
        TypeError
            If neither the theorem nor the paper names a method.
        """
        about = method or self.method
        if about is None:
            raise TypeError(f"a theorem of {self.reference} has no method; pass method= to it or to its paper")
        return bound(
            method=about,
            error=error,
            source=Source(self.reference, self.statement if statement is None else statement),
            guarantee=guarantee or self.guarantee,
            side=side,
            instances=instances or self.instances,
            must_fail=self.must_fail if must_fail is None else must_fail,
            no_control=no_control,
            sharpest=sharpest,
        )
