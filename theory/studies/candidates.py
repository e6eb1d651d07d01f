"""Candidates of a comparison: methods by name, representatives of the families, controls, a user's own file."""

from __future__ import annotations

import dataclasses
import pickle
import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, cast

import numpy as np

from theory.studies.problems import nearest
from tnattn import discovery
from tnattn.attention.method import AttentionMethod, KeyMethod
from tnattn.attention.problem import AttentionProblem
from tnattn.decomposition.base import Decomposition
from tnattn.randnla.accuracy import ToleranceWarning
from tnattn.randnla.base import MatrixMethod

__all__ = ["Candidate", "Refusal", "controls", "fit", "methods", "representatives", "select"]


@dataclass(frozen=True)
class Candidate:
    """A method that takes part.

    Parameters
    ----------
    method : AttentionMethod
        With its default budget.
    control : bool
        True for a baseline of every table.
    file : str
        The file that defines it, where it is a user's own.

    Examples
    --------
    >>> from theory.studies.candidates import Candidate
    >>> from tnattn import TopK
    >>> candidate = Candidate(TopK(keys=8))
    >>> candidate.label, candidate.family, candidate.oracle
    ('TopK', 'sparse', True)
    """

    method: AttentionMethod
    control: bool = False
    file: str = ""

    @property
    def label(self) -> str:
        """Name of the method in tables."""
        return label(self.method)

    @property
    def family(self) -> str:
        """Family of the method, that of the inner one for a method made causal."""
        inner = getattr(self.method, "method", None)
        if self.method.role == "adapter" and inner is not None:
            return discovery.family(type(inner))
        return "user" if self.file else discovery.family(type(self.method))

    @property
    def oracle(self) -> bool:
        """True where the method, or one inside it, reads all exact weights."""
        return any(method.reads_weights for method in _nested(self.method))

    @property
    def leaks(self) -> bool:
        """True where the method lets later queries influence earlier outputs."""
        return any(getattr(method, "leaks_queries", False) for method in _nested(self.method))

    def pickled(self) -> bytes:
        """Return the method in a form that a worker reads after it has imported the user's file."""
        return pickle.dumps(self.method)


def _nested(method: Any) -> Iterator[AttentionMethod]:
    """Yield a method and those inside it."""
    while isinstance(method, AttentionMethod):
        yield method
        method = getattr(method, "method", None)


@dataclass(frozen=True)
class Refusal:
    """A method that does not take part, and the reason.

    Examples
    --------
    >>> from theory.studies.candidates import Candidate, fit
    >>> from theory.studies.problems import ProblemSource, load_problem
    >>> from tnattn import Nystromformer
    >>> causal = load_problem(ProblemSource("gallery", "needle", n=16, d=4, heads=1, causal=True))
    >>> fit(Candidate(Nystromformer()), causal).reason
    'it does not honour CausalMask masks and is no key method that could be wrapped'
    """

    label: str
    reason: str


def label(method: Any) -> str:
    """Return the class name, with that of the inner method or decomposition in brackets."""
    inner = getattr(method, "method", None) or getattr(method, "decomposition", None)
    name = type(method).__name__
    return f"{name}({label(inner)})" if dataclasses.is_dataclass(inner) else name


@cache
def methods() -> dict[str, type[AttentionMethod]]:
    """Return all attention methods of the package, by name."""
    return discovery.subclasses("tnattn.attention", AttentionMethod)  # type: ignore[type-abstract]


def controls() -> list[Candidate]:
    """Return the baselines of every comparison: the methods whose role is control."""
    made: list[Any] = [cls for cls in methods().values() if cls.role == "control"]
    return [Candidate(cls(**cls.as_control), control=True) for cls in made]


def representatives() -> list[Candidate]:
    """Return the representatives of each family, the first in the alphabet where it names none."""
    families: dict[str, list[type[AttentionMethod]]] = {}
    for cls in methods().values():
        if cls.role not in ("control", "adapter"):
            families.setdefault(discovery.family(cls), []).append(cls)
    # a family without a representative is shown by its first method
    chosen = [[cls for cls in found if cls.role == "representative"] or found[:1] for found in families.values()]
    return [Candidate(cls()) for found in chosen for cls in found]


def select(names: Sequence[str], *, baselines: bool = True) -> list[Candidate]:
    """Return the controls and the methods that names mean: nothing, ``all``, class names, ``file.py:Class``.

    Without baselines, controls are among them only where they are named.

    Raises
    ------
    ValueError
        If a name is unknown; the message suggests the nearest.
    """
    chosen = controls() if baselines else []
    seen = {candidate.label for candidate in chosen}
    for candidate in _meant(names):
        if candidate.label not in seen:
            seen.add(candidate.label)
            chosen.append(candidate)
    return chosen


def _meant(names: Sequence[str]) -> Iterable[Candidate]:
    if not names:
        yield from representatives()
    for name in names:
        if name == "all":
            yield from (Candidate(cls()) for cls in methods().values() if cls.role != "adapter")
            yield from (Candidate(_named(other)) for other in _wrapped())
        elif ".py" in name:
            cls = discovery.from_file(name, AttentionMethod)  # type: ignore[type-abstract]
            yield Candidate(_made(cls, name), file=str(Path(name.rpartition(".py")[0] + ".py").resolve()))
        else:
            yield Candidate(_named(name))


@cache
def _wrapped() -> list[str]:
    """Return the wrappers of every decomposition, and of every matrix method that takes weights at all."""
    taken = [name for name, cls in _matrix_methods().items() if _takes_weights(cls)]
    inner = {"decomposition": list(_decompositions()), "method": taken}
    outer = {name: _slot(cls()) for name, cls in methods().items()}
    return [
        f"{name}({other})" for slot, names in inner.items() for name in outer if outer[name] == slot for other in names
    ]


def _slot(method: AttentionMethod) -> str:
    """Return the field that holds a decomposition or a matrix method, "" where there is none."""
    for f in dataclasses.fields(method):  # type: ignore[arg-type]
        if isinstance(getattr(method, f.name), (Decomposition, MatrixMethod)):
            return f.name
    return ""


def _decompositions() -> dict[str, type[Decomposition]]:
    return discovery.subclasses("tnattn.decomposition", Decomposition)  # type: ignore[type-abstract]


def _matrix_methods() -> dict[str, type[MatrixMethod]]:
    """Return the factorisations of matrices, those by tensor formats among them."""
    plain = discovery.subclasses("tnattn.randnla", MatrixMethod)  # type: ignore[type-abstract]
    by_tensors = discovery.subclasses("tnattn.decomposition", MatrixMethod)  # type: ignore[type-abstract]
    return plain | by_tensors


def _takes_weights(cls: type[MatrixMethod]) -> bool:
    """Return whether a matrix method has a rank and accepts a matrix that is not symmetric, as weights are not."""
    rng = np.random.default_rng(0)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ToleranceWarning)  # of rank 2
            # tried out, since no trait records it: a matrix of positive entries that is not symmetric
            cls().with_rank(2)(rng.random((8, 8)), rng=rng)
    except (TypeError, ValueError):
        return False
    return True


def _made(cls: type[AttentionMethod], name: str) -> AttentionMethod:
    try:
        return cls()
    except TypeError as error:
        raise ValueError(f"{name} cannot be made without arguments: {error}; give its fields defaults") from error


def _named(name: str) -> AttentionMethod:
    """Make ``Outer`` or ``Outer(Inner)``, the inner method or decomposition taking the place of the default one."""
    outer, _, rest = name.partition("(")
    found = _found(outer.strip(), methods())
    if not rest:
        plain: AttentionMethod = found()
        return plain
    slot = next((f.name for f in dataclasses.fields(found()) if f.name in ("method", "decomposition")), None)
    if slot is None or not rest.endswith(")"):
        raise ValueError(f"{name!r} is no method; only wrappers such as WeightTensor(TTSVD) take another in brackets")
    inner: Any = _found(rest[:-1].strip(), inner_choices())
    made: Any = found
    try:
        return cast("AttentionMethod", made(**{slot: inner()}))
    except TypeError as error:
        raise ValueError(f"{name} cannot be made: {error}") from error


@cache
def inner_choices() -> dict[str, type]:
    """Return the inner methods of wrappers: matrix methods, decompositions, attention methods."""
    return {**_matrix_methods(), **_decompositions(), **methods()}


def _found(name: str, known: Mapping[str, type[Any]]) -> type[Any]:
    folded = {other.lower(): cls for other, cls in known.items()}
    if name.lower() not in folded:
        raise ValueError(f"no method {name!r}{nearest(name, known)}; `tnattn methods` lists them all")
    return folded[name.lower()]


def fit(candidate: Candidate, problem: AttentionProblem) -> Candidate | Refusal:
    """Return the candidate in a form that honours the problem's mask, or the reason why there is none.

    A key method without probes is made causal by the wrapper; others would leak later queries into earlier outputs.
    """
    refused = [part for part in problem.mask.conjuncts if not candidate.method.honours(part)]
    if not refused:
        return candidate
    wrapper: Any = next((cls for cls in methods().values() if cls.role == "adapter"), None)
    name = type(refused[0]).__name__
    if not isinstance(candidate.method, KeyMethod) or candidate.method.probes or wrapper is None:
        return Refusal(candidate.label, f"it does not honour {name} masks and is no key method that could be wrapped")
    wrapped = dataclasses.replace(candidate, method=wrapper(method=candidate.method))
    if all(wrapped.method.honours(part) for part in problem.mask.conjuncts):
        return wrapped
    return Refusal(candidate.label, f"neither it nor its causal form honours {name} masks")
