"""A theorem is a function: hypotheses first, its right-hand side is the return value, the rest is decoration."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal, TypeAlias

import numpy as np

from theory.statement.errors import Error
from theory.statement.guarantee import Deterministic, Guarantee
from theory.statement.prediction import Prediction as Prediction
from theory.statement.prediction import Values as Values

Instance: TypeAlias = tuple[Any, Any]


class HypothesisViolated(ValueError):
    """A theorem was asked about a case that it does not cover."""


def require(condition: bool, hypothesis: str) -> None:
    """Raise HypothesisViolated, naming the hypothesis, unless it holds."""
    if not condition:
        raise HypothesisViolated(hypothesis)


@dataclass(frozen=True)
class Source:
    """Where a statement is found.

    Parameters
    ----------
    reference : str
        Author and year.
    statement : str
        Number of the theorem, or "re-derived".
    """

    reference: str
    statement: str = ""

    def __str__(self) -> str:
        return f"{self.reference}, {self.statement}" if self.statement else self.reference


@dataclass(frozen=True, eq=False)
class Bound:
    """A theorem about the error of a method; made by ``bound``, ``conditional_bound`` and ``identity``.

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
    """

    function: Callable[..., Any]
    method: type | tuple[type, ...]
    error: Error
    guarantee: Guarantee
    source: Source
    side: Literal["upper", "lower"] = "upper"
    kind: Literal["prior", "conditional", "identity"] = "prior"
    extremal: Callable[[np.random.Generator], Instance] | None = None
    generic: Callable[[np.random.Generator], Instance] | None = None
    must_fail: float | None = 0.3
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
        """Whether the statement is an equality, which a right-hand side that is too large violates as well."""
        return self.kind == "identity" or self.guarantee.equality

    @property
    def controls(self) -> tuple[float, ...]:
        """Factors of the right-hand side that the data must refute on ``extremal``, on both sides of an equality."""
        if self.must_fail is None:
            return ()
        return (self.must_fail, 1 / self.must_fail) if self.two_sided else (self.must_fail,)

    def speaks_of(self, method: Any) -> bool:
        """Whether the theorem is about methods of this class."""
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
        if not self.speaks_of(method):
            raise HypothesisViolated(f"the method is a {_names(self.method)}")
        if self.kind != "prior" and result is None:
            raise TypeError(f"{self.name} is evaluated on a result; pass the result of the method as third argument")
        arguments = (method, target) if self.kind == "prior" else (method, target, result)
        answer = self.function(*arguments, **self.parameters)
        observed, failure = None, np.zeros(())
        if self.kind == "identity":
            left, answer = answer
            observed = np.asarray(left, dtype=np.float64)
        elif self.guarantee.chance:
            answer, chance = answer
            failure = np.asarray(chance, dtype=np.float64)
        value = np.asarray(answer, dtype=np.float64)
        stated = self.guarantee.condition
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
    guarantee: Guarantee,
    source: Source,
    side: Literal["upper", "lower"] = "upper",
    extremal: Callable[[np.random.Generator], Instance] | None = None,
    generic: Callable[[np.random.Generator], Instance] | None = None,
    must_fail: float | None = 0.3,
    no_control: str = "",
    sharpest: Mapping[str, float] | None = None,
) -> Callable[[Callable[..., Any]], Bound]:
    """Declare a theorem ``(method, target) -> right-hand side`` that can be evaluated before the run.

    A function whose guarantee is ``WithProbability`` returns the right-hand side and the failure probability.
    """

    def decorate(function: Callable[..., Any]) -> Bound:
        return Bound(
            function,
            method,
            error,
            guarantee,
            source,
            side,
            "prior",
            extremal,
            generic,
            must_fail,
            no_control,
            sharpest or {},
        )

    return decorate


def conditional_bound(
    *,
    method: type | tuple[type, ...],
    error: Error,
    guarantee: Guarantee,
    source: Source,
    side: Literal["upper", "lower"] = "upper",
    extremal: Callable[[np.random.Generator], Instance] | None = None,
    generic: Callable[[np.random.Generator], Instance] | None = None,
    must_fail: float | None = 0.3,
    no_control: str = "",
    sharpest: Mapping[str, float] | None = None,
) -> Callable[[Callable[..., Any]], Bound]:
    """Declare a theorem ``(method, target, result) -> right-hand side`` that speaks about a realised result."""

    def decorate(function: Callable[..., Any]) -> Bound:
        return Bound(
            function,
            method,
            error,
            guarantee,
            source,
            side,
            "conditional",
            extremal,
            generic,
            must_fail,
            no_control,
            sharpest or {},
        )

    return decorate


def identity(
    *,
    method: type | tuple[type, ...],
    error: Error,
    source: Source,
    guarantee: Deterministic = Deterministic(),
    extremal: Callable[[np.random.Generator], Instance] | None = None,
    generic: Callable[[np.random.Generator], Instance] | None = None,
    must_fail: float | None = 0.3,
    no_control: str = "",
    sharpest: Mapping[str, float] | None = None,
) -> Callable[[Callable[..., Any]], Bound]:
    """Declare an identity ``(method, target, result) -> (left-hand side, right-hand side)``.

    ``error`` names the norm of the two sides and gives the scale of the rounding slack.
    """

    def decorate(function: Callable[..., Any]) -> Bound:
        return Bound(
            function,
            method,
            error,
            guarantee,
            source,
            "upper",
            "identity",
            extremal,
            generic,
            must_fail,
            no_control,
            sharpest or {},
        )

    return decorate


def _names(method: type | tuple[type, ...]) -> str:
    return " or ".join(t.__name__ for t in (method if isinstance(method, tuple) else (method,)))
