"""The conformance kit for theorems; that for methods is ``tnattn.testing``, which knows no theorem."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial

import numpy as np

from theory.comparison.compare import LEVEL, Comparison, compare, false_versions
from theory.statement.bound import Bound
from theory.statistics.verdict import Verdict
from theory.studies.robustness import over_targets
from tnattn.scalars import Parameters
from tnattn.testing.report import NotApplicable, Report, Violation, conformance

__all__ = ["BOUND_LAWS", "check_bound"]

_FEW = 20  # runs on a variant of a target: a false "refuted" is as rare as with many


def check_bound(
    bound: Bound, *, laws: Iterable[str] | None = None, trials: int = 200, seed: int = 0, level: float = LEVEL
) -> Report:
    """Check a theorem on its instances, on variants of their targets, and with a false constant.

    Parameters
    ----------
    bound : Bound
        With an ``extremal`` instance, a ``generic`` one, or both.
    laws : iterable of str, optional
        All by default: "statement", "instances", "values", "not refuted", "control", "variants".
    trials : int
        Runs on every instance.
    seed : int
    level : float
        Probability of a wrong "refuted" per verdict.

    Raises
    ------
    ConformanceError
        If a law is violated: the theorem is refuted, its false version is not, or it raises.

    Examples
    --------
    >>> from theory.bounds.randnla.eckart_young import eckart_young_mirsky_frobenius
    >>> from theory.testing import check_bound
    >>> report = check_bound(eckart_young_mirsky_frobenius, laws=["statement", "not refuted", "control"])
    >>> [finding.law for finding in report.of("holds")]
    ['statement', 'not refuted', 'control']
    """
    if not isinstance(bound, Bound):
        raise TypeError(f"bound must be a theorem made by the decorator; got {bound!r}")
    trial, where = _Trial(bound, trials, seed, level), "its instances"
    checks = {name: partial(law, trial) for name, law in BOUND_LAWS.items()}
    return conformance(bound.name, where, checks, laws)


@dataclass(frozen=True)
class _Trial(Parameters):
    bound: Bound
    trials: int
    seed: int
    level: float

    def instances(self) -> Iterator[str]:
        """Yield the names of the instances that the theorem has."""
        yield from (kind for kind in ("extremal", "generic") if getattr(self.bound, kind) is not None)

    def comparison(self, kind: str, bound: Bound) -> Comparison:
        """Compare a theorem, or a false version of it, with data on an instance."""
        # the same instance and runs for the true theorem and for its false versions
        rng = np.random.default_rng(self.seed)
        method, target = getattr(self.bound, kind)(rng)
        (found,) = compare(method, target, [bound], trials=self.trials, rng=rng, level=self.level)
        return found


def _states_and_cites(trial: _Trial) -> None:
    if not trial.bound.statement:
        raise Violation("its docstring does not begin with the inequality")
    if not str(trial.bound.source):
        raise Violation("it names no source; write Source(author and year, number of the statement)")


def _has_instances(trial: _Trial) -> None:
    if not list(trial.instances()):
        raise Violation("it has no instance; give a function of rng that returns a method and a target")
    for kind in trial.instances():
        method, _ = getattr(trial.bound, kind)(np.random.default_rng(trial.seed))
        if not isinstance(method, trial.bound.method):
            raise Violation(f"the {kind} instance has a {type(method).__name__}, which the theorem is not about")


def _gives_one_value_per_matrix(trial: _Trial) -> None:
    for kind in trial.instances():
        found = trial.comparison(kind, trial.bound)
        if found.predicted is None or found.errors is None:
            raise Violation(f"the {kind} instance is not judged: {found.detail}")
        batch, given = found.errors.shape[1:], found.predicted.shape
        if given not in (batch, found.errors.shape):
            raise Violation(
                f"the right-hand side has shape {given} where errors have {batch}; give one value per matrix"
            )


def _is_not_refuted(trial: _Trial) -> None:
    for kind in trial.instances():
        found = trial.comparison(kind, trial.bound)
        if found.verdict in (Verdict.REFUTED, Verdict.NOT_APPLICABLE, Verdict.FAILED):
            raise Violation(f"on the {kind} instance the verdict is {found.verdict}: {found.detail}")


def _has_a_control(trial: _Trial) -> None:
    if trial.bound.must_fail is None:
        if not trial.bound.no_control:
            raise Violation("no factor must fail, and no reason is given; write no_control")
        raise NotApplicable(trial.bound.no_control)
    if trial.bound.extremal is None:
        raise Violation("there is no extremal instance on which a false constant would be refuted")
    for false in false_versions(trial.bound):
        found = trial.comparison("extremal", false)
        if found.verdict is not Verdict.REFUTED:
            raise Violation(f"the right-hand side times {false.factor:g} is {found.verdict} on the extremal instance")


def _stands_variants(trial: _Trial) -> None:
    for outcome in over_targets(trial.bound, trials=min(trial.trials, _FEW), level=trial.level):
        if outcome.wrong:
            raise Violation(f"{outcome.instance}, {outcome.variant}: {outcome.verdict}, {outcome.detail}")


BOUND_LAWS: dict[str, Callable[[_Trial], None]] = {
    "statement": _states_and_cites,
    "instances": _has_instances,
    "values": _gives_one_value_per_matrix,
    "not refuted": _is_not_refuted,
    "control": _has_a_control,
    "variants": _stands_variants,
}
