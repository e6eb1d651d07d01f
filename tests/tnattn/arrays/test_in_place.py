"""Operations that overwrite an argument, on every ring."""

import numpy as np
import pytest
from fixtures import rng

from tnattn.arrays import exp_in_place, matmul_into, scaled_exponential, subtract_product, to_host


def test_exponential_in_place_is_the_exponential(xp, assert_close):
    x = rng().standard_normal(5)
    assert_close(exp_in_place(xp.asarray(x)), xp.asarray(np.exp(x)), rtol=4 * xp.eps())


def test_products_are_written_over_spare_memory_that_fits():
    rng = np.random.default_rng(0)
    a, b, spare = rng.standard_normal((5, 3)), rng.standard_normal((3, 4)), np.empty((5, 4))
    assert matmul_into(a, b, spare) is spare
    np.testing.assert_allclose(spare, a @ b)


@pytest.mark.parametrize("xp", ["numpy", "torch"], indirect=True)
@pytest.mark.parametrize("shape", [(5, 4), (6, 4), (40,), (2, 3, 7)])
def test_products_are_written_over_the_front_of_larger_memory(xp, shape):
    rng = np.random.default_rng(0)
    a, b = rng.standard_normal((5, 3)), rng.standard_normal((3, 4))
    spare = xp.asarray(np.zeros(shape), "float64")
    product = matmul_into(xp.asarray(a, "float64"), xp.asarray(b, "float64"), spare)
    np.testing.assert_allclose(to_host(product), a @ b)
    np.testing.assert_array_equal(to_host(spare).ravel()[:20], to_host(product).ravel())  # one memory
    assert tuple(product.shape) == (5, 4)


@pytest.mark.parametrize("xp", ["torch"], indirect=True)
def test_factors_of_a_gradient_are_not_written_over(xp):
    a, b = (xp.asarray(np.ones((3, 3)), "float64").requires_grad_() for _ in range(2))
    spare = xp.asarray(np.zeros((3, 3)), "float64")
    matmul_into(a, b, spare).sum().backward()
    np.testing.assert_array_equal(to_host(a.grad), 3)
    np.testing.assert_array_equal(to_host(spare), 0)


@pytest.mark.parametrize(
    "spare", [None, np.empty((9, 9))[:, ::2], np.empty((4, 4)), np.empty((5, 4), dtype=np.float32)]
)
def test_spare_memory_that_does_not_fit_is_left_alone(spare):
    rng = np.random.default_rng(0)
    a, b = rng.standard_normal((5, 3)), rng.standard_normal((3, 4))
    product = matmul_into(a, b, spare)
    assert product is not spare
    np.testing.assert_allclose(product, a @ b)


@pytest.mark.parametrize("batch", [(), (2, 3)], ids=str)
def test_a_product_is_subtracted(xp, assert_close, batch):
    x, a, b = (np.random.default_rng(0).standard_normal((*batch, *shape)) for shape in ((5, 40), (5, 3), (3, 40)))
    assert_close(
        subtract_product(*(xp.asarray(one) for one in (x.copy(), a, b))), x - a @ b, rtol=0, atol=20 * xp.eps()
    )


@pytest.mark.parametrize("part", [slice(0, 40), slice(3, 30)], ids=["whole rows", "parts of rows"])
def test_a_product_is_subtracted_in_the_memory_of_the_minuend(part):
    rng = np.random.default_rng(0)
    whole, a, b = rng.standard_normal((5, 40)), rng.standard_normal((5, 3)), rng.standard_normal((3, 40))[:, part]
    desired = whole[:, part] - a @ b
    assert np.shares_memory(subtract_product(whole[:, part], a, b), whole)
    np.testing.assert_allclose(whole[:, part], desired, atol=1e-14)


def test_a_scaled_exponential_is_the_exponential(xp, assert_close):
    x = np.append(rng().standard_normal(5), -np.inf)
    unit, exponential = scaled_exponential(xp.asarray(x))
    # scaling x by the unit costs a rounding of an exponent below four
    assert_close(exponential(unit * xp.asarray(x)), xp.asarray(np.exp(x)), rtol=8 * xp.eps(), atol=0)
