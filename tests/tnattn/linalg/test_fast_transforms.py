"""Fast transforms are the products with their matrices."""

import numpy as np
import pytest
import scipy.linalg

from tnattn.linalg.fast_transforms import cosine_transform, hadamard_transform

both = pytest.mark.parametrize("dtype", ["float32", "float64"])


def normal(*shape):
    return np.random.default_rng(0).standard_normal(shape)


@both
@pytest.mark.parametrize("n", [1, 2, 5, 8, 31])
def test_the_cosine_transform_is_the_matrix_of_cosines(xp, n, dtype, assert_close):
    if dtype not in xp.dtypes:
        pytest.skip("no float64 there")
    k, i = np.meshgrid(np.arange(n), np.arange(n), indexing="ij")
    cosines = np.sqrt(np.where(k == 0, 1, 2) / n) * np.cos(np.pi * k * (2 * i + 1) / (2 * n))
    x = normal(2, 3, n)
    atol = 20 * n * float(np.finfo(dtype).eps)
    assert_close(cosine_transform(xp.asarray(x, dtype)), xp.asarray(x @ cosines.T, dtype), rtol=0, atol=atol)
    assert_close(
        cosine_transform(xp.asarray(x, dtype), inverse=True), xp.asarray(x @ cosines, dtype), rtol=0, atol=atol
    )


@pytest.mark.parametrize("n", [1, 2, 32, 64, 2048])
def test_the_hadamard_transform_is_the_matrix_of_signs(xp, n, assert_close):
    x = normal(3, n)
    desired = xp.asarray(x @ scipy.linalg.hadamard(n) * n**-0.5)
    assert_close(hadamard_transform(xp.asarray(x)), desired, rtol=0, atol=50 * xp.eps())
    assert_close(hadamard_transform(desired), xp.asarray(x), rtol=0, atol=50 * xp.eps())


def test_a_hadamard_transform_of_another_length_is_refused(xp):
    with pytest.raises(ValueError, match="length 12; a power of two"):
        hadamard_transform(xp.asarray(normal(2, 12)))
