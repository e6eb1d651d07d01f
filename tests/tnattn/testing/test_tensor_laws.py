"""Each law of decompositions on unusual input catches a decomposition that breaks it, and only for that reason."""

import os
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, fields, replace

import numpy as np
import pytest

from tnattn.decomposition import base
from tnattn.decomposition.tucker.hooi import HOOI, FittedTucker
from tnattn.decomposition.tucker.partial_tucker import TruncatedPartialTucker
from tnattn.decomposition.tucker.shared_factors import SharedFactors, SharedTucker
from tnattn.decomposition.tucker.st_hosvd import STHOSVD
from tnattn.discovery import subclasses
from tnattn.structured.tucker import TuckerTensor
from tnattn.testing import tensor_robustness
from tnattn.testing.report import NotApplicable, Violation
from tnattn.testing.tensor_arguments import ARGUMENTS
from tnattn.testing.tensor_robustness import ROBUSTNESS
from tnattn.testing.tensor_trial import SHAPE, TensorTrial

LAWS = {**ARGUMENTS, **ROBUSTNESS}


@dataclass(frozen=True)
class Behaves:
    """STHOSVD; the others change one thing."""

    inner: object = STHOSVD()
    order: int = 3
    recovers_rank = True
    recovery = 1e-6
    lowers_rank = False
    reads_entries = False
    exact_at_full_rank = True
    certifies = True
    residual_is = "the error"
    quasi_optimal = True

    def with_rank(self, rank, sizes):
        return replace(self, inner=self.inner.with_rank(rank, sizes))

    def __call__(self, tensor, *, rng=None):
        return self.inner(tensor, rng=rng)


class ForgetsItsCertificate(FittedTucker):
    degrees = TuckerTensor.degrees


class ForgetsToScale(HOOI):
    def decompose(self, tensor, *, rng):
        found = super().decompose(tensor, rng=rng)
        return ForgetsItsCertificate(**{f.name: getattr(found, f.name) for f in fields(found)})


class ForgetsItsMembers(SharedTucker):
    degrees = TruncatedPartialTucker.degrees


class ForgetsMembers(SharedFactors):
    def decompose(self, tensor, *, rng):
        found = super().decompose(tensor, rng=rng)
        return ForgetsItsMembers(**{f.name: getattr(found, f.name) for f in fields(found)})


class ScalesNoCertificate(Behaves):
    """Declared, but what was computed for the scaled tensor."""

    def __call__(self, tensor, *, rng=None):
        found = HOOI(ranks=self.inner.ranks)(tensor)
        return replace(found, error_certificate=found.residual)


class Overflows(Behaves):
    def __call__(self, tensor, *, rng=None):
        found = self.inner(tensor / 8)
        with np.errstate(over="ignore"):
            return replace(found, core=8 * found.core, discarded=8 * found.discarded)


class RefusesWithoutAName(Behaves):
    def __call__(self, tensor, *, rng=None):
        if np.abs(tensor).max() > 1e30:
            raise ValueError("too large")
        return self.inner(tensor)


class TakesBooleans(Behaves):
    def with_rank(self, rank, sizes):
        return super().with_rank(int(rank), sizes)


class TakesFractions(Behaves):
    def with_rank(self, rank, sizes):
        return super().with_rank(min(rank, 6), sizes)


@dataclass(frozen=True)
class KeepsNumbers(Behaves):
    ranks: object = 2

    def with_rank(self, rank, sizes):
        return replace(super().with_rank(rank, sizes), ranks=self.ranks)


@dataclass(frozen=True)
class LowersRanks(Behaves):
    rank: int = 2

    def with_rank(self, rank, sizes):
        return replace(self, rank=int(rank))

    def __call__(self, tensor, *, rng=None):
        return self.inner.with_rank(self.rank, tensor.shape)(tensor)


class ReadsMemory(Behaves):
    def __call__(self, tensor, *, rng=None):
        return self.inner(np.reshape(tensor.ravel(order="K"), tensor.shape))


class IgnoresMasks(Behaves):
    def __call__(self, tensor, *, rng=None):
        return self.inner(np.asarray(tensor))


class SharesWithItself(Behaves):
    def __call__(self, tensor, *, rng=None):
        found = self.inner(tensor)
        return replace(found, discarded=found.core.reshape(-1)[:3])


class KeepsACache(Behaves):
    cache = {}

    def __call__(self, tensor, *, rng=None):
        key = (tensor.tobytes(), self.inner)
        if key not in self.cache:
            self.cache[key] = self.inner(tensor)
        return self.cache[key]


class FlattensEmptyStacks(Behaves):
    def __call__(self, tensor, *, rng=None):
        return self.inner(np.zeros(SHAPE) if tensor.size == 0 else tensor)


class RefusesEmptyStacksBadly(Behaves):
    def __call__(self, tensor, *, rng=None):
        if tensor.size == 0:
            raise ValueError("bad input")
        return self.inner(tensor)


class DividesByTheNorm(Behaves):
    def __call__(self, tensor, *, rng=None):
        with np.errstate(invalid="ignore"):
            return replace(found := self.inner(tensor), discarded=found.discarded / np.linalg.norm(tensor))


class IsWorseThanNothing(Behaves):
    def __call__(self, tensor, *, rng=None):
        found = self.inner(tensor)
        return replace(found, core=-found.core)


class LosesATie(Behaves):
    def __call__(self, tensor, *, rng=None):
        return STHOSVD(ranks=1)(tensor) if np.sum(tensor != 0) == 2 else self.inner(tensor)


class UnderstatesErrors(Behaves):
    def __call__(self, tensor, *, rng=None):
        found = self.inner(tensor)
        return replace(found, discarded=found.discarded / 2)


class Scratches(Behaves):
    """Every call writes to one place, and reads from it later."""

    place = []

    def __call__(self, tensor, *, rng=None):
        self.place[:] = [tensor]
        time.sleep(1e-3)
        return self.inner(self.place[0])


class HoldsThreads(Behaves):
    pool = ThreadPoolExecutor(1)

    def __call__(self, tensor, *, rng=None):
        return self.pool.submit(self.inner, tensor).result()


class DiesInChildren(Behaves):
    parent = os.getpid()

    def __call__(self, tensor, *, rng=None):
        if os.getpid() != self.parent:
            os._exit(3)
        return self.inner(tensor)


class TakesHalf(Behaves):
    def __call__(self, tensor, *, rng=None):
        return self.inner(tensor.astype("f4") if tensor.dtype == np.float16 else tensor)


class TakesComplex(Behaves):
    def __call__(self, tensor, *, rng=None):
        return self.inner(tensor.real if np.iscomplexobj(tensor) else tensor)


class TakesIntegers(Behaves):
    def __call__(self, tensor, *, rng=None):
        return self.inner(
            tensor.astype(float) if hasattr(tensor.dtype, "kind") and tensor.dtype.kind in "iub" else tensor
        )


class TakesHoles(Behaves):
    def __call__(self, tensor, *, rng=None):
        return self.inner(np.nan_to_num(tensor) if hasattr(tensor.dtype, "kind") else tensor)


class RefusesByTheWrongName(Behaves):
    def __call__(self, tensor, *, rng=None):
        if tensor.dtype != np.float64:
            raise TypeError("this tensor will not do")
        return self.inner(tensor)


@pytest.mark.parametrize(
    ("law", "decomposition", "words"),
    [
        ("scale", ForgetsToScale(), "error_certificate .* times the power; name it in `degrees`"),
        ("scale", ForgetsMembers(), "member_errors .* is not that of the tensor; name it in `degrees`"),
        ("scale", ScalesNoCertificate(), "error_certificate .* times the power"),
        ("scale", Overflows(), "not finite, without a refusal"),
        ("scale", RefusesWithoutAName(), "does not name float"),
        ("scalars", TakesBooleans(), r"with_rank\(True, ...\) is not refused"),
        ("scalars", TakesFractions(), r"with_rank\(1000000.0, ...\) is not refused"),
        ("scalars", KeepsNumbers(), "is kept as it is"),
        ("demand", LowersRanks(), "rank above those of the tensor is not refused"),
        ("layout", ReadsMemory(), "a Fortran-ordered .* differs"),
        ("layout", IgnoresMasks(), "a masked array is not refused"),
        ("ownership", SharesWithItself(), "discarded changed when another array"),
        ("ownership", KeepsACache(), "writing to a result has changed"),
        ("empty batch", FlattensEmptyStacks(), "gives the shape"),
        ("empty batch", RefusesEmptyStacksBadly(), "refused without its shape"),
        ("degenerate", DividesByTheNorm(), r"\(zero\) gives numbers that are not finite"),
        ("degenerate", IsWorseThanNothing(), "is above its norm"),
        ("degenerate", LosesATie(), "tied values"),
        ("degenerate", UnderstatesErrors(), r"the certificate of .* \(graded\) is below its error"),
        ("threads", Scratches(), "another thread"),
        ("fork", HoldsThreads(), "has not answered within 1 s"),
        ("fork", DiesInChildren(), "ended without a result"),
        ("refusal", TakesHalf(), "a float16 tensor is not refused"),
        ("refusal", TakesComplex(), "a complex64 tensor is not refused"),
        ("refusal", TakesIntegers(), "a int8 tensor is not refused"),
        ("refusal", TakesHoles(), "a tensor with nan is not refused"),
        ("refusal", RefusesByTheWrongName(), "does not say 'float16'"),
    ],
    ids=lambda value: None if isinstance(value, str) else type(value).__name__,
)  # fmt: skip
def test_a_decomposition_that_breaks_a_law_is_caught(monkeypatch, law, decomposition, words):
    monkeypatch.setattr(tensor_robustness, "FORK_SECONDS", 1.0)
    with pytest.raises(Violation, match=words):
        LAWS[law](TensorTrial(decomposition, 0))


@pytest.mark.parametrize("law", [law for law in LAWS if law not in ("demand", "scalars")])
def test_one_that_breaks_none_is_not(law):
    LAWS[law](TensorTrial(Behaves(), 0))


# what is read by entries is an array of its own
GIVEN_ARRAYS = [c() for c in subclasses("tnattn.decomposition", base.Decomposition).values() if not c.reads_entries]


@pytest.mark.parametrize("decomposition", GIVEN_ARRAYS, ids=repr)
def test_a_result_that_is_not_copied_breaks_the_law_of_ownership(monkeypatch, decomposition):
    """The copies at the end of the call are needed."""
    monkeypatch.setattr(base, "restored_tensor", lambda result, exponent: result)
    with pytest.raises(Violation, match="read-only, or a view|has changed|changed when|no plain"):
        LAWS["ownership"](TensorTrial(decomposition, 0))


def test_a_tensor_that_is_not_scaled_breaks_the_law_of_scales(monkeypatch):
    """The scaling at the start of the call is needed."""
    monkeypatch.setattr(base, "scaled", lambda tensor, order: (tensor, np.zeros(tensor.shape[: tensor.ndim - order])))
    with pytest.raises((Violation, ValueError, np.linalg.LinAlgError)), np.errstate(all="ignore"):
        LAWS["scale"](TensorTrial(STHOSVD(), 0))


def test_a_rank_that_is_a_limit_is_no_demand():
    class Lowers(LowersRanks):
        lowers_rank = True

    with pytest.raises(NotApplicable, match="an upper bound"):
        LAWS["demand"](TensorTrial(Lowers(), 0))
