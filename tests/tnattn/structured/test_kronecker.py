"""Kronecker and Khatri-Rao products, and matrices in tensor-train form."""

from functools import reduce

import numpy as np
import pytest
import scipy.linalg
from fixtures import normal
from hypothesis import given, settings
from hypothesis import strategies as st

from tnattn.arrays import dtype_name
from tnattn.structured.khatri_rao import KhatriRao
from tnattn.structured.kronecker import Kronecker, KroneckerSum
from tnattn.structured.tt_matrix import TTMatrix
from tnattn.testing.structures import check_structured

quick = settings(max_examples=25, deadline=None)
sides = st.integers(1, 4)
pairs = st.lists(st.tuples(sides, sides), min_size=1, max_size=4)


def train_matrix(sizes=((2, 3), (2, 2), (3, 2)), rank=2, batch=(), convert=lambda x: x, **fields):
    bonds = [1, *[rank] * (len(sizes) - 1), 1]
    shapes = [(*batch, bonds[k], m, n, bonds[k + 1]) for k, (m, n) in enumerate(sizes)]
    return TTMatrix(tuple(convert(normal(*shape, seed=k)) for k, shape in enumerate(shapes)), **fields)


SAMPLES = {
    "kronecker of three": (Kronecker((normal(2, 3), normal(4, 2), normal(3, 5))), 6 + 8 + 15),
    "kronecker of one": (Kronecker((normal(2, 3),)), 6),
    "kronecker of a stack and one": (Kronecker((normal(2, 2, 3), normal(4, 2))), 12 + 8),
    "sum": (KroneckerSum(normal(3, 2, 3), normal(3, 4, 2)), 18 + 24),
    "sum of a stack": (KroneckerSum(normal(2, 3, 2, 3), normal(3, 4, 2)), 36 + 24),
    "khatri-rao": (KhatriRao((normal(3, 4), normal(2, 4), normal(2, 4))), 28),
    "khatri-rao of a stack": (KhatriRao((normal(2, 3, 4), normal(5, 4))), 24 + 20),
    "train": (train_matrix(), 2 * 6 + 4 * 4 + 2 * 6),
    "train of a stack": (train_matrix(batch=(2,)), 2 * 40),
    "train with padding": (train_matrix(row_count=10, column_count=7), 40),
    "train of one core": (train_matrix(sizes=((3, 4),)), 12),
}


@pytest.mark.parametrize("name", SAMPLES)
def test_a_structure_is_the_matrix_that_it_shows(name):
    matrix, storage = SAMPLES[name]
    check_structured(matrix, storage=storage)


@quick
@given(sizes=pairs, seed=st.integers(0, 99))
def test_a_kronecker_product_is_that_of_the_definition(sizes, seed):
    factors = [normal(m, n, seed=seed + k) for k, (m, n) in enumerate(sizes)]
    dense = reduce(np.kron, factors)
    x = normal(dense.shape[1], 2)
    np.testing.assert_allclose(Kronecker(tuple(factors)).to_dense(), dense, atol=1e-13)
    np.testing.assert_allclose(Kronecker(tuple(factors)) @ x, dense @ x, atol=1e-11)


def test_a_sum_is_that_of_its_terms():
    left, right = normal(3, 2, 3), normal(3, 4, 2)
    dense = sum(np.kron(a, b) for a, b in zip(left, right, strict=True))
    np.testing.assert_allclose(KroneckerSum(left, right).to_dense(), dense, atol=1e-13)


@quick
@given(sizes=st.lists(sides, min_size=1, max_size=4), columns=sides, seed=st.integers(0, 99))
def test_a_khatri_rao_product_and_its_gram_matrix_are_those_of_the_definition(sizes, columns, seed):
    factors = [normal(n, columns, seed=seed + k) for k, n in enumerate(sizes)]
    dense = reduce(scipy.linalg.khatri_rao, factors)
    np.testing.assert_allclose(KhatriRao(tuple(factors)).to_dense(), dense, atol=1e-13)
    np.testing.assert_allclose(KhatriRao(tuple(factors)).gram(), dense.T @ dense, atol=1e-11)


@quick
@given(sizes=pairs, rank=sides)
def test_a_matrix_in_train_form_is_that_of_the_definition(sizes, rank):
    matrix = train_matrix(sizes, rank)
    product = matrix.cores[0]
    for core in matrix.cores[1:]:
        joined = np.einsum("amnb,bpqc->ampnqc", product, core)
        product = joined.reshape(1, product.shape[1] * core.shape[1], -1, core.shape[-1])
    np.testing.assert_allclose(matrix.to_dense(), product[0, ..., 0], atol=1e-11)


def test_padding_is_cut_off():
    whole, part = train_matrix(), train_matrix(row_count=10, column_count=7)
    assert part.padded == (12, 12)
    np.testing.assert_allclose(part.to_dense(), whole.to_dense()[:10, :7], atol=1e-14)
    x = normal(7, 2)
    np.testing.assert_allclose(part @ x, whole.to_dense()[:10, :7] @ x, atol=1e-12)


def test_a_product_of_two_million_entries_is_never_formed():
    """2^20 rows and columns."""
    identity = TTMatrix((np.eye(2)[None, :, :, None],) * 20)
    x = normal(2**20, 1)
    np.testing.assert_array_equal(identity @ x, x)
    big = Kronecker((np.ones((1000, 1000)), np.eye(1000)))
    assert (big @ np.ones((10**6, 1)))[0, 0] == 1000
    assert big.matmul_flops(1) < 1e10


def test_another_factor_gives_another_product():
    """Negative control."""
    a, b = normal(3, 3), normal(2, 2)
    assert np.abs(Kronecker((a, b)).to_dense() - Kronecker((b, a)).to_dense()).max() > 0.1


@pytest.mark.parametrize("kind", ["kronecker", "sum", "khatri-rao", "train"])
def test_every_library_gives_the_same(xp, assert_close, kind):
    def made(convert):
        if kind == "kronecker":
            return Kronecker((convert(normal(2, 3)), convert(normal(2, 4, 2))))
        if kind == "sum":
            return KroneckerSum(convert(normal(3, 2, 3)), convert(normal(3, 4, 2)))
        if kind == "khatri-rao":
            return KhatriRao((convert(normal(3, 6)), convert(normal(2, 2, 6))))
        return train_matrix(sizes=((2, 3), (4, 2)), convert=convert)

    host, ring, x = made(np.asarray), made(xp.asarray), normal(6, 2)
    assert_close(ring @ xp.asarray(x), host @ x, rtol=0, atol=1e3 * xp.eps())
    assert_close(ring.mT @ (ring @ xp.asarray(x)), host.mT @ (host @ x), rtol=0, atol=1e4 * xp.eps())
    assert_close(ring.to_dense(), host.to_dense(), rtol=0, atol=1e3 * xp.eps())
    single = made(lambda a: xp.asarray(a, dtype="float32"))
    assert dtype_name((single @ xp.asarray(x, dtype="float32")).dtype) == "float32"


@pytest.mark.parametrize(
    "build, message",
    [
        (lambda: Kronecker(()), "at least one"),
        (lambda: Kronecker((normal(3),)), "two axes"),
        (lambda: Kronecker((normal(2, 3, 3), normal(3, 2, 2))), "do not broadcast"),
        (lambda: KroneckerSum(normal(2, 2, 2), normal(3, 2, 2)), "one number of terms"),
        (lambda: KhatriRao((normal(2, 3), normal(2, 4))), "same number of columns"),
        (lambda: KhatriRao((normal(2, 2, 3), normal(3, 2, 3))), "do not broadcast"),
        (lambda: TTMatrix((normal(1, 2, 2, 2), normal(3, 2, 2, 1))), "neighbours must agree"),
        (lambda: TTMatrix((normal(2, 2, 1),)), "four axes"),
        (lambda: train_matrix(row_count=13), "row_count is 13"),
    ],
    ids=range(9),
)
def test_mismatched_parts_are_refused(build, message):
    with pytest.raises(ValueError, match=message):
        build()
