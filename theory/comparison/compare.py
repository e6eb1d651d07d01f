"""Run a method, evaluate the theorems about it, and compute their verdicts."""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from theory.comparison.catalogue import bounds_about
from theory.comparison.comparison import Comparison, Records, failure, shared
from theory.comparison.optimal import OptimalErrors
from theory.comparison.rounding import require_range
from theory.statement.bound import Bound, HypothesisViolated
from theory.statement.prediction import Prediction
from theory.statistics.verdict import Verdict

__all__ = ["LEVEL", "Comparison", "compare", "control", "false_versions"]

LEVEL = 1e-6  # of a single verdict; ``verify`` controls a whole family instead


def compare(
    method: Any,
    target: Any,
    bounds: Iterable[Bound] | None = None,
    *,
    trials: int = 200,
    rng: np.random.Generator,
    level: float = LEVEL,
) -> list[Comparison]:
    """Measure a method on a target and return the verdict on every theorem about it, from one set of results.

    Parameters
    ----------
    method : a method of ``tnattn``
        Called as ``method(target, rng=...)``, or without a generator where it takes none.
    target : matrix, tensor or AttentionProblem
    bounds : iterable of Bound, optional
        All theorems in ``theory.bounds`` about the method's class by default.
    trials : int
        Independent runs at most; statements that hold for every realisation use 10 of them at most.
    rng : numpy.random.Generator
    level : float
        Probability of a wrong "refuted" per verdict.

    Returns
    -------
    list of Comparison, one per theorem
        A theorem that raises an error, or whose right-hand side is NaN or a negative bound on an error, has failed; the
        others are judged. An error of the method itself is raised.
    """
    if not isinstance(rng, np.random.Generator):
        raise TypeError(
            f"rng must be a numpy.random.Generator; got {type(rng).__name__}; pass numpy.random.default_rng(seed)"
        )
    if trials < 1:
        raise ValueError(f"trials must be positive; got {trials}")
    chosen = list(bounds) if bounds is not None else bounds_about(method)
    prior, answered = _before_the_run(chosen, method, target)
    speaking = [b for b in chosen if b not in answered]
    if not speaking:
        return [answered[b] for b in chosen]
    # a statement that holds for every realisation is refuted by one run; ten give it several chances
    if all(b.guarantee.always for b in speaking):
        trials = min(trials, 10)
    records = Records(speaking, OptimalErrors(target), prior)
    random = "rng" in inspect.signature(method).parameters
    for child in rng.spawn(trials):
        # a generator of its own for each run: a run does not depend on those before it
        records.add(method, target, method(target, rng=child) if random else method(target))
        # verdicts cost as much as a run; twenty runs between them make that negligible
        if records.count % 20 == 0 and records.decided(target, level):
            break
    for b in speaking:
        answered[b] = records.judge(b, target, level)
    return [answered[b] for b in chosen]


def _before_the_run(
    bounds: Sequence[Bound], method: Any, target: Any
) -> tuple[dict[Bound, Prediction], dict[Bound, Comparison]]:
    """Evaluate the theorems that need no result; collect those that do not apply or fail."""
    predictions: dict[Bound, Prediction] = {}
    answered: dict[Bound, Comparison] = {}
    evaluated: dict[Any, Prediction | Exception] = {}
    for b in bounds:
        if not b.is_about(method):
            detail = f"it is not about {type(method).__name__}"
            answered[b] = Comparison(b, Verdict.NOT_APPLICABLE, detail)
        else:
            try:
                require_range(b, target)
                if b.kind == "prior":
                    predictions[b] = shared(evaluated, b, method, target, None)
            except HypothesisViolated as violated:
                answered[b] = Comparison(b, Verdict.NOT_APPLICABLE, str(violated))
            except Exception as error:
                answered[b] = failure(b, error)
    return predictions, answered


def control(b: Bound) -> Bound:
    """Return the false theorem that the data must refute on the extremal instance; the first one of ``false_versions``.

    At the parameters of the statement that are sharpest there.

    Raises
    ------
    ValueError
        If the theorem names no such factor.
    """
    if b.must_fail is None:
        raise ValueError(f"{b.name} names no factor that must fail")
    return b.on_extremal().scaled(b.must_fail)


def false_versions(b: Bound) -> list[Bound]:
    """Return the false theorems that the data must refute on the extremal instance: two for an equality, else one."""
    return [b.on_extremal().scaled(factor) for factor in b.controls]
