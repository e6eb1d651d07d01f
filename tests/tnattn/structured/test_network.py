"""Norms of networks: no square overflows, no digit is lost where terms cancel, and every kind of entry is real."""

import numpy as np
import pytest

from tnattn.arrays import to_host
from tnattn.structured import (
    BlockSparse,
    Dense,
    Diagonal,
    KhatriRao,
    Kronecker,
    KroneckerSum,
    LowRank,
    Selection,
    Sparse,
    TTMatrix,
    network,
)
from tnattn.structured.block_term import BlockTermTensor
from tnattn.structured.cp import CPTensor
from tnattn.structured.partial_tucker import PartialTuckerTensor
from tnattn.structured.tensor_train import TensorTrain
from tnattn.structured.transform import Cosine, SubsampledTransform
from tnattn.structured.tucker import TuckerTensor

both = pytest.mark.parametrize("dtype", ["float32", "float64"])


def normal(*shape):
    return np.random.default_rng(sum(shape)).standard_normal(shape)


def train(seed=0, order=5, n=6, rank=3):
    rng = np.random.default_rng(seed)
    bonds = [1, *[rank] * (order - 1), 1]
    return TensorTrain(tuple(rng.standard_normal((bonds[j], n, bonds[j + 1])) for j in range(order)))


# the parts of a tensor, and the tensor of parts
TENSORS = {
    "tucker": ((normal(2, 3, 2), normal(5, 2), normal(6, 3), normal(4, 2)), lambda c, *u: TuckerTensor(c, u)),
    "cp": ((normal(3), normal(5, 3), normal(6, 3), normal(2, 3)), lambda w, *u: CPTensor(w, u)),
    "train": ((normal(1, 5, 3), normal(3, 6, 2), normal(2, 4, 1)), lambda *cores: TensorTrain(cores)),
    "block term": (
        (normal(2, 2, 3, 2), normal(2, 9, 2), normal(2, 4, 3), normal(2, 5, 2)),
        lambda c, *u: BlockTermTensor(c, u),
    ),
    "partial": ((normal(4, 3, 2), normal(7, 4), normal(6, 2)), lambda c, *u: PartialTuckerTensor(c, u, (0, 2), 3)),
}
every_tensor = pytest.mark.parametrize("kind", TENSORS)


def test_the_norm_of_huge_times_tiny_is_what_it_is():
    one = np.ones((2, 1))
    tensor = TuckerTensor(np.full((1, 1, 1), 1e200), (1e-200 * one, one, one))
    assert tensor.norm() == pytest.approx(8**0.5, rel=1e-15)


@every_tensor
@both
@pytest.mark.parametrize("exponents", [(100, -100), (-100, 100), (120, 0), (-100, 0), (60, 60), (-60, -40)])
def test_norms_hold_over_the_range_of_the_dtype(xp, kind, dtype, exponents):
    """Exponents of the first two parts; those of float64 are eight times as large. Squares of many overflow."""
    dtype = dtype if xp.dtype == "float64" else "float32"
    parts, make = TENSORS[kind]
    factor = 8 if dtype == "float64" else 1
    moved = [xp.asarray(part.astype(dtype)) for part in parts]
    plain = to_host(make(*moved).norm()).astype(np.longdouble)
    first, second = (xp.asarray(np.asarray(2.0 ** (e * factor), dtype)) for e in exponents)
    scaled = to_host(make(moved[0] * first, moved[1] * second, *moved[2:]).norm())
    expected = np.ldexp(plain, factor * sum(exponents))
    np.testing.assert_allclose(scaled.astype(np.longdouble), expected, rtol=1e2 * np.finfo(dtype).eps)
    assert scaled.dtype == dtype


def test_the_norm_of_a_difference_keeps_its_digits():
    """Trains and canonical tensors 1e-10 apart; the squares, the control, know nothing of it."""
    a, small = train(0), 1e-10 * train(1)
    difference = (a + small) - a
    assert difference.norm() == pytest.approx(float(small.norm()), rel=1e-5)
    square = a.inner(a) + (a + small).inner(a + small) - 2 * a.inner(a + small)
    assert abs(np.sqrt(abs(square)) / small.norm() - 1) > 0.1
    u = [normal(7 + j, 3) for j in range(3)]
    apart = [x + 1e-10 * normal(*x.shape, 1)[..., 0] for x in u]
    tensor = CPTensor(np.r_[np.ones(3), -np.ones(3)], tuple(np.hstack(pair) for pair in zip(u, apart, strict=True)))
    wide = [x.astype(np.longdouble) for x in tensor.factors]
    exact = np.sqrt((np.einsum("r,ir,jr,kr->ijk", tensor.weights.astype(np.longdouble), *wide) ** 2).sum())
    assert tensor.norm() == pytest.approx(float(exact), rel=1e-5)


def test_a_tensor_too_large_to_form_is_contracted_with_itself(monkeypatch):
    parts, make = TENSORS["cp"]
    tensor = make(*parts)
    formed = tensor.norm()
    monkeypatch.setattr(network, "_FORMED", 0)
    assert tensor.norm() == pytest.approx(float(formed), rel=1e-12)
    huge = make(1e200 * parts[0], 1e-300 * parts[1], *parts[2:])
    assert huge.norm() == pytest.approx(1e-100 * float(formed), rel=1e-12)


def test_long_trains_neither_overflow_nor_vanish():
    long = TensorTrain(tuple(np.full((1, 2, 1), 1e30) for _ in range(20)))
    assert np.isinf(long.norm())
    mixed = TensorTrain(tuple(np.full((1, 2, 1), 10.0 ** (30 if j < 10 else -30)) for j in range(20)))
    assert mixed.norm() == pytest.approx(2.0**10, rel=1e-12)
    assert mixed.inner(mixed) == pytest.approx(2.0**20, rel=1e-12)


@every_tensor
def test_an_empty_stack_has_no_norms(kind):
    parts, make = TENSORS[kind]
    empty = make(*(np.broadcast_to(part, (0, *part.shape)) for part in parts))
    assert empty.norm().shape == (0,)
    assert empty.to_dense().shape == (0, *make(*parts).sizes)


@every_tensor
def test_dense_forms_are_the_callers(kind):
    parts, make = TENSORS[kind]
    for batch in ((), (2,)):
        tensor = make(*(np.broadcast_to(part, (*batch, *part.shape)).copy() for part in parts))
        before = tensor.to_dense().copy()
        for result in (tensor.to_dense(), tensor.as_matrix((0,), (1, 2)).to_dense()):
            result[...] = 7.0

        np.testing.assert_array_equal(tensor.to_dense(), before)


# --- kinds of entries ---

INDICES = np.zeros((3, 2), np.int64)
STRUCTURES = {
    **{kind: (parts, make) for kind, (parts, make) in TENSORS.items()},
    "dense": ((normal(3, 2),), Dense),
    "diagonal": ((normal(3),), Diagonal),
    "low rank": ((normal(3, 2), normal(2, 3)), LowRank),
    "Kronecker": ((normal(3, 2), normal(2, 3)), lambda *a: Kronecker(a)),
    "Kronecker sum": ((normal(2, 3, 2), normal(2, 2, 3)), KroneckerSum),
    "Khatri-Rao": ((normal(3, 2), normal(4, 2)), lambda *u: KhatriRao(u)),
    "sparse": ((normal(3, 2),), lambda values: Sparse(values, INDICES, 4)),
    "block sparse": ((normal(3, 2, 2),), lambda values: BlockSparse(values, INDICES, 6, 4)),
    "selection": ((normal(1),), lambda like: Selection(INDICES[:, 0], 4, like)),
    "train matrix": ((normal(1, 2, 3, 2), normal(2, 2, 2, 1)), lambda *cores: TTMatrix(cores)),
    "transform": ((normal(4),), lambda signs: SubsampledTransform(Cosine(), signs, INDICES[:, 0], 1.0)),
}


@pytest.mark.parametrize("dtype", ["complex128", "int64", "bool", "longdouble"])
@pytest.mark.parametrize("name", STRUCTURES)
def test_every_array_of_a_structure_is_real_floating(name, dtype):
    """Each part in turn is of another kind."""
    parts, make = STRUCTURES[name]
    make(*parts)
    for place in range(len(parts)):
        wrong = [part.astype(dtype) if i == place else part for i, part in enumerate(parts)]
        with pytest.raises(TypeError, match="astype"):
            make(*wrong)


@pytest.mark.parametrize("name", STRUCTURES)
def test_the_byte_order_of_other_machines_gives_the_same_matrix(name):
    parts, make = STRUCTURES[name]
    native, foreign = make(*parts), make(*(part.astype(">f8") for part in parts))
    np.testing.assert_allclose(foreign.to_dense(), native.to_dense(), rtol=1e-14)
    if name not in TENSORS:
        for side, other in ((native, foreign), (native.mT, foreign.mT)):
            x = normal(side.shape[-1], 2)
            np.testing.assert_allclose(other @ x, side @ x, rtol=1e-12)
            np.testing.assert_allclose(side @ x.astype(">f8"), side @ x, rtol=1e-12)


@pytest.mark.parametrize("name", STRUCTURES)
def test_masked_arrays_and_matrices_are_refused_by_name(name):
    parts, make = STRUCTURES[name]
    with pytest.raises(TypeError, match="filled"):
        make(*(np.ma.masked_array(part) for part in parts))


@pytest.mark.parametrize("name", ["sparse", "block sparse", "selection", "transform"])
def test_indices_are_integers(name, monkeypatch):
    parts, make = STRUCTURES[name]
    monkeypatch.setitem(make.__globals__, "INDICES", INDICES.astype(float))
    with pytest.raises(TypeError, match="integer dtype"):
        make(*parts)
