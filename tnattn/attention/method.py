"""Base classes of attention methods: frozen dataclasses of parameters whose call runs the method."""

from __future__ import annotations

import abc
import dataclasses
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, ClassVar, Literal, Self, final

from tnattn.arrays import Array, Rng, array_namespace, device, is_half
from tnattn.attention.approximation import Approximation
from tnattn.attention.cost import Cost
from tnattn.attention.kernel_features import KernelFeatures
from tnattn.attention.masks import CausalMask, FullMask, Mask, UnsupportedMask
from tnattn.attention.precision import widened_problem
from tnattn.attention.problem import AttentionProblem
from tnattn.attention.softmax_piece import softmax_piece
from tnattn.attention.summary import KeySet, Summary
from tnattn.device_budget import Budgeted, DeviceBudget, DeviceCounts
from tnattn.scalars import Parameters, as_integer
from tnattn.structured import Dense


def budget(default: int) -> Any:
    """Declare the field with the largest number of columns (keys, landmarks, features, rank) of a method."""
    return dataclasses.field(default=default, metadata={"budget": True})


def performance(default: Any) -> Any:
    """Declare a field that changes the speed of a method, but not its result."""
    return dataclasses.field(default=default, metadata={"performance": True})


class AttentionMethod(Budgeted, Parameters, abc.ABC):
    """Base class of methods that approximate attention.

    A subclass is a frozen dataclass; ``cls()`` must work. It declares the masks that it honours, whether it reads all
    exact weights (an oracle), and which laws of the conformance kit do not hold by its definition, with the reason.

    Its role decides in which comparisons it runs unnamed: a control always, as the instance with the fields
    ``as_control``; a representative for its family where no method is named; an adapter around a method that does not
    honour the mask; a contender among ``all``.
    """

    masks: ClassVar[tuple[type[Mask], ...]] = (FullMask,)
    reads_weights: ClassVar[bool] = False
    waives: ClassVar[Mapping[str, str]] = {}
    guarantee: ClassVar[str] = "none"
    source: ClassVar[str] = ""
    role: ClassVar[Literal["contender", "representative", "control", "adapter"]] = "contender"
    as_control: ClassVar[Mapping[str, Any]] = {}
    caption: ClassVar[str] = ""  # for legends of figures, where the name of the class is not enough

    device_budget: ClassVar[DeviceBudget] = DeviceBudget(DeviceCounts(200, waits=10, copies=4))  # one pass, output too

    @final
    def __call__(self, problem: AttentionProblem, *, rng: Rng | None = None) -> Approximation:
        """Approximate the attention of a problem.

        Parameters
        ----------
        problem : AttentionProblem
        rng : numpy.random.Generator or DeviceDraws
            Needed by randomized methods only.

        Raises
        ------
        UnsupportedMask
            If the method does not honour every part of the problem's mask.
        TypeError
            If ``problem`` is not a problem, or a randomized method gets no generator.

        Notes
        -----
        Problems in float16 and bfloat16 are widened to float32, in which the result keeps its arrays; its ``output``
        and ``weights`` have the dtype of the problem. A problem with an empty batch axis runs no method.
        """
        if not isinstance(problem, AttentionProblem):
            raise TypeError(
                f"problem must be an AttentionProblem; got {type(problem).__name__}; "
                "for arrays: from tnattn import attend"
            )
        for part in problem.mask.conjuncts:
            if not self.honours(part):
                raise UnsupportedMask(
                    f"{type(self).__name__} does not honour {type(part).__name__} (it honours "
                    f"{', '.join(mask.__name__ for mask in self.masks)}); {self._cure(problem.mask)}"
                )
        if 0 in problem.batch:
            return _nothing(problem)
        result = self._approximate(widened_problem(problem), rng=rng)
        # no sum is taken in half precision: the problem was widened once, and what the result gives is cast back
        return result.labelled(dtype=problem.q.dtype) if is_half(problem.q) else result

    def _cure(self, mask: Mask) -> str:
        """Return the advice of an error message for a mask that the method does not honour."""
        others = "choose one that honours it: from tnattn import Exact, SlidingWindow, TopK"
        only_causal = all(isinstance(part, (FullMask, CausalMask)) for part in mask.conjuncts)
        # the wrapper accepts key methods without probes only, as others would read later queries
        if only_causal and isinstance(self, KeyMethod) and not self.probes:
            return f"wrap it in Causal(...): from tnattn import Causal; or {others}"
        return others

    def honours(self, mask: Mask) -> bool:
        """Return True if the method honours one conjunct of a mask."""
        return isinstance(mask, (FullMask, *self.masks))

    @abc.abstractmethod
    def _approximate(self, problem: AttentionProblem, *, rng: Rng | None) -> Approximation:
        """Run the method on a problem whose mask it honours."""

    def exact_piece(self, problem: AttentionProblem) -> Approximation:
        """Return the exact piece of a small problem under its mask, in the units of the method's own pieces.

        That is softmax, unless the method replaces the exponential by another kernel. O(n_q n_k) memory.
        """
        return softmax_piece(problem)

    @abc.abstractmethod
    def cost(self, problem: AttentionProblem) -> Cost:
        """Return the counted cost of the method on a problem, without running it."""

    def stages(self, problem: AttentionProblem) -> list[tuple[Any, Any]]:
        """Return the pairs (inner method, inner target) from which bounds on the inner step chain to the output."""
        return []

    @property
    def budget_field(self) -> str | None:
        """Name of the field that is the method's budget, looked up in an inner ``method`` too (as ``method.field``)."""
        for f in dataclasses.fields(self):  # type: ignore[arg-type]
            if f.metadata.get("budget"):
                return f.name
        inner = getattr(self, "method", None)
        name = inner.budget_field if isinstance(inner, AttentionMethod) else None
        return f"method.{name}" if name else None

    @property
    def budget(self) -> int | None:
        """The number of columns that the method may spend, where it has such a field."""
        name = self.budget_field
        value: Any = self
        for part in name.split(".") if name else ():
            value = getattr(value, part)
        return int(value) if name else None

    def with_budget(self, columns: int) -> Self:
        """Return the same method with another budget.

        Raises
        ------
        ValueError
            If the method has no budget.
        """
        name = self.budget_field
        columns = as_integer(columns, "columns", least=1)
        if name is None:
            raise ValueError(f"{type(self).__name__} has no budget field to set to {columns}")
        if name.startswith("method."):
            inner: AttentionMethod = self.method  # type: ignore[attr-defined]
            return replace(self, method=inner.with_budget(columns))  # type: ignore[type-var]
        return replace(self, **{name: columns})  # type: ignore[type-var]


class JointMethod(AttentionMethod):
    """A method that needs the queries it is applied to: hashing, segment means of Q, truncation, top-k."""

    @abc.abstractmethod
    def approximate(self, problem: AttentionProblem, *, rng: Rng | None) -> Approximation:
        """Approximate; see ``AttentionMethod.__call__``."""

    @final
    def _approximate(self, problem: AttentionProblem, *, rng: Rng | None) -> Approximation:
        return self.approximate(problem, rng=rng)


class KeyMethod(AttentionMethod):
    """A method that sees the keys once and any queries later: coresets, features, sketches, caches."""

    probes: ClassVar[bool] = False
    scanned: ClassVar[bool] = False  # summaries hold sums of features over keys, which ``prefix_features`` gives

    @abc.abstractmethod
    def summarise(self, keys: KeySet, *, probe: Array | None = None, rng: Rng | None = None) -> Summary:
        """Compress the keys and values.

        Parameters
        ----------
        keys : KeySet
        probe : Array, (..., G, R, n, d), optional
            A sample of queries, for methods with ``probes = True``.
        rng : numpy.random.Generator or DeviceDraws
        """

    def prefix_features(self, first: KeySet, *, rng: Rng | None) -> KernelFeatures:
        """Return the features of which a summary holds sums over keys, for a causal scan.

        They may depend on the keys ``first``, with which a sequence begins, and on no others.
        """
        said = "declares that it is scanned and gives no features" if self.scanned else "holds no sums of features"
        raise NotImplementedError(f"{type(self).__name__} {said}")

    @final
    def _approximate(self, problem: AttentionProblem, *, rng: Rng | None) -> Approximation:
        keys = replace(KeySet.of(problem), check_finite=False, shared=True)
        probe = problem.queries if self.probes else None
        return self.summarise(keys, probe=probe, rng=rng).approximate(problem.queries)


def _nothing(problem: AttentionProblem) -> Approximation:
    """Return the result of a problem with an empty batch axis: one column, and no row."""
    xp = array_namespace(problem.q)

    def zeros(*sizes: int) -> Array:
        return xp.zeros((*problem.batch, *sizes), dtype=problem.q.dtype, device=device(problem.q))

    return Approximation(
        kernel=Dense(zeros(problem.n_q, 1)),
        shift=zeros(problem.n_q),
        values=zeros(1, problem.value_width),
        expand=Dense(zeros(1, problem.n_k)),
    )
