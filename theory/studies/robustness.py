"""Verdicts on true theorems over variants of their instances: none may be refuted, none may raise."""

from __future__ import annotations

import inspect
import warnings
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from theory.comparison.compare import LEVEL, compare
from theory.comparison.table import shortened
from theory.records.store import generator, trial_key
from theory.statement.bound import Bound
from theory.statistics.verdict import Verdict
from theory.studies.varied_methods import varied_methods
from theory.studies.varied_targets import varied_targets

__all__ = ["Outcome", "over_methods", "over_targets"]


@dataclass(frozen=True)
class Outcome:
    """Verdict on one theorem over one variant of an instance.

    Parameters
    ----------
    bound, instance, variant : str
    verdict : str
        Of ``compare``; "refused" where the method does not take the variant, "raised" where it fails otherwise.
    detail : str

    Examples
    --------
    >>> from theory.bounds.randnla.truncated_svd import truncated_svd_spectral
    >>> from theory.studies import over_targets
    >>> outcome = next(over_targets(truncated_svd_spectral, trials=1))
    >>> outcome.instance, outcome.variant, outcome.wrong
    ('extremal', '2^-500', False)
    """

    bound: str
    instance: str
    variant: str
    verdict: str
    detail: str

    def __repr__(self) -> str:
        return f"<{self.bound}, {self.instance}, {self.variant}: {self.verdict}, {shortened(self.detail)}>"

    @property
    def wrong(self) -> bool:
        """True where a theorem is refuted, or an error is raised that names no hypothesis and no argument."""
        return self.verdict in (Verdict.REFUTED, Verdict.FAILED, "raised")


def over_methods(b: Bound, *, trials: int, own: bool = False, level: float = LEVEL) -> Iterator[Outcome]:
    """Judge a theorem on its instances with every field of the method varied.

    Parameters
    ----------
    b : Bound
    trials : int
        Runs for each variant.
    own : bool
        Leave out the other classes that the theorem is about, and the generic instance.
    level : float
        Probability of a wrong "refuted" for each variant.
    """
    for kind, method, target in _instances(b, own):
        variants = ((name, other, target) for name, other in varied_methods(b, method, own=own))
        yield from _judged(b, kind, variants, trials, level)


def over_targets(b: Bound, *, trials: int, own: bool = False, level: float = LEVEL) -> Iterator[Outcome]:
    """Judge a theorem on its instances with the target scaled, tied, degenerate, shifted or in single precision.

    Parameters as in ``over_methods``; ``own`` leaves out the generic instance.
    """
    for kind, method, target in _instances(b, own):
        variants = ((name, method, other) for name, other in varied_targets(target))
        yield from _judged(b, kind, variants, trials, level)


def _instances(b: Bound, own: bool) -> Iterator[tuple[str, Any, Any]]:
    makers = (("extremal", b.extremal),) if own else (("extremal", b.extremal), ("generic", b.generic))
    for kind, make in makers:
        if make is not None:
            yield kind, *make(generator(0, trial_key({"bound": b.name, "kind": kind})))


def _judged(
    b: Bound, kind: str, variants: Iterable[tuple[str, Any, Any]], trials: int, level: float
) -> Iterator[Outcome]:
    for name, method, target in variants:
        rng = generator(0, trial_key({"bound": b.name, "kind": kind, "variant": name}))
        with warnings.catch_warnings(), np.errstate(all="ignore"):
            warnings.simplefilter("ignore")  # of tolerances that are not met: results have a field for that
            yield Outcome(b.name, kind, name, *_verdict(b, method, target, trials, level, rng))


def _verdict(
    b: Bound, method: Any, target: Any, trials: int, level: float, rng: np.random.Generator
) -> tuple[str, str]:
    random = "rng" in inspect.signature(method).parameters
    try:
        # run first: a method may refuse a variant, which is no defect of the theorem
        method(target, rng=rng) if random else method(target)
    except np.linalg.LinAlgError as error:
        return "raised", f"{type(method).__name__} raises LinAlgError: {error}"
    except (ValueError, TypeError) as error:
        return "refused", f"{type(error).__name__}: {error}"
    except Exception as error:
        return "raised", f"{type(method).__name__} raises {type(error).__name__}: {error}"
    try:
        found = compare(method, target, [b], trials=trials, rng=rng, level=level)[0]
    except Exception as error:  # of the method, in another run
        return "raised", f"{type(error).__name__}: {error}"
    return str(found.verdict), found.detail
