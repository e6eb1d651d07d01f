"""Rows on which a search certifies: how many it takes, and their exact outputs, computed once for all looks."""

from __future__ import annotations

import bisect
import math

import numpy as np

from tnattn.arrays import Array, Rng, array_namespace
from tnattn.attention.problem import AttentionProblem
from tnattn.certificate.certificate import CertificateKind, MeanError, Quantile
from tnattn.certificate.confidence import exceeding_rows
from tnattn.certificate.relative_mean import RelativeMeanError
from tnattn.certificate.sampled_rows import RowErrors, drawn_rows, exact_rows

COVERED = 0.97  # share of the rows that a quantile is to cover: 256 rows reach it at a failure of 1e-3
MARGIN = 1.5  # a mean over few pilot rows must be smaller by this factor to be worth a look
_FEWEST = 16  # rows of a mean: fewer certify nothing
_ROWS = 256  # for kinds of which nothing is known


class FreshRows:
    """Rows of a problem in a random order, and the exact outputs of the first ones.

    Looks share them: which candidates are looked at, in which order and on how many rows, follows from the pilot rows
    and the problem alone, so that the failures of all looks add whether or not their rows are the same.

    Examples
    --------
    >>> import numpy as np
    >>> from tnattn import AttentionProblem
    >>> from tnattn.certificate.looks import FreshRows
    >>> rows = FreshRows(AttentionProblem(*np.ones((3, 1, 9, 2))), rng=np.random.default_rng(0))
    >>> rows.take(4)[1].shape, rows.computed, rows.take(2)[1].shape, rows.computed
    ((1, 4, 2), 4, (1, 2, 2), 4)
    """

    def __init__(self, problem: AttentionProblem, *, rng: Rng) -> None:
        n = problem.n_q
        # all rows but one in the order of a draw without replacement; the last is what remains
        order = drawn_rows(problem, max(1, n - 1), rng=rng)
        self._order = np.concatenate([order, np.setdiff1d(np.arange(n), order)])
        self._problem = problem
        self._exact: Array | None = None
        self.computed = 0
        """Number of rows whose exact outputs have been computed."""

    def take(self, rows: int) -> tuple[np.ndarray, Array]:
        """Return indices and exact outputs of the first rows."""
        if rows > self.computed:
            more = exact_rows(self._problem, self._order[self.computed : rows])
            xp = array_namespace(more)
            self._exact = more if self._exact is None else xp.concat([self._exact, more], axis=-2)
            self.computed = rows
        assert self._exact is not None
        return self._order[:rows], self._exact[..., :rows, :]


def failure_of_look(failure: float, look: int) -> float:
    """Return the share of a failure that the look of number 1, 2, ... may spend; all of them add up to it."""
    return failure / (look * (look + 1))


def screened_error(kind: CertificateKind, pilot: RowErrors) -> float:
    """Return the error that pilot rows suggest a certificate will have; it claims nothing."""
    mean = np.sqrt(np.mean(pilot.errors**2, axis=-1))
    match kind:
        case MeanError():
            return float(np.max(MARGIN * mean))
        case RelativeMeanError():
            return float(np.max(MARGIN * mean / root_mean_square_sizes(pilot)))
        case _:
            return kind.certify(pilot, 0.5).value


def planned_rows(kind: CertificateKind, error: float, pilot: RowErrors, failure: float) -> int:
    """Return how many rows a certificate of this error takes, if fresh rows are like the pilot rows.

    As many as make a quantile cover 97 % of the rows, or certify a mean where all rows err as the pilot rows do.
    """
    n, share = pilot.population, failure / pilot.errors.shape[0]
    match kind:
        case Quantile():
            spared = kind.spared
            most = math.floor((1 - COVERED) * n)
            first = min(n, spared + 1)
            return first + bisect.bisect_left(
                range(first, n), True, key=lambda m: exceeding_rows(n, m, share, exceeding=spared) <= most
            )
        case MeanError() | RelativeMeanError():
            mean = np.sqrt(np.mean(pilot.errors**2, axis=-1))[:, None]
            size = root_mean_square_sizes(pilot)[:, None]

            def enough(m: int) -> bool:
                shape = (mean.shape[0], m)
                alike = RowErrors(np.broadcast_to(mean, shape), np.broadcast_to(size, shape), pilot.envelope, n)
                if isinstance(kind, RelativeMeanError):  # one level is enough, without the search for the least
                    return kind.certified(alike, error, failure)
                return kind.certify(alike, failure).value <= error

            return _FEWEST + bisect.bisect_left(range(_FEWEST, n), True, key=enough) if n > _FEWEST else n
        case _:
            return min(n, _ROWS)


def root_mean_square_sizes(pilot: RowErrors) -> np.ndarray:
    """Return the root mean square of the exact pilot rows of each head, (H,): a plan, nothing is claimed from it."""
    sizes = np.sqrt(np.mean(pilot.sizes**2, axis=-1))
    return np.asarray(np.where(sizes > 0, sizes, np.finfo(np.float64).tiny))
