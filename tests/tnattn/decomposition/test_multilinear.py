import numpy as np
import pytest
import tensorly
from fixtures import drawn
from hypothesis import given, settings
from hypothesis import strategies as st

from tnattn.decomposition.multilinear import fold, khatri_rao, kronecker, mode_gram, mode_product, unfold

shapes = st.lists(st.integers(1, 7), min_size=2, max_size=4).map(tuple)
quick = settings(max_examples=25, deadline=None)


@quick
@given(shapes, st.data())
def test_unfolding_is_that_of_tensorly(shape, data):
    mode, x = data.draw(st.integers(0, len(shape) - 1)), drawn(shape)
    np.testing.assert_array_equal(unfold(x, mode, order=len(shape)), tensorly.unfold(x, mode))


@quick
@given(shapes, st.data())
def test_folding_undoes_unfolding_of_a_stack(shape, data):
    mode, x = data.draw(st.integers(0, len(shape) - 1)), drawn((3, *shape))
    np.testing.assert_array_equal(fold(unfold(x, mode, order=len(shape)), mode, shape), x)


@quick
@given(shapes, st.data())
def test_mode_product_is_a_product_with_the_unfolding(shape, data):
    mode, order = data.draw(st.integers(0, len(shape) - 1)), len(shape)
    x, u = drawn((2, *shape)), drawn((2, 5, shape[mode]), seed=1)
    product = mode_product(x, u, mode, order=order)
    np.testing.assert_allclose(unfold(product, mode, order=order), u @ unfold(x, mode, order=order), atol=1e-13)


@quick
@given(shapes, st.data())
def test_gram_matrix_is_that_of_the_unfolding(shape, data):
    mode, x = data.draw(st.integers(0, len(shape) - 1)), drawn((2, *shape))
    rows = unfold(x, mode, order=len(shape))
    np.testing.assert_allclose(mode_gram(x, mode, order=len(shape)), rows @ rows.mT, atol=1e-12)


def test_unfolding_works_on_every_library(xp, assert_close):
    host = drawn((2, 3, 4, 5))
    assert_close(unfold(xp.asarray(host), 1, order=3), xp.asarray(unfold(host, 1, order=3)), rtol=0)


@pytest.mark.parametrize("mode", [0, 1, 2])
def test_mode_product_and_gram_work_on_every_library(xp, assert_close, mode):
    x, u = drawn((2, 3, 4, 5)), drawn((6, (3, 4, 5)[mode]), seed=1)
    desired = xp.asarray(mode_product(x, u, mode, order=3))
    tolerance = 50 * xp.eps()
    assert_close(
        mode_product(xp.asarray(x), xp.asarray(u), mode, order=3), desired, rtol=tolerance, atol=10 * tolerance
    )
    gram = xp.asarray(mode_gram(x, mode, order=3))
    assert_close(mode_gram(xp.asarray(x), mode, order=3), gram, rtol=tolerance, atol=10 * tolerance)


@pytest.mark.parametrize(
    "ours, theirs", [(kronecker, tensorly.tenalg.kronecker), (khatri_rao, tensorly.tenalg.khatri_rao)]
)
def test_products_of_factors_are_those_of_tensorly(ours, theirs):
    factors = [drawn((n, 3), seed=n) for n in (2, 4, 5)]
    np.testing.assert_allclose(ours(factors), theirs(factors), rtol=1e-14)


def test_products_of_stacks_are_the_products_of_their_members():
    a, b = drawn((2, 3, 4)), drawn((2, 5, 4), seed=1)
    np.testing.assert_array_equal(khatri_rao([a, b])[1], khatri_rao([a[1], b[1]]))


def test_the_order_of_the_factors_matters():
    """Negative control: with the other convention the unfolding identity fails."""
    x, u, v = np.einsum("ir,jr,kr->ijk", *(f := [drawn((n, 2), seed=n) for n in (3, 4, 5)])), f[1], f[2]
    np.testing.assert_allclose(unfold(x, 0, order=3), f[0] @ khatri_rao([u, v]).T, atol=1e-13)
    assert not np.allclose(unfold(x, 0, order=3), f[0] @ khatri_rao([v, u]).T, atol=1e-3)


def test_a_mode_out_of_range_is_refused():
    with pytest.raises(ValueError, match="mode 3 is outside 0 ... 2"):
        unfold(drawn((2, 3, 4)), 3, order=3)


def test_factors_of_different_width_are_refused():
    with pytest.raises(ValueError, match="2 and 3 columns"):
        khatri_rao([drawn((4, 2)), drawn((4, 3))])
