"""Verdicts on true theorems over variants of their instances: none may be refuted, none may raise."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from theory.bound import Bound, HypothesisViolated
from theory.compare import LEVEL, compare
from theory.store import generator, trial_key
from theory.studies.varied_methods import varied_methods
from theory.studies.varied_targets import varied_targets
from theory.verdict import Verdict

__all__ = ["Outcome", "over_methods", "over_targets"]


@dataclass(frozen=True)
class Outcome:
    """What one theorem says about one variant of an instance.

    Parameters
    ----------
    bound, instance, variant : str
    verdict : str
        Of ``compare``; "refused" where the method does not take the variant, "raised" where the theorem fails.
    detail : str
    """

    bound: str
    instance: str
    variant: str
    verdict: str
    detail: str

    @property
    def wrong(self) -> bool:
        """Whether a true theorem is refuted, or fails with an error that is not a violated hypothesis."""
        return self.verdict in (Verdict.REFUTED, Verdict.FAILED, "raised")


def over_methods(b: Bound, *, trials: int, level: float = LEVEL) -> Iterator[Outcome]:
    """Judge a theorem on its instances with every field of the method varied."""
    for kind, method, target in _instances(b):
        yield from _judged(b, kind, ((name, other, target) for name, other in varied_methods(b, method)), trials, level)


def over_targets(b: Bound, *, trials: int, level: float = LEVEL) -> Iterator[Outcome]:
    """Judge a theorem on its instances with the target scaled, tied, degenerate, shifted or in single precision."""
    for kind, method, target in _instances(b):
        yield from _judged(b, kind, ((name, method, other) for name, other in varied_targets(target)), trials, level)


def _instances(b: Bound) -> Iterator[tuple[str, Any, Any]]:
    for kind, make in (("extremal", b.extremal), ("generic", b.generic)):
        if make is not None:
            yield kind, *make(generator(0, trial_key({"bound": b.name, "kind": kind})))


def _judged(
    b: Bound, kind: str, variants: Iterable[tuple[str, Any, Any]], trials: int, level: float
) -> Iterator[Outcome]:
    for name, method, target in variants:
        rng = generator(0, trial_key({"bound": b.name, "kind": kind, "variant": name}))
        with warnings.catch_warnings(), np.errstate(all="ignore"):
            warnings.simplefilter("ignore")  # of tolerances that are not met: results say so themselves
            yield Outcome(b.name, kind, name, *_verdict(b, method, target, trials, level, rng))


def _verdict(
    b: Bound, method: Any, target: Any, trials: int, level: float, rng: np.random.Generator
) -> tuple[str, str]:
    try:
        if b.kind == "prior":
            b(method, target)
    except HypothesisViolated as violated:
        return str(Verdict.NOT_APPLICABLE), str(violated)
    except Exception as error:
        refusal = _refusal(method, target, rng)
        return ("refused", refusal) if refusal else ("raised", f"{type(error).__name__}: {error}")
    refusal = _refusal(method, target, rng)
    if refusal:
        return "refused", refusal
    try:
        found = compare(method, target, [b], trials=trials, rng=rng, level=level)[0]
    except Exception as error:
        return "raised", f"{type(error).__name__}: {error}"
    return str(found.verdict), found.detail


def _refusal(method: Any, target: Any, rng: np.random.Generator) -> str:
    """Return why a method does not take a target, or an empty string."""
    import inspect

    try:
        method(target, rng=rng) if "rng" in inspect.signature(method).parameters else method(target)
    except np.linalg.LinAlgError:
        return ""
    except (ValueError, TypeError) as error:
        return f"{type(error).__name__}: {error}"
    return ""
