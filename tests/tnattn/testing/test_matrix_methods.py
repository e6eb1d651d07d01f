"""Every law of matrix methods catches a method made to break it, and lets an honest one pass."""

import dataclasses
import os
import threading
from typing import ClassVar

import numpy as np
import pytest
import scipy.sparse

from tnattn.arrays import array_namespace
from tnattn.randnla.base import MatrixMethod, rank_budget
from tnattn.randnla.low_rank.qb import QBResult
from tnattn.randnla.low_rank.randomized_svd import RandomizedSVDResult
from tnattn.randnla.units import Unit
from tnattn.structured.host_operator import HostOperator
from tnattn.structured.low_rank import LowRank
from tnattn.testing import ConformanceError
from tnattn.testing.matrix_accuracy import ACCURACY
from tnattn.testing.matrix_arguments import ARGUMENTS
from tnattn.testing.matrix_methods import MATRIX_LAWS, check_matrix_method
from tnattn.testing.matrix_robustness import ROBUSTNESS, sparse_forms
from tnattn.testing.matrix_trial import MatrixTrial


def truncated(a, rank):
    u, s, vt = np.linalg.svd(a.to_dense(), full_matrices=False)
    return u[..., :rank].copy(), s[..., :rank].copy(), vt[..., :rank, :].copy()


@dataclasses.dataclass(frozen=True)
class Honest(MatrixMethod):
    """Truncates, and states its residual."""

    rank: int = rank_budget(4)

    def factorise(self, a, *, rng):
        if self.rank > min(a.shape[-2:]):
            raise ValueError(f"rank {self.rank} exceeds min(m, n)")
        if self.rank < 1:
            raise ValueError(f"rank is {self.rank}")
        return self.changed(RandomizedSVDResult(*truncated(a, self.rank)), a, rng)

    def __post_init__(self):
        if self.rank < 1:
            raise ValueError(f"rank is {self.rank}; a positive number is needed")

    def changed(self, result, a, rng):
        return result


@dataclasses.dataclass(frozen=True)
class Doubled(Honest):
    """Results in float64 for every dtype of the matrix."""

    def changed(self, result, a, rng):
        return dataclasses.replace(result, s=result.s.astype(np.float64))


@dataclasses.dataclass(frozen=True)
class Wasteful(Honest):
    """Keeps one triple fewer than it may."""

    def changed(self, result, a, rng):
        s = result.s.copy()
        s[..., -1] = 0
        return dataclasses.replace(result, s=s)


@dataclasses.dataclass(frozen=True)
class Stuck(Honest):
    """Two triples at every rank."""

    exact_at_full_rank: ClassVar = False

    def changed(self, result, a, rng):
        s = result.s.copy()
        s[..., 2:] = 0
        return dataclasses.replace(result, s=s)


@dataclasses.dataclass(frozen=True)
class Boastful(Honest):
    """States a tenth of its residual."""

    factor: float = 0.1

    def changed(self, result, a, rng):
        gap = a.to_dense() - result.to_dense()
        size = np.linalg.norm(a.to_dense(), axis=(-2, -1))
        residual = np.linalg.norm(gap, axis=(-2, -1)) / np.where(size > 0, size, 1)
        ranks = np.full(residual.shape, self.rank)
        residual = np.asarray(self.factor * residual, a.dtype)
        return dataclasses.replace(result, ranks=ranks, residual=residual, converged=residual < 0.1)


@dataclasses.dataclass(frozen=True)
class Unseeded(Honest):
    """Draws from a generator of its own."""

    def changed(self, result, a, rng):
        noise = 1e-12 * np.random.default_rng().standard_normal(result.s.shape)
        return dataclasses.replace(result, s=(result.s * (1 + noise)).astype(a.dtype))


@dataclasses.dataclass(frozen=True)
class Sociable(Honest):
    """Mixes the matrices of a stack."""

    def changed(self, result, a, rng):
        return dataclasses.replace(result, s=(result.s + 1e-3 * result.s.mean()).astype(a.dtype)) if a.batch else result


@dataclasses.dataclass(frozen=True)
class Coarse(Honest):
    """Loses half of the digits of float32."""

    def changed(self, result, a, rng):
        if a.dtype == np.float64:
            return result
        return dataclasses.replace(result, vt=np.round(result.vt, 1))


@dataclasses.dataclass(frozen=True)
class Raw(Honest):
    """Keeps the number it is given."""

    shift: float = 0.0

    def __post_init__(self):
        if self.rank < 1:
            raise ValueError(f"rank is {self.rank}; a positive number is needed")
        object.__setattr__(self, "shift", np.float64(self.shift))


@dataclasses.dataclass(frozen=True)
class Clipping(Honest):
    """Lowers a rank that is too large without a word."""

    def factorise(self, a, *, rng):
        return RandomizedSVDResult(*truncated(a, min(self.rank, *a.shape[-2:])))


class Unchecked(Honest):
    """Takes what it is given, without the checks of the base."""


def unchecked(method, a, *, rng=None):
    """Run a method on a bare array, without the checks of the base."""
    if scipy.sparse.issparse(a) or not isinstance(a, np.ndarray):
        return LowRank(np.asarray(a.toarray() if hasattr(a, "toarray") else a), np.eye(a.shape[-1]))
    rank = max(1, min(method.rank, *a.shape[-2:]))
    u, s, vt = np.linalg.svd(np.nan_to_num(np.asarray(a, np.float64)), full_matrices=False)
    return RandomizedSVDResult(u[..., :rank], s[..., :rank], vt[..., :rank, :])


@dataclasses.dataclass(frozen=True)
class Careless(Honest):
    __call__ = unchecked


@dataclasses.dataclass(frozen=True)
class Brittle(Honest):
    """Divides a stack by its length."""

    def __call__(self, a, *, rng=None):
        if isinstance(a, np.ndarray) and a.ndim > 2:
            1 // len(a)
        return super().__call__(a, rng=rng)


@dataclasses.dataclass(frozen=True)
class Absolute(Honest):
    """Drops singular values below an absolute size."""

    def __call__(self, a, *, rng=None):
        result = super().__call__(a, rng=rng)
        return dataclasses.replace(result, s=np.where(result.s > 1e-7, result.s, 0).astype(result.s.dtype))


class Forgetful(QBResult):
    """Declares that no field of its result scales with the matrix."""

    degrees: ClassVar = {}


@dataclasses.dataclass(frozen=True)
class Unscaled(Honest):
    def changed(self, result, a, rng):
        return Forgetful(result.u, result.s[..., None] * result.vt)


@dataclasses.dataclass(frozen=True)
class InOrder(Honest):
    """Believes that memory is in order."""

    def __call__(self, a, *, rng=None):
        if isinstance(a, np.ndarray) and not a.flags.c_contiguous:
            a = np.ascontiguousarray(a).copy(order="C") * 1.001
        return super().__call__(a, rng=rng)


@dataclasses.dataclass(frozen=True)
class Literal(Honest):
    """Reads the last of the numbers that are stored for an entry."""

    def __call__(self, a, *, rng=None):
        if scipy.sparse.issparse(a):
            entries = a.tocoo()
            dense = np.zeros(a.shape, a.dtype)
            dense[entries.row, entries.col] = entries.data
            a = dense
        return super().__call__(a, rng=rng)


@dataclasses.dataclass(frozen=True)
class Shared(Honest):
    """Gives out an array that it keeps."""

    def changed(self, result, a, rng):
        return dataclasses.replace(result, s=_kept.setdefault((a.shape, a.dtype), result.s))


@dataclasses.dataclass(frozen=True)
class Frozen(Honest):
    """Gives out views that cannot be written to."""

    def changed(self, result, a, rng):
        return dataclasses.replace(result, vt=np.broadcast_to(result.vt, result.vt.shape))


@dataclasses.dataclass(frozen=True)
class Dividing(Honest):
    """Divides by the largest singular value, zero or not."""

    def changed(self, result, a, rng):
        with np.errstate(all="ignore"):
            return dataclasses.replace(result, s=result.s / result.s[..., :1] * result.s[..., :1])


@dataclasses.dataclass(frozen=True)
class Stateful(Honest):
    """Remembers the last matrix between its steps."""

    def factorise(self, a, *, rng):
        _kept["last"] = a
        _gap.wait(0.005)
        return RandomizedSVDResult(*truncated(_kept["last"], self.rank))


@dataclasses.dataclass(frozen=True)
class Parental(Honest):
    """Works in the process that imported it only."""

    def changed(self, result, a, rng):
        return result if os.getpid() == _home else dataclasses.replace(result, s=2 * result.s)


_kept: dict = {}
_gap = threading.Event()
_home = os.getpid()

BREAKERS = {
    "result": Doubled(),
    "full rank": Wasteful(),
    "progress": Stuck(),
    "residual": Boastful(),
    "seed": Unseeded(),
    "batch": Sociable(),
    "precision": Coarse(),
    "scalars": Raw(),
    "demand": Clipping(),
    "empty batch": Brittle(),
    "refusal": Careless(),
    "scale": Absolute(),
    "layout": InOrder(),
    "sparse": Literal(),
    "ownership": Shared(),
    "degenerate": Dividing(),
    "threads": Stateful(),
    "fork": Parental(),
}


@pytest.mark.parametrize("seed", [0, 1])
def test_an_honest_method_obeys_all_laws(seed):
    report = check_matrix_method(Honest(), seed=seed)
    assert report.of("violated") == ()
    assert check_matrix_method(Boastful(factor=1.0), laws=["residual"]).of("holds")


@pytest.mark.parametrize("law", MATRIX_LAWS)
def test_every_law_catches_a_method_that_breaks_it(law):
    with pytest.raises(ConformanceError, match=f"  {law} on "):
        check_matrix_method(BREAKERS[law], laws=[law])


# a method that breaks one law alone: what is caught is what was broken
ALONE = ["full rank", "residual", "demand", "sparse", "scale", "fork"]


@pytest.mark.parametrize("law", ALONE)
def test_other_laws_let_it_pass(law):
    others = [name for name in MATRIX_LAWS if name != law]
    assert check_matrix_method(BREAKERS[law], laws=others).of("violated") == ()


def test_results_that_do_not_say_what_scales_are_caught():
    with pytest.raises(ConformanceError, match="scale on .* is not that of the matrix times the power"):
        check_matrix_method(Unscaled(), laws=["scale"])


def test_views_that_cannot_be_written_to_are_caught():
    with pytest.raises(ConformanceError, match="ownership on .*vt is read-only"):
        check_matrix_method(Frozen(), laws=["ownership"])


def test_a_law_that_does_not_exist_is_named():
    with pytest.raises(ValueError, match="there is no law P1"):
        check_matrix_method(Honest(), laws=["P1"])
    with pytest.raises(TypeError, match="must be an instance of MatrixMethod"):
        check_matrix_method(Honest)
    assert MATRIX_LAWS == ACCURACY | ARGUMENTS | ROBUSTNESS
    assert set(BREAKERS) == set(MATRIX_LAWS)


@pytest.mark.parametrize("domain", ["any", "symmetric", "semidefinite"])
def test_matrices_are_of_the_domain(domain):
    method = type("Special", (Honest,), {"domain": domain})()
    a = MatrixTrial(method, 0).matrix(2)
    if domain == "any":
        assert a.shape[-1] != a.shape[-2]
        return
    np.testing.assert_array_equal(a, np.swapaxes(a, -1, -2))
    assert (np.linalg.eigvalsh(a).min() < -1e-3) == (domain == "symmetric")


def test_sparse_forms_store_duplicates():
    a = np.arange(1.0, 25).reshape(4, 6)
    forms = dict(sparse_forms(a))
    assert len(forms) == 14
    assert sum(form.nnz > a.size for form in forms.values()) == 8
    for form in forms.values():
        np.testing.assert_allclose(HostOperator(form).to_dense(), a)


def test_a_unit_is_exact_over_the_whole_range():
    for dtype, powers in (("float32", range(-148, 127, 2)), ("float64", range(-1074, 1023, 2))):
        one = np.ones((), dtype)
        for power in powers:
            unit = Unit(np.asarray(power, dtype))
            assert unit.restored(one, name="x") == np.ldexp(one, power)
            assert array_namespace(one).isfinite(unit.restored(one, name="x"))
