"""Search for the cheapest certified method of one head: pilot rows screen, fresh rows certify."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from tnattn.arrays import Array, Rng, array_namespace, from_host, seeded, to_host
from tnattn.attention.ball import Ball
from tnattn.attention.baseline.exact import Exact
from tnattn.attention.cost import exact_cost
from tnattn.attention.masks import FullMask
from tnattn.attention.method import AttentionMethod, KeyMethod
from tnattn.attention.problem import AttentionProblem
from tnattn.certificate.candidates import BudgetedMethod, Skipped, candidates, on_rows
from tnattn.certificate.certificate import Certificate, CertificateKind
from tnattn.certificate.confidence import mean_floor
from tnattn.certificate.looks import FreshRows, failure_of_look, planned_rows, root_mean_square_sizes, screened_error
from tnattn.certificate.relative_mean import RelativeMeanError
from tnattn.certificate.sampled_rows import RowErrors, drawn_rows, exact_rows
from tnattn.certificate.suggestion import HeadMethod
from tnattn.scalars import Parameters

PILOT = 64  # rows that screen: enough to discard what errs on a few per cent of the rows
_STEPS = 60  # passes over the values for a ball
_PASS = 3.0  # operations of a pass for each entry: a difference, a square, a sum
_DECAY = 3.0  # no error is expected to fall faster than this power of the budget: what lies between is not run
_LARGEST = 1e6  # a larger error at the pilot rows, such as that of a bad row, says no more


@dataclass(frozen=True)
class Aim(Parameters):
    """Error, failure and limits of the search of a head.

    Examples
    --------
    >>> from tnattn.certificate import Quantile
    >>> from tnattn.certificate.head_search import Aim
    >>> Aim(0.05, 1e-3, Quantile(), None, 1.0, 0).error
    0.05
    """

    error: float
    failure: float
    kind: CertificateKind
    rows: int | None
    effort: float
    seed: int


class Stopped(Exception):
    """The search of a head has ended without a certificate; the text is the reason."""


class HeadSearch:
    """The search of one head, with what it has spent so far.

    Parameters
    ----------
    problem : AttentionProblem
        Of one head.
    aim : Aim
    rng : numpy.random.Generator or DeviceDraws

    Examples
    --------
    >>> import numpy as np
    >>> from tnattn import AttentionProblem, MeanValue
    >>> from tnattn.certificate import Quantile
    >>> from tnattn.certificate.head_search import Aim, HeadSearch
    >>> problem = AttentionProblem(*np.ones((3, 1, 2048, 4)))
    >>> search = HeadSearch(problem, Aim(0.05, 1e-3, Quantile(), None, 1.0, 0), rng=np.random.default_rng(0))
    >>> search.run(0, [MeanValue()]).method
    MeanValue()
    """

    def __init__(self, problem: AttentionProblem, aim: Aim, *, rng: Rng) -> None:
        self._problem, self._aim = problem, aim
        pilot, fresh = rng.spawn(2)  # the rows that certify are independent of those that screen
        self._indices = drawn_rows(problem, PILOT, rng=pilot)
        self._fresh = FreshRows(problem, rng=fresh)
        self._spent, self._looks, self._unreachable = 0.0, 0, ""
        self._ball: Ball | None = None
        self._planned: dict[int, int] = {}
        self._size = 1.0

    def run(self, head: int, methods: Sequence[AttentionMethod]) -> HeadMethod:
        """Return the first candidate, in the order of the cost, that is certified."""
        found, skipped = candidates(self._problem, methods)
        refused: dict[int, Skipped] = {}
        chosen, certificate, reason = BudgetedMethod(Exact(), "Exact", 1.0), None, ""
        try:
            self._prepare(found)
            chosen, certificate = self._first_certified(found, refused)
        except Stopped as stop:
            reason = str(stop)
        left_out = (*skipped, *refused.values())
        return HeadMethod(head, chosen.method, chosen.share, certificate, self._spent, self._looks, reason, left_out)

    def _prepare(self, found: list[BudgetedMethod]) -> None:
        """Compute the pilot rows exactly, unless certificates cost as much as exact attention anyhow."""
        problem, kind = self._problem, self._aim.kind
        if not found:
            raise Stopped("no candidate is cheaper than exact attention")
        self._require_gain(found[0], self._least_rows())
        self._spend(len(self._indices) / problem.n_q, "the exact pilot rows")
        self._exact = exact_rows(problem, self._indices)
        if kind.reads_envelope:
            operations = _PASS * _STEPS * problem.groups * problem.n_k * problem.value_width
            self._spend(operations / exact_cost(problem).flops, "a ball around the values")
            self._ball = Ball.of(problem, steps=_STEPS)
            self._require_reachable(found[0])

    def _first_certified(
        self, found: list[BudgetedMethod], refused: dict[int, Skipped]
    ) -> tuple[BudgetedMethod, Certificate]:
        least: dict[int, float] = {}  # budget below which a method is not tried again
        best, error = math.inf, self._aim.error
        for candidate in found:
            ladder = candidate.ladder
            if ladder in refused or candidate.budget < least.get(ladder, 0.0):
                continue
            try:
                pilot, output = self._screened(candidate)
                screened = screened_error(self._aim.kind, pilot)
                best = min(best, screened)
                if not screened <= error:
                    least[ladder] = candidate.budget * (min(screened, _LARGEST) / error) ** (1 / _DECAY)
                    continue
                certificate = self._look(candidate, output)
            except Stopped as stop:
                if self._unreachable:
                    raise Stopped(self._unreachable) from None
                seen = f"; the least error at the pilot rows was {best:.3g}" if math.isfinite(best) else ""
                raise Stopped(f"{stop}{seen}") from None
            except Exception as failed:  # whatever a method raises, the others are tried
                refused[ladder] = Skipped(candidate.label, str(failed) or type(failed).__name__)
                continue
            if certificate is not None and certificate.certifies(error):
                return candidate, certificate
        raise Stopped(self._unreachable or f"no cheaper candidate errs by less than {best:.3g} at the pilot rows")

    def _screened(self, candidate: BudgetedMethod) -> tuple[RowErrors, Array | None]:
        """Return the errors at the pilot rows, and the whole output where it had to be computed."""
        problem, method = self._problem, candidate.method
        self._require_gain(candidate, self._least_rows())
        full = all(isinstance(part, FullMask) for part in problem.mask.conjuncts)
        if not (full and isinstance(method, KeyMethod) and not method.probes):
            output = self._whole(candidate)
            return RowErrors.at(output, problem, self._indices, self._exact), output
        # summaries do not depend on the queries, nor outputs on their positions: the pilot rows are enough
        self._spend(on_rows(candidate, problem, len(self._indices)), f"a trial of {candidate.label}")
        part = self._pilot_problem()
        every = np.arange(len(self._indices))
        return RowErrors.at(self._run(candidate, part), part, every, self._exact), None

    def _look(self, candidate: BudgetedMethod, output: Array | None) -> Certificate | None:
        """Return the certificate of a candidate from fresh rows, None where its floor lies above the error."""
        problem, aim, n = self._problem, self._aim, self._problem.n_q
        output = self._whole(candidate) if output is None else output
        pilot = RowErrors.at(output, problem, self._indices, self._exact, ball=self._ball)
        failure = failure_of_look(aim.failure, self._looks + 1)
        rows = planned_rows(aim.kind, aim.error, pilot, failure) if aim.rows is None else min(aim.rows, n)
        if aim.kind.reads_envelope and candidate.share + rows / n >= 1:  # the envelope of another may be smaller
            self._unreachable = self._floor(candidate, float(np.max(pilot.envelope)), failure)
            return None
        self._spend(max(0, rows - self._fresh.computed) / n, f"{rows} rows that certify {candidate.label}")
        self._looks += 1
        # nothing that follows depends on the errors at these rows, except that a certified candidate ends the search
        measured = RowErrors.at(output, problem, *self._fresh.take(rows), ball=self._ball)
        return aim.kind.certify(measured, failure)

    def _require_reachable(self, first: BudgetedMethod) -> None:
        """Stop where an output without any error could not be certified; no envelope is below the radius."""
        assert self._ball is not None
        aim, n = self._aim, self._problem.n_q
        radius = np.asarray(to_host(self._ball.radius), dtype=np.float64).reshape(-1)
        pilot = RowErrors.at(self._exact, self._pilot_problem(), np.arange(len(self._indices)), self._exact)
        self._size = float(np.min(root_mean_square_sizes(pilot)))
        failure = failure_of_look(aim.failure, 1)
        rows = aim.rows or planned_rows(aim.kind, aim.error, RowErrors(pilot.errors, pilot.sizes, radius, n), failure)
        if first.share + rows / n >= 1:
            raise Stopped(self._floor(first, float(np.max(radius)), failure))

    def _floor(self, candidate: BudgetedMethod, envelope: float, failure: float) -> str:
        """Return the reason for which a mean cannot be certified beside a candidate."""
        n = self._problem.n_q
        fewer = max(1, math.floor((1 - candidate.share) * n))
        floor = envelope * math.sqrt(mean_floor(n, fewer, failure))
        what = f"a root mean square error below {floor:.3g}"
        if isinstance(self._aim.kind, RelativeMeanError):  # of a size that pilot rows suggest
            what = f"a relative root mean square error below about {floor / self._size:.3g}"
        return f"{fewer} of {n} rows, which with {candidate.label} cost as much, cannot certify {what}, their floor"

    def _pilot_problem(self) -> AttentionProblem:
        """Return the problem of the pilot rows, for methods to which positions of queries do not matter."""
        q = self._problem.q
        rows = array_namespace(q).take(q, from_host(self._indices, like=q), axis=-2)
        return dataclasses.replace(self._problem, q=rows, check_finite=False)

    def _least_rows(self) -> int:
        """Return how many rows the next look will take, where they do not depend on the candidate."""
        aim, n = self._aim, self._problem.n_q
        if aim.rows is not None:
            return min(aim.rows, n)
        if aim.kind.reads_envelope:
            return 0
        look = self._looks + 1
        if look not in self._planned:
            nothing = np.zeros((math.prod(self._problem.q.shape[:-2]), 1))
            unread = RowErrors(nothing, nothing, nothing[:, 0], n)
            self._planned[look] = planned_rows(aim.kind, aim.error, unread, failure_of_look(aim.failure, look))
        return self._planned[look]

    def _whole(self, candidate: BudgetedMethod) -> Array:
        self._spend(candidate.share, f"a run of {candidate.label}")
        return self._run(candidate, self._problem)

    def _run(self, candidate: BudgetedMethod, problem: AttentionProblem) -> Array:
        with np.errstate(all="ignore"):  # what leaves the range is an infinite error
            return candidate.method(problem, rng=seeded(self._aim.seed)).output

    def _require_gain(self, candidate: BudgetedMethod, rows: int) -> None:
        """Stop where the candidate and its certificate cost as much as exact attention; all others cost more."""
        n = self._problem.n_q
        if candidate.share + rows / n >= 1:
            certificate = f" and a certificate from {rows} of {n} rows {rows / n:.2g}" if rows else ""
            at = f" at budget {candidate.budget}" if candidate.budget else ""
            raise Stopped(f"{candidate.label}{at} costs {candidate.share:.2g} of it{certificate}")

    def _spend(self, share: float, purpose: str) -> None:
        """Count what follows, or stop the search where it would exceed its limit."""
        if self._spent + share > self._aim.effort:
            limit = f"{purpose} would take that beyond {self._aim.effort:g}"
            raise Stopped(f"the search has cost {self._spent:.2g} of it, and {limit}")
        self._spent += share
