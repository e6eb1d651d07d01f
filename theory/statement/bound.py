"""Theorems as functions: hypotheses first, the right-hand side as the return value, error and source as decoration."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, TypeAlias

import numpy as np

from theory.statement.errors import Error
from theory.statement.evidence import Kind, Side
from theory.statement.guarantee import Deterministic, Guarantee
from theory.statement.prediction import Prediction, Values
from theory.statement.source import Source

__all__ = ["MUST_FAIL", "Bound", "HypothesisViolated", "Instance", "Instances", "Maker", "bound", "require"]

Instance: TypeAlias = tuple[Any, Any]
"""A method and its target."""

Maker: TypeAlias = Callable[[np.random.Generator], Instance]

Instances: TypeAlias = tuple[Maker | None, Maker | None]
"""Makers of a case where the theorem is nearly sharp and of one without special structure."""

MUST_FAIL = 0.3  # an extremal instance comes within a factor of three of its bound: a third of it is false there
"""Default factor of an upper bound that the data must refute."""

ALWAYS = Deterministic()


class HypothesisViolated(ValueError):
    """A hypothesis of a theorem fails for the given method, target or result."""


def require(condition: bool, hypothesis: str) -> None:
    """Raise HypothesisViolated, naming the hypothesis, unless it holds."""
    if not condition:
        raise HypothesisViolated(hypothesis)


@dataclass(frozen=True, eq=False)
class Bound:
    """A theorem about the error of a method; made by ``bound`` or by a ``Paper``.

    Parameters
    ----------
    function : callable
        ``(method, target, **parameters)``, or with the result as third argument for the conditional kinds.
    method : type or tuple of types
        The class that the theorem is about.
    error : Error
        The quantity that it bounds.
    guarantee : Guarantee
    source : Source
    side : "upper" or "lower"
    kind : "prior", "conditional" or "identity"
    extremal : callable, optional
        ``rng -> (method, target)`` where the bound is nearly sharp.
    generic : callable, optional
        ``rng -> (method, target)``, a case without special structure.
    must_fail : float or None
        Factor of the right-hand side that the data must refute on ``extremal``; None where no such instance is known.
    no_control : str
        The reason why no instance shows a wrong constant, where ``must_fail`` is None.
    sharpest : mapping
        Parameters of the statement at which it is nearly sharp on ``extremal``, where these are not the defaults.
    parameters : mapping
        Parameters of the statement, such as a failure probability.

    Examples
    --------
    >>> import numpy as np
    >>> from theory.statement import Source, bound, errors
    >>> from tnattn.randnla.low_rank.truncated_svd import TruncatedSVD
    >>> @bound(method=TruncatedSVD, error=errors.matrix_spectral, source=Source("Mirsky 1960", "Theorem 2"))
    ... def best_error(method, a):
    ...     "||A - A_k|| <= s_{k+1}."
    ...     return errors.spectrum_of(a)[..., method.rank]
    >>> best_error.kind, best_error.controls
    ('prior', (0.3,))
    >>> best_error(TruncatedSVD(rank=1), np.diag([3.0, 2.0])).value.round(4).item()
    2.0
    """

    function: Callable[..., Any]
    method: type | tuple[type, ...]
    error: Error
    guarantee: Guarantee
    source: Source
    side: Side = "upper"
    kind: Kind = "prior"
    extremal: Maker | None = None
    generic: Maker | None = None
    must_fail: float | None = MUST_FAIL
    no_control: str = ""
    sharpest: Mapping[str, float] = field(default_factory=dict)
    parameters: Mapping[str, float] = field(default_factory=dict)
    factor: float = 1.0

    @property
    def name(self) -> str:
        """Name of the function: the identifier of the theorem."""
        return str(self.function.__name__)

    @property
    def statement(self) -> str:
        """First paragraph of the docstring: the inequality."""
        return (inspect.getdoc(self.function) or "").split("\n\n")[0].replace("\n", " ")

    @property
    def module(self) -> str:
        """Module that defines the theorem."""
        return str(self.function.__module__)

    @property
    def two_sided(self) -> bool:
        """True for an equality, which a right-hand side that is too large violates as well."""
        return self.kind == "identity" or self.guarantee.equality

    @property
    def controls(self) -> tuple[float, ...]:
        """Factors of the right-hand side that the data must refute on ``extremal``, on both sides of an equality."""
        if self.must_fail is None:
            return ()
        return (self.must_fail, 1 / self.must_fail) if self.two_sided else (self.must_fail,)

    def is_about(self, method: Any) -> bool:
        """Return True if the theorem applies to the class of a method."""
        return isinstance(method, self.method)

    def __call__(self, method: Any, target: Any, result: Any = None) -> Prediction:
        """Evaluate the theorem.

        Raises
        ------
        HypothesisViolated
            If a hypothesis fails.
        TypeError
            If the theorem needs a result and none is given.
        """
        return self.evaluated(method, target, result).scaled(self.factor)

    def evaluated(self, method: Any, target: Any, result: Any = None) -> Prediction:
        """Evaluate the theorem itself, whatever ``factor`` is; controls share this evaluation."""
        if not self.is_about(method):
            raise HypothesisViolated(f"the method is a {_names(self.method)}")
        if self.kind != "prior" and result is None:
            raise TypeError(f"{self.name} is evaluated on a result; pass the result of the method as third argument")
        arguments = (method, target) if self.kind == "prior" else (method, target, result)
        answer = self.function(*arguments, **self.parameters)
        observed, failure = None, np.zeros(())
        # an identity returns both sides, a statement with probability its failure probability beside the right-hand
        # side
        if self.kind == "identity":
            left, answer = answer
            observed = np.asarray(left, dtype=np.float64)
        elif self.guarantee.chance:
            answer, chance = answer
            failure = np.asarray(chance, dtype=np.float64)
        elif isinstance(answer, tuple):
            raise TypeError(
                f"{self.name} returns {len(answer)} values; annotate an identity with tuple[Values, Values]"
            )
        value = np.asarray(answer, dtype=np.float64)
        stated = self.guarantee.condition
        # condition numbers depend on the data, so that a guarantee may state them as a function
        condition = np.asarray(stated(*arguments) if callable(stated) else stated, dtype=np.float64)
        return Prediction(
            value,
            failure,
            observed,
            np.broadcast_to(condition, value.shape),
            self._moment("ceiling", arguments),
            self._moment("spread", arguments),
        )

    def _moment(self, name: str, arguments: tuple[Any, ...]) -> Values | None:
        function = getattr(self.guarantee, name, None)
        return None if function is None else np.asarray(function(*arguments), dtype=np.float64)

    def scaled(self, factor: float) -> Bound:
        """Return the false theorem with the right-hand side times a factor, as a control."""
        return replace(self, factor=self.factor * factor)

    def on_extremal(self) -> Bound:
        """Return the theorem at the parameters of its statement that ``sharpest`` names."""
        return self.with_parameters(**self.sharpest) if self.sharpest else self

    def with_parameters(self, **parameters: float) -> Bound:
        """Return the theorem at other parameters of its statement."""
        known = set(inspect.signature(self.function).parameters)
        unknown = set(parameters) - known
        if unknown:
            raise ValueError(f"{self.name} has no parameter {', '.join(sorted(unknown))}")
        return replace(self, parameters={**self.parameters, **parameters})

    def __repr__(self) -> str:
        return f"<bound {self.name}: {self.statement}>"


def bound(
    *,
    method: type | tuple[type, ...],
    error: Error,
    source: Source,
    guarantee: Guarantee = ALWAYS,
    side: Side = "upper",
    instances: Instances = (None, None),
    must_fail: float | None = MUST_FAIL,
    no_control: str = "",
    sharpest: Mapping[str, float] | None = None,
) -> Callable[[Callable[..., Any]], Bound]:
    """Declare a theorem; its kind follows from the parameters and the value of the function.

    ``(method, target)`` gives a right-hand side before the run, ``(method, target, result)`` one for a realised result.
    Keyword parameters belong to the statement. With ``WithProbability`` the value is the right-hand side and the
    failure probability. A statement that always holds is an identity where the function of a result is annotated with
    ``tuple``: it gives both sides, and ``error`` names their norm and the scale of the rounding slack.

    Parameters
    ----------
    method, error, source, guarantee, side, sharpest
        As in ``Bound``.
    instances : pair of callables
        ``extremal`` and ``generic`` of ``Bound``.
    must_fail : float or None
        Below 1; of a lower bound the reciprocal is used.
    no_control : str
        The reason why no instance shows a wrong constant; ``must_fail`` is then None.
    """

    def decorate(function: Callable[..., Any]) -> Bound:
        factor = None if no_control or must_fail is None else must_fail
        if factor is not None and side == "lower":
            factor = max(factor, 1 / factor)  # a lower bound becomes false by raising it
        kind = _kind(function, guarantee)
        extremal, generic = instances
        return Bound(
            function,
            method,
            error,
            guarantee,
            source,
            side,
            kind,
            extremal,
            generic,
            factor,
            no_control,
            sharpest or {},
        )

    return decorate


def _kind(function: Callable[..., Any], guarantee: Guarantee) -> Kind:
    """Return the kind of a statement: two positional parameters before the run, three after it."""
    signature = inspect.signature(function)
    # keyword parameters belong to the statement; the number of the others gives its kind
    count = sum(p.kind is not p.KEYWORD_ONLY for p in signature.parameters.values())
    if count not in (2, 3):
        raise TypeError(
            f"{function.__name__} takes {count} positional parameters; a theorem takes (method, target) or "
            "(method, target, result), and parameters of its statement by keyword"
        )
    if count == 2:
        return "prior"
    # annotations are text, for they are postponed in the modules of theorems
    both_sides = str(signature.return_annotation).startswith("tuple")
    return "identity" if both_sides and guarantee.always else "conditional"


def _names(method: type | tuple[type, ...]) -> str:
    return " or ".join(t.__name__ for t in (method if isinstance(method, tuple) else (method,)))
