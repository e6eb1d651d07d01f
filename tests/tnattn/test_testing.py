"""The conformance kit rejects what it is there to reject: for every law a method that breaks it."""

import os
import time
from dataclasses import dataclass, field, replace
from dataclasses import fields as fields_of_a_dataclass
from functools import cached_property
from typing import Any, ClassVar

import numpy as np
import pytest

from tnattn import gallery
from tnattn.attention import masks
from tnattn.attention.approximation import Approximation
from tnattn.attention.cost import exact_cost
from tnattn.attention.method import JointMethod, KeyMethod, budget, performance
from tnattn.attention.problem import AttentionProblem
from tnattn.attention.summary import Summary
from tnattn.decomposition.base import Decomposition
from tnattn.decomposition.tucker.st_hosvd import STHOSVD
from tnattn.randnla.sketches.base import Sketch
from tnattn.randnla.sketches.gaussian import Gaussian
from tnattn.structured import Dense, Selection
from tnattn.structured.tucker import TuckerTensor
from tnattn.testing import (
    LAWS,
    ConformanceError,
    check_decomposition,
    check_method,
    check_sketch,
    conformance_table,
    fields,
)


@dataclass(frozen=True)
class Plain(JointMethod):
    """Exact attention with a kernel held as an array; the others change one thing."""

    masks: ClassVar = (masks.FullMask, masks.CausalMask, masks.PaddingMask)

    def approximate(self, problem, *, rng):
        scores = problem.block_scores(slice(0, problem.n_q), slice(0, problem.n_k))
        shift = scores.max(axis=-1)
        return Approximation(
            kernel=Dense(np.exp(scores - shift[..., None])),
            shift=shift,
            values=problem.values,
            expand=Selection(np.arange(problem.n_k), problem.n_k, problem.q),
        )

    def cost(self, problem):
        return exact_cost(problem)


def _scaled_columns(approximation, factors):
    return replace(approximation, kernel=Dense(approximation.kernel.array * factors))


class WidensDtype(Plain):
    def approximate(self, problem, *, rng):
        return replace(super().approximate(problem, rng=rng), values=problem.values.astype("f8"))


class DropsHeadAxis(Plain):
    def approximate(self, problem, *, rng):
        return super().approximate(replace(problem, q=problem.q[..., :2, :, :]), rng=rng)


class LiftsToWrongKeys(Plain):
    def approximate(self, problem, *, rng):
        backwards = Selection(np.arange(problem.n_k)[::-1].copy(), problem.n_k, problem.q)
        return replace(super().approximate(problem, rng=rng), expand=backwards)


class ReadsWeights(Plain):
    def approximate(self, problem, *, rng):
        problem.dense_weights()
        return super().approximate(problem, rng=rng)


class ReadsAllRows(Plain):
    def approximate(self, problem, *, rng):
        problem.rows(np.arange(problem.n_q))
        return super().approximate(problem, rng=rng)


@dataclass(frozen=True)
class IgnoresField(Plain):
    unused: int = 3


@dataclass(frozen=True)
class IgnoresInnerField(Plain):
    inner: IgnoresField = field(default_factory=IgnoresField)


@dataclass(frozen=True)
class HasEffectiveTile(Plain):
    tile: int = performance(8)

    def approximate(self, problem, *, rng):
        approximation = super().approximate(problem, rng=rng)
        return replace(approximation, values=approximation.values * (1 + 1e-6 * self.tile))


class GrowsConstants(Plain):
    def approximate(self, problem, *, rng):
        return replace(super().approximate(problem, rng=rng), values=problem.values * 1.01)


class LooksAhead(Plain):
    def approximate(self, problem, *, rng):
        leak = problem.values + 1e-6 * problem.values.mean(axis=-2, keepdims=True)
        return replace(super().approximate(problem, rng=rng), values=leak)


class OverlooksKey(Plain):
    def approximate(self, problem, *, rng):
        return _scaled_columns(super().approximate(problem, rng=rng), np.arange(problem.n_k) != 6)


class MixesBatch(Plain):
    def approximate(self, problem, *, rng):
        return replace(super().approximate(problem, rng=rng), values=problem.values - 1e-6 * problem.values.mean())


class NeedsFours(Plain):
    def approximate(self, problem, *, rng):
        problem.keys.reshape(*problem.keys.shape[:-2], problem.n_k // 4, 4, -1)
        return super().approximate(problem, rng=rng)


class SeesPadding(Plain):
    def approximate(self, problem, *, rng):
        return super().approximate(replace(problem, mask=masks.FullMask()), rng=rng)


class DrawsOnItsOwn(Plain):
    def approximate(self, problem, *, rng):
        return replace(
            super().approximate(problem, rng=rng), values=problem.values + np.random.default_rng().random() * 1e-12
        )


class ScalesTwice(Plain):
    def approximate(self, problem, *, rng):
        return super().approximate(replace(problem, scale=2 * problem.score_scale), rng=rng)


@dataclass(frozen=True)
class StaysCoarse(Plain):
    keys: int = budget(8)

    def approximate(self, problem, *, rng):
        half = np.arange(problem.n_k) < max(1, min(self.keys, problem.n_k // 2))
        return _scaled_columns(super().approximate(problem, rng=rng), half)


class CoarseWithoutBudget(Plain):
    def approximate(self, problem, *, rng):
        return _scaled_columns(super().approximate(problem, rng=rng), np.arange(problem.n_k) % 2 == 0)


class HidesItsMass(Plain):
    def approximate(self, problem, *, rng):
        approximation = super().approximate(problem, rng=rng)
        return replace(approximation, shift=np.zeros_like(approximation.shift))


class WeighsLongKeysLess(Plain):
    def approximate(self, problem, *, rng):
        lengths = (problem.keys**2).sum(axis=-1)[..., None, :]
        return _scaled_columns(super().approximate(problem, rng=rng), np.exp(-0.1 * lengths))


class Uncounted(Approximation):
    @property
    def bad_rows(self):
        return np.zeros_like(super().bad_rows)


class OverflowsUncounted(Plain):
    def approximate(self, problem, *, rng):
        scores = problem.block_scores(slice(0, problem.n_q), slice(0, problem.n_k))
        return Uncounted(Dense(np.exp(scores)), np.zeros_like(scores[..., 0]), problem.values)


class Centred(Approximation):
    def projected(self, ball):
        return ball.centre + 0 * self.output


class MovesAllToTheCentre(Plain):
    def approximate(self, problem, *, rng):
        found = super().approximate(problem, rng=rng)
        return Centred(**{f.name: getattr(found, f.name) for f in fields_of_a_dataclass(found)})


class PrefersLateKeys(Plain):
    def approximate(self, problem, *, rng):
        return _scaled_columns(super().approximate(problem, rng=rng), 1 + np.arange(problem.n_k))


class DrawsLateKeys(Plain):
    """Keeps each key with a probability that grows with its position."""

    def approximate(self, problem, *, rng):
        kept = rng.random(problem.n_k) < (1 + np.arange(problem.n_k)) / problem.n_k
        kept[-1] = True
        return _scaled_columns(super().approximate(problem, rng=rng), kept)


class HalvesPrecision(Plain):
    def approximate(self, problem, *, rng):
        approximation = super().approximate(problem, rng=rng)
        kernel = approximation.kernel.array
        if kernel.dtype != np.float32:
            return approximation
        return replace(approximation, kernel=Dense(np.round(kernel, 2)))


class CallsWithoutWidening(Plain):
    """Its call bypasses that of the base class, and with it the widening of halves."""

    def __call__(self, problem, *, rng=None):
        return self.approximate(problem, rng=rng)


class ForgetsHalves(Plain):
    """Gives float32 for float16."""

    def __call__(self, problem, *, rng=None):
        return replace(super().__call__(problem, rng=rng), dtype=None)


@dataclass(frozen=True)
class KeepsNumpyScalars(Plain):
    factor: Any = 1.0  # an annotation that converts nothing

    def approximate(self, problem, *, rng):
        return replace(super().approximate(problem, rng=rng), values=problem.values * self.factor)


class SquaresValues(Plain):
    def approximate(self, problem, *, rng):
        norm = np.sqrt(np.sum(problem.values * problem.values, axis=(-2, -1), keepdims=True))
        unit = problem.values / np.where(norm > 0, norm, 1)
        return replace(super().approximate(problem, rng=rng), values=unit * norm)


class ReadsKeySizes(Plain):
    def approximate(self, problem, *, rng):
        size = np.abs(problem.keys).max()
        return replace(super().approximate(problem, rng=rng), values=problem.values * (1 + min(size, 10.0)))


class ReadsMemoryOrder(Plain):
    def approximate(self, problem, *, rng):
        values = np.ravel(problem.values, order="K").reshape(problem.values.shape)
        return replace(super().approximate(problem, rng=rng), values=values)


class NeedsWritableKeys(Plain):
    def approximate(self, problem, *, rng):
        problem.k[..., :1, :1] += 0
        return super().approximate(problem, rng=rng)


class DividesByBatch(Plain):
    def __call__(self, problem, *, rng=None):
        share = 100 // int(np.prod(problem.q.shape[:-3]))
        return super().__call__(problem, rng=rng) if share else None


class LosesEmptyBatch(Plain):
    def __call__(self, problem, *, rng=None):
        if problem.q.size:
            return super().__call__(problem, rng=rng)
        return super().__call__(AttentionProblem(*(np.ones((4, 2, 8)) for _ in range(3))), rng=rng)


@dataclass(frozen=True)
class RefusesLargeBudgets(Plain):
    keys: int = budget(8)

    def approximate(self, problem, *, rng):
        if self.keys > problem.n_k:
            raise ValueError(f"keys {self.keys} exceed {problem.n_k}")
        return super().approximate(problem, rng=rng)


@dataclass(frozen=True)
class WrapsLargeBudgets(Plain):
    keys: int = budget(8)

    def approximate(self, problem, *, rng):
        kept = np.arange(problem.n_k) <= (self.keys - 1) % problem.n_k
        return _scaled_columns(super().approximate(problem, rng=rng), kept)


@dataclass(frozen=True)
class TakesBooleans(Plain):
    keys: int = budget(8)

    def with_budget(self, columns):
        return replace(self, keys=int(columns))


class KeptOutput(Approximation):
    @cached_property
    def output(self):
        return super().output


class FrozenMasses(Approximation):
    @property
    def log_mass(self):
        return np.broadcast_to(super().log_mass[..., :1], self.shift.shape)


class GivesItsCache(Plain):
    def approximate(self, problem, *, rng):
        plain = super().approximate(problem, rng=rng)
        return KeptOutput(**{f.name: getattr(plain, f.name) for f in fields_of_a_dataclass(plain)})


class GivesReadOnly(Plain):
    def approximate(self, problem, *, rng):
        plain = super().approximate(problem, rng=rng)
        return FrozenMasses(**{f.name: getattr(plain, f.name) for f in fields_of_a_dataclass(plain)})


@dataclass(frozen=True)
class KeepsBuffers(KeyMethod):
    def summarise(self, keys, *, probe=None, rng=None):
        return Buffers(keys.keys, keys.values, keys.scale)

    def cost(self, problem):
        return exact_cost(problem)


@dataclass(frozen=True, eq=False)
class Buffers(Summary):
    keys: Any
    values: Any
    scale: float

    @property
    def like(self):
        return self.values

    @property
    def nbytes(self):
        return self.keys.nbytes + self.values.nbytes

    @property
    def width(self):
        return self.keys.shape[-1]

    def approximate(self, queries):
        scores = queries * self.scale @ np.swapaxes(self.keys, -1, -2)
        shift = scores.max(axis=-1)
        return Approximation(Dense(np.exp(scores - shift[..., None])), shift, self.values)


class SharesScratch(Plain):
    scratch: ClassVar = {}

    def approximate(self, problem, *, rng):
        self.scratch["values"] = problem.values
        time.sleep(0.02)
        return replace(super().approximate(problem, rng=rng), values=self.scratch["values"])


class KnowsItsProcess(Plain):
    def approximate(self, problem, *, rng):
        return replace(super().approximate(problem, rng=rng), values=problem.values * (1 + 1e-9 * os.getpid()))


class EndsItsProcess(Plain):
    home: ClassVar = os.getpid()

    def approximate(self, problem, *, rng):
        if os.getpid() != self.home:
            raise RuntimeError("no context after fork")
        return super().approximate(problem, rng=rng)


BROKEN = [
    ("half", CallsWithoutWidening),
    ("half", ForgetsHalves),
    ("scalars", KeepsNumpyScalars),
    ("values", SquaresValues),
    ("balance", ReadsKeySizes),
    ("layouts", ReadsMemoryOrder),
    ("layouts", NeedsWritableKeys),
    ("empty", DividesByBatch),
    ("empty", LosesEmptyBatch),
    ("beyond", RefusesLargeBudgets),
    ("beyond", WrapsLargeBudgets),
    ("beyond", TakesBooleans),
    ("writable", GivesItsCache),
    ("writable", GivesReadOnly),
    ("buffers", KeepsBuffers),
    ("threads", SharesScratch),
    ("fork", KnowsItsProcess),
    ("fork", EndsItsProcess),
    ("output", WidensDtype),
    ("output", DropsHeadAxis),
    ("weights", LiftsToWrongKeys),
    ("implicit", ReadsWeights),
    ("implicit", ReadsAllRows),
    ("fields", IgnoresField),
    ("fields", IgnoresInnerField),
    ("fields", HasEffectiveTile),
    ("P1", GrowsConstants),
    ("P2", LooksAhead),
    ("P3", OverlooksKey),
    ("P4", MixesBatch),
    ("P5", NeedsFours),
    ("P5", SeesPadding),
    ("P6", DrawsOnItsOwn),
    ("P7", ScalesTwice),
    ("P8", StaysCoarse),
    ("P8", CoarseWithoutBudget),
    ("merge", HidesItsMass),
    ("P9", WeighsLongKeysLess),
    ("P10", OverflowsUncounted),
    ("projection", MovesAllToTheCentre),
    ("P11", PrefersLateKeys),
    ("P11", DrawsLateKeys),
    ("P12", HalvesPrecision),
]


@pytest.mark.parametrize(("law", "method"), BROKEN)
def test_a_method_that_breaks_a_law_is_rejected(law, method):
    with pytest.raises(ConformanceError, match=rf"{method.__name__} violates \d+ of its laws\n  {law} on "):
        check_method(method(), laws=[law])


def test_every_law_has_a_method_that_breaks_it():
    assert {law for law, _ in BROKEN} == {law.name for law in LAWS}


def test_an_exact_method_obeys_every_law():
    report = check_method(Plain())
    assert report.of("violated") == ()
    held = {finding.law for finding in report.of("holds")}
    # it has no budget and no summary
    assert {law.name for law in LAWS} - held == {"beyond", "buffers"}


def test_a_table_shows_laws_and_methods():
    table = conformance_table(
        {"Plain": Plain(), "Grows": _waiving(GrowsConstants, P9="said")}, laws=["P1", "P9", "buffers"]
    )
    assert table.splitlines() == [
        "| method | P1 | P9 | buffers |",
        "|---|---|---|---|",
        "| Plain | yes | yes | - |",
        "| Grows | NO | waived | - |",
    ]


def test_a_law_can_be_checked_on_problems_of_ones_own():
    family = gallery.problems()["needle"]
    report = check_method(Plain(), laws=["P1"], problems=[family], seeds=[3, 4])
    assert [finding.problem for finding in report.findings] == ["needle (seed 3)", "needle (seed 4)"]


def _waiving(method, **waives):
    return type(method.__name__, (method,), {"waives": waives})()


def test_a_waived_law_is_skipped():
    report = check_method(_waiving(GrowsConstants, P1="it grows"), laws=["P1"])
    assert [(finding.status, finding.detail) for finding in report.findings] == [("waived", "it grows")]


def test_a_waiver_is_shown_to_be_needed():
    report = check_method(_waiving(GrowsConstants, P1="it grows"), laws=["P1"], require_waived_violations=True)
    assert "really violated" in report.findings[0].detail


def test_a_waiver_that_is_not_needed_is_rejected():
    with pytest.raises(ConformanceError, match="remove the waiver"):
        check_method(_waiving(Plain, P1="no reason"), laws=["P1"], require_waived_violations=True)


def test_a_waiver_of_no_law_is_rejected():
    with pytest.raises(ConformanceError, match="no such law to waive"):
        check_method(_waiving(Plain, P99="a typing mistake"), laws=["P1"])


@dataclass(frozen=True)
class Wraps(Plain):
    method: JointMethod = field(default_factory=lambda: _waiving(GrowsConstants, P1="it grows"))

    def approximate(self, problem, *, rng):
        return self.method.approximate(problem, rng=rng)


def test_a_law_that_the_method_inside_waives_is_skipped():
    report = check_method(Wraps(), laws=["P1"], require_waived_violations=True)
    assert [finding.detail for finding in report.of("waived")] == ["GrowsConstants inside waives it: it grows"]
    with pytest.raises(ConformanceError):
        check_method(Wraps(GrowsConstants()), laws=["P1"])


def test_a_field_can_be_waived_by_name():
    check_method(
        type("Waiving", (IgnoresField,), {"waives": {"fields.unused": "kept for old files"}})(), laws=["fields"]
    )


@dataclass(frozen=True)
class TakesText(Plain):
    how: str = "plainly"

    def approximate(self, problem, *, rng):
        factor = 1.0 if self.how == "plainly" else 2.0
        return replace(super().approximate(problem, rng=rng), values=factor * problem.values)


def test_a_field_whose_values_are_unknown_asks_for_alternatives():
    with pytest.raises(ConformanceError, match="alternatives=.*how"):
        check_method(TakesText(), laws=["fields"])
    check_method(TakesText(), laws=["fields"], alternatives={"how": ("otherwise",)})


class Raises(Plain):
    def approximate(self, problem, *, rng):
        raise ZeroDivisionError("no luck")


def test_an_exception_is_a_finding():
    with pytest.raises(ConformanceError, match="ZeroDivisionError: no luck"):
        check_method(Raises(), laws=["P1"])


def test_unknown_laws_and_classes_are_refused():
    with pytest.raises(ValueError, match="there is no law P99; there are output"):
        check_method(Plain(), laws=["P99"])
    with pytest.raises(TypeError, match="instance of AttentionMethod"):
        check_method(Plain)


# --- sketches ----------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Unscaled(Sketch):
    def draw(self, n, size, *, rng, like):
        return Dense(1.1 * Gaussian().draw(n, size, rng=rng, like=like).array)


@dataclass(frozen=True)
class Correlated(Sketch):
    def draw(self, n, size, *, rng, like):
        array = Gaussian().draw(n, size, rng=rng, like=like).array
        return Dense(np.concatenate([array[:1], array[:1], array[2:]]))


@dataclass(frozen=True)
class Seedless(Sketch):
    def draw(self, n, size, *, rng, like):
        return Gaussian().draw(n, size, rng=np.random.default_rng(0), like=like)


@dataclass(frozen=True)
class Wide(Sketch):
    def draw(self, n, size, *, rng, like):
        return Gaussian().draw(n, size, rng=rng, like=np.zeros(0))


@dataclass(frozen=True)
class Thin(Sketch):
    def draw(self, n, size, *, rng, like):
        return Gaussian().draw(n, size - 1, rng=rng, like=like)


@dataclass(frozen=True)
class NumpyScaled(Sketch):
    """Keeps sizes as it is given them, so that a NumPy integer makes float64 of float32."""

    def draw(self, n, size, *, rng, like):
        for number in (n, size):
            if isinstance(number, (bool, float)):
                raise TypeError("an integer is needed")
        array = Gaussian().draw(n, size, rng=rng, like=like).array
        return Dense(array * (size / int(size)))


@dataclass(frozen=True)
class Halving(Sketch):
    """Draws halves."""

    def draw(self, n, size, *, rng, like):
        array = Gaussian().draw(n, size, rng=rng, like=np.zeros(0, "f4")).array
        return Dense(array.astype(like.dtype))


@dataclass(frozen=True)
class BrokenAdjoint(Sketch):
    def draw(self, n, size, *, rng, like):
        array = Gaussian().draw(n, size, rng=rng, like=like).array
        return type("Broken", (Dense,), {"_rmatmul": lambda self, y: -self.array.mT @ y})(array)


@pytest.mark.parametrize(
    ("law", "sketch"),
    [
        ("isotropy", Unscaled()),
        ("isotropy", Correlated()),
        ("rng", Seedless()),
        ("draw", Wide()),
        ("draw", Thin()),
        ("structure", BrokenAdjoint()),
        ("scalars", NumpyScaled()),
        ("half precision", Halving()),
    ],
)
def test_a_sketch_that_breaks_a_law_is_rejected(law, sketch):
    with pytest.raises(ConformanceError, match=f"  {law} on "):
        check_sketch(sketch)


def test_a_sound_sketch_is_accepted(seed):
    assert check_sketch(Gaussian(), seed=seed).of("violated") == ()


# --- decompositions ----------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Inner(Decomposition):
    """Truncates as STHOSVD does; the others change one thing."""

    inner: STHOSVD = field(default_factory=STHOSVD)

    def decompose(self, tensor, *, rng):
        return self.changed(self.inner(tensor), tensor)

    def changed(self, result, tensor):
        return result

    def with_rank(self, rank, sizes):
        return replace(self, inner=self.inner.with_rank(rank, sizes))

    def _require_fit(self, tensor):
        self.inner._require_fit(tensor)


class LosesRank(Inner):
    def with_rank(self, rank, sizes):
        return super().with_rank(1 if rank > 10 else rank, sizes)


class NeverImproves(Inner):
    def with_rank(self, rank, sizes):
        return super().with_rank(2, sizes)


class Certifies(Inner):
    def changed(self, result, tensor):
        return replace(result, discarded=result.discarded / 2)


class Skews(Inner):
    def changed(self, result, tensor):
        return replace(result, core=result.core / 2, factors=(2 * result.factors[0], *result.factors[1:]))


class Widens(Inner):
    def changed(self, result, tensor):
        return replace(result, core=result.core.astype("f8"))


class Blends(Inner):
    def changed(self, result, tensor):
        return replace(result, core=result.core * (1 + 1e-6 * np.mean(tensor)))


class Wanders(Inner):
    def changed(self, result, tensor):
        return replace(result, core=result.core * (1 + 1e-9 * np.random.default_rng().random()))


class _Confused(TuckerTensor):
    def as_matrix(self, rows, columns):
        return (
            super().as_matrix(columns, rows).mT if rows == (0,) else Dense(-super().as_matrix(rows, columns).to_dense())
        )

    @classmethod
    def from_tensorly(cls, tensor):
        return TuckerTensor(2 * tensor[0], tuple(tensor[1]))


class Confuses(Inner):
    def changed(self, result, tensor):
        return _Confused(result.core, result.factors)


@pytest.mark.parametrize(
    ("law", "decomposition"),
    [
        ("recovery", NeverImproves()),
        ("full rank", LosesRank()),
        ("progress", NeverImproves()),
        ("certificate", Certifies()),
        ("orthonormality", Skews()),
        ("unpacking", Confuses()),
        ("matrix", Confuses()),
        ("precision", Widens()),
        ("batch", Blends()),
        ("seed", Wanders()),
    ],
)
def test_a_decomposition_that_breaks_a_law_is_rejected(law, decomposition):
    with pytest.raises(ConformanceError, match=f"  {law} on "):
        check_decomposition(decomposition, laws=[law])


def test_a_sound_decomposition_is_accepted():
    assert check_decomposition(Inner()).of("violated") == ()
    with pytest.raises(ValueError, match="there is no law P1"):
        check_decomposition(Inner(), laws=["P1"])


def test_values_of_fields_come_from_the_package_of_their_type():
    """Classes imported by other packages, such as an exhaustive search of a theorem, are not tried as alternatives."""

    class Elsewhere(Gaussian):
        pass

    assert Elsewhere in Gaussian.__subclasses__()
    assert list(fields._descendants(Gaussian)) == [Gaussian]
