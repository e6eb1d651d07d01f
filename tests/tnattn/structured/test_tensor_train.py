"""Arithmetic of tensor trains."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tnattn.arrays import dtype_name
from tnattn.structured.tensor_train import MOST_CORES, TensorTrain

quick = settings(max_examples=30, deadline=None)
shapes = st.lists(st.integers(1, 5), min_size=1, max_size=5)


def train(sizes, rank=2, batch=(), seed=0, convert=lambda x: x):
    rng = np.random.default_rng(seed)
    bonds = [1, *[rank] * (len(sizes) - 1), 1]
    shapes = zip(bonds, sizes, bonds[1:], strict=False)
    return TensorTrain(tuple(convert(rng.standard_normal((*batch, *shape))) for shape in shapes))


OPERATIONS = {
    "sum": (lambda a, b: a + b, lambda x, y: x + y),
    "difference": (lambda a, b: a - b, lambda x, y: x - y),
    "multiple": (lambda a, b: 2.5 * a * 2, lambda x, y: 5 * x),
    "hadamard": (lambda a, b: a.hadamard(b), lambda x, y: x * y),
}


@pytest.mark.parametrize("name", OPERATIONS)
@quick
@given(sizes=shapes, batch=st.sampled_from([(), (2,)]), seed=st.integers(0, 99))
def test_an_operation_in_the_cores_is_that_of_the_dense_tensors(name, sizes, batch, seed):
    a, b = train(sizes, 2, batch, seed), train(sizes, 3, batch, seed + 1)
    of_trains, of_arrays = OPERATIONS[name]
    expected = of_arrays(a.to_dense(), b.to_dense())
    np.testing.assert_allclose(of_trains(a, b).to_dense(), expected, atol=1e-12 * (1 + np.abs(expected).max()))


@quick
@given(sizes=shapes, batch=st.sampled_from([(), (3,)]))
def test_inner_products_and_norms_are_those_of_the_dense_tensors(sizes, batch):
    a, b = train(sizes, 2, batch), train(sizes, 3, batch, seed=1)
    x, y = (t.to_dense().reshape(*batch, -1) for t in (a, b))
    scale = np.linalg.norm(x, axis=-1) * np.linalg.norm(y, axis=-1)
    assert np.all(np.abs(a.inner(b) - np.sum(x * y, axis=-1)) <= 1e-12 * scale)
    np.testing.assert_allclose(a.norm(), np.linalg.norm(x, axis=-1), rtol=1e-7)


def test_ranks_add_under_sums_and_multiply_under_hadamard_products():
    a, b = train((4, 5, 6), 2), train((4, 5, 6), 3)
    assert (a + b).largest_ranks == (5, 5)
    assert a.hadamard(b).largest_ranks == (6, 6)


def test_a_stack_and_one_tensor_add():
    a, b = train((3, 4), batch=(2,)), train((3, 4), seed=1)
    np.testing.assert_allclose((a + b).to_dense(), a.to_dense() + b.to_dense(), atol=1e-13)


def test_nothing_of_the_size_of_the_tensor_is_formed():
    """2^60 entries."""
    a = TensorTrain((np.ones((1, 8, 1)),) * MOST_CORES)
    assert (a + a).norm() == pytest.approx(2 * 2**30)
    assert a.hadamard(a).inner(a) == pytest.approx(2.0**60)


@pytest.mark.parametrize("operation", [lambda a, b: a + b, lambda a, b: a.hadamard(b), lambda a, b: a.inner(b)])
def test_other_sizes_are_refused(operation):
    with pytest.raises(ValueError, match="must agree"):
        operation(train((3, 4)), train((4, 3)))


@pytest.mark.parametrize("operation", [lambda a: a + 1.0, lambda a: a * "x", lambda a: a - np.ones(3)])
def test_other_kinds_are_refused(operation):
    with pytest.raises(TypeError):
        operation(train((3, 4)))


def test_too_many_cores_are_refused():
    with pytest.raises(ValueError, match=f"1 to {MOST_CORES} cores"):
        TensorTrain((np.ones((1, 2, 1)),) * (MOST_CORES + 1))


def test_every_library_gives_the_same(xp, assert_close):
    host, ring = train((3, 4, 5)), train((3, 4, 5), convert=xp.asarray)
    tolerance = {"rtol": 0, "atol": 1e3 * xp.eps()}
    assert_close((ring + ring.hadamard(ring)).to_dense(), (host + host.hadamard(host)).to_dense(), **tolerance)
    assert_close(ring.inner(ring), np.asarray(host.inner(host)), rtol=1e4 * xp.eps())
    single = train((3, 4), convert=lambda a: xp.asarray(a, dtype="float32"))
    assert dtype_name((single + 2.0 * single).to_dense().dtype) == "float32"


def test_another_core_gives_another_inner_product():
    """Negative control."""
    a = train((3, 4, 5))
    changed = TensorTrain((a.cores[0] * 1.001, *a.cores[1:]))
    assert abs(changed.inner(a) - a.inner(a)) > 1e-4 * a.inner(a)
